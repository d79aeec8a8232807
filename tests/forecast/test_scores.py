"""Scores against numbers made by hand or published."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.studies.forecast_tests import rejections
from fundenv.forecast import LEVELS, ForecastError, scores


def test_diebold_mariano_published_example() -> None:
    """Example of the package dieboldmariano (PyPI, 1.1): statistic -2.22299, one-sided p 0.045156;
    ours is two-sided. At a horizon of 1 its variance has no lags; the library's default has
    n^(1/3), so the test is asked there for none.
    """
    from statsmodels.tsa.stattools import diebold_mariano_test

    target, first, second = (
        np.array(v, dtype=np.float64)
        for v in ([10, 20, 30, 40, 50], [11, 21, 29, 42, 53], [13, 26, 24, 40, 59])
    )
    found = diebold_mariano_test(target, first, second, harvey_adj=True, horizon=1, lags=0)
    assert float(found.statistic) == pytest.approx(-2.2229922805746782, rel=1e-9)
    assert float(found.pvalue) / 2 == pytest.approx(0.04515565862099125, rel=1e-9)


def test_diebold_mariano_by_hand() -> None:
    """d = e1^2 - e2^2 = -1, -3, -1, -3, ...: mean -2; autocovariances 1, -1, 1, .. times (n - k) /
    n. With n = 8 the library uses 2 lags: 1 + 2 (2/3 x -7/8 + 1/3 x 6/8) = 1/3; DM = -2 / sqrt(1/3
    / 8) and, corrected for h = 1, times sqrt(7/8).
    """
    first = np.zeros(8)
    second = np.sqrt(np.where(np.arange(8) % 2 == 0, 1.0, 3.0))
    found = scores.diebold_mariano(np.zeros(8), first, second, 1)
    assert found.statistic == pytest.approx(-2 / np.sqrt(1 / 24) * np.sqrt(7 / 8))
    assert found.p_value < 0.001
    assert scores.diebold_mariano(np.zeros(8), second, first, 1).statistic > 0
    assert scores.diebold_mariano(np.zeros(8), first, first, 1) == (0.0, 1.0)
    with pytest.raises(ForecastError, match="8 forecasts over 9 settlements are too few"):
        scores.diebold_mariano(np.zeros(8), first, second, 9)


def test_fixed_smoothing_by_hand() -> None:
    """d = 7, 1, 1, 3, 3, 1, 1, 3, mean 2.5; B = int(.4 x 8^(2/3)) = 1. The cosines of i and 7 - i
    cancel, so that of d only the 4 count by which d_0 exceeds d_7: the transform is sqrt(2/8) x 4
    cos(pi/16), and DM = 2.5 / (transform / sqrt(8)). Student with one degree of freedom is Cauchy.
    """
    d = np.array([7.0, 1.0, 1.0, 3.0, 3.0, 1.0, 1.0, 3.0])
    transform = np.sqrt(2 / 8) * 4 * np.cos(np.pi / 16)
    statistic = 2.5 / (transform / np.sqrt(8))
    found = scores.fixed_smoothing(np.zeros(8), np.sqrt(d), np.zeros(8), 1)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(1 - 2 / np.pi * np.arctan(statistic))
    assert scores.fixed_smoothing(np.zeros(8), np.zeros(8), np.sqrt(d), 1).statistic < 0
    # a year of 8 h: .4 x 1095^(2/3) = 42 transforms; over 63 settlements 1095 / 126 = 8
    assert [scores.smoothing_terms(1095, h) for h in (1, 9, 63)] == [42, 42, 8]
    with pytest.raises(ForecastError, match="8 forecasts over 4 settlements are too few"):
        scores.fixed_smoothing(np.zeros(8), np.sqrt(d), np.zeros(8), 4)


def test_equal_forecasters_are_told_apart_as_often_as_said() -> None:
    """Where loss differences last, the HAC test at 5 % rejects in twice as many comparisons of
    equals; fixed smoothing stays near 5 % (of 300: within three standard errors, 1.3 points each).
    """
    hac, fixed, _ = rejections(400, 1, 0.95, draws=300)
    assert hac > 8.8
    assert fixed < 8.8
    assert fixed < hac - 3.0


def test_crps_and_pinball_by_hand() -> None:
    """Quantiles -2, -1, 0, 1, 2 and a target of 3: errors 5, 4, 3, 2, 1 times the levels .05, .25,
    .5, .75, .95 = .25 + 1 + 1.5 + 1.5 + .95 = 5.2, over five 1.04; the CRPS is twice that.
    """
    quantiles = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]])
    assert scores.pinball(np.array([3.0]), quantiles) == pytest.approx(1.04)
    assert scores.crps(np.array([3.0]), quantiles) == pytest.approx(2.08)


def test_crps_of_a_normal_distribution() -> None:
    """The mean pinball loss of the quantile z of a normal of size 1 is its density phi(z); twice
    the mean over the five levels is .4967 (the exact CRPS, over all levels, is 1 / sqrt(pi)).
    """
    from scipy.stats import norm

    draws = np.random.default_rng(0).normal(size=200_000)
    quantiles = np.tile(norm.ppf(LEVELS), (len(draws), 1))
    expected = 2 * np.mean(norm.pdf(norm.ppf(LEVELS)))
    assert expected == pytest.approx(0.4967, abs=1e-3)
    assert scores.crps(draws, quantiles) == pytest.approx(expected, abs=3e-3)
    assert scores.coverage(draws, quantiles) == pytest.approx(90.0, abs=0.3)
    np.testing.assert_allclose(scores.below(draws, quantiles), LEVELS, atol=0.005)


def test_errors_by_hand() -> None:
    target, mean = np.array([1.0, -1.0, 0.0, 2.0]), np.array([2.0, 1.0, 1.0, 2.0])
    assert scores.rmse(target, mean) == pytest.approx(np.sqrt(6 / 4))
    assert scores.mae(target, mean) == pytest.approx(1.0)
    assert scores.mase(target, mean, 2.0) == pytest.approx(0.5)
    assert scores.skill(0.9, 1.0) == pytest.approx(10.0)
    assert np.isnan(scores.skill(0.9, 0.0))
    assert scores.sign_accuracy(target, mean) == pytest.approx(200 / 3)  # the 0 does not count
    # from 1.5: up or down to 1, -1, 0, 2 where 2, 1, 1, 2 were said: wrong, right, right, right
    assert scores.direction_accuracy(target, mean, np.full(4, 1.5)) == pytest.approx(75.0)


def test_the_confidence_set_keeps_the_best_and_drops_the_bad() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=500) ** 2
    losses = pd.DataFrame(
        {"good": noise, "same": noise, "as good": noise + rng.normal(0, 0.1, 500), "bad": noise + 1}
    )
    found = scores.confidence_set(losses, 1)
    assert found["good"] == found["same"] >= 0.10
    assert found["as good"] >= 0.10
    assert found["bad"] < 0.01
