"""Statistics of agents that act on one capital: daily returns over subsets of the coins and seeds.

Three things are uncertain, and each is drawn whole with replacement: days in blocks, the same days
for both sides; subsets of the coins, the same for both sides; and seeds, each with all its days and
subsets, because one trained agent acts on all of them. The estimand is the mean over subsets of the
coins named: it says nothing about other coins.

Few subsets and seeds need a correction. The mean of n values drawn from n has a variance of (n - 1)
/ n of what it should be, and a normal interval from n values is too narrow. So what is drawn is
stretched by sqrt(n / (n - 1)) x (quantile of Student's t with n - 1 degrees of freedom) / (normal
quantile): 2.7 for three seeds, 1.2 for ten. Without it three seeds that differ give intervals of 95
% that hold the truth in 68 to 76 of 100 (`tests/experiments/test_panel.py`). What differs by day,
subset and seed at once counts in each of the three, so intervals are too wide where that is most of
the spread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.analysis.statistics import LEVEL, Paired, block_length, day_counts

Array = NDArray[np.float64]
DRAWS = 4000
_UPPER = (1 + LEVEL) / 2


def paired_over(
    mine: Array, other: Array | None = None, *, seed: int = 0, draws: int = DRAWS
) -> Paired:
    """Mean of `mine` less `other`, (days, subsets, seeds) each, with its 95 % interval and
    one-sided p-value; other: on the same days and subsets, with seeds of its own (a rule has one);
    None: 0.

    The p-value is the share of draws at or below 0. Where nothing differs there is no interval.
    """
    mine = np.asarray(mine, np.float64)
    other = np.zeros((*mine.shape[:2], 1)) if other is None else np.asarray(other, np.float64)
    if mine.shape[:2] != other.shape[:2]:
        raise ValueError(f"days and subsets differ: {mine.shape[:2]} and {other.shape[:2]}")
    difference = mine.mean(axis=2) - other.mean(axis=2)
    by_day, mean = difference.mean(axis=1), float(difference.mean())
    if np.ptp(difference) < 1e-15:
        return Paired(mean, float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng([seed, 0x9A])
    found = mean + _days(by_day - mean, seed, draws)
    found += _levels(difference.mean(axis=0), rng, draws)
    found += _levels(mine.mean(axis=(0, 1)), rng, draws)
    found -= _levels(other.mean(axis=(0, 1)), rng, draws)
    low, high = np.quantile(found, (1 - _UPPER, _UPPER))
    return Paired(mean, float(low), float(high), float((found <= 0.0).mean()))


def _days(deviations: Array, seed: int, draws: int) -> Array:
    """Mean over days drawn in blocks, (draws,)."""
    if np.ptp(deviations) < 1e-15:
        return np.zeros(draws)
    counts = day_counts(len(deviations), round(block_length(deviations)), seed, draws)
    return np.asarray(counts @ deviations / len(deviations))


def _levels(means: Array, rng: np.random.Generator, draws: int) -> Array:
    """Mean over whole subsets or seeds drawn, less their mean, (draws,), stretched as few of them
    need; of one nothing is known.
    """
    count = len(means)
    if count < 2:
        return np.zeros(draws)
    drawn = means[rng.integers(count, size=(draws, count))].mean(axis=1) - means.mean()
    few = (count / (count - 1)) ** 0.5 * stats.t.ppf(_UPPER, count - 1) / stats.norm.ppf(_UPPER)
    return np.asarray(few * drawn)
