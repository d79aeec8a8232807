"""Lets an agent walk every path of a market once, from its first row to its last, all paths side by
side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.base import Agent, observed
from experiments.core.run_folder import label
from experiments.rollout.trades import SCALED, TradeLog
from fundenv import metrics
from fundenv.batch.cpu import Batch
from fundenv.config import hours
from fundenv.dynamics import types as t

# observations kept of every step, raw; mean over the assets
STATES = (
    "carry",
    "hedge_ratio",
    "leverage",
    "margin_distance",
    "drawdown",
    "funding_last",
    "perp_weight",
)

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One symbol (or several on one clock) walked once. Several paths of a symbol are chained: each
    begins with the equity of the one before.
    """

    symbol: str
    step_hours: float
    time: NDArray[np.int64]  # (T,) end of each step, ns since 1970 UTC
    equity: Array  # (T + 1,) quote
    reward: Array  # (T,) 1000 x net log growth
    parts: Array  # (T, 9) quote
    turnover: Array  # (T,) quote
    liquidations: Array  # (T,) legs
    states: Array  # (T, 7) after each step: STATES
    actions: Array  # (T, k) as the agent gave them
    trades: pd.DataFrame  # columns of `experiments.rollout.trades.TradeLog`

    def metrics(self, cash_rate: float) -> metrics.Metrics:
        """The figures of this walk."""
        return metrics.measure(
            self.equity,
            self.parts,
            step_hours=self.step_hours,
            cash_rate=cash_rate,
            turnover=self.turnover,
            liquidations=self.liquidations,
            carry=self.states[:, STATES.index("carry")],
        )

    def frame(self) -> pd.DataFrame:
        """One row per step: symbol, time, step, equity at its end, reward, the parts, turnover,
        liquidations, states.
        """
        columns: dict[str, Any] = {
            "symbol": self.symbol,
            "time": pd.to_datetime(self.time, utc=True),
            "step": np.arange(1, len(self.time) + 1),
        }
        columns |= {"equity": self.equity[1:], "reward": self.reward}
        columns |= {name: self.parts[:, i] for i, name in enumerate(t.PARTS)}
        columns |= {"turnover": self.turnover, "liquidations": self.liquidations}
        return pd.DataFrame(columns | {name: self.states[:, i] for i, name in enumerate(STATES)})


def walk(agent: Agent, market: Any, settings: dict[str, Any]) -> list[Walk]:
    """Greedy walks of `agent`, one per symbol of `market`; `settings` are `EnvConfig` fields (the
    reward is always the realised growth).
    """
    batch = _bound(agent, market, settings)
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for path, record in sorted(
        enumerate(_record(agent, batch)),
        key=lambda item: int(market.close_ns[market.paths[item[0]][0]]),
    ):
        by_symbol.setdefault(label(market, path), []).append(record)
    step_hours = hours(batch.config.decision_interval, "decision_interval")
    walks = [
        _chain(symbol, records, step_hours, batch.config.initial_equity)
        for symbol, records in by_symbol.items()
    ]
    order = [label(market, path) for path in range(market.n_paths)]
    return sorted(walks, key=lambda item: order.index(item.symbol))


def walk_paths(agent: Agent, market: Any, settings: dict[str, Any]) -> list[Walk]:
    """As `walk`, one for each path, in order."""
    batch = _bound(agent, market, settings)
    step_hours = hours(batch.config.decision_interval, "decision_interval")
    records = enumerate(_record(agent, batch))
    return [
        _chain(label(market, path), [record], step_hours, batch.config.initial_equity)
        for path, record in records
    ]


def _bound(agent: Agent, market: Any, settings: dict[str, Any]) -> Batch:
    """A batch with an environment for each path, in which the agent is ready to walk."""
    fixed = {"episode": None, "random_start": False, "start_invested": 0.0, "reward": "log_growth"}
    batch = Batch(market.n_paths, market=market, **settings | agent.env_settings() | fixed)
    agent.bind(batch)
    agent.reset()
    return batch


def _record(agent: Agent, batch: Batch) -> list[dict[str, Any]]:
    """What each environment of the batch went through until it ended: arrays over its steps."""
    columns = [observed(batch.observation_table, name) for name in STATES]
    steps: list[dict[str, Any]] = []
    batch.reset(0)
    active, log = np.ones(batch.num_envs, dtype=bool), TradeLog(batch)
    lengths = np.zeros(batch.num_envs, dtype=int)
    while active.any():
        actions = np.asarray(agent.act(batch.obs), np.float64)
        log.before(batch, agent)
        batch.step(actions)
        log.after(batch, active)
        lengths += active
        steps.append(
            {
                "time": batch.market.close_ns[batch.store.episode[:, t.ROW]],
                "equity": batch.store.account[:, t.EQUITY].copy(),
                "reward": batch.reward.copy(),
                "parts": batch.ledger[:, : t.N_PARTS].copy(),
                "turnover": batch.trades[:, :, t.TURNOVER].sum(axis=1),
                "liquidations": batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1),
                "states": np.stack(
                    [column.of(batch.obs).mean(axis=1) for column in columns], axis=1
                ).astype(np.float64),
                "actions": actions,
            }
        )
        active &= ~(batch.terminated | batch.truncated)
    whole = {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}
    return [
        {name: values[i, : lengths[i]] for name, values in whole.items()} | {"trades": log.frame(i)}
        for i in range(batch.num_envs)
    ]


def _chain(symbol: str, records: list[dict[str, Any]], step_hours: float, start: float) -> Walk:
    """One walk of several in time order: money of each is scaled so that it begins where the one
    before ended.
    """
    factor, equity, trades = 1.0, [np.array([start])], []
    for record in records:
        book = record.pop("trades")
        trades.append(book.assign(**{name: book[name] * factor for name in SCALED}))
        for name in ("equity", "parts", "turnover"):
            record[name] = record[name] * factor
        equity.append(record["equity"])
        factor = float(record["equity"][-1]) / start
    joined = {
        name: np.concatenate([record[name] for record in records])
        for name in records[0]
        if name != "equity"
    }
    book = pd.concat(trades, ignore_index=True)
    return Walk(
        symbol=symbol, step_hours=step_hours, equity=np.concatenate(equity), trades=book, **joined
    )
