"""Every forecaster keeps the protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fundenv.forecast import (
    HORIZONS,
    LEVELS,
    Forecaster,
    ForecastError,
    Panel,
    check_causal,
    explain,
    load,
    make,
    names,
    panel_of,
)
from fundenv.forecast.inputs import matrices
from fundenv.market import synthetic_market
from tests.forecast.made import HOUR, history, rates

SMALL: dict[str, dict[str, Any]] = {
    "boosting": {"trees": 8},
    "residual_har": {"trees": 8},
    "ensemble": {"members": ("clipped_har", "ridge")},
    "ar": {"lags": (1, 3)},
    **{net: {"epochs": 1, "units": 8} for net in ("nlinear", "lstm", "tcn", "transformer")},
}


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


@pytest.mark.parametrize("name", [name for name in names() if name != "arima"])
def test_the_parts_sum_to_the_forecast(
    name: str, panel: Panel, fitted: dict[str, Forecaster]
) -> None:
    """Exactly, but for the quadrature of the networks."""
    forecaster = fitted[name]
    start = int(panel.histories[0].ns[1050])
    loose = name in ("nlinear", "lstm", "tcn", "transformer")
    for one, two in zip(
        forecaster.predict(panel, (start, None)),
        explain(forecaster, panel, (start, None)),
        strict=True,
    ):
        np.testing.assert_array_equal(two.ns, one.ns)
        np.testing.assert_array_equal(two.mean, one.mean)
        tolerance = 0.005 if loose else 1e-8
        np.testing.assert_allclose(two.parts.total, one.mean, rtol=0, atol=tolerance)
        by_group = sum(two.groups().values()) + two.parts.base
        np.testing.assert_allclose(by_group, two.parts.total, atol=1e-9)
        assert all(np.abs(value).max() < 20 for value in two.parts.values.values())


def test_the_parts_of_a_hint_are_those_of_the_hint() -> None:
    """A regression on the last rate and nothing else: the older rates add nothing."""
    ar = make("ar", lags=(1,))
    only = Panel((history("A", rates(3000, 5)),))
    ar.fit(only, (None, int(only.histories[0].ns[2900])))
    (found,) = explain(ar, only)
    phi = ar.state()["ar:A"][1]
    last = only.histories[0].rate[2900:] - only.histories[0].scale.mean[2900:]
    assert list(found.parts.values) == [("funding", "rate 1")]
    np.testing.assert_allclose(found.parts.values["funding", "rate 1"][:, 0], phi * last, atol=1e-4)


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
        (lambda p: make("ewma spam=3"), "spam"),
        (lambda p: make("ewma 3"), "unknown forecaster 'ewma 3'; did you mean ewma"),
        (lambda p: make("ridge", inputs=["user"]).fit(p), "inputs 'user': the data are missing"),
        (
            lambda p: make("ridge", inputs=["open_interest"]).fit(p),
            "give --extra open_interest=1e9, in Python load_market",
        ),
        (lambda p: make("har").predict(p), "forecaster har is not fitted; call fit first"),
        (lambda p: make("har").fit(p, ("2030-01-01", None)), "no coin has 400 settlements in it"),
        (lambda p: make("har").save("/tmp/never"), "is not fitted; call fit before save"),
        (
            lambda p: explain(make("arima").fit(p), p, (0, None)),
            "forecaster arima does not say which inputs moved it; choose one that does",
        ),
        (lambda p: explain(make("har"), p), "forecaster har is not fitted; call fit first"),
        (lambda p: load("/nowhere"), "no forecaster in /nowhere"),
    ],
)
def test_bad_input_is_one_line(call: Any, said: str, panel: Panel) -> None:
    with pytest.raises(ValueError) as error:
        call(panel)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
