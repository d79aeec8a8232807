"""Makes rollouts: the agent acts greedily on every path of a market, from the first row to the
last, all paths side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.base import Agent, Observed, observed
from agents.params import AgentError
from experiments.core.provenance import label
from experiments.rollout.rollout import STATES, Rollout
from experiments.rollout.trades import SCALED, TradeLog, with_results
from fundenv.batch.cpu import Batch
from fundenv.config import hours
from fundenv.dynamics import types as t

# what a rollout sets itself, whatever the settings of the run are
JUDGED = {"episode": None, "random_start": False, "start_invested": 0.0, "reward": "log_growth"}


def overruled(settings: dict[str, Any], own: dict[str, Any], told: str) -> list[str]:
    """A line for each of the `settings` of the env that `own` sets to another value; `told` says
    who does so, before "NAME = VALUE".
    """
    return [
        f"note  --env.{name} {value}: ignored, for {told} {name} = {own[name]}"
        for name, value in settings.items()
        if name in own and own[name] != value
    ]


def say_overruled(settings: dict[str, Any], agents: Iterable[Agent]) -> None:
    """Print what of the `settings` changes nothing where `agents` are judged."""
    lines = overruled(settings, JUDGED, "a rollout walks each path once, with")
    for agent in agents:
        lines += overruled(settings, agent.env_settings(), f"agent {agent.name} acts with")
    print("".join(f"{line}\n" for line in dict.fromkeys(lines)), end="", flush=True)


def roll_out(agent: Agent, market: Any, settings: dict[str, Any], seed: int = 0) -> list[Rollout]:
    """Greedy rollouts of `agent`, one per symbol of `market`.

    Args:
        settings: fields of `EnvConfig`; the reward is always the realised growth, and each path
        begins flat at its first row. seed: of the agent's training, to name the rollouts by.
    """
    batch = _bound(agent, market, settings)
    return _by_symbol(agent, _record(agent, batch), batch, market, seed, batch.config.cash_rate)


def roll_out_terms(
    agent: Agent,
    market: Any,
    settings: dict[str, Any],
    terms: Sequence[dict[str, float]],
    seed: int = 0,
) -> list[list[Rollout]]:
    """As `roll_out`, under each of the `terms`: cash_rate and other fields of `settings` that an
    environment may have for itself (the same in all). All accounts of an agent that decides by its
    observations alone go side by side.
    """
    if not agent.decides_by_observations or settings.get("randomize") or len(terms) < 2:
        return [roll_out(agent, market, settings | each, seed) for each in terms]
    count = market.n_paths
    own = {name: np.repeat([each[name] for each in terms], count) for name in terms[0]}
    batch = _bound(agent, market, settings | terms[0], own)
    records = _record(agent, batch)
    return [
        _by_symbol(
            agent, records[k * count : (k + 1) * count], batch, market, seed, at["cash_rate"]
        )
        for k, at in enumerate(terms)
    ]


def _by_symbol(
    agent: Agent,
    records: list[dict[str, Any]],
    batch: Batch,
    market: Any,
    seed: int,
    cash_rate: float,
) -> list[Rollout]:
    """The records of all paths, those of a symbol in one rollout."""
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for path, record in sorted(
        enumerate(records), key=lambda item: int(market.close_ns[market.paths[item[0]][0]])
    ):
        by_symbol.setdefault(label(market, path), []).append(record)
    made = [
        _chain(_head(agent, seed, symbol, batch, cash_rate), parts, batch.config.initial_equity)
        for symbol, parts in by_symbol.items()
    ]
    order = [label(market, path) for path in range(market.n_paths)]
    return sorted(made, key=lambda item: order.index(item.symbol))


def roll_out_paths(agent: Agent, market: Any, settings: dict[str, Any]) -> list[Rollout]:
    """As `roll_out`, one for each path, in order."""
    batch = _bound(agent, market, settings)
    return [
        _chain(
            _head(agent, 0, label(market, path), batch, batch.config.cash_rate),
            [record],
            batch.config.initial_equity,
        )
        for path, record in enumerate(_record(agent, batch))
    ]


def _head(agent: Agent, seed: int, symbol: str, batch: Batch, cash_rate: float) -> dict[str, Any]:
    return {
        "agent": agent.name,
        "seed": seed,
        "symbol": symbol,
        "step_hours": hours(batch.config.decision_interval, "decision_interval"),
        "cash_rate": cash_rate,
    }


def _bound(
    agent: Agent,
    market: Any,
    settings: dict[str, Any],
    per_env: dict[str, NDArray[np.float64]] | None = None,
) -> Batch:
    """A batch with an environment for each path, at its first row, which the agent is bound to;
    with `per_env` one for each of its terms and paths.
    """
    paths = np.arange(market.n_paths)
    if per_env is not None:
        paths = np.tile(paths, len(next(iter(per_env.values()))) // market.n_paths)
    batch = Batch(
        len(paths), market=market, per_env=per_env, **settings | agent.env_settings() | JUDGED
    )
    agent.bind(batch)
    agent.reset()
    batch.reset(paths.tolist(), paths=paths)
    return batch


def _record(agent: Agent, batch: Batch) -> list[dict[str, Any]]:
    """What each environment of the batch, which has begun, did until it ended: arrays over its
    steps.
    """
    columns = [observed(batch.observation_table, name) for name in STATES]
    seen = np.concatenate([column.at for column in columns])
    steps: list[dict[str, Any]] = []
    active, log = np.ones(batch.num_envs, dtype=bool), TradeLog(batch)
    lengths = np.zeros(batch.num_envs, dtype=int)
    while active.any():
        given = np.asarray(agent.act(batch.obs))
        log.before(batch, agent)
        agent.tally(active)
        actions = _step(agent, batch, given)
        log.after(batch, active, len(steps))
        lengths += active
        steps.append(
            {
                "time": batch.store.episode[:, t.ROW].copy(),
                "equity": batch.store.account[:, t.EQUITY].copy(),
                "reward": batch.reward.copy(),
                "parts": batch.ledger[:, : t.N_PARTS].copy(),
                "turnover": batch.trades[:, :, t.TURNOVER].sum(axis=1),
                "liquidations": batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1),
                "states": batch.obs[:, seen],
                "actions": actions,
            }
        )
        active &= ~(batch.terminated | batch.truncated)
    whole = {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}
    whole["time"] = batch.market.close_ns[whole["time"]]
    whole["states"] = _states(whole["states"], columns)
    found = []
    for i in range(batch.num_envs):
        own = {name: values[i, : lengths[i]] for name, values in whole.items()}
        found.append(own | {"trades": with_results(log.frame(i), own["parts"], batch.n_assets)})
    return found


def _states(seen: NDArray[np.float32], columns: Sequence[Observed]) -> NDArray[np.float64]:
    """STATES (n, T, 7) from the observations (n, T, ..) of their `columns`."""
    ends = np.cumsum([len(column.at) for column in columns])
    raw = zip(np.split(seen, ends[:-1], axis=-1), columns, strict=True)
    means = [(each * column.scale).mean(axis=-1) for each, column in raw]
    return np.stack(means, axis=-1).astype(np.float64)


def _step(agent: Agent, batch: Batch, given: NDArray[Any]) -> NDArray[np.float64]:
    """Step by what the agent gave; returns rows (n, k) of actions, for a number of a decision those
    that it stands for. Raises `AgentError` for actions that do not fit the env.
    """
    indexed = batch.config.actions == "indexed"
    try:
        actions = given if indexed else given.astype(np.float64)
        batch.gate.take(actions)
    except (TypeError, ValueError) as error:
        raise AgentError(f"agent {agent.name}: {error}") from None
    batch.advance()
    rows = batch.actions.astype(np.float64) if indexed else actions
    return rows.reshape(batch.num_envs, -1)


def _chain(head: dict[str, Any], records: list[dict[str, Any]], start: float) -> Rollout:
    """One rollout of several in time order: money of each is scaled so that it begins where the
    one before ended.
    """
    factor, equity, trades = 1.0, [np.array([start])], []
    for record in records:
        book = record.pop("trades")
        trades.append(book.assign(**{name: book[name] * factor for name in SCALED}))
        for name in ("equity", "parts", "turnover"):
            record[name] = record[name] * factor
        equity.append(record["equity"])
        factor = float(record["equity"][-1]) / start
    joined: dict[str, Any] = {
        name: np.concatenate([record[name] for record in records])
        for name in records[0]
        if name != "equity"
    }
    book = pd.concat(trades, ignore_index=True)
    return Rollout(**head, equity=np.concatenate(equity), trades=book, **joined)
