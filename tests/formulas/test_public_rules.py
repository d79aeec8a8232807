"""The public rules beyond the published cases: numbers from the texts, agreement among the
formulas, numbers and arrays alike.
"""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundenv.formulas import borrowing, contract, funding, liquidation, margin
from fundenv.formulas.collateral import spot_collateral

prices = st.floats(0.01, 1e5)
sides = st.sampled_from([1, -1])


def test_dead_zone_of_the_common_formula_and_of_deribit():
    premia = np.array([-0.0004, 0.0, 0.0006])
    assert funding.clamped_rate(premia) == pytest.approx(0.0001, abs=1e-15)
    assert funding.deribit_rate(100.02, 100.0) == 0.0  # zero, not 0.01 %
    assert funding.deribit_rate([100.05, 99.95], 100.0) == pytest.approx(
        [0.00025, -0.00025], abs=1e-12
    )
    assert funding.deribit_rate(110.0, 100.0, band=0.0005, cap=0.005) == 0.005


def test_articles_formula_against_the_venues_on_their_own_example():
    # spot 65,000, perpetual 64,500, mean rate 0.01 %: -0.05 % by the articles' formula, -0.719 % by
    # the venues', -0.30 % after Binance's floor
    assert funding.trailing_average_rate(64_500, 65_000, 0.0001) == -0.0005
    assert funding.binance_rate(64_500 / 65_000 - 1) == pytest.approx(-0.00719, abs=5e-6)
    assert funding.binance_rate(64_500 / 65_000 - 1, cap=0.003) == -0.003


@pytest.mark.parametrize(
    ("hours", "binance", "okx"), [(8, 0.0015, 0.0015), (4, 0.00075, 0.0015), (1, 0.0001875, 0.0015)]
)
def test_binance_divides_the_whole_rate_by_the_interval_okx_and_bybit_only_the_interest(
    hours, binance, okx
):
    assert funding.binance_rate(0.002, hours=hours) == pytest.approx(binance, abs=1e-15)
    assert funding.binance_rate(0.002, hours=hours, scaled=False) == pytest.approx(
        0.0015, abs=1e-15
    )
    assert funding.okx_rate(0.002, hours=hours) == pytest.approx(okx, abs=1e-15)
    assert funding.bybit_rate(0.0, hours=hours) == pytest.approx(0.0003 * hours / 24, abs=1e-15)


def test_okx_until_2025_has_no_interest_and_no_dead_zone():
    premia = [0.0, 0.0003, 0.01, -0.01]
    assert funding.okx_rate_until_2025(premia, cap=0.00375) == pytest.approx(
        [0.0, 0.0003, 0.00375, -0.00375]
    )


def test_bitmex_limits_the_level_then_the_change():
    cap, change = funding.bitmex_cap(0.01, 0.005), funding.bitmex_change_cap(0.005)
    assert (cap, change) == (0.00375, 0.00375)
    assert funding.bitmex_rate(0.02, cap=cap) == 0.00375
    assert funding.bitmex_rate(
        0.02, cap=cap, previous_rate=-0.002, change_cap=change
    ) == pytest.approx(0.00175, abs=1e-15)
    assert funding.bitmex_rate(
        -0.02, cap=cap, previous_rate=0.002, change_cap=change
    ) == pytest.approx(-0.00175, abs=1e-15)


def test_dydx_rate_is_hourly_and_capped_at_an_eighth():
    assert funding.dydx_cap(0.05, 0.03) == pytest.approx(0.12)
    assert funding.dydx_rate([0.008, 1.0], interest=0.0000125, cap_8h=0.12) == pytest.approx(
        [0.0010125, 0.015]
    )


def test_annual_rates_of_the_texts():
    assert funding.annual_simple(0.0001) == pytest.approx(0.1095)
    assert funding.annual_compounded(0.0001) == pytest.approx(0.1157, abs=5e-5)
    assert funding.annual_simple(0.0005) == pytest.approx(0.5475)
    # an article says 130 %
    assert funding.annual_compounded(0.0005) == pytest.approx(0.729, abs=5e-4)
    assert funding.annual_compounded(0.0001 / 8, hours=1) == pytest.approx(0.116, abs=5e-4)


def test_weights_of_the_premium_average():
    assert funding.average_premium([0.0, 3.0, 6.0]) == pytest.approx((2 * 3 + 3 * 6) / 6)
    assert funding.average_premium([[0.0, 3.0, 6.0]] * 2, "equal") == pytest.approx([3.0, 3.0])
    running = funding.running_premium([1.0, 4.0, 2.0, 8.0], interval=[0, 0, 1, 1])
    assert running == pytest.approx([1.0, 3.0, 2.0, 6.0])
    assert running[1] == funding.average_premium([1.0, 4.0])
    with pytest.raises(ValueError, match="not one of linear, equal"):
        funding.average_premium([1.0], "square")


