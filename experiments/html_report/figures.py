"""The figures of a comparison: intervals by a paired stationary bootstrap, months, worst episodes,
who learns and who foresees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from numpy.typing import NDArray

import agents
from agents import AgentError
from experiments.benchmarking.comparison import CLAIRVOYANT
from experiments.html_report.read_runs import Track
from fundenv import metrics
from fundenv.dynamics.types import PARTS

Float64 = NDArray[np.float64]
DRAWS = 2000
SHORTEST_BLOCK = 5  # days


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Growth above the cash rate of one agent, per year, with its 95 % interval over days and
    seeds.
    """

    label: str
    seeds: int
    growth: float
    low: float
    high: float
    # other label -> share of the draws in which this agent's growth is higher
    better: dict[str, float]
    draws: Float64  # (DRAWS,)


def daily(tracks: list[Track]) -> dict[str, list[pd.Series[float]]]:
    """Per label one series per seed: net log return of each UTC day, mean over the symbols (one
    equal account each).
    """
    found: dict[str, dict[int, list[pd.Series[float]]]] = {}
    for track in tracks:
        curve = track.net_log()
        last = by_day(curve) if track.step_hours < 24 else curve
        found.setdefault(track.label, {}).setdefault(track.seed, []).append(
            last.diff().fillna(last)
        )
    return {
        label: [pd.concat(seed, axis=1).mean(axis=1) for seed in seeds.values()]
        for label, seeds in found.items()
    }


def by_day(curve: pd.Series[float]) -> pd.Series[float]:
    """The last value of each UTC day; what ends at midnight belongs to the day that ends."""
    return curve.groupby((pd.DatetimeIndex(curve.index) - pd.Timedelta("1ns")).floor("D")).last()


def intervals(tracks: list[Track]) -> list[Interval]:
    """Intervals of all agents from the same draws of days, so that differences are paired; each
    draw also takes one of the agent's seeds.
    """
    series = daily(tracks)
    whole = pd.concat([one for seeds in series.values() for one in seeds], axis=1).fillna(0.0)
    values = whole.to_numpy(np.float64)
    per_year = len(values) / years(tracks)
    owner = np.repeat(np.arange(len(series)), [len(seeds) for seeds in series.values()])
    rng = np.random.default_rng(0)
    bootstrap = StationaryBootstrap(_block(values), values, seed=0)
    draws = np.empty((DRAWS, len(series)))
    for d, (data, _) in enumerate(bootstrap.bootstrap(DRAWS)):
        means = np.asarray(data)[0].mean(axis=0) * per_year
        for k in range(len(series)):
            own = np.flatnonzero(owner == k)
            draws[d, k] = means[rng.choice(own, len(own))].mean()
    labels = list(series)
    found = []
    for k, label in enumerate(labels):
        better = {
            other: _share(draws[:, k] - draws[:, j]) for j, other in enumerate(labels) if j != k
        }
        low, high = np.quantile(draws[:, k], [0.025, 0.975])
        found.append(
            Interval(
                label=label,
                seeds=len(series[label]),
                growth=float(values[:, owner == k].mean() * per_year),
                low=float(low),
                high=float(high),
                better=better,
                draws=draws[:, k],
            )
        )
    return found


def _share(difference: Float64) -> float:
    """Share of positive differences; one of exactly 0 counts half."""
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def years(tracks: list[Track]) -> float:
    """Length of the longest curve."""
    return max(len(track.steps) * track.step_hours for track in tracks) / metrics.HOURS_PER_YEAR


def _block(values: Float64) -> int:
    """Median of the optimal block lengths [days] of the series that move at all."""
    moving = [column for column in values.T if column.std() > metrics.NO_RISK]
    if not moving or len(values) < 20:
        return SHORTEST_BLOCK
    lengths = [float(optimal_block_length(column)["stationary"].iloc[0]) for column in moving]
    return int(
        np.clip(np.nanmedian(lengths), SHORTEST_BLOCK, max(SHORTEST_BLOCK, len(values) // 5))
    )


def median_seed(tracks: list[Track], label: str) -> int:
    """The seed of an agent whose growth is the median (the lower one of two): what details are
    shown of.
    """
    growth: dict[int, list[float]] = {}
    for track in tracks:
        if track.label == label:
            growth.setdefault(track.seed, []).append(float(track.net_log().iloc[-1]))
    ranked = sorted(growth, key=lambda seed: (float(np.mean(growth[seed])), seed))
    return ranked[(len(ranked) - 1) // 2]


def months(track: Track) -> pd.DataFrame:
    """Net log growth of each month, %: years down, months across; nan where there is none."""
    curve = track.net_log()
    start = pd.concat(
        [pd.Series([0.0], index=[curve.index[0] - pd.Timedelta(hours=track.step_hours)]), curve]
    )
    change = 100 * start.diff().dropna()
    # a step belongs to the month in which it began
    began = pd.DatetimeIndex(change.index) - pd.Timedelta(hours=track.step_hours)
    table = change.groupby([began.year, began.month]).sum().unstack()
    return table.reindex(columns=range(1, 13))


def worst(track: Track, count: int = 5) -> list[dict[str, Any]]:
    """The deepest falls of equity from a peak to its recovery (or the end), each with the parts
    that made it, % of the peak, deepest first.
    """
    equity = track.equity
    times = [
        track.steps["time"].iloc[0] - pd.Timedelta(hours=track.step_hours),
        *track.steps["time"],
    ]
    fall = metrics.drawdown(equity)
    found, start = [], 0
    for t in range(1, len(fall) + 1):
        if t < len(fall) and fall[t] > 0:
            continue
        if t - start > 1:
            trough = start + int(np.argmax(fall[start:t]))
            parts = 100 * track.parts[start:trough].sum(axis=0) / equity[start]
            found.append(
                {
                    "symbol": track.symbol,
                    "depth": 100 * float(fall[trough]),
                    "peak": times[start],
                    "trough": times[trough],
                    "recovered": times[t] if t < len(fall) else None,
                    "parts": dict(zip(PARTS, parts.tolist(), strict=True)),
                    "margin": float(track.steps["margin_distance"].iloc[start:trough].min()),
                    "liquidations": int(track.steps["liquidations"].iloc[start:trough].sum()),
                }
            )
        start = t
    return sorted(found, key=lambda item: -item["depth"])[:count]


def learns(label: str) -> bool:
    """Whether the agent of a label is a learner; an agent that this version does not know counts as
    a rule.
    """
    try:
        return agents.agent_class(label.split(" · ")[0]).learns
    except AgentError:
        return False


def foresees(label: str) -> bool:
    """Whether the agent of a label knows the future: a bound, and no opponent."""
    return label.split(" · ")[0] == CLAIRVOYANT


def best_rule(found: Sequence[Interval]) -> Interval | None:
    """The rule that grew most, of those that could have been traded; None where there is none."""
    return max(
        (item for item in found if not learns(item.label) and not foresees(item.label)),
        key=lambda item: item.growth,
        default=None,
    )
