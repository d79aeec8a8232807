"""Real Binance files: known defects, gaps and figures. Skipped where FUNDENV_DATA is unset."""

from time import perf_counter

import numpy as np
import pandas as pd
import pytest

from fundenv.market import layout, load_market, select
from fundenv.market.files.frames import to_ns
from tests.market.tables import real_data

FIVE = ["BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT"]
LONGEST_SECONDS = 15.0  # about one second on a free core


@pytest.fixture(scope="module")
def five():
    begun = perf_counter()
    market = load_market(real_data(), FIVE, start="2020-02-01")
    assert perf_counter() - begun < LONGEST_SECONDS
    return market


def rows(market, symbol, opens):
    part = select(market, [symbol])
    hour = pd.Timedelta(hours=market.bar_hours).value
    index = np.searchsorted(part.close_ns, [to_ns(o) + hour for o in opens])
    return part, index


def column(market, name):
    return market.bars[:, 0, getattr(layout, name)]


def feature(market, name):
    number = [f.name for f in market.table].index(name)
    return market.features[:, 0, number] * market.table[number].scale


def test_five_symbols_load_complete_and_finite(five):
    assert [names[0] for names in five.symbols] == FIVE
    assert np.isfinite(five.features).all()
    assert np.isfinite(five.bars).all()
    assert (five.bars[..., : layout.MARK_CLOSE + 1] > 0).all()
    assert five.has_volume
    for path in range(5):
        first, last = five.paths[path]
        assert (np.diff(five.close_ns[first:last]) == 3_600_000_000_000).all()


@pytest.mark.parametrize("symbol", FIVE)
def test_the_partial_perp_bars_of_2024_10_28_are_halted_and_marked_to_mark(five, symbol):
    part, index = rows(
        five,
        symbol,
        ["2024-10-28 19:00", "2024-10-28 20:00", "2024-10-28 21:00", "2024-10-28 22:00"],
    )
    assert column(part, "HALTED")[index].tolist() == [0, 1, 1, 0]
    bad = index[1:3]
    assert np.array_equal(column(part, "PERP_CLOSE")[bad], column(part, "MARK_CLOSE")[bad])
    assert not column(part, "PERP_VOLUME")[bad].any()
    basis = feature(part, "basis")
    assert (
        basis[bad] == basis[index[0]]
    ).all()  # the last genuine one; ETH's recorded close lay 99 bp below spot


GAPS = [
    ("2020-02-19 11:00", 6),
    ("2020-03-04 09:00", 2),
    ("2020-12-21 13:00", 5),
    ("2021-04-25 05:00", 3),
    ("2023-03-24 11:00", 3),
]


@pytest.mark.parametrize(("first", "length"), GAPS)
def test_spot_gaps_are_halted_with_the_last_genuine_price(five, first, length):
    opens = pd.date_range(
        pd.Timestamp(first, tz="UTC") - pd.Timedelta("1h"), periods=length + 2, freq="h"
    )
    part, index = rows(five, "BTCUSDT", opens)
    assert column(part, "HALTED")[index].tolist() == [0, *[1] * length, 0]
    spot = column(part, "SPOT_CLOSE")[index]
    assert (spot[:-1] == spot[0]).all()
    assert np.unique(column(part, "PERP_CLOSE")[index]).size == length + 2  # the perpetual went on


def test_the_stale_spot_closes_do_not_reach_the_basis(five):
    """2021-02-11 and 2023-03-24: spot stood still while the perpetual moved, a recorded basis of
    1-3 %.
    """
    for symbol in FIVE:
        for first in ("2021-02-11 02:00", "2023-03-24 11:00"):
            part, index = rows(
                five, symbol, pd.date_range(pd.Timestamp(first, tz="UTC"), periods=3, freq="h")
            )
            basis = feature(part, "basis")
            assert (basis[index] == basis[index[0] - 1]).all()
            assert abs(basis[index[0]]) < 40


def test_the_frozen_mark_of_2020_07_27_is_replaced(five):
    for symbol in ("LTCUSDT", "ADAUSDT", "BTCUSDT"):
        part, index = rows(five, symbol, ["2020-07-27 19:00", "2020-07-27 20:00"])
        assert np.array_equal(column(part, "MARK_CLOSE")[index], column(part, "PERP_CLOSE")[index])
        assert not column(part, "HALTED")[index].any()


def test_settlements_and_estimates_of_btc(five):
    part = select(five, ["BTCUSDT"])
    settled = np.flatnonzero(column(part, "SETTLE_PRICE")[1:]) + 1
    assert set(np.diff(settled)) == {8}
    assert pd.DatetimeIndex(part.close_ns[settled - 1]).hour.isin([0, 8, 16]).all()
    rate = column(part, "SETTLE_RATE")[settled] * 1e4
    assert np.abs(rate).max() == pytest.approx(30.0)  # the cap was hit
    error = np.abs(feature(part, "funding_estimate")[settled - 1] - rate)
    assert np.median(error) < 0.2
    assert (error < 1.0).mean() > 0.9


def test_known_crashes_are_there(five):
    part, index = rows(five, "BTCUSDT", ["2020-03-12 00:00", "2020-03-12 23:00"])
    fall = column(part, "SPOT_CLOSE")[index[1]] / column(part, "SPOT_OPEN")[index[0]] - 1
    assert fall == pytest.approx(-0.39, abs=0.03)
    assert column(part, "MARK_LOW")[index[0] : index[1] + 12].min() < 4_000


def test_symbols_with_4_hour_perps_load_with_hourly_spot():
    market = load_market(real_data(), ["DOTUSDT", "TRXUSDT"])
    assert market.bar_hours == 4.0
    for symbol in ("DOTUSDT", "TRXUSDT"):
        part, index = rows(
            market,
            symbol,
            ["2023-11-10 08:00", "2023-11-10 12:00", "2023-11-10 16:00", "2024-10-28 20:00"],
        )
        assert column(part, "HALTED")[index].tolist() == [0, 1, 0, 1]
        # no mark: the last genuine close
        assert column(part, "PERP_CLOSE")[index[1]] == column(part, "PERP_CLOSE")[index[0]]
    assert any("merged into 4h" in note for note in market.notes)


def test_hourly_symbols_can_be_merged_with_slow_ones():
    market = load_market(
        real_data(), ["BTCUSDT", "DOTUSDT"], bar="8h", start="2021-01-01", end="2022-01-01"
    )
    assert market.bar_hours == 8.0
    assert np.diff(market.paths).ravel().tolist() == [1095, 1095]


def test_open_interest_is_taken_from_another_venue_and_its_hole_is_zero():
    market = load_market(
        real_data(), ["BTCUSDT"], start="2020-07-22", end="2020-08-10", extra={"open_interest": 1e4}
    )
    value = feature(market, "open_interest")
    times = market.times(0)
    assert (value[times < pd.Timestamp("2020-08-04 08:00", tz="UTC")] == 0).all()
    assert value[times == pd.Timestamp("2020-08-04 08:00", tz="UTC")] == pytest.approx(5517.564)
    assert any("open_interest unknown" in note for note in market.notes)
