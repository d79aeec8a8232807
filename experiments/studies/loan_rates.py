"""How far accounts in portfolio margin fall where loans are dear, if their rule knows the rate of
its own account, and if it knows the rate in the settings of the env alone.

Episodes of the training of `learned_margin`: each has its own cash rate, fees, level of funding,
interest on quote and, in a fifth of them, a limited pool of quote. The table names what the
deepest fall of an account without a liquidation consists of, in shares of its equity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import agents
from agents.margin.episodes import WHOLE_PATH
from agents.params import read_pairs
from agents.training.randomisation import draw_borrowing, draw_terms
from experiments.core.cli import run
from experiments.core.market_args import span_edges
from experiments.studies.margin_markets import COINS, load
from experiments.studies.portfolio_walks import PORTFOLIO
from fundenv.batch.cpu import Batch
from fundenv.config import EnvConfig
from fundenv.dynamics import types as t
from fundenv.market import Market, between

DECISIONS = 360  # of an episode: 120 days


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the study."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    span: str = "2020-02:2023-06"
    """START:END within which the episodes lie."""
    rule: str = "compare=1 highest=6"
    """Parameters of margin carry."""
    episodes: int = 600
    """Number of episodes."""


class Falls(NamedTuple):
    """What the accounts (n) did."""

    fall: NDArray[np.float64]  # deepest, of the highest equity before
    liquidated: NDArray[np.bool_]
    parts: NDArray[np.float64]  # (n, parts) in that fall, of the equity at its start


def main(args: Args) -> None:
    """Play, print."""
    coins = load(args.data, args.symbols).together
    market = between(coins, *span_edges(args.span, "--span"))
    for own in (True, False):
        found = played(market, args.rule, args.episodes, own=own)
        kept = np.where(found.liquidated, 0.0, found.fall)
        worst = int(kept.argmax())
        middle, high = np.quantile(found.fall, [0.5, 0.99])
        print(f"\nthe rule knows {'the rate of its account' if own else 'the settings alone'}")
        print(f"falls: median {middle:.1%}, 99 % {high:.1%}; liquidated {found.liquidated.sum()}")
        told = dict(zip(t.PARTS, found.parts[worst], strict=False))
        parts = ", ".join(f"{name} {value:+.3f}" for name, value in told.items() if value)
        print(f"deepest without a liquidation {kept[worst]:.1%}: {parts}")


def played(market: Market, rule: str, count: int, *, own: bool) -> Falls:
    """Play `count` episodes; own: the rule is bound to the env in which it acts, and not to one
    without terms of its own.
    """
    agent: Any = agents.make("margin_carry", **read_pairs(rule.split()))
    settings = PORTFOLIO | {"cash_rate": 0.02, "reward": "log_growth"} | agent.env_settings()
    terms = agents.make("learned_margin", n_envs=count).params
    config = EnvConfig.from_dict(settings)
    per_env = draw_terms(terms, config, 0)._asdict() | draw_borrowing(terms, config, 0)
    walked = settings | WHOLE_PATH
    batch = Batch(count, market=market, per_env=per_env, **walked)
    agent.bind(batch if own else Batch(count, market=market, **walked))
    agent.reset()
    rng, (first, last) = np.random.default_rng(0), market.paths[0]
    room = int(last - first) - (DECISIONS + 2) * round(8 / market.bar_hours)
    starts = (rng.random(count) * (room + 1)).astype(int)
    batch.reset(0, paths=np.zeros(count, int), starts=starts)
    equity = [batch.store.account[:, t.EQUITY].copy()]
    ledger, active, liquidated = [], np.ones(count, bool), np.zeros(count, bool)
    for _ in range(DECISIONS):
        batch.step(agent.act(batch.obs))
        ended = batch.terminated | batch.truncated
        liquidated |= active & (batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1) > 0)
        liquidated |= active & batch.terminated
        active &= ~ended
        equity.append(np.where(active, batch.store.account[:, t.EQUITY], equity[-1]))
        ledger.append(batch.ledger[:, : t.N_PARTS] * active[:, None])
    line, paid = np.array(equity), np.array(ledger)
    below = line / np.maximum.accumulate(line, axis=0)
    low = below.argmin(axis=0)
    parts = np.zeros((count, t.N_PARTS))
    for i, end in enumerate(low):
        begin = int(line[: end + 1, i].argmax())
        parts[i] = paid[begin:end, i].sum(axis=0) / line[begin, i]
    return Falls(1.0 - below.min(axis=0), liquidated, parts)


if __name__ == "__main__":
    run(Args, main, __doc__)
