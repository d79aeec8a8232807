"""Scores of forecasts: errors, skill, calibration, and tests whether two accuracies differ.

All functions take arrays of the same n origins. Rates are bp per 8 h.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from fundenv.forecast.errors import ForecastError
from fundenv.forecast.history import Array
from fundenv.forecast.width import LEVELS


class DieboldMariano(NamedTuple):
    """A test of equal accuracy; a statistic below 0 means that the first forecast is better."""

    statistic: float
    p_value: float  # two-sided


def rmse(target: Array, mean: Array) -> float:
    """Root mean squared error."""
    return float(np.sqrt(np.mean((mean - target) ** 2)))


def mae(target: Array, mean: Array) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(mean - target)))


def skill(error: float, base: float) -> float:
    """100 x (1 - error / base): by how many per cent an error is smaller than that of another
    forecast. NaN where the other has no error.
    """
    return 100.0 * (1.0 - error / base) if base > 0 else float("nan")


def mase(target: Array, mean: Array, usual: float) -> float:
    """Mean absolute error divided by `usual`, the error of no change on the training span (Hyndman
    and Koehler, 2006). Below 1 the forecast is better than no change there.
    """
    return mae(target, mean) / usual if usual > 0 else float("nan")


def sign_accuracy(target: Array, mean: Array) -> float:
    """Share of forecasts whose sign is that of the target, %; targets of exactly 0 do not count."""
    known = target != 0
    if not known.any():
        return float("nan")
    return 100.0 * float(np.mean(np.sign(mean[known]) == np.sign(target[known])))


def direction_accuracy(target: Array, mean: Array, last: Array) -> float:
    """Share of forecasts that are on the same side of the last rate as the target, %; targets equal
    to the last rate do not count.
    """
    known = target != last
    if not known.any():
        return float("nan")
    same = np.sign(mean[known] - last[known]) == np.sign(target[known] - last[known])
    return 100.0 * float(np.mean(same))


def pinball(target: Array, quantiles: Array) -> float:
    """Mean pinball loss over the levels of `LEVELS`; quantiles (n, 5)."""
    error = target[:, None] - quantiles
    levels = np.array(LEVELS)
    return float(np.mean(np.maximum(levels * error, (levels - 1.0) * error)))


def crps(target: Array, quantiles: Array) -> float:
    """Continuous ranked probability score from the quantiles (n, 5), by scoringrules: twice the
    mean pinball loss of the five levels.
    """
    from scoringrules import crps_quantile

    values = crps_quantile(target, quantiles, np.array(LEVELS), backend="numpy")
    return float(np.mean(values))


def coverage(target: Array, quantiles: Array) -> float:
    """Share of targets within the outer quantiles, %: 90 if they are calibrated."""
    return 100.0 * float(np.mean((target >= quantiles[:, 0]) & (target <= quantiles[:, -1])))


def below(target: Array, quantiles: Array) -> Array:
    """(5,) share of targets below each quantile: equal to `LEVELS` if they are calibrated. A target
    equal to a quantile counts half, because many rates are exactly the venue's interest rate.
    """
    under = (target[:, None] < quantiles).mean(axis=0)
    ties = (target[:, None] == quantiles).mean(axis=0)
    return np.asarray(under + 0.5 * ties, dtype=np.float64)


def diebold_mariano(target: Array, first: Array, second: Array, horizon: int) -> DieboldMariano:
    """Whether two forecasts have the same squared error (Diebold and Mariano, 1995), by
    statsmodels: HAC variance with max(horizon - 1, n^(1/3)) lags, since overlapping targets
    correlate, and the correction of Harvey, Leybourne and Newbold (1997).
    """
    from statsmodels.tsa.stattools import diebold_mariano_test

    if len(target) <= horizon + 1:
        raise ForecastError(
            f"{len(target)} forecasts over {horizon} settlements are too few for a test; give a"
            " longer span"
        )
    if np.array_equal(first, second):
        return DieboldMariano(0.0, 1.0)
    found = diebold_mariano_test(target, first, second, harvey_adj=True, horizon=horizon)
    return DieboldMariano(float(found.statistic), float(found.pvalue))


def fixed_smoothing(target: Array, first: Array, second: Array, horizon: int) -> DieboldMariano:
    """The test of `diebold_mariano` with fixed-smoothing critical values, as Coroneo and Iacone
    advise for small samples (J. Applied Econometrics 35(4), 2020). The variance is the mean square
    of the first B cosine transforms of the loss difference; the p-value is that of Student's t with
    B degrees of freedom (Lazarus, Lewis, Stock and Watson, J. Business and Economic Statistics
    36(4), 2018). B is .4 n^(2/3) as they recommend, at most half the number of targets that do not
    overlap.

    With HAC the test rejects too often where loss differences are autocorrelated:
    `experiments.studies.forecast_tests`.
    """
    d = (first - target) ** 2 - (second - target) ** 2
    n = len(d)
    if n <= 2 * horizon:
        raise ForecastError(
            f"{n} forecasts over {horizon} settlements are too few for a test; give a longer span"
        )
    if np.array_equal(first, second):
        return DieboldMariano(0.0, 1.0)
    terms = smoothing_terms(n, horizon)
    at = np.pi * np.arange(1, terms + 1)[:, None] * (np.arange(n) + 0.5) / n
    transforms = np.sqrt(2.0 / n) * np.cos(at) @ d
    size = float(np.sqrt(np.mean(transforms**2) / n))
    if size == 0.0:
        return DieboldMariano(float("nan"), float("nan"))
    from scipy.stats import t

    statistic = float(d.mean()) / size
    return DieboldMariano(statistic, float(2.0 * t.sf(abs(statistic), terms)))


def smoothing_terms(n: int, horizon: int) -> int:
    """B of `fixed_smoothing`: the number of cosine transforms."""
    return max(1, int(min(0.4 * n ** (2.0 / 3.0), n / (2.0 * horizon))))


def confidence_set(
    losses: pd.DataFrame, horizon: int, *, size: float = 0.10, draws: int = 300, seed: int = 0
) -> dict[str, float]:
    """p-value of every forecaster in the model confidence set (Hansen, Lunde and Nason, 2011), by
    arch: those at or above `size` cannot be told from the best.

    losses: (n, M) squared errors, a column for each forecaster. The bootstrap draws blocks that are
    as long as the overlap of the targets.
    """
    from arch.bootstrap import MCS

    if losses.shape[1] < 2:
        return {str(name): 1.0 for name in losses.columns}
    distinct = losses.T.drop_duplicates().T  # the difference of equal columns has no variance
    if distinct.shape[1] < 2:
        return {str(name): 1.0 for name in losses.columns}
    block = max(horizon, round(len(losses) ** (1 / 3)))
    found = MCS(distinct, size=size, reps=draws, block_size=block, method="max", seed=seed)
    found.compute()
    p_values = found.pvalues["Pvalue"].to_dict()
    known: dict[str, float] = {}
    for name in losses.columns:
        same = next(c for c in distinct.columns if losses[c].equals(losses[name]))
        known[str(name)] = float(p_values[same])
    return known
