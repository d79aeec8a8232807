"""Every forecaster keeps the protocol; the simple ones give numbers that can be made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fundenv.forecast import (
    HORIZONS,
    LEVELS,
    Forecaster,
    ForecastError,
    History,
    Panel,
    check_causal,
    load,
    make,
    names,
    panel_of,
)
from fundenv.forecast.estimators.ar import iterated
from fundenv.forecast.estimators.garch import lag_weights
from fundenv.forecast.inputs import matrices
from fundenv.forecast.scale import trailing_means
from fundenv.market import synthetic_market

HOUR = 3_600_000_000_000
START = 1_600_000_000 // 28_800 * 28_800 * 10**9
SMALL: dict[str, dict[str, Any]] = {
    "boosting": {"trees": 8},
    "residual_har": {"trees": 8},
    "ensemble": {"members": ("clipped_har", "ridge")},
    "ar": {"lags": (1, 3)},
    **{net: {"epochs": 1, "units": 8} for net in ("nlinear", "lstm", "tcn", "transformer")},
}


def rates(n: int, seed: int, phi: float = 0.8) -> np.ndarray:
    """An autoregression around 1 bp."""
    noise = np.random.default_rng(seed).normal(0.0, 0.5, n)
    out = np.empty(n)
    level = 0.0
    for k in range(n):
        level = phi * level + noise[k]
        out[k] = 1.0 + level
    return out


def history(symbol: str, rate: np.ndarray, seed: int = 0) -> History:
    """A history with hourly bars whose basis is noise."""
    ns = START + np.arange(len(rate), dtype=np.int64) * 8 * HOUR
    close = START - 24 * HOUR + np.arange(8 * len(rate) + 24, dtype=np.int64) * HOUR
    rng = np.random.default_rng(seed)
    spot = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, len(close))))
    columns = {"spot": spot, "perp": spot * (1 + rng.normal(-3e-4, 2e-4, len(close)))}
    return History(symbol, ns, rate, 0, close, columns)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel(
        tuple(history(name, rates(1100, i), i) for i, name in enumerate(("AUSDT", "BUSDT")))
    )


@pytest.fixture(scope="module")
def fitted(panel: Panel) -> dict[str, Forecaster]:
    """Every forecaster, fitted on the first 900 settlements."""
    end = int(panel.histories[0].ns[900])
    return {
        name: make(name, seed=1, **SMALL.get(name, {})).fit(panel, (None, end)) for name in names()
    }


@pytest.mark.parametrize("name", names())
def test_a_forecast_has_shape_order_and_no_future(
    name: str, panel: Panel, fitted: dict[str, Forecaster]
) -> None:
    forecaster = fitted[name]
    found = forecaster.predict(panel)
    assert [each.symbol for each in found] == ["AUSDT", "BUSDT"]
    for each in found:
        assert each.ns[0] == panel.histories[0].ns[900]  # the first one that was not fitted
        assert each.mean.shape == (200, len(HORIZONS))
        assert each.quantiles.shape == (200, len(HORIZONS), len(LEVELS))
        assert np.isfinite(each.mean).all()
        assert (np.diff(each.quantiles, axis=2) >= 0).all()
    check_causal(forecaster, panel)
    # a future of another kind changes nothing that was said before it
    cut = 1000
    other = []
    for each in panel:
        rate = each.rate.copy()
        rate[cut + 1 :] = 50.0
        late = each.close_ns > each.ns[cut]
        columns = {n: np.where(late, 7.0 * v, v) for n, v in each.columns.items()}
        other.append(replace(each, rate=rate, columns=columns))
    for before, after in zip(found, forecaster.predict(Panel(tuple(other))), strict=True):
        known = before.ns <= panel.histories[0].ns[cut]
        np.testing.assert_allclose(after.mean[known], before.mean[known], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            after.quantiles[known], before.quantiles[known], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("name", names())
def test_a_saved_forecaster_says_the_same(
    name: str, panel: Panel, fitted: dict[str, Forecaster], tmp_path: Path
) -> None:
    fitted[name].save(tmp_path)
    record = json.loads((tmp_path / "forecaster.json").read_text())
    assert record["data"] == fitted[name].data_hash != ""
    again = load(tmp_path)
    for one, two in zip(fitted[name].predict(panel), again.predict(panel), strict=True):
        np.testing.assert_allclose(two.mean, one.mean, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(two.quantiles, one.quantiles, rtol=1e-6, atol=1e-7)


def test_a_fit_sees_nothing_after_its_span(panel: Panel) -> None:
    end = int(panel.histories[0].ns[800])
    whole = make("ridge").fit(panel, (None, end))
    before = make("ridge").fit(panel.until(end - 1))
    assert whole.data_hash == before.data_hash
    np.testing.assert_array_equal(whole.state()["ridge"], before.state()["ridge"])


def test_one_who_looks_ahead_is_found(panel: Panel) -> None:
    class Ahead(Forecaster):
        name = "ahead"

        def learn(self, panel: Panel) -> None:
            pass

        def means(self, panel: Panel) -> list[np.ndarray]:
            return [np.repeat(np.r_[h.rate[1:], 0.0][:, None], 5, axis=1) for h in panel]

    with pytest.raises(ForecastError, match=r"ahead looks ahead: at .* AUSDT it says"):
        check_causal(Ahead().fit(panel), panel)


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


def test_ridge_uses_a_column_that_knows(panel: Panel) -> None:
    """A user's column that is the next rate and some noise: with it the error falls to that noise's
    share, without it nothing of the kind.
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
                    "hint": ahead + rng.normal(0, 0.1, len(ahead)),
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
    for inputs in (("funding",), ("funding", "user")):
        forecaster = make("ridge", inputs=inputs, penalty=1.0).fit(known, (None, end))
        found = forecaster.predict(known)
        errors[inputs] = np.sqrt(np.nanmean([(e.mean[:, 0] - e.target[:, 0]) ** 2 for e in found]))
    assert errors["funding",] > 0.4  # the noise of the process is 0.5
    assert errors["funding", "user"] < 0.3


