"""The forecast rule on observations written by hand, and forecasts as columns of a market."""

from __future__ import annotations

import numpy as np
import pytest

import agents
from agents import AgentError
from fundenv.batch.cpu import Batch
from fundenv.forecast import HORIZONS, ForecastError, panel_of
from fundenv.forecast.columns import names_of, perfect, with_forecasts
from fundenv.market import Market, synthetic_market


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.6, seed=0)


@pytest.mark.parametrize(
    ("above", "carry", "expected"),
    # the hurdle at 4.5 % and leverage 3 is .045 x 4/3 / 1095 = .548 bp; 45 bp over 90: .5 bp
    [(0.6, 0.0, 1.0), (0.4, 0.0, None), (-0.4, 1.0, None), (-0.6, 1.0, 0.0), (-0.6, 0.0, None)],
)
def test_it_enters_and_leaves_by_what_a_round_trip_costs(
    above: float, carry: float, expected: float | None, market: Market
) -> None:
    batch = Batch(1, market=with_forecasts(market, perfect(market)), actions="target")
    agent = agents.make("forecast", cost=45.0)
    agent.bind(batch)
    given = {
        "forecast_63": 0.045 * 4 / 3 / 1095 * 1e4 + above,
        "carry": carry,
        "cash_rate": 0.045,
    }
    row = [given.get(c.name, 0.0) / c.scale for c in batch.observation_table]
    hold, wanted, *_ = agent.act(np.array([row], np.float32))[0]
    assert (None if hold > 0.5 else wanted) == expected


def test_a_round_trip_costs_four_taker_fees(market: Market) -> None:
    with_columns = with_forecasts(market, perfect(market))
    batch = Batch(1, market=with_columns, actions="target", perp_fee=0.0005, spot_fee=0.001)
    agent = agents.make("forecast")
    agent.bind(batch)
    assert agent.round_trip == pytest.approx(30.0)  # type: ignore[attr-defined]


def test_a_column_shows_the_forecast_of_the_last_public_settlement(market: Market) -> None:
    found = perfect(market)
    made = with_forecasts(market, found, (9,))
    column = [feature.name for feature in made.table].index("forecast_9")
    (history,) = panel_of(market)
    first, last = made.paths[0]
    for row in (first, first + 7, first + 8, first + 9, (first + last) // 2):
        opens = made.close_ns[row] - 3_600_000_000_000
        k = np.searchsorted(history.ns, opens, side="right") - 1
        expected = found[0].mean[k, HORIZONS.index(9)]
        assert made.features[row, 0, column] * 3.0 == pytest.approx(expected, abs=1e-5)
    assert history.ns[0] <= made.close_ns[first]
    assert names_of(9) == ("forecast_9", "forecast_9_low", "forecast_9_high")


def test_a_delayed_forecast_shows_after_its_delay(market: Market) -> None:
    """Made four hours after a settlement, it is in no row that opened earlier."""
    panel = panel_of(market, delay_hours=4)
    (history,) = panel
    found = perfect(panel)
    made = with_forecasts(market, found, (9,))
    column = [feature.name for feature in made.table].index("forecast_9")
    first, last = made.paths[0]
    opens = made.close_ns - 3_600_000_000_000
    assert opens[first] == history.ns[history.ns >= opens[0]][0] + 4 * 3_600_000_000_000
    for row in range((first + last) // 2, (first + last) // 2 + 12):
        k = np.searchsorted(history.ns + 4 * 3_600_000_000_000, opens[row], side="right") - 1
        expected = found[0].mean[k, HORIZONS.index(9)]
        assert made.features[row, 0, column] * 3.0 == pytest.approx(expected, abs=1e-5)


def test_what_is_missing_is_said(market: Market) -> None:
    agent = agents.make("forecast")
    missing = (
        r"^agent forecast: the market has no column forecast_63 \(horizons there: {}\); give"
        " --forecast NAME and --forecast-horizons, in Python fundenv.forecast.observed.with_"
    )
    with pytest.raises(AgentError, match=missing.format("none")):
        agent.bind(Batch(1, market=market, actions="target"))
    others = with_forecasts(market, perfect(market), (1, 9))
    with pytest.raises(AgentError, match=missing.format("1, 9")):
        agent.bind(Batch(1, market=others, actions="target"))
    with pytest.raises(ForecastError, match="no forecast on path 0"):
        with_forecasts(market, [])
    with pytest.raises(ForecastError, match="horizon 2: give some of 1, 3, 9, 21, 63"):
        with_forecasts(market, perfect(market), (2,))
