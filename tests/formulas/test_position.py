"""What help pages compute about one position, against their printed numbers or arithmetic that a
line of comment repeats.
"""

import numpy as np
import pytest

from fundenv.formulas import (
    borrowing,
    contract,
    fees,
    funding,
    liquidation,
    margin,
    position,
)


def test_average_entries_of_bybits_pages():
    assert position.average_entry([0.5, 0.3], [5_000, 6_000]) == pytest.approx(5_375)
    assert position.inverse_average_entry([1_000, 2_000], [5_000, 6_000]) == pytest.approx(5_625)


def test_return_on_margin_of_bybits_page():
    """Long 0.2 BTC at 7,000, 10x, 7,500 now; taker 0.055 %: 100 / (140 + 0.693) = 71.07 %."""
    held = position.bybit_position_margin(1, 0.2, 7_000, 10, 0.00055)
    assert held == pytest.approx(140.693)
    # the page cuts the digits
    assert position.return_on_margin(contract.unrealised(0.2, 7_000, 7_500), held) == pytest.approx(
        0.7107, abs=1e-4
    )


def test_closed_profit_of_bybits_page():
    """Short 0.4 BTC from 6,000 to 5,000: 400 - 1.32 - 1.10 - 2.10."""
    profit = contract.unrealised(-0.4, 6_000, 5_000)
    opened, closed = (
        fees.fee(contract.notional(-0.4, 6_000), 0.00055),
        fees.fee(contract.notional(-0.4, 5_000), 0.00055),
    )
    assert position.closed_profit(profit, opened, closed, -2.10) == pytest.approx(395.48)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("leverage", [2.0, 10.0])
def test_target_and_break_even_prices_do_what_they_say(side, leverage):
    entry, n = 100.0, 50.0 * side
    price = position.target_price(side, entry, leverage, 0.3)
    assert position.return_on_margin(
        contract.unrealised(n, entry, price), 50.0 * entry / leverage
    ) == pytest.approx(0.3)
    price = position.inverse_target_price(side, entry, leverage, 0.3)
    assert position.return_on_margin(
        contract.inverse_unrealised(n, entry, price), 50.0 / entry / leverage
    ) == pytest.approx(0.3)
    price = position.breakeven_price(side, entry, 0.001, 0.002)
    assert contract.unrealised(n, entry, price) == pytest.approx(
        0.001 * 50 * entry + 0.002 * 50 * price
    )
    price = position.inverse_breakeven_price(side, entry, 0.001, 0.002)
    assert contract.inverse_unrealised(n, entry, price) == pytest.approx(
        0.001 * 50 / entry + 0.002 * 50 / price
    )


def test_a_rebate_of_the_whole_value_is_no_fee_rate():
    # the break-even price of a short would be 0 / 0
    with pytest.raises(ValueError, match="above -1, up to 1"):
        position.inverse_breakeven_price(-1, 100.0, -1.0, 1.0)


def test_costs_of_orders():
    # 1 BTC at 10,000, 10x: 1,000 + 6 to open + 5.4 to close at the bankruptcy price 9,000
    assert position.bybit_order_cost(1, 1.0, 10_000, 10, 0.0006) == pytest.approx(1_011.4)
    assert position.bybit_order_cost(-1, 1.0, 10_000, 10, 0.0006) == pytest.approx(1_012.6)
    # 10,000 USD at 10,000: 1 BTC; bankruptcy price 9,090.9: 1.1 BTC
    assert position.bybit_inverse_order_cost(1, 10_000, 10_000, 10, 0.0006) == pytest.approx(
        0.1 + 0.0006 + 0.00066
    )
    assert position.binance_open_loss(1, 2.0, 101.0, 100.0) == 2.0
    assert position.binance_open_loss(-1, 2.0, 101.0, 100.0) == 0.0
    assert position.binance_order_cost(1, 2.0, 101.0, 100.0, 20) == pytest.approx(12.1)
    assert position.largest_position(1_000, 5, 50.0) == 100.0


def test_quanto_and_other_contracts():
    assert position.quanto_unrealised(100, 2_000, 2_100, 1e-6) == pytest.approx(0.01)
    assert position.quanto_notional(-100, 2_000, 1e-6) == pytest.approx(0.2)