def test_contributions_sum_to_the_forecast(panel: Panel, fitted: dict[str, Forecaster]) -> None:
    ridge: Any = fitted["ridge"]
    names_, found = ridge.contributions(panel)
    assert len(names_) == found[0].shape[2]
    scale = panel.histories[0].scale
    total = scale.mean[:, None] + scale.size[:, None] * ridge.weights[:, 0] + found[0].sum(axis=2)
    np.testing.assert_allclose(total, ridge.means(panel)[0], rtol=1e-9)


def test_the_width_covers_what_it_says() -> None:
    """On an autoregression with constant noise: 90 % of 1,400 rates within the outer quantiles."""
    panel = Panel((history("A", rates(3000, 11)),))
    found = make("har").fit(panel, (None, int(panel.histories[0].ns[1600]))).predict(panel)[0]
    known = np.isfinite(found.target[:, 0])
    low, high = found.quantiles[known, 0, 0], found.quantiles[known, 0, -1]
    inside = (found.target[known, 0] >= low) & (found.target[known, 0] <= high)
    assert inside.mean() == pytest.approx(0.90, abs=0.025)
    # noise of 0.5: the 90 % interval of a normal is 3.29 of it
    assert np.median(high - low) == pytest.approx(3.29 * 0.5, rel=0.1)


def test_a_market_becomes_a_panel() -> None:
    market = synthetic_market("btc", years=0.6, seed=0)
    panel = panel_of(market)
    (only,) = panel
    settled = market.bars[:, 0, 9] > 0
    assert len(only) == settled.sum()
    assert only.rate[5] == pytest.approx(market.bars[settled, 0, 8][5] * 1e4)  # 8 h each
    # the last bar known at an origin closes then, one known with a delay closes later
    assert (only.close_ns[only.rows[1:]] == only.ns[1:]).all()
    late = panel_of(market, delay_hours=4).histories[0]
    assert (late.close_ns[late.rows[1:-1]] == late.ns[1:-1] + 4 * HOUR).all()
    # a delayed forecast exists from its origin on: cut before it, the settlement is not there yet
    cut = late.until(int(late.ns[50]) + 2 * HOUR)
    assert cut.ns[-1] == late.ns[49]
    assert cut.close_ns[-1] == late.ns[50] + 2 * HOUR
    np.testing.assert_array_equal(
        cut.at_origins(cut.columns["basis"]), late.at_origins(late.columns["basis"])[:50]
    )
    assert "premium_estimate" in matrices(panel, ("funding", "premium"))[0]
    with pytest.raises(ForecastError, match=r"delay of 8 h: .* settles every 8 h; give 0 or more"):
        panel_of(market, delay_hours=8)
    with pytest.raises(ForecastError, match="a forecast needs at least 400 in a row"):
        panel_of(synthetic_market("btc", years=0.2, seed=0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: make("hra"), "unknown forecaster 'hra'; did you mean"),
        (lambda p: make("nowhere.here:X"), "no module 'nowhere'"),
        (lambda p: make("json:dumps"), "is no subclass of fundenv.forecast.Forecaster"),
        (lambda p: make("ridge", inputs=["moon"]), "inputs 'moon' are unknown; known: funding"),
        (lambda p: make("ewma", span=0), "span = 0"),
        (lambda p: make("ridge", inputs=["user"]).fit(p), "inputs 'user': the data are missing"),
        (lambda p: make("ridge", inputs=["open_interest"]).fit(p), "load the market with extra="),
        (lambda p: make("har").predict(p), "forecaster har is not fitted; call fit first"),
        (lambda p: make("har").fit(p, ("2030-01-01", None)), "no coin has 400 settlements in it"),
        (lambda p: make("har").save("/tmp/never"), "is not fitted; call fit before save"),
        (lambda p: load("/nowhere"), "no forecaster in /nowhere"),
    ],
)
def test_bad_input_is_one_line(call: Any, said: str, panel: Panel) -> None:
    with pytest.raises(ValueError) as error:
        call(panel)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
