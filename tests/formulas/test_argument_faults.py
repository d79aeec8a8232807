"""Arguments that were once read wrongly."""

import datetime as dt
import json
import math

import numba
import numpy as np
import pandas as pd
import pytest

from fundenv.formulas import (
    borrowing,
    collateral,
    contract,
    fees,
    funding,
    liquidation,
    margin,
    position,
)

ROW = 3  # entries of every row
HOURS = pd.date_range("2024-01-01", periods=ROW, freq="8h")
pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="the formulas of the kernel come unchecked then"
)


def test_dydx_functions_do_not_overflow():
    index, size = np.int64(2**62), np.int64(4)
    assert funding.dydx_settlement(index, np.int64(-(2**62)), size) == 2**65
    change = funding.dydx_index_change(np.int64(2**60), 0, 0, np.int64(1000), np.int64(28_800))
    assert change == 2**60 * 1000 * 10**12 // 10**6
    many = funding.dydx_settlement(np.array([0, 1]), np.array([2**62, 2**62]), 8)
    assert many.tolist() == [-(2**65), -(2**65) + 8]
    with pytest.raises(ValueError, match=r"quantums = 1.5: expected a whole number"):
        funding.dydx_settlement(1, 2, 1.5)


def test_a_missing_quote_is_refused():
    with pytest.raises(ValueError, match=r"^premium_index: impact_ask = None: expected a price"):
        funding.premium_index(100.0, None, 100.0)
    assert math.isnan(funding.premium_index(100.0, math.nan, 100.0))


@pytest.mark.parametrize("side", ["short", 0, 2, "1", True])
def test_a_side_is_plus_or_minus_one(side):
    with pytest.raises(ValueError, match=r"side = .*: expected \+1 \(long\) or -1 \(short\)$"):
        contract.bankruptcy_price(side, 100.0, 10.0)
    assert contract.bankruptcy_price(-1, 100, 4) == 125.0


def test_clock_hours_honour_offsets():
    east = dt.timezone(dt.timedelta(hours=5, minutes=30))
    start = dt.datetime(2024, 1, 1, 13, 20, tzinfo=dt.UTC)
    assert borrowing.clock_hours(start, dt.datetime(2024, 1, 1, 19, 45, tzinfo=east)) == 2  # 14:15
    assert borrowing.clock_hours("2024-01-01T13:20+02:00", "2024-01-01T14:15+02:00") == 2
    assert borrowing.clock_hours("2024-01-01T13:20+02:00", "2024-01-01T14:15") == 4
    with pytest.raises(ValueError, match=r"repaid_at = .*expected an instant from borrowed_at on"):
        borrowing.clock_hours(start, dt.datetime(2024, 1, 1, 14, 15, tzinfo=east))


def test_windows_take_rows_of_one_length():
    times = ["2024-01-01T00:00", "2024-01-01T08:00"]
    with pytest.raises(ValueError, match=r"times \(2,\), prices \(1,\), rates \(1,\)"):
        funding.window_payment(1.0, times[0], times[1], times, [100.0], [0.01])
    aware = [t + "+01:00" for t in times]  # an hour earlier: the first settlement is before it
    assert funding.window_payment(
        1.0, times[0], times[1], aware, [100.0, 100.0], [0.01, 0.02]
    ) == pytest.approx(-2.0)


def test_results_come_in_one_order_and_one_form():
    assert margin.deribit_margin_rates(-100)._fields == ("initial", "maintenance")
    assert margin.risk_limit_margins(0.01, 0.005, 201.0) == (0.015, 0.01)
    with pytest.raises(ValueError, match="the order is initial, maintenance"):
        margin.risk_limit_margins(0.005, 0.01, 201.0)
    assert json.dumps(funding.binance_rate(0.0)) == "0.0001"
    assert type(fees.fee(np.float32(2.0), np.array(0.5))) is float
    assert type(margin.bracket_number(5.0, [0.0, 1.0])) is int
    assert type(liquidation.hyperliquid_backstop(1.0, 2.0)) is bool
    assert type(collateral.portfolio_status(2.0)) is str


def test_series_keep_their_index_and_must_share_it():
    size = pd.Series([1.0, -2.0], index=HOURS[:2])
    price = pd.Series([100.0, 110.0], index=HOURS[:2])
    paid = funding.payment(size, price, 0.001)
    assert paid.index.equals(size.index)
    assert paid.tolist() == pytest.approx([-0.1, 0.22])
    with pytest.raises(ValueError, match="size and price are Series with different indices"):
        funding.payment(size, price.set_axis(HOURS[1:]), 0.001)
    with pytest.raises(ValueError, match=r"size \(2,\), price \(3,\): expected shapes"):
        funding.payment([1.0, 2.0], [1.0, 2.0, 3.0], 0.001)


def test_masked_and_missing_entries_are_missing_numbers():
    masked = np.ma.masked_array([1.0, 2.0], mask=[False, True])
    assert np.isnan(contract.notional(masked, 10.0)).tolist() == [False, True]
    missing = pd.Series([1, None], dtype="Int64")
    assert np.isnan(contract.notional(missing, 10.0)).tolist() == [False, True]
    with pytest.raises(ValueError, match=r"price\[1\] = -1.0: expected a price above 0"):
        contract.notional(1.0, [1.0, -1.0])
    with pytest.raises(ValueError, match="expected ascending numbers, the first 0"):
        margin.marginal_margin(1.0, [0.0, 5.0, 3.0], [0.1, 0.2, 0.3])
    with pytest.raises(TypeError, match=r"^average_entry: missing a required argument: 'prices'"):
        position.average_entry([1.0])


def test_compiled_code_gets_the_plain_formula():
    compiled = numba.njit(lambda size: contract.notional(size, 10.0))
    assert compiled(-2.0) == 20.0
