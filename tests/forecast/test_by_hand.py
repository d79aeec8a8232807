"""Forecasters give the numbers that can be made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fundenv.forecast import HORIZONS, Panel, make
from fundenv.forecast.estimators.ar import iterated
from fundenv.forecast.estimators.garch import lag_weights
from fundenv.forecast.scale import trailing_means
from tests.forecast.made import history, rates


def test_targets_are_means_of_the_next_rates() -> None:
    rate = np.arange(500, dtype=np.float64)
    target = history("A", rate).targets()
    assert target[10, 0] == 11.0
    assert target[10, 1] == 12.0  # 11, 12, 13
    assert target[10, 2] == 15.0  # 11 .. 19
    assert np.isnan(target[499, 0])
    assert np.isnan(target[500 - 63, 4])
    assert target[500 - 64, 4] == np.mean(np.arange(437, 500))


def test_har_finds_the_weights_of_its_own_process() -> None:
    """r' = 0.1 + 0.5 r + 0.3 mean(3) + 0.1 mean(21) and noise of 0.05: an autoregression of the
    means that HAR reads, so that least squares gives back its weights.
    """
    rng = np.random.default_rng(0)
    rate = list(np.full(90, 1.0))
    for _ in range(20_000):
        means = [np.mean(rate[-w:]) for w in (1, 3, 21)]
        ahead = 0.1 + 0.5 * means[0] + 0.3 * means[1] + 0.1 * means[2]
        rate.append(ahead + rng.normal(0, 0.05))
    har = make("har")
    har.learn(Panel((history("A", np.array(rate)),)))
    weights = har.state()["har:A"][0]
    np.testing.assert_allclose(weights, [0.1, 0.5, 0.3, 0.1, 0.0], atol=0.03)


def test_clipped_har_is_har_on_clipped_rates() -> None:
    rate = rates(900, 3)
    wild = rate.copy()
    wild[300:310] = 40.0
    tame = np.where(np.arange(900) < 310, np.minimum(wild, 6.0), rate)
    one, two = make("clipped_har"), make("har")
    one.learn(Panel((history("A", wild),)))
    two.learn(Panel((history("A", np.clip(tame, -5, 6)),)))
    np.testing.assert_allclose(one.state()["har:A"], two.state()["har:A"], rtol=1e-9)


def test_an_autoregression_is_iterated() -> None:
    """r' = 0.5 + 0.5 r from 2: 1.5, 1.25, 1.125, and the mean of the three is 1.291667."""
    found = iterated(np.array([5.0, 2.0]), 0.5, np.array([0.5]))
    np.testing.assert_allclose(found[1, :2], [1.5, (1.5 + 1.25 + 1.125) / 3])


def test_har_weights_as_single_lags() -> None:
    weights = lag_weights(np.array([0.4, 0.3, 0.21, 0.09]))
    assert weights[0] == pytest.approx(0.4 + 0.1 + 0.01 + 0.001)
    assert weights[89] == pytest.approx(0.001)
    assert weights.sum() == pytest.approx(1.0)


def test_arima_forecast_of_a_known_process() -> None:
    """AR(1) with weight 0.8 around 1: h steps ahead the distance from 1 shrinks by 0.8^h."""
    rate = rates(3000, 5)
    arima = make("arima", p=1, d=0, q=0)
    arima.learn(Panel((history("A", rate),)))
    mean, phi = arima.state()["arima:A"][:2]
    assert phi == pytest.approx(0.8, abs=0.04)
    found = arima.means(Panel((history("A", rate),)))[0]
    step = np.cumsum(phi ** np.arange(1, 64)) / np.arange(1, 64)
    expected = mean + (rate[-1] - mean) * step[np.array(HORIZONS) - 1]
    np.testing.assert_allclose(found[-1], expected, rtol=1e-6)


def test_ewma_takes_the_best_span_or_the_one_given(panel: Panel) -> None:
    given = make("ewma", span=3)
    given.learn(panel)
    rate = panel.histories[0].rate[:4]
    weights = 0.5 ** np.arange(3, -1, -1)
    found = given.means(panel)[0][3, 0]
    assert found == pytest.approx((weights @ rate) / weights.sum())
    best = make("ewma")
    best.learn(panel)
    assert best.state()["spans"][0] < best.state()["spans"][-1]  # far ahead it looks far back


def test_trailing_means_look_back_only() -> None:
    found = trailing_means(np.array([1.0, 3.0, 8.0]), (1, 2, 90))
    np.testing.assert_allclose(found, [[1, 1, 1], [3, 2, 2], [8, 5.5, 4]])


@pytest.mark.parametrize(("name", "group"), [("hint", "user"), ("rate_bybit", "other_venue")])
def test_ridge_uses_a_column_that_knows(name: str, group: str, panel: Panel) -> None:
    """A user's column that is the next rate and some noise: with it the error falls to that noise's
    share, without it nothing of the kind. Named rate_*, it counts as the rate of another venue.
    """
    rng = np.random.default_rng(9)
    rows = []
    for each in panel:
        ahead = np.r_[each.rate[1:], 1.0]
        rows.append(
            pd.DataFrame(
                {
                    "time": pd.to_datetime(each.ns, utc=True),
                    "symbol": each.symbol,
                    name: ahead + rng.normal(0, 0.1, len(ahead)),
                }
            )
        )
    from fundenv.forecast.extra import as_of

    table = pd.concat(rows)
    known = Panel(
        tuple(
            replace(h, columns=dict(h.columns) | as_of(table, h.symbol, h.close_ns)) for h in panel
        )
    )
    end = int(panel.histories[0].ns[900])
    errors = {}
    for inputs in (("funding",), ("funding", group)):
        forecaster = make("ridge", inputs=inputs, penalty=1.0).fit(known, (None, end))
        found = forecaster.predict(known)
        errors[inputs] = np.sqrt(np.nanmean([(e.mean[:, 0] - e.target[:, 0]) ** 2 for e in found]))
    assert errors["funding",] > 0.4  # the noise of the process is 0.5
    assert errors["funding", group] < 0.3
    assert make("ridge").fit(known, (None, end)).inputs[-1] == group  # by default, too