def test_margins_of_accounts():
    floors, rates = [0, 50_000, 600_000], [0.004, 0.005, 0.0065]
    amounts = margin.maintenance_amounts(floors, rates)
    for value in (10_000.0, 50_000.0, 700_000.0):
        k = margin.bracket_number(value, floors)
        assert margin.tiered_maintenance(value, floors, rates) == pytest.approx(
            margin.maintenance_margin(value, rates[k], amounts[k])
        )
    assert [
        margin.largest_leverage(value, floors, [125, 100, 75])
        for value in (0.0, 50_000.0, 600_000.0, 600_001.0)
    ] == [
        125,
        125,
        100,
        75,
    ]
    assert margin.hyperliquid_maintenance_rate(40) == pytest.approx(0.0125)
    assert margin.deribit_margin_rates(-100) == pytest.approx((0.025, 0.015))
    assert margin.account_margin_ratio(50.0, 200.0) == 0.25
    assert margin.free_collateral(1_000.0, 400.0) == 600.0


def test_profit_is_margin_but_is_not_paid_out():
    # wallet 100, initial 120, maintenance 10: a profit of 50 frees 30, one of 500 frees 90 and no
    # more, a loss frees nothing
    assert margin.removable_margin(100.0, [50.0, 500.0, -20.0], 120.0, 10.0).tolist() == [
        30.0,
        90.0,
        0.0,
    ]
    assert margin.withdrawable_cross(100.0, 50.0, 120.0, 10.0, 5.0) == 25.0


def test_more_prices():
    # six levels: 100 of quote through 1 at 50 and the rest at 40: 1 + 1.25 coins for 100
    assert funding.impact_price([50.0, 40.0], [1.0, 9.0], 100.0) == pytest.approx(100.0 / 2.25)
    with pytest.raises(ValueError, match="the book holds 410"):
        funding.impact_price([50.0, 40.0], [1.0, 9.0], 1e6)
    assert funding.bitmex_premium_index(101.0, 102.0, 100.5, 100.0, 0.002) == pytest.approx(0.007)
    assert funding.mid_premium(100.0, 102.0, 100.0) == pytest.approx(0.01)
    assert funding.basis_mark_price(100.0, -0.5) == 99.5
    assert funding.median_mark_price(3.0, [1.0, 9.0], 2.0).tolist() == [2.0, 3.0]
    assert funding.kraken_payment(-2.0, 1.5, 4) == 12.0


@pytest.mark.parametrize("side", [1, -1])
def test_more_liquidation_prices_leave_the_maintenance_margin(side):
    n, entry, wallet, rate, fee = 5_000.0, 50_000.0, 0.02, 0.005, 0.0005
    price = liquidation.inverse_entry_margin_price(wallet, side * n, entry, rate)
    assert wallet + contract.inverse_unrealised(side * n, entry, price) == pytest.approx(
        n / entry * rate
    )
    price = liquidation.okx_inverse_price(side, entry, wallet, n / 100, rate, fee, 100.0)
    assert wallet + contract.inverse_unrealised(side * n, entry, price) == pytest.approx(
        n / price * (rate + fee)
    )
    assert (price - entry) * side < 0
    price = borrowing.spot_margin_price(110_000.0, 0.0, 1.0, 1.1)
    assert price == pytest.approx(100_000.0)
    assert borrowing.margin_level(110_000.0, price) == pytest.approx(1.1)
    assert [borrowing.margin_call_state(level) for level in (2.0, 1.3, 1.1)] == [
        "normal",
        "margin call",
        "liquidation",
    ]


def test_who_bears_and_what_it_costs():
    assert liquidation.hyperliquid_backstop(60.0, 100.0)
    assert not liquidation.hyperliquid_backstop(70.0, 100.0)
    assert liquidation.bankruptcy_takeover_loss(-2.0, 110.0, 112.0) == -4.0
    assert liquidation.dydx_liquidation_penalty(10_000.0, 500.0) == pytest.approx(150.0)
    assert liquidation.dydx_liquidation_penalty(10_000.0, 50.0) == pytest.approx(50.0)
    assert fees.discounted_rate(0.0005, 0.1) == pytest.approx(0.00045)
    assert fees.carry_round_trip(1e4, 0.0005, 0.001) == pytest.approx(30.0)
    assert fees.square_root_impact(1e7, 1e10, 0.025) == pytest.approx(5.5e-4, abs=0.05e-4)
    assert fees.fill_price(-1, 100.0, 0.0001, 0.0004) == pytest.approx(99.95)
    assert np.isinf(borrowing.spot_margin_price(1.0, 0.0, 0.0, 1.1))
