"""Rates and settlements that cannot be right are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, build_market, read_frames
from fundenv.market.plausibility import findings
from fundenv.venues import load_venue
from tests.market.coins import coin, later
from tests.market.judged import BINANCE, collapse, found
from tests.market.tables import real_data


@pytest.mark.parametrize("hours", [3, -5])
def test_settlements_at_local_time_are_found(hours):
    finding = found(coin(funding=later(coin().funding, hours)))
    assert "100% of the settlements fall on hours that binance does not have" in (
        finding["settlement_hours"].value
    )


def test_settlements_off_by_half_an_hour_are_refused_in_one_line():
    with pytest.raises(DataError, match=r"falls inside a bar of 1h"):
        findings(coin(funding=later(coin().funding, 5.5)), BINANCE)


def test_the_schedule_is_that_of_the_venue():
    """BitMEX settles at 04, 12 and 20 UTC, Binance does not."""
    shifted = coin(funding=later(coin().funding, 4))
    assert "settlement_hours" in found(shifted)
    assert "settlement_hours" not in found(shifted, load_venue("bitmex"))


def test_shorter_intervals_of_the_schedule_are_right_and_a_change_of_interval_is_too():
    paid = coin().funding
    half = paid.assign(rate=paid["rate"] / 2)
    other = later(half.assign(rate=half["rate"] + 1e-6), 4)
    both = pd.concat([half, other]).sort_values("time", ignore_index=True)
    mixed = pd.concat([paid[paid.index < 100], both[both["time"] > paid["time"].iloc[99]]])
    for table in (both, mixed):
        assert found(coin(funding=table.reset_index(drop=True))) == {}


@pytest.mark.parametrize(("factor", "unit"), [(100.0, "percent"), (1095.0, "a rate per year")])
def test_rates_in_another_unit_are_found_though_each_is_small(factor, unit):
    paid = coin().funding
    quiet = paid.assign(rate=(paid["rate"] * factor).clip(-0.049, 0.049) / max(1, factor / 300))
    finding = found(coin(funding=quiet))["rate_scale"]
    assert "times what the basis implies" in finding.value
    if factor == 100.0:
        assert f"as if in {unit}" in finding.value


def test_rates_that_turn_to_percent_midway_are_found_from_there():
    paid = coin().funding.copy()
    paid.loc[200:, "rate"] = (paid.loc[200:, "rate"] * 100.0).clip(-0.049, 0.049)
    finding = found(coin(funding=paid))["rate_scale"]
    assert abs(finding.first - paid["time"].iloc[200]) <= pd.Timedelta(days=31)


def test_rates_of_the_wrong_sign_are_found():
    paid = coin().funding
    moving = paid.assign(rate=-(paid["rate"] - paid["rate"].median()) * 3)
    assert "rate_sign" in found(coin(funding=moving))


def test_a_month_of_the_wrong_sign_is_found_from_there():
    paid = coin().funding.copy()
    rows = paid.index[100:300]
    paid["rate"] = 3 * (paid["rate"] - paid["rate"].median())  # clear of the dead band
    assert "rate_sign" not in found(coin(funding=paid))
    paid.loc[rows, "rate"] *= -1
    begun = found(coin(funding=paid))["rate_sign"].first
    assert abs(begun - paid["time"].iloc[100]) <= pd.Timedelta(days=31)


def test_a_few_rates_in_percent_among_fractions_are_found():
    """A week in percent moves no median of a month, and one row is noted."""
    paid = coin().funding.copy()
    paid.loc[paid.index[200:221], "rate"] = 0.01
    line = found(coin(funding=paid))["rate_scale"]
    assert line.first == paid["time"].iloc[200]
    assert "(21 such row(s))" in line.value
    paid = coin().funding.copy()
    paid.loc[200, "rate"] = 0.01
    (note,) = findings(coin(funding=paid), BINANCE)
    assert (note.kind, note.refused) == ("rate_scale", False)
    assert "100 bp per 8 h" in note.value


def test_a_rate_repeated_in_every_hour_is_found():
    paid = coin().funding
    hourly = pd.DataFrame({"time": coin().spot["time"]}).merge(paid, on="time", how="left")
    hourly = hourly.ffill().dropna().reset_index(drop=True)
    finding = found(coin(funding=hourly))["rates_repeated"]
    assert "rows every 1 h, but the rate changes only every 8 h" in finding.value
    assert "would be paid 8 times" in finding.value


def test_hourly_rates_that_change_by_the_hour_are_not_taken_for_repeated_ones():
    times = coin().spot["time"]
    rate = np.random.default_rng(0).normal(1e-5, 5e-6, len(times))
    hourly = pd.DataFrame({"time": times, "rate": rate})
    assert "rates_repeated" not in found(coin(funding=hourly))


def test_rates_that_fit_the_basis_of_other_hours_are_found_though_the_hours_exist():
    """Shanghai is UTC+8: a file in its time still settles at 00, 08 and 16."""
    from fundenv.market import synthetic_frames

    year = replace(synthetic_frames("eth", years=1, seed=1), symbol="AAAUSDT")
    assert "funding_lag" not in found(year)
    moved = replace(year, funding=later(year.funding, 8))
    assert "8 h earlier better" in found(moved)["funding_lag"].value


def test_a_settlement_price_in_another_unit_is_found_and_one_within_the_bars_is_not():
    paid = coin().funding
    opens = coin().mark.set_index("time")["open"].reindex(paid["time"]).to_numpy()
    assert found(coin(funding=paid.assign(mark_price=opens))) == {}
    thousandth = paid.assign(mark_price=opens / 1000.0)
    assert "settlement_price" in found(coin(funding=thousandth))
    once = paid.assign(mark_price=np.where(paid.index == 77, opens * 10.0, opens))
    finding = found(coin(funding=once))["settlement_price"]
    assert finding.first == paid["time"].iloc[77]


def test_such_a_coin_loads_at_8_hours_with_its_settlements_of_2_hours():
    market = build_market([collapse()], bar="8h")
    assert any("summed into the one at the bar's end" in note for note in market.notes)


@pytest.mark.parametrize("hours", [1, -1, 8])
def test_bars_at_other_hours_than_the_prices_of_the_settlements_are_found(hours):
    """All bars of a coin moved together: nothing but the prices of the settlements can show it."""
    whole = coin()
    marks = whole.mark.set_index("time")["open"]
    priced = whole.funding.assign(
        mark_price=marks.reindex(whole.funding["time"]).to_numpy() * 1.0001
    )
    assert found(replace(whole, funding=priced)) == {}
    moved = {name: later(getattr(whole, name), hours) for name in ("perp", "spot", "mark")}
    wrong = found(replace(whole, funding=priced, **moved))["lag"]
    assert f"the bars come {abs(hours)} h {'late' if hours > 0 else 'early'}" in wrong.value
    perp = {name: moved[name] for name in ("perp", "spot")}
    assert "lag" in found(replace(whole, funding=priced, mark=None, **perp))


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOTUSDT"])
def test_real_rates_times_three_are_found(symbol):
    whole = read_frames(real_data(), symbol)
    tripled = whole.funding.assign(rate=3 * whole.funding["rate"])
    wrong = found(replace(whole, funding=tripled))["rate_scale"]
    assert "times what the basis implies" in wrong.value
    assert wrong.limit == "at most 2 times"
