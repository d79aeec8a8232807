"""The statistics of every comparison: what few seeds and one history can say, and how sure one may
be.

Two things are uncertain. Trainings differ by luck: whole seeds are drawn, each with all its
symbols, because one trained agent acts on all of them. And the history could have been another:
days are drawn in blocks, the same days for both sides of a comparison. Interquartile mean,
performance profile and probability of improvement are those of Agarwal, Schwarzer, Castro,
Courville and Bellemare, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
NeurIPS 2021. (rliable 1.2 offers them too, but fails with arch 8, the first that works with pandas
3.)

Scores are arrays (seeds, symbols); daily returns are arrays (days, seeds). arch and scipy.stats
take a second to import, so the functions that need them import them: no training does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 2000
LEVEL = 0.95
# With fewer seeds no test can reject at 5 %: even if all of four are better, the sign test's
# p-value is 1 / 2**4 = 0.0625.
LEAST_SEEDS = 5
LEAST_DAYS = 10
_NAN = float("nan")


class Interval(NamedTuple):
    """An estimate and the ends of its 95 % interval, NaN where nothing can be said."""

    value: float
    low: float
    high: float


class Paired(NamedTuple):
    """Mean difference of two daily returns, its 95 % interval, and the chance of a mean this far
    above 0 where there is none.
    """

    value: float
    low: float
    high: float
    p_value: float


def iqm(scores: Array) -> float:
    """Interquartile mean: of the middle half of all seeds and symbols; NaN where one is NaN.

    The number of `scipy.stats.trim_mean`, which takes fifty times as long to call: a bootstrap
    calls it for every draw.
    """
    flat = np.ravel(scores)
    if not flat.size or np.isnan(flat).any():
        return _NAN
    cut = len(flat) // 4
    last = len(flat) - cut
    return float(np.partition(flat, (cut, last - 1))[cut:last].mean())


def seed_interval(
    scores: Array, statistic: Callable[[Array], float] = iqm, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """Percentile bootstrap over whole seeds; one seed has no interval."""
    scores = np.atleast_2d(np.asarray(scores, np.float64))
    value = statistic(scores)
    if len(scores) < 2:
        return Interval(value, _NAN, _NAN)
    from arch.bootstrap import IIDBootstrap

    sampler = IIDBootstrap(scores, seed=seed)
    ends = sampler.conf_int(
        lambda x: np.array([statistic(x)]), reps=draws, method="percentile", size=LEVEL
    )
    return Interval(value, *(float(end) for end in np.ravel(ends)))


def profile(scores: Array, thresholds: Array) -> Array:
    """Share of seeds and symbols above each threshold."""
    return np.asarray((np.ravel(scores)[:, None] > thresholds).mean(axis=0))


def improvement(mine: Array, other: Array) -> float:
    """Chance that a seed of mine beats a seed of the other on the same symbol, mean over symbols; a
    tie counts half.
    """
    above = mine[:, None, :] > other[None, :, :]
    equal = mine[:, None, :] == other[None, :, :]
    return float((above + 0.5 * equal).mean())


def improvement_interval(
    mine: Array, other: Array, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """`improvement` with a percentile bootstrap over the whole seeds of both; one seed of each has
    no interval.
    """
    value = improvement(mine, other)
    if len(mine) < 2 and len(other) < 2:
        return Interval(value, _NAN, _NAN)
    from arch.bootstrap import IndependentSamplesBootstrap

    sampler = IndependentSamplesBootstrap(mine, other, seed=seed)
    ends = sampler.conf_int(
        lambda x, y: np.array([improvement(x, y)]), reps=draws, method="percentile", size=LEVEL
    )
    return Interval(value, *(float(end) for end in np.ravel(ends)))


def block_length(series: Array) -> float:
    """Mean length of the blocks of a stationary bootstrap of a series (T,), at least 1, as Politis
    and White (2004) advise.
    """
    from arch.bootstrap import optimal_block_length

    return max(1.0, float(optimal_block_length(series)["stationary"].iloc[0]))


def paired(mine: Array, other: Array, *, seed: int = 0, draws: int = DRAWS) -> Paired:
    """Mean difference of daily returns, mine (T, n) against other (T, m), over days and seeds.

    Each draw takes the same days for both sides, in blocks (stationary bootstrap, Politis and
    Romano 1994; block length of the difference of the means over seeds), and whole seeds of each
    side with several. Seeds of mine and other are drawn apart. A series (T,) is one seed. The
    p-value is one-sided: the share of draws whose mean is at most 0, so that it is below 2.5 %
    exactly where the interval lies above 0.
    """
    mine, other = (np.reshape(x, (len(x), -1)).astype(np.float64) for x in (mine, other))
    difference = mine.mean(axis=1) - other.mean(axis=1)
    mean = float(difference.mean())
    if np.ptp(difference) < 1e-15 or len(difference) < LEAST_DAYS:
        return Paired(mean, _NAN, _NAN, _NAN)
    counts = day_counts(len(difference), round(block_length(difference)), seed, draws)
    rng = np.random.default_rng(seed)
    sides = [_drawn(counts @ side / len(side), rng) for side in (mine, other)]
    means = sides[0] - sides[1]
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Paired(mean, float(low), float(high), float((means <= 0.0).mean()))


def _drawn(means: Array, rng: np.random.Generator) -> Array:
    """Mean over a draw of whole seeds, (draws,), from the means of each seed, (draws, n)."""
    picked = rng.integers(0, means.shape[1], means.shape) if means.shape[1] > 1 else None
    chosen = means if picked is None else np.take_along_axis(means, picked, axis=1)
    return np.asarray(chosen.mean(axis=1))


@lru_cache(maxsize=8)
def day_counts(length: int, block: int, seed: int, draws: int) -> Array:
    """How often each day is in each draw, (draws, length)."""
    from arch.bootstrap import StationaryBootstrap

    sampler = StationaryBootstrap(block, np.arange(length), seed=seed)
    rows = [np.bincount(data[0][0], minlength=length) for data in sampler.bootstrap(draws)]
    return np.array(rows, np.float64)
