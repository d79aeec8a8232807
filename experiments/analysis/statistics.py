"""Statistics of a comparison: what few seeds and one history can say, and how sure one may be.

Definitions of interquartile mean, stratified bootstrap, performance profile and probability of
improvement: Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement Learning at
the Edge of the Statistical Precipice", NeurIPS 2021. Own lines, because rliable breaks on pandas 3.
Scores are arrays (runs, tasks): a run is a seed, a task a symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
DRAWS = 2000


class Interval(NamedTuple):
    """An estimate and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Paired(NamedTuple):
    """Mean difference of two return series, its 95 % interval, and the chance of a mean this far
    above 0 where there is none.
    """

    value: float
    low: float
    high: float
    p_value: float


def iqm(scores: Array) -> float:
    """Mean of the middle half of all runs and tasks."""
    return float(stats.trim_mean(np.ravel(scores), 0.25))


def interval(
    scores: Array, statistic: Callable[[Array], float] = iqm, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """Percentile bootstrap: the runs of every task are drawn anew, task by task (stratified). One
    run has no interval.
    """
    scores = np.atleast_2d(np.asarray(scores, np.float64))
    value = statistic(scores)
    if len(scores) < 2:
        return Interval(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(np.take_along_axis(scores, rng.integers(0, len(scores), scores.shape), axis=0))
        for _ in range(draws)
    ]
    return Interval(value, *(float(q) for q in np.quantile(drawn, (0.025, 0.975))))


def profile(scores: Array, thresholds: Array) -> Array:
    """Share of runs and tasks above each threshold."""
    return np.asarray((np.ravel(scores)[:, None] > thresholds).mean(axis=0))


def improvement(mine: Array, other: Array) -> float:
    """Chance that a run of mine beats a run of the other on the same task, mean over tasks; a tie
    counts half.
    """
    above = mine[:, None, :] > other[None, :, :]
    equal = mine[:, None, :] == other[None, :, :]
    return float((above + 0.5 * equal).mean())


def improvement_interval(
    mine: Array, other: Array, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """`improvement` with a stratified bootstrap over the runs of both; one run of each has no
    interval.
    """
    value = improvement(mine, other)
    if len(mine) < 2 and len(other) < 2:
        return Interval(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)

    def drawn(scores: Array) -> Array:
        return np.take_along_axis(scores, rng.integers(0, len(scores), scores.shape), axis=0)

    values = [improvement(drawn(mine), drawn(other)) for _ in range(draws)]
    return Interval(value, *(float(q) for q in np.quantile(values, (0.025, 0.975))))


def paired(mine: Array, other: Array, *, seed: int = 0, draws: int = DRAWS) -> Paired:
    """Stationary bootstrap (Politis and Romano 1994) of the difference of two daily series (T,),
    blocks as long as Politis and White (2004) advise.

    The p-value is one-sided: the share of draws, centred on 0, whose mean is at least the one
    observed.
    """
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    difference = np.asarray(mine, np.float64) - np.asarray(other, np.float64)
    mean = float(difference.mean())
    if np.ptp(difference) < 1e-15 or len(difference) < 10:
        return Paired(mean, float("nan"), float("nan"), float("nan"))
    advised = optimal_block_length(difference)["stationary"].to_numpy(np.float64)
    block = max(1.0, float(advised[0]))
    sampler = StationaryBootstrap(round(block), difference, seed=seed)
    means = np.array([np.mean(data[0][0]) for data in sampler.bootstrap(draws)])
    low, high = (float(q) for q in np.quantile(means, (0.025, 0.975)))
    return Paired(mean, low, high, float((means - mean >= mean).mean()))
