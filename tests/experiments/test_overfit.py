"""Deflated Sharpe ratio and probability of backtest overfitting against their papers' example and
cases with a known answer.
"""

from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.overfit import (
    deflated,
    deflated_sharpe,
    expected_best_sharpe,
    independent_length,
    overfitting_probability,
)


def test_worked_example_of_the_paper() -> None:
    """Bailey and Lopez de Prado 2014, "A numerical example": 100 trials, variance 1/2 (annual),
    Sharpe 2.5 (annual) over 1,250 days, 250 a year.
    """
    benchmark = expected_best_sharpe(0.5 / 250, 100)
    assert benchmark == pytest.approx(0.1132, abs=5e-5)
    found = deflated_sharpe(
        2.5 / 250**0.5, benchmark=benchmark, length=1250, skewness=-3, kurtosis=10
    )
    assert found == pytest.approx(0.9004, abs=5e-5)


def test_the_best_of_many_coin_flips_is_deflated_to_nothing_special() -> None:
    rng = np.random.default_rng(0)
    naive, honest = [], []
    for _ in range(200):
        returns = rng.standard_normal((400, 50))
        sharpes = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        best = returns[:, sharpes.argmax()]
        naive.append(deflated(best, sharpes[:1]))
        honest.append(deflated(best, sharpes))
    assert np.mean(naive) > 0.95
    assert 0.4 < np.mean(honest) < 0.6


def test_trials_without_a_figure_count_as_trials() -> None:
    rng = np.random.default_rng(2)
    returns = 0.15 + rng.standard_normal(400)
    known, unknown = np.array([0.15, 0.05, 0.1]), np.full(37, np.nan)
    spread = np.var(known, ddof=1)
    found = deflated(returns, np.r_[known, unknown])
    assert found < deflated(returns, known)
    mean, sd, third, fourth = (
        returns.mean(),
        returns.std(ddof=1),
        *(float(((returns - returns.mean()) ** k).mean()) for k in (3, 4)),
    )
    wanted = deflated_sharpe(
        mean / sd,
        benchmark=expected_best_sharpe(float(spread), 40),
        length=independent_length(returns),
        skewness=third / returns.std() ** 3,
        kurtosis=fourth / returns.std() ** 4,
    )
    assert found == pytest.approx(wanted)
    # none of the others known
    assert deflated(returns, np.r_[0.15, unknown]) < deflated(returns, np.array([0.15]))


def runs(rng: np.random.Generator, length: int, persistence: float) -> np.ndarray:
    """An autoregression of order one with variance 1."""
    out = np.empty(length)
    out[0] = rng.standard_normal()
    for t in range(1, length):
        out[t] = persistence * out[t - 1] + (1 - persistence**2) ** 0.5 * rng.standard_normal()
    return out


def test_returns_in_runs_count_as_fewer() -> None:
    """T (1 - a) / (1 + a) independent ones tell the mean of an autoregression as well; independent
    returns count as they are.
    """
    rng = np.random.default_rng(5)
    assert np.mean([independent_length(rng.standard_normal(1000)) for _ in range(40)]) > 800
    assert np.mean([independent_length(runs(rng, 1000, 0.6)) for _ in range(40)]) == pytest.approx(
        250, rel=0.4
    )


def test_luck_in_runs_is_not_taken_for_skill() -> None:
    """Returns without skill that come in runs: few may seem sure, whatever their
    autocorrelation.
    """
    rng = np.random.default_rng(6)
    sure = [deflated(runs(rng, 365, 0.7), np.zeros(1)) > 0.95 for _ in range(200)]
    assert np.mean(sure) < 0.13


def test_a_series_without_risk_proves_nothing() -> None:
    assert deflated(np.zeros(100), np.array([0.0, 0.1])) == 0.0


def test_settings_without_skill_are_overfitted_half_of_the_time_and_true_skill_never() -> None:
    rng = np.random.default_rng(1)
    noise = [overfitting_probability(rng.standard_normal((320, 40)), blocks=8) for _ in range(30)]
    assert 0.4 < np.mean(noise) < 0.6
    skilled = rng.standard_normal((320, 40))
    skilled[:, 7] += 1.0
    assert overfitting_probability(skilled) == 0.0


def test_two_settings_by_hand() -> None:
    """Two blocks, two settings: whichever wins in one block loses in the other, so both splits are
    overfitted.
    """
    assert overfitting_probability(np.array([[1.0, 0.0], [0.0, 1.0]]), blocks=2) == 1.0
    assert overfitting_probability(np.array([[1.0, 0.0], [1.0, 0.0]]), blocks=2) == 0.0


def test_too_little_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shape \(10, 1\): expected at least 2 settings and 16 periods"
    ):
        overfitting_probability(np.zeros((10, 1)))
