"""The paper account: the kernel of the backtest, stepped through the market of the journal.

No state of the account is kept from poll to poll: each time it is stepped again from its first
decision, with the actions that were sent. So it depends on the journal alone, and equals the
backtest of the same rows to the last bit. Only the agent keeps its memory. A restarted process asks
the agent again at every decision and compares its actions with the journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.batch.starts import books_of
from fundenv.config import hours
from fundenv.dynamics import types as t
from fundenv.live import records
from fundenv.live.errors import LiveError
from fundenv.live.journal import Record
from fundenv.live.limits import Gate, check_closable
from fundenv.live.market import padded
from fundenv.market import Market
from fundenv.market.download.series import HOUR_MS, stamp

MEANING = [k for k in range(t.N_LEG) if k not in t.SCRATCH]  # columns of a leg between two steps


class Actor(Protocol):
    """The interface that an account needs of an agent; every agent of the registry has it."""

    @property
    def name(self) -> str:
        """Its name in the registry."""
        ...

    def bind(self, env: Any) -> None:
        """Find the columns of the observations."""

    def reset(self, mask: Any = None) -> None:
        """Forget every episode."""

    def act(self, obs: NDArray[np.float32]) -> NDArray[Any]:
        """Actions (n, k) for observations (n, D)."""

    def words(self, environment: int = 0) -> tuple[str, ...]:
        """The reasons of the last `act`."""


class Step(NamedTuple):
    """One completed step of the accounts: n accounts, A coins each.

    close: ms at its end. equity (n,), parts (n, 9) and trades (n, A, 9) as `fundenv.dynamics.types`
    has them, liquidations (n,).
    """

    close: int
    equity: NDArray[np.float64]
    parts: NDArray[np.float64]
    trades: NDArray[np.float64]
    liquidations: NDArray[np.float64]


class Standing(NamedTuple):
    """The accounts at the last sealed close: state arrays, observations (n, D), and whether each
    has ended.
    """

    close: int
    account: NDArray[np.float64]
    legs: NDArray[np.float64]
    obs: NDArray[np.float32]
    ended: NDArray[np.bool_]


@dataclass(eq=False)
class Account:
    """The accounts of one venue: one for each coin, or one for all of a joint market.

    agent: makes the decisions. settings: fields of `EnvConfig`, those of the agent's actions
    included. gate: applies the limits. write: writes a decision to the disk before it takes effect.
    decisions: those of the journal. steps: the completed steps. standing: the accounts at the last
    sealed close; None before the first decision.
    """

    agent: Actor
    settings: Mapping[str, Any]
    gate: Gate
    write: Callable[[Record], None]

    def __post_init__(self) -> None:
        self.decisions: list[Record] = []
        self.steps: list[Step] = []
        self.standing: Standing | None = None
        self.table: tuple[Any, ...] = ()
        self.latched: list[str] = []
        self.words: list[tuple[str, ...]] = []
        self._acted = 0  # decisions that the agent in this process has made
        self._bound = False
        self._sums: list[bytes] = []

    @property
    def step_ms(self) -> int:
        """Time between two decisions."""
        return round(hours(str(self.settings["decision_interval"]), "decision_interval") * HOUR_MS)

    def next_decision(self, begin: int) -> int:
        """Close (ms) at which the next decision is due."""
        return begin + len(self.decisions) * self.step_ms

    def catch_up(self, whole: Market, market: Market, closed: int, now: int) -> list[str]:
        """Make every decision and step that the bars up to `closed` (ms) allow.

        whole: the market with its warm-up, which the agent is bound to. market: the rows since the
        account began. now: the exchange's time, ms. Returns a line for each new decision. Raises
        `LiveError` where the agent's action differs from that of the journal.
        """
        interval = self.step_ms // round(market.bar_hours * HOUR_MS)
        live = padded(market, interval, closed)
        batch = Batch(live.n_paths, market=live, **self.settings)
        if not self._bound:
            self._bind(whole, batch)
        begin = int(live.close_ns[live.paths[0, 0]]) // 1_000_000
        batch.reset(0)
        lines: list[str] = []
        number = 0
        while begin + number * self.step_ms <= closed:
            close = begin + number * self.step_ms
            if number >= self._acted:
                lines += self._decide(batch, number, close, now)
            if close + self.step_ms > closed:
                break
            batch.step(self._sent(batch, number))
            number += 1
            if number > len(self.steps):
                self._keep(_step(batch, close + self.step_ms))
            if (batch.terminated | batch.truncated).all():
                break
        self._stand(batch, number, begin, closed)
        return lines

    def fingerprint(self, until: int | None = None) -> str:
        """SHA-256 over the equity, the parts, the trades and the liquidations of every completed
        step (that ended by `until`, ms). Two accounts have the same hash if they are equal to the
        last bit.
        """
        kept = [
            one
            for step, one in zip(self.steps, self._sums, strict=True)
            if until is None or step.close <= until
        ]
        return hashlib.sha256(b"".join(kept)).hexdigest()

    def _keep(self, step: Step) -> None:
        arrays = (step.equity, step.parts, step.trades, step.liquidations)
        data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
        self.steps.append(step)
        self._sums.append(hashlib.sha256(data).digest())

    def _bind(self, whole: Market, batch: Batch) -> None:
        if getattr(self.agent, "sees_future", False):
            raise LiveError(
                f"agent {self.agent.name} reads the future of a recorded market; it cannot act live"
            )
        seen = Batch(whole.n_paths, market=whole, **self.settings)
        _stand_where(seen, batch)
        self.agent.bind(seen)
        self.agent.reset()
        self.table = batch.observation_table
        if self.gate.limits.any:
            check_closable(batch)
        self._bound = True

    def _decide(self, batch: Batch, number: int, close: int, now: int) -> list[str]:
        """Ask the agent. Write a new decision; compare one that the journal already holds."""
        wanted = np.asarray(self.agent.act(batch.obs))
        if batch.config.actions != "indexed":
            wanted = wanted.astype(np.float64)
        self.words = [self.agent.words(i) for i in range(batch.num_envs)]
        self._acted = number + 1
        if number < len(self.decisions):
            known = self.decisions[number]
            if known["close"] != close or known["wanted"] != wanted.tolist():
                raise LiveError(
                    f"agent {self.agent.name} now decides otherwise at {stamp(close)} than the"
                    " journal says; restore its files and the version of the package, or begin"
                    " another account in another --out"
                )
            self.latched = list(known["latched"])
            return []
        ruling = self.gate.rule(batch, wanted, self.latched)
        self.latched = ruling.latched
        record: Record = {
            "kind": "decision",
            "at": records.now_ms(),
            "close": close,
            "number": number,
            "heard": now,
            "wanted": wanted.tolist(),
            "sent": ruling.actions.tolist(),
            "limits": ruling.reasons,
            "latched": ruling.latched,
            "words": self.words,
        }
        self.write(record)
        self.decisions.append(record)
        late = (now - close) / 60_000
        slow = f", {late:.0f} min after the close" if late > 10 else ""
        said = "; ".join(", ".join(words) for words in self.words if words)
        line = f"decision {number} at {stamp(close)}{slow}{': ' + said if said else ''}"
        return [line, *(f"limit  {reason}" for reason in ruling.reasons)]

    def _sent(self, batch: Batch, number: int) -> NDArray[Any]:
        kind = np.int64 if batch.config.actions == "indexed" else np.float64
        return np.array(self.decisions[number]["sent"], dtype=kind)

    def _stand(self, batch: Batch, number: int, begin: int, closed: int) -> None:
        """Store the accounts as they are at `closed`: after the last step, and the bars since."""
        ended = np.array(batch.terminated | batch.truncated)
        ahead = (closed - begin - number * self.step_ms) // round(batch.market.bar_hours * HOUR_MS)
        if ahead > 0 and not ended.all():
            batch = _part_of_a_step(batch, self._sent(batch, number), int(ahead), self.settings)
        self.standing = Standing(
            closed,
            batch.store.account.copy(),
            batch.store.legs[:, :, MEANING].copy(),
            batch.obs.copy(),
            ended,
        )


def _stand_where(seen: Batch, batch: Batch) -> None:
    """Set the batch that the agent is bound to, whose market has the warm-up, to the begin of the
    accounts, so that each environment has the path and the rules of its account.
    """
    episode, world = seen.store.episode, seen.world
    episode[:, t.PATH] = np.arange(seen.num_envs)
    for i, (first, end) in enumerate(world.paths):
        begin = batch.market.close_ns[batch.market.paths[i, 0]]
        episode[i, t.ROW] = first + np.searchsorted(seen.market.close_ns[first:end], begin)
    episode[:, t.BOOK] = books_of(world, episode)


def _part_of_a_step(
    batch: Batch, sent: NDArray[Any], bars: int, settings: Mapping[str, Any]
) -> Batch:
    """The accounts `bars` bars after the actions `sent`, within their step, on a separate batch."""
    shorter = dict(settings) | {"decision_interval": f"{bars * batch.market.bar_hours:g}h"}
    part = Batch(batch.num_envs, market=batch.market, **shorter)
    part.reset(0)
    own = batch.state()
    part.restore(own | {"of": part.state()["of"]})
    part.step(sent)
    return part


def _step(batch: Batch, close: int) -> Step:
    return Step(
        close,
        batch.store.account[:, t.EQUITY].copy(),
        batch.ledger[:, : t.N_PARTS].copy(),
        batch.trades.copy(),
        batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1),
    )
