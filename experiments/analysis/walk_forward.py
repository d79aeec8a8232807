"""Walk-forward judgement of a sweep: what would have been chosen at each date, and what it earned
afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.run_folder import RunError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """Days [0, fit) to choose on, days [start, end) to judge on; the embargo lies between."""

    fit: int
    start: int
    end: int


def folds(length: int, count: int, embargo: int) -> list[Fold]:
    """`count` folds over `length` days: an expanding span to choose on, then the next part of count
    + 1 equal ones to judge on.

    A rule fits nothing but the settings chosen, so what could leak across the boundary is a
    position that straddles it: the last `embargo` days of the span to choose on are purged.
    `RunError` where that leaves less than 60 days.
    """
    edges = np.linspace(0, length, count + 2).astype(int)
    made = [
        Fold(int(edges[i + 1]) - embargo, int(edges[i + 1]), int(edges[i + 2]))
        for i in range(count)
    ]
    if made and made[0].fit < 60:
        raise RunError(
            f"--folds {count}: the first of them leaves {made[0].fit} days to choose on after an"
            f" embargo of {embargo}; ask for fewer folds"
        )
    return made


def yearly(growth: NDArray[np.float32]) -> Array:
    """Log growth per year net of the cash rate, mean over symbols, (K,), of daily growth (K, S,
    T).
    """
    return np.asarray(growth.mean(axis=(1, 2), dtype=np.float64) * 365)


def deepest(growth: NDArray[np.float32], cash_rate: float) -> Array:
    """Deepest fall of equity below its peak, at daily closes, of the worst symbol, (K,); growth (K,
    S, T) is net of the cash rate.
    """
    worst = np.zeros(len(growth))
    for symbol in range(growth.shape[1]):
        level = np.cumsum(growth[:, symbol].astype(np.float64) + cash_rate / 365, axis=1)
        peak = np.maximum(np.maximum.accumulate(level, axis=1), 0.0)
        worst = np.maximum(worst, 1.0 - np.exp((level - peak).min(axis=1)))
    return worst


def scores(growth: NDArray[np.float32], cash_rate: float, limit: float) -> Array:
    """The objective (K,): `yearly`, and minus infinity where the drawdown exceeds `limit`."""
    return np.where(deepest(growth, cash_rate) <= limit, yearly(growth), -np.inf)


@dataclass(frozen=True)
class Forward:
    """Result of the walk forward."""

    folds: list[Fold]
    chosen: list[int]  # setting of each fold, -1 where none kept the limit: flat
    fitted: list[float]  # its growth per year on the span to choose on
    judged: list[float]  # and afterwards
    final: list[float]  # growth of the final choice on the same days
    rank: list[float]  # share of all settings that the fold's choice beat afterwards


def walk_forward(
    growth: NDArray[np.float32], parts: list[Fold], final: int, *, cash_rate: float, limit: float
) -> Forward:
    """Choose on each fold's first span, judge on its second."""
    out = Forward(parts, [], [], [], [], [])
    for fold in parts:
        score = scores(growth[:, :, : fold.fit], cash_rate, limit)
        best = int(np.argmax(score)) if np.isfinite(score).any() else -1
        after = yearly(growth[:, :, fold.start : fold.end])
        out.chosen.append(best)
        out.fitted.append(float(score[best]) if best >= 0 else 0.0)
        out.judged.append(float(after[best]) if best >= 0 else 0.0)
        out.final.append(float(after[final]))
        out.rank.append(float((after < after[best]).mean()) if best >= 0 else float("nan"))
    return out
