"""How sure a forecast is: coverage where the size of errors changes, and which errors count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fundenv.forecast import HORIZONS, LEVELS, History, Panel, make, scores
from fundenv.forecast.width import Width, settled

EIGHT_HOURS = 8 * 3_600_000_000_000


def calm_after(n: int, calm: int, seed: int) -> History:
    """A stationary rate around 1 bp, its noise a third from settlement `calm` on."""
    noise = np.random.default_rng(seed).normal(0.0, 0.6, n)
    noise[calm:] /= 3.0
    rate, level = np.empty(n), 0.0
    for k in range(n):
        level = 0.8 * level + noise[k]
        rate[k] = 1.0 + level
    ns = np.arange(n, dtype=np.int64) * EIGHT_HOURS
    return History(f"C{seed}USDT", ns, rate, 0, ns)


def test_intervals_follow_a_calmer_time_over_every_horizon() -> None:
    """Fitted on wild years, asked in a calm one: over four histories of 1,400 settlements the 90 %
    interval covers 87 .. 93 % (over 63 settlements, where there are 22 independent targets in each,
    85 .. 98 %), and its CRPS is below that of the interval of the fit, which stands still.
    """
    panel = Panel(tuple(calm_after(3000, 1600, seed) for seed in range(4)))
    end = int(panel.histories[0].ns[1600])
    forecaster = make("har").fit(panel, (None, end))
    found = forecaster.predict(panel)
    for j, horizon in enumerate(HORIZONS):
        known = [np.isfinite(each.target[:, j]) for each in found]
        target = np.concatenate([e.target[k, j] for e, k in zip(found, known, strict=True)])
        quantiles = np.concatenate([e.quantiles[k, j] for e, k in zip(found, known, strict=True)])
        mean = np.concatenate([e.mean[k, j] for e, k in zip(found, known, strict=True)])
        low, high = (87.0, 93.0) if horizon < 63 else (85.0, 98.0)
        assert low <= scores.coverage(target, quantiles) <= high, horizon
        error = (panel.histories[0].targets() - forecaster.means(panel)[0])[:1600, j]
        still = mean[:, None] + np.quantile(error[np.isfinite(error)], LEVELS)
        assert scores.crps(target, quantiles) < scores.crps(target, still), horizon


def test_settled_errors_are_those_whose_target_is_known() -> None:
    """Over 3 settlements the error of row 0 is known at row 3, and with a span of 15 the mean of
    errors 1 and 3 is (3 + 7/8 x 1) / (1 + 7/8).
    """
    found = settled(np.array([1.0, -3.0, 5.0, 9.0, 9.0]), 3)
    assert np.isnan(found[:3]).all()
    np.testing.assert_allclose(found[3], [1.0, 1.0, 1.0])
    assert found[4, 0] == pytest.approx((3.0 + 7 / 8) / (1 + 7 / 8))


def test_errors_at_settlements_that_were_learned_do_not_flatter() -> None:
    """A forecaster that repeats its training data has errors of 0 there: the width measured on
    later settlements must not shrink by them.
    """
    history = calm_after(2000, 1900, 3)
    panel = Panel((history,))
    honest = [np.repeat(np.full(2000, 1.0)[:, None], len(HORIZONS), axis=1)]
    width = Width()
    width.fit(panel, honest, since=int(history.ns[1500]))
    learned = history.targets()
    learned[~np.isfinite(learned)] = 1.0
    flattered = np.where((np.arange(2000) < 1900)[:, None], learned, honest[0])
    last = int(history.ns[-1])
    first = width.quantiles(history, honest[0], last)
    second = width.quantiles(history, flattered, last)
    np.testing.assert_allclose(second[1990:] - first[1990:], 0.0, atol=1e-12)
    # without the errors of the fit the interval over 21 settlements would be narrower
    width.errors = {}
    bare = np.ptp(width.quantiles(history, flattered, last)[1990, 3])
    assert bare < 0.95 * np.ptp(first[1990, 3])


def test_a_width_keeps_its_errors_when_it_is_saved() -> None:
    history = calm_after(1200, 600, 4)
    panel = Panel((history,))
    means = [np.ones((1200, len(HORIZONS)))]
    width, again = Width(), Width()
    width.fit(panel, means)
    again.restore(width.state())
    early = replace(history, ns=history.ns[:1100], rate=history.rate[:1100])
    for each in (history, early):
        mean = means[0][: len(each)]
        np.testing.assert_array_equal(
            again.quantiles(each, mean, int(history.ns[900])),
            width.quantiles(each, mean, int(history.ns[900])),
        )
