"""What a forecast is worth: growth of one rule on several forecasters, and on the future."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from experiments.forecasting import board, worth_tables
from experiments.forecasting.walk_forward import frame
from experiments.forecasting.worth import predicted, worth
from experiments.rollout.make import roll_out
from fundenv.forecast import HORIZONS, Panel, make, panel_of
from fundenv.forecast.columns import with_forecasts
from fundenv.market import Market, between, synthetic_market

START, END = (pd.Timestamp(day, tz="UTC") for day in ("2020-06-01", "2020-07-11"))


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.6, seed=0)


def forecasts_of(panel: Panel) -> pd.DataFrame:
    parts = []
    for name in ("ewma", "clipped_har"):
        made = make(name).fit(panel, (None, START))
        found = made.predict(panel, (START, END))
        parts.append(frame(found, found, panel).assign(forecaster=name, seed=0, fold=0))
    return pd.concat(parts)


@pytest.fixture(scope="module")
def rows(market: Market) -> list[dict[str, Any]]:
    panel = panel_of(market)
    return worth(market, panel, forecasts_of(panel), (START, END), 0.02)


def test_growth_is_that_of_the_rule_on_the_columns(
    market: Market, rows: list[dict[str, Any]]
) -> None:
    known = {(r["rule"], r["forecaster"], r["horizon"], r["coin"]): r for r in rows}
    (symbol,) = market.symbols[0]
    assert {key[3] for key in known} == {symbol, "all coins"}
    assert {key[2] for key in known} == set(HORIZONS)
    found = make("ewma").fit(market, (None, START)).predict(market, (START, END))
    columns = with_forecasts(between(market, str(START), str(END)), found, HORIZONS)
    settings = {"venue": market.venue, "cash_rate": 0.02}
    for rule in worth_tables.RULES:
        (item,) = roll_out(agents.make(rule, horizon=9), columns, settings)
        own = known[rule, "ewma", 9, symbol]
        assert own["growth"] == pytest.approx(100 * item.metrics().net_log_growth)
        assert known[rule, "ewma", 9, "all coins"]["growth"] == own["growth"]


def test_a_difference_is_that_of_the_growths(rows: list[dict[str, Any]]) -> None:
    known = {
        (r["rule"], r["forecaster"], r["horizon"]): r for r in rows if r["coin"] == "all coins"
    }
    for rule in worth_tables.RULES:
        for horizon in HORIZONS:
            mine, base = (known[rule, name, horizon] for name in ("clipped_har", "ewma"))
            value, low, high, _ = mine["over"]["ewma"]
            assert value == pytest.approx(mine["growth"] - base["growth"], abs=1e-6)
            assert np.isnan(low) or low <= value <= high
            assert "clipped_har" not in mine["over"]
            # the default thresholds are among those that hindsight chooses from
            best, plain = (known[rule, n, horizon] for n in ("perfect_tuned", "perfect"))
            assert best["growth"] >= plain["growth"]


def test_a_delay_is_kept_in_what_the_rule_sees(market: Market) -> None:
    panel = panel_of(market, delay_hours=4)
    own = forecasts_of(panel)
    (found,) = predicted(own[own["forecaster"] == "ewma"], panel.histories[0].delay_ns)
    assert found.delay_ns == 4 * 3_600_000_000_000
    (made,) = make("ewma").fit(panel, (None, START)).predict(panel, (START, END))
    np.testing.assert_array_equal(found.ns, made.ns)
    np.testing.assert_array_equal(found.quantiles, made.quantiles)
    assert made.delay_ns == found.delay_ns


def test_the_tables_hold_the_rows(rows: list[dict[str, Any]]) -> None:
    tables = list(worth_tables.growth_of(rows, 0.02))
    assert len(tables) == 2
    heading, cells, _ = tables[0]
    assert heading == "Growth of the rule `forecast` above a cash rate of 2 %, % a year"
    assert [line[0] for line in cells[1:]] == ["ewma", "clipped_har", "perfect", "perfect_tuned"]
    known = {
        (r["rule"], r["forecaster"], r["horizon"]): r for r in rows if r["coin"] == "all coins"
    }
    assert cells[1][3] == f"{known['forecast', 'ewma', 9]['growth']:+.2f}"
    differences = list(worth_tables.over_others(rows))
    assert [line[0] for line in differences[0][1][1:]] == [
        "clipped_har",
        "perfect",
        "perfect_tuned",
    ]
    drawn = worth_tables.growth(rows, "forecast")
    assert [trace.name for trace in drawn.data] == [line[0] for line in cells[1:]]


def test_growth_is_in_tensorboard(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    row = {"coin": "all coins", "horizon": 1, "forecaster": "ewma", "below": [0.1] * 5}
    board.write(tmp_path / "events", {"rows": [row], "worth": rows}, {}, "none")
    for name in ("ewma", "perfect"):
        events = EventAccumulator(str(tmp_path / "events" / name)).Reload()
        scalars = events.Scalars("Worth/forecast_leverage_percent_a_year/all_coins")
        assert [each.step for each in scalars] == list(HORIZONS)
        own = [
            r["growth"]
            for r in rows
            if (r["forecaster"], r["rule"], r["coin"]) == (name, "forecast_leverage", "all coins")
        ]
        assert [each.value for each in scalars] == pytest.approx(own, rel=1e-5)
