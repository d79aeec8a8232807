"""What the page works out of single rollouts: days, months, worst episodes, the median seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.rollout.rollout import Rollout
from fundenv import metrics
from fundenv.dynamics.types import PARTS


def by_day(curve: pd.Series[float]) -> pd.Series[float]:
    """The last value of each UTC day; what ends at midnight belongs to the day that ends."""
    return curve.groupby((pd.DatetimeIndex(curve.index) - pd.Timedelta("1ns")).floor("D")).last()


def median_seed(rollouts: Sequence[Rollout], label: str) -> int:
    """The seed of an agent whose growth is the median (the lower one of two): what details are
    shown of.
    """
    growth: dict[int, list[float]] = {}
    for rollout in rollouts:
        if rollout.agent == label:
            growth.setdefault(rollout.seed, []).append(float(rollout.net_log().iloc[-1]))
    ranked = sorted(growth, key=lambda seed: (float(np.mean(growth[seed])), seed))
    return ranked[(len(ranked) - 1) // 2]


def months(rollout: Rollout) -> pd.DataFrame:
    """Net log growth of each month, %: years down, months across; nan where there is none."""
    curve = rollout.net_log()
    start = pd.concat([pd.Series([0.0], index=[rollout.start]), curve])
    change = 100 * start.diff().dropna()
    # a step belongs to the month in which it began
    began = pd.DatetimeIndex(change.index) - pd.Timedelta(hours=rollout.step_hours)
    table = change.groupby([began.year, began.month]).sum().unstack()
    return table.reindex(columns=range(1, 13))


def worst(rollout: Rollout, count: int = 5) -> list[dict[str, Any]]:
    """The deepest falls of equity from a peak to its recovery (or the end), each with the parts
    that made it, % of the peak, deepest first.
    """
    equity = rollout.equity
    times = [rollout.start, *rollout.times]
    fall = metrics.drawdown(equity)
    found, start = [], 0
    for t in range(1, len(fall) + 1):
        if t < len(fall) and fall[t] > 0:
            continue
        if t - start > 1:
            trough = start + int(np.argmax(fall[start:t]))
            parts = 100 * rollout.parts[start:trough].sum(axis=0) / equity[start]
            found.append(
                {
                    "symbol": rollout.symbol,
                    "depth": 100 * float(fall[trough]),
                    "peak": times[start],
                    "trough": times[trough],
                    "recovered": times[t] if t < len(fall) else None,
                    "parts": dict(zip(PARTS, parts.tolist(), strict=True)),
                    "margin": float(rollout.state("margin_distance")[start:trough].min()),
                    "liquidations": int(rollout.liquidations[start:trough].sum()),
                }
            )
        start = t
    return sorted(found, key=lambda item: -item["depth"])[:count]