def test_binance_mark_is_the_median():
    assert funding.binance_mark_price(100.0, 0.001, 14_400, 28_800, 0.2, 99.0) == pytest.approx(
        100.05
    )
    assert funding.binance_mark_price(100.0, 0.001, 14_400, 28_800, 0.2, 101.0) == pytest.approx(
        100.2
    )


def test_deribit_accrues_in_coin():
    # 8 h at 0.1 % on 10,000 USD at 50,000: 0.0002 BTC paid by a long; a quarter of it in 2 h
    assert funding.deribit_payment(10_000, 0.001, 50_000, 28_800) == pytest.approx(-0.0002)
    assert funding.deribit_payment(-10_000, 0.001, 50_000, 7_200) == pytest.approx(0.00005)


@given(sides, prices, st.floats(1.1, 50), st.floats(0.001, 0.02))
def test_linear_prices_leave_exactly_the_maintenance_margin(side, entry, leverage, rate):
    """Own derivation for each venue: what is left at the price equals what the venue asks for
    there.
    """
    if 1 / leverage <= rate * 1.5:
        return
    wallet = entry / leverage
    at = liquidation.binance_price(wallet, side, entry, rate)
    assert wallet + side * (at - entry) == pytest.approx(at * rate, rel=1e-9)
    at = liquidation.okx_price(side, entry, wallet, 1.0, rate, 0.0005)
    assert wallet + side * (at - entry) == pytest.approx(at * (rate + 0.0005), rel=1e-9)
    at = liquidation.bybit_price(side, entry, leverage, rate)
    assert wallet + side * (at - entry) == pytest.approx(entry * rate, rel=1e-9)
    at = liquidation.hyperliquid_price(side, entry, wallet - entry * rate, 1.0, 1 / (2 * rate))
    assert wallet + side * (at - entry) == pytest.approx(at * rate, rel=1e-9)
    assert at == pytest.approx(liquidation.dydx_price(wallet, side, entry, rate), rel=1e-9)
    at = contract.bankruptcy_price(side, entry, leverage)
    assert wallet + side * (at - entry) == pytest.approx(0.0, abs=1e-9 * entry)


@given(sides, prices, st.floats(1.1, 50), st.floats(0.001, 0.02), st.floats(1, 1e6))
def test_inverse_prices_leave_exactly_the_maintenance_margin(
    side, entry, leverage, rate, contracts
):
    if 1 / leverage <= rate * 1.5 or (side < 0 and leverage < 1.2):
        return
    wallet, size = contracts / entry / leverage, side * contracts
    at = liquidation.binance_coinm_price(wallet, size, entry, rate, face=1.0)
    assert wallet + contract.inverse_unrealised(size, entry, at) == pytest.approx(
        contracts / at * rate, rel=1e-9
    )
    at = liquidation.bybit_inverse_price(side, contracts, entry, leverage, rate)
    assert wallet + contract.inverse_unrealised(size, entry, at) == pytest.approx(
        contracts / entry * rate, rel=1e-7
    )
    at = contract.inverse_bankruptcy_price(side, entry, leverage)
    assert wallet + contract.inverse_unrealised(size, entry, at) == pytest.approx(
        0.0, abs=1e-9 * wallet
    )
    assert at == pytest.approx(
        contract.inverse_wallet_bankruptcy_price(wallet, size, entry), rel=1e-9
    )


def test_a_coin_margined_short_at_leverage_one_has_no_liquidation_price():
    wallet = 10_000 / 50_000
    assert (
        not 0 < liquidation.binance_coinm_price(wallet, -10_000, 50_000, 0.004, face=1.0) < np.inf
    )
    assert contract.inverse_bankruptcy_price(-1, 50_000, 1) == np.inf
    # at leverage 2 there is one
    assert (
        50_000
        < liquidation.binance_coinm_price(wallet / 2, -10_000, 50_000, 0.004, face=1.0)
        < 100_000
    )
    for mark in (1e4, 5e4, 1e6):  # wallet + profit is worth 10,000 USD at every price
        assert (
            wallet + contract.inverse_unrealised(-10_000, 50_000, mark)
        ) * mark == pytest.approx(10_000)


