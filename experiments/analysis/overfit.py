"""How much of the best of many backtests is luck: deflated Sharpe ratio and probability of backtest
overfitting.

Own lines: the packages that offer these either pull in an optimiser stack (skfolio), are years old
(pypbo) or a first release.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.statistics import block_length

Array = NDArray[np.float64]


def expected_best_sharpe(variance: float, trials: int) -> float:
    """Sharpe ratio that the best of `trials` independent skill-less strategies shows on average;
    variance: of the Sharpe ratios of the trials.

    Bailey and Lopez de Prado, "The Deflated Sharpe Ratio", J. Portfolio Management 40(5), 2014,
    equation 1; 0 for a single trial.
    """
    if trials < 2:
        return 0.0
    from scipy import stats  # takes a second, so not where the module is imported

    quantiles = stats.norm.ppf([1 - 1 / trials, 1 - 1 / (trials * np.e)])
    return float(
        np.sqrt(variance) * ((1 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1])
    )


def deflated_sharpe(
    sharpe: float, *, benchmark: float, length: float, skewness: float, kurtosis: float
) -> float:
    """Probability that the true Sharpe ratio exceeds 0, given that the observed one is the best of
    many trials; same paper, equation 2.

    sharpe and benchmark (`expected_best_sharpe`) per period, not annualised; length: number of
    returns; kurtosis: 3 for the normal distribution.
    """
    from scipy import stats

    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return float(stats.norm.cdf((sharpe - benchmark) * np.sqrt((length - 1) / spread)))


def deflated(returns: Array, trial_sharpes: Array) -> float:
    """Deflated Sharpe ratio of one series of returns, chosen among trials whose Sharpe ratios (per
    period) are given; 0 for a series without risk.

    The paper's returns are independent; funding comes in runs, so the length is that of as many
    independent returns (`independent_length`). NaN stands for a trial whose ratio is not known: it
    counts as a trial, and their variance is that of the known ones. Of several trials with fewer
    than two known ratios it is the variance of a Sharpe ratio that is estimated from so many
    returns, 1 / (T - 1).
    """
    from scipy import stats

    length = independent_length(returns)
    deviation = float(np.std(returns, ddof=1))
    if deviation <= 1e-12:
        return 0.0
    known = trial_sharpes[np.isfinite(trial_sharpes)]
    variance = float(np.var(known, ddof=1)) if len(known) > 1 else 1.0 / max(1.0, length - 1)
    benchmark = expected_best_sharpe(variance, len(trial_sharpes))
    return deflated_sharpe(
        float(np.mean(returns)) / deviation,
        benchmark=benchmark,
        length=length,
        skewness=float(stats.skew(returns)),
        kurtosis=float(stats.kurtosis(returns, fisher=False)),
    )


def independent_length(returns: Array) -> float:
    """How many independent returns would tell the mean as well as these (T,): T / (1 + 2 x the sum
    of their weighted autocorrelations), 2 to T.

    Weights of the stationary bootstrap (Politis and Romano, JASA 89, 1994, lemma 1), in blocks as
    long as Politis and White (2004) advise: the variance of the mean is then that of
    `experiments.analysis.statistics.paired`.
    """
    length = len(returns)
    centred = np.asarray(returns, np.float64) - np.mean(returns)
    if length < 10 or np.ptp(centred) < 1e-15:
        return float(length)
    going_on = 1 - 1 / block_length(centred)
    lags = np.arange(1, length)
    covariances = np.correlate(centred, centred, "full")[length:]
    share = lags / length
    weights = (1 - share) * going_on**lags + share * going_on ** (length - lags)
    inflation = 1 + 2 * float(weights @ covariances) / float(centred @ centred)
    return float(np.clip(length / inflation, 2.0, length)) if inflation > 0 else float(length)


def overfitting_probability(returns: Array, blocks: int = 16) -> float:
    """Share of combinatorially symmetric splits in which the best half-sample setting does not beat
    the median setting on the other half.

    returns: (T, N) per period and setting; performance is their sum, the growth. Bailey, Borwein,
    Lopez de Prado and Zhu, "The Probability of Backtest Overfitting", J. Computational Finance
    20(4), 2017, section 3: the logit of the out-of-sample rank is <= 0.
    """
    length, settings = returns.shape
    if settings < 2 or length < blocks:
        raise ValueError(
            f"returns of shape {returns.shape}: expected at least 2 settings and {blocks} periods"
        )
    edges = np.linspace(0, length, blocks + 1).astype(int)
    sums = np.add.reduceat(returns, edges[:-1], axis=0)
    total = sums.sum(axis=0)
    below = 0
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    for half in np.array_split(chosen, -(-len(chosen) // 500)):
        inside = np.zeros((len(half), blocks))
        np.put_along_axis(inside, half, 1.0, axis=1)
        first = inside @ sums
        second = total - first
        best = first.argmax(axis=1)
        mine = second[np.arange(len(half)), best][:, None]
        rank = (second < mine).sum(axis=1) + (
            (second == mine).sum(axis=1) + 1
        ) / 2  # ties share their mean rank
        below += int((rank / (settings + 1) <= 0.5).sum())
    return below / len(chosen)
