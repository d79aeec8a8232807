"""Many settings of one rule on one market: settings x paths environments in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import agents
from experiments.core.provenance import label
from experiments.core.run_folder import RunError
from experiments.rollout.make import JUDGED
from fundenv import metrics
from fundenv.batch.cpu import Batch
from fundenv.config import hours
from fundenv.dynamics import types as t

DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What K settings earned on S symbols over T days."""

    symbols: tuple[str, ...]
    days: NDArray[np.datetime64]  # (T,) UTC
    growth: NDArray[np.float32]  # (K, S, T) log growth net of the cash rate
    turnover: NDArray[np.float64]  # (K, S) per year, over the equity at the time
    liquidations: NDArray[np.float64]  # (K, S) per year

    @property
    def years(self) -> float:
        """Length of the span."""
        return len(self.days) / 365


def sweep(
    rule: str,
    fixed: Mapping[str, Any],
    values: Mapping[str, NDArray[Any]],
    market: Any,
    settings: dict[str, Any],
    on_step: Callable[[float], bool] = lambda share: True,
) -> Sweep | None:
    """Walk every path of `market` with every setting.

    Args:
        rule: name of a rule agent. fixed: parameters that all settings share. values: parameter ->
        one value per setting, (K,). settings: fields of `EnvConfig`; the walk begins flat at the
        first row of each path and ends with it. on_step: called with the share of the walk done;
        False stops, and the sweep returns None.
    """
    agent: Any = agents.make(rule, **fixed)
    if not hasattr(agent, "vary"):
        raise RunError(
            f"agent {rule} is no rule whose parameters can be swept; choose among those with `vary`"
        )
    count, paths = len(next(iter(values.values()))), market.n_paths
    agent.vary({name: np.tile(array, paths) for name, array in values.items()})
    batch = Batch(count * paths, market=market, **settings | agent.env_settings() | JUDGED)
    agent.bind(batch)
    agent.reset()
    batch.reset(0, paths=np.repeat(np.arange(paths), count))
    symbols = tuple(dict.fromkeys(label(market, path) for path in range(paths)))
    days = np.arange(market.close_ns.min() // DAY_NS, (market.close_ns.max() - 1) // DAY_NS + 1)
    growth = np.zeros((len(days), len(symbols), count))
    turnover, liquidations = np.zeros((paths, count)), np.zeros((paths, count))
    held = batch.store.account[:, t.EQUITY]
    floor = batch.config.initial_equity * metrics.RUIN
    worth = np.maximum(held, floor)
    log_equity = np.log(worth)
    owner = [symbols.index(label(market, path)) for path in range(paths)]
    cash = (
        batch.config.cash_rate
        * hours(batch.config.decision_interval, "decision_interval")
        / metrics.HOURS_PER_YEAR
    )
    active = np.ones(batch.num_envs, dtype=bool)
    total, done = int((market.paths[:, 1] - market.paths[:, 0]).max()), 0
    bars = int(batch.world.codes[t.DECISION_BARS])
    while active.any():
        batch.step(agent.act(batch.obs))
        before, worth = worth, np.maximum(held, floor)
        after = np.log(worth)
        gain = np.where(active, after - log_equity - cash, 0.0).reshape(paths, count)
        log_equity = after
        last = (batch.market.close_ns[batch.store.episode[::count, t.ROW]] - 1) // DAY_NS - days[0]
        for path in range(paths):
            growth[last[path], owner[path]] += gain[path]
        turnover += (active * batch.trades[:, :, t.TURNOVER].sum(axis=1) / before).reshape(
            paths, count
        )
        liquidations += (active * batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1)).reshape(
            paths, count
        )
        active &= ~(batch.terminated | batch.truncated)
        done += bars
        if not on_step(min(done / total, 1.0)):
            return None
    years = len(days) / 365
    by_symbol = np.array(
        [[path == symbol for path in owner] for symbol in range(len(symbols))], float
    )
    return Sweep(
        symbols=symbols,
        days=days.astype("datetime64[D]"),
        growth=np.ascontiguousarray(growth.transpose(2, 1, 0), dtype=np.float32),
        turnover=(by_symbol @ turnover).T / years,
        liquidations=(by_symbol @ liquidations).T / years,
    )