def test_hedge_mode_with_one_leg_is_one_way_mode():
    one_way = liquidation.binance_price(500.0, -2.0, 1000.0, 0.01, 3.0, 20.0, 5.0)
    assert liquidation.binance_hedge_price(
        500.0, 0, 0, 0, 0, 0, 0, 0, 0, 2.0, 1000.0, 0.01, 3.0, 20.0, 5.0
    ) == pytest.approx(one_way)
    assert (
        liquidation.binance_hedge_price(
            500.0, -2.0, 1000.0, 0.01, 3.0, 0, 0, 0, 0, 0, 0, 0, 0, 20.0, 5.0
        )
        == one_way
    )


@given(st.floats(0, 1e6))
def test_marginal_margin_is_rate_less_amount(value):
    floors, rates = [0.0, 5e4, 2e5, 6e5], [0.004, 0.005, 0.01, 0.025]
    amounts = margin.maintenance_amounts(floors, rates)
    k = int(np.searchsorted(floors, value, side="right")) - 1
    assert margin.marginal_margin(value, floors, rates) == pytest.approx(
        margin.maintenance_margin(value, rates[k], amounts[k]), abs=1e-6
    )


def test_risk_limits_step_up_only_above_the_base_limit():
    assert margin.risk_limit_margins(0.01, 0.005, 200.0) == (0.01, 0.005)
    assert margin.risk_limit_margins(0.01, 0.005, 201.0) == (0.015, 0.01)
    assert margin.risk_limit_margins(0.01, 0.004, 450.0) == pytest.approx((0.022, 0.016))


def test_portfolio_equity_cuts_assets_but_not_debts():
    assert margin.adjusted_equity(
        [3.0, -1000.0, 2.0], [20_000.0, 1.0, 1500.0], [0.95, 1.0, 0.9]
    ) == pytest.approx(57_000 - 1000 + 2700)
    assert margin.adjusted_equity([-1.0], [100.0], [0.9]) == -100.0
    assert spot_collateral([2.0, -2.0], 100.0, 0.95) == pytest.approx([190.0, -200.0])
    assert [margin.portfolio_status(x) for x in (2.0, 1.5, 1.2, 1.05, 1.0)] == [
        "normal",
        "warning",
        "reduce only",
        "reduce only",
        "liquidation",
    ]
    assert margin.uni_mmr(1050.0, 1000.0) == 1.05
    # nothing above the last bound
    assert margin.tiered_collateral_value(3e8, [(1e8, 1.0), (2e8, 0.5)]) == 1.5e8


def test_partial_liquidations():
    assert liquidation.tier_reduction(15_000, [2_000, 10_000, 30_000]) == 13_000
    assert liquidation.tier_reduction(9_000, [2_000, 10_000, 30_000]) == 9_000
    assert liquidation.hyperliquid_first_order(3.0, 50_000.0) == pytest.approx(0.6)
    assert liquidation.hyperliquid_first_order(1.0, 50_000.0) == 1.0
    assert (liquidation.insurance_loss(-5.0), liquidation.insurance_loss(5.0)) == (5.0, 0.0)


def test_deleveraging_ranks():
    assert liquidation.binance_adl_rank(0.5, 10.0, 100.0, 100.0) == pytest.approx(0.025)
    assert liquidation.binance_adl_rank(0.5, 10.0, 100.0, -200.0) == 0.0
    assert liquidation.bitmex_adl_rank(0.2, 10.0) == 2.0
    assert liquidation.bitmex_adl_rank(-0.2, 10.0) == pytest.approx(-0.02)
    assert liquidation.hyperliquid_adl_rank(110.0, 100.0, 5_000.0, 1_000.0) == pytest.approx(5.5)


def test_dydx_fills_worse_the_closer_to_bankruptcy():
    assert liquidation.dydx_fillable_price(1, 100.0, 10.0, 10.0, 0.03) == 100.0
    assert liquidation.dydx_fillable_price(1, 100.0, 0.0, 10.0, 0.03) == pytest.approx(95.5)
    assert liquidation.dydx_fillable_price(-1, 100.0, -50.0, 10.0, 0.03) == pytest.approx(104.5)


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [("13:20", "14:15", 2), ("13:00", "14:00", 1), ("13:59", "14:00", 1), ("13:00", "13:00", 1)],
)
def test_clock_hours(start, end, hours):
    assert (
        borrowing.clock_hours(*(dt.datetime.strptime(text, "%H:%M") for text in (start, end)))
        == hours
    )


def test_kraken_charges_the_opening_and_every_started_four_hours():
    charged = borrowing.kraken_interest(1000.0, 0.0002, [0.0, 0.5, 4.0, 4.5])
    assert charged == pytest.approx([0.2, 0.4, 0.4, 0.6])


def test_margin_level():
    assert borrowing.margin_level(300.0, 200.0) == 1.5
    assert borrowing.margin_level(300.0, 0.0) == np.inf
