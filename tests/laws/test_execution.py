"""Orders: what is asked, what is filled, at which price, and what it costs.

The account of most tapes: 30,000 quote; carry 0.5, leverage 2 at price 100 asks for 100 units short and 100 units of spot (10,000 quote each),
with a wallet of 5,000 and 15,000 idle.
"""

from __future__ import annotations

import pytest

from tests.laws.play import FLAT, HOLD, make_env, play
from tests.markets import bar, tape

HALF = (0.5, 1.0, 2.0)
FULL = (1.0, 1.0, 2.0)
REVERSE = (-0.5, 1.0, 2.0)


def flat_tape(n: int = 5, price: float = 100.0, symbol: str = "PLAIN", **columns: float):
    return tape(*[bar(price, **columns)] * n, symbols=(symbol,))


def test_sizes_follow_the_formula_of_the_target():
    # E 30,000, carry 0.75, leverage 4, hedge 1.25: perp = -0.75 x 30,000 x 4 / 5 / 100 = -180; spot = 225; wallet 18,000 / 4
    info = play(make_env(flat_tape()), [(0.75, 1.25, 4.0)])[0]
    account = info["account"]
    assert account["perp"][0] == pytest.approx(-180, rel=1e-12)
    assert account["spot"][0] == pytest.approx(225, rel=1e-12)
    assert account["margin"][0] == pytest.approx(4_500, rel=1e-12)
    assert account["cash"] == pytest.approx(30_000 - 22_500 - 4_500, rel=1e-12)
    assert info["equity"] == pytest.approx(30_000, rel=1e-12)


def test_sizes_are_fixed_at_the_last_close_and_filled_at_the_open():
    # decided at 100, opened at 110: still 100 units, at 110
    info = play(make_env(tape(bar(100), bar(110), bar(110))), [HALF])[0]
    assert info["trade"]["requested_perp"][0] == pytest.approx(-100, rel=1e-12)
    assert info["trade"]["filled_spot"][0] == pytest.approx(100, rel=1e-12)
    assert info["prices"]["fill_spot"][0] == info["prices"]["fill_perp"][0] == 110
    assert info["equity"] == pytest.approx(30_000, rel=1e-12)  # the gap came before the trade


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_fees_are_taken_on_both_legs(margin_mode):
    # perp 10,000 x 0.0005 = 5, spot 10,000 x 0.001 = 10, scaled by 2
    info = play(make_env(flat_tape(), margin_mode=margin_mode, perp_fee=0.0005, spot_fee=0.001, fee_scale=2.0), [HALF])[0]
    assert info["parts"]["fees"] == pytest.approx(-30, rel=1e-12)
    assert info["equity"] == pytest.approx(29_970, rel=1e-12)
    # the wallet is filled up to notional / leverage after the fee, so cash bears it
    assert info["account"]["margin"][0] == pytest.approx(5_000, rel=1e-12)
    assert info["account"]["cash"] == pytest.approx(30_000 - 15_000 - 30, rel=1e-12)


def test_half_spread_and_impact_move_the_fill_against_the_agent():
    # COSTLY: half-spread 10 bp and 20 bp; impact 0.5 x 0.04 x sqrt(100 / 1e6) = 2 bp for both legs
    market = flat_tape(symbol="COSTLY", spot_day_volume=1e6, perp_day_volume=1e6)
    opened, closed = play(make_env(market), [HALF, FLAT])
    assert opened["prices"]["fill_perp"][0] == pytest.approx(100 * (1 - 0.0010 - 0.0002), rel=1e-12)
    assert opened["prices"]["fill_spot"][0] == pytest.approx(100 * (1 + 0.0020 + 0.0002), rel=1e-12)
    assert closed["prices"]["fill_perp"][0] == pytest.approx(100 * (1 + 0.0010 + 0.0002), rel=1e-12)
    assert closed["prices"]["fill_spot"][0] == pytest.approx(100 * (1 - 0.0020 - 0.0002), rel=1e-12)
    for info in (opened, closed):
        assert info["parts"]["spread"] == pytest.approx(-(10 + 20), rel=1e-9)
        assert info["parts"]["impact"] == pytest.approx(-(2 + 2), rel=1e-9)
    assert closed["equity"] == closed["account"]["cash"] == pytest.approx(30_000 - 68, rel=1e-12)


def test_cost_scale_scales_spread_and_impact_and_not_fees():
    market = flat_tape(symbol="COSTLY", spot_day_volume=1e6, perp_day_volume=1e6)
    one, three = (play(make_env(market, cost_scale=s, perp_fee=0.0), [HALF])[0]["parts"] for s in (1.0, 3.0))
    assert three["spread"] == pytest.approx(3 * one["spread"], rel=1e-12)
    assert three["impact"] == pytest.approx(3 * one["impact"], rel=1e-12)


def test_no_impact_where_the_day_had_no_volume():
    info = play(make_env(flat_tape(symbol="COSTLY", spot_day_volume=0.0, perp_day_volume=0.0)), [HALF])[0]
    assert info["parts"]["impact"] == 0.0
    assert info["parts"]["spread"] < 0


def test_participation_shrinks_both_legs_by_the_thinner_one():
    # spot volume 500 x 0.1 = 50 units of the 100 asked
    info = play(make_env(flat_tape(spot_volume=500.0, perp_volume=800.0), max_participation=0.1), [HALF])[0]
    assert info["trade"]["requested_perp"][0] == pytest.approx(-100)
    assert info["trade"]["filled_spot"][0] == pytest.approx(50, rel=1e-12)
    assert info["trade"]["filled_perp"][0] == pytest.approx(-50, rel=1e-12)
    assert info["trade"]["reason"][0] == "participation"


def test_zero_participation_is_no_limit():
    info = play(make_env(flat_tape(spot_volume=0.0, perp_volume=0.0), max_participation=0.0), [HALF])[0]
    assert info["trade"]["filled_perp"][0] == pytest.approx(-100, rel=1e-12)


def test_orders_are_cut_to_lots_towards_zero():
    # at 130: 10,000 / 130 = 76.923 units; lots 0.5 and 0.25
    info = play(make_env(flat_tape(price=130.0, symbol="COSTLY"), cost_scale=0.0), [HALF])[0]
    assert info["trade"]["filled_perp"][0] == -76.5
    assert info["trade"]["filled_spot"][0] == 76.75


def test_an_order_below_the_minimum_notional_is_dropped():
    # COSTLY: 1,000 quote for the perpetual, 500 for spot. Carry 0.03125 x 30,000 x 2 / 3 = 625: only spot trades
    info = play(make_env(flat_tape(symbol="COSTLY"), cost_scale=0.0), [(0.03125, 1.0, 2.0)])[0]
    assert info["trade"]["filled_perp"][0] == 0.0
    assert info["trade"]["filled_spot"][0] == 6.25
    assert info["trade"]["reason"][0] == "below lot or minimum notional"


def test_closing_a_leg_exactly_ignores_lot_and_minimum():
    # 6.25 units of spot (625 quote) at 100 are worth 375 at 60, below the minimum of 500, and are sold all the same
    market = tape(bar(100), bar(100, 60), bar(60), bar(60), symbols=("COSTLY",))
    info = play(make_env(market, cost_scale=0.0), [(0.03125, 1.0, 2.0), FLAT])[1]
    assert info["trade"]["filled_spot"][0] == -6.25
    assert info["account"]["spot"][0] == 0.0


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@pytest.mark.parametrize("hedge", [0.75, 1.0, 1.25])
def test_short_funds_shrink_both_legs_and_keep_the_hedge_ratio(hedge, margin_mode):
    # carry 1 at leverage 2 needs all 30,000, the fees come on top: both legs shrink until free cash is 0
    info = play(make_env(flat_tape(), margin_mode=margin_mode, perp_fee=0.005, spot_fee=0.01), [(1.0, hedge, 2.0)])[0]
    perp, spot = info["trade"]["filled_perp"][0], info["trade"]["filled_spot"][0]
    assert spot == pytest.approx(-hedge * perp, rel=1e-9)
    needed = 200 * 100 * (0.5 + 0.005 + hedge * 1.01)
    k = min(1.0, 30_000 / needed)
    assert (k < 1) == (hedge >= 1)
    assert perp == pytest.approx(-200 * k, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(30_000 - needed * k, abs=1e-6)
    assert info["trade"]["reason"][0] == ("not enough funds" if k < 1 else "none")


def test_each_of_two_assets_sizes_with_half_of_the_equity():
    # carry 0.5 and -0.25, leverage 2: 0.5 x 15,000 x 2 / 3 / 100 = 50 units and 25 units
    row = [bar(100), bar(100)]
    info = play(make_env(tape(row, row, row, symbols=("PLAIN", "OTHER"))), [[HALF, (-0.25, 1.0, 2.0)]])[0]
    assert info["account"]["perp"] == pytest.approx([-50, 25], rel=1e-12)
    assert info["account"]["spot"] == pytest.approx([50, -25], rel=1e-12)
    assert info["account"]["margin"] == pytest.approx([2_500, 1_250], rel=1e-12)


def test_two_assets_share_one_purse():
    # each asks for 100 units; fees of 1 % and 0.5 % exceed the purse; both shrink by the same factor
    row = [bar(100), bar(100)]
    info = play(make_env(tape(row, row, row, symbols=("PLAIN", "OTHER")), perp_fee=0.005, spot_fee=0.01), [[FULL, FULL]])[0]
    k = 30_000 / (20_000 * 1.515)
    assert info["trade"]["filled_perp"] == pytest.approx([-100 * k] * 2, rel=1e-9)
    assert info["trade"]["filled_spot"] == pytest.approx([100 * k] * 2, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-6)


def test_an_order_that_frees_cash_is_never_shrunk_for_lack_of_it():
    # a payment of 2 % leaves cash 0 and the wallet short; selling out must still work whole
    market = tape(bar(100), bar(100), bar(110, settle_rate=-0.02, settle_price=110.0), bar(110))
    info = play(make_env(market, perp_fee=0.005, spot_fee=0.01), [FULL, FLAT])[1]
    assert info["account"]["spot"][0] == info["account"]["perp"][0] == 0.0
    assert info["equity"] == info["account"]["cash"]


def test_a_small_change_inside_the_band_is_not_traded():
    # band 2 % of 30,000 = 600 quote. Carry 0.5 -> 0.515625: 312 quote, no trade; -> 0.53125: 625, trade; the transfer happens anyway
    inside, outside = (0.515625, 1.0, 2.0), (0.53125, 1.0, 2.0)
    for move, traded in ((inside, False), (outside, True)):
        info = play(make_env(flat_tape(), rebalance_band=0.02), [HALF, move])[1]
        assert (info["trade"]["filled_perp"][0] != 0) == traded
        assert info["trade"]["reason"][0] == ("none" if traded else "inside the band")
    less_leverage = play(make_env(flat_tape(), rebalance_band=0.02), [HALF, (0.515625, 1.0, 1.9375)])[1]
    assert less_leverage["trade"]["filled_perp"][0] == 0
    assert less_leverage["account"]["margin"][0] == pytest.approx(10_000 / 1.9375, rel=1e-12)


def test_a_band_does_not_keep_the_agent_in_the_market():
    # band 15,000. 20,000 quote are bought, fall to 12,000 at 60: a change by less than the band is not traded, going flat is
    market = tape(bar(100), bar(100, 60), *[bar(60)] * 4)
    _, smaller, flat, small = play(make_env(market, rebalance_band=0.5), [FULL, HALF, FLAT, HALF])
    assert smaller["trade"]["filled_perp"][0] == 0
    assert flat["account"]["perp"][0] == flat["account"]["spot"][0] == 0
    assert small["trade"]["filled_perp"][0] == 0  # 10,000 <= 15,000


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_hold_trades_and_transfers_nothing(margin_mode):
    market = tape(bar(100), bar(100), bar(100, 130), bar(130, 90), bar(90, 140), bar(140))
    env = make_env(market, margin_mode=margin_mode, perp_fee=0.005, spot_fee=0.01)
    first, *rest = play(env, [HALF] + [HOLD] * 4)
    for info in rest:
        assert info["trade"]["filled_perp"][0] == info["trade"]["filled_spot"][0] == info["parts"]["fees"] == 0
        assert info["trade"]["reason"][0] == "hold"
        assert info["prices"]["fill_perp"][0] == info["prices"]["fill_spot"][0] == 0.0
        assert info["account"] == first["account"]


def test_nothing_fills_while_a_bar_is_halted():
    market = tape(bar(100), bar(100), bar(100, halted=1.0), bar(100), bar(100))
    opened, halted, after = play(make_env(market), [HALF, FLAT, FLAT])
    assert halted["trade"]["filled_perp"][0] == halted["trade"]["filled_spot"][0] == 0
    assert halted["trade"]["reason"][0] == "halted"
    assert halted["account"]["perp"][0] == opened["account"]["perp"][0]
    assert after["account"]["perp"][0] == 0


def test_without_base_borrow_a_reverse_carry_becomes_flat():
    allowed = play(make_env(flat_tape()), [REVERSE])[0]
    assert allowed["account"]["spot"][0] == pytest.approx(-100)
    assert allowed["account"]["cash"] == pytest.approx(30_000 + 10_000 - 5_000)
    opened, refused = play(make_env(flat_tape(), allow_short_spot=False), [HALF, REVERSE])
    assert opened["account"]["spot"][0] == pytest.approx(100)
    assert refused["account"]["spot"][0] == refused["account"]["perp"][0] == 0
    assert refused["trade"]["reason"][0] == "no borrow"


def test_without_base_borrow_an_unhedged_long_is_allowed():
    info = play(make_env(flat_tape(), allow_short_spot=False), [(-0.5, 0.0, 2.0)])[0]
    assert info["account"]["perp"][0] == pytest.approx(100)


def test_interest_is_charged_and_earned_by_the_hour():
    # reverse carry: cash 35,000, locked 10,000, free 25,000. cash_rate 0.0876 = 1e-5 an hour; base borrow 0.1752 = 2e-5 an hour on 10,000
    info = play(make_env(flat_tape(), cash_rate=0.0876, base_borrow_rate=0.1752), [REVERSE])[0]
    assert info["parts"]["cash_interest"] == pytest.approx(0.25, rel=1e-9)
    assert info["parts"]["borrow_interest"] == pytest.approx(-0.20, rel=1e-9)
    idle = play(make_env(flat_tape(), cash_rate=0.0876), [FLAT])[0]
    assert idle["parts"]["cash_interest"] == pytest.approx(0.30, rel=1e-9)
    assert idle["reward"] == pytest.approx(0.0, abs=1e-6)  # idle cash earns exactly what the reward subtracts, up to 1e-10


def test_a_negative_purse_pays_the_quote_rate():
    # asset 0: 75 units short, unhedged, wallet 7,500; asset 1: 100 short, 150 of spot, wallet 5,000; cash 30,000 - 27,500 = 2,500.
    # Asset 0 is closed at 300 while the mark stays at 100 (no liquidation): its wallet is 7,500 - 15,000, and emptied into cash: -5,000.
    # 0.0876 a year = 1e-5 an hour
    rows = [[bar(100), bar(100)]] * 2 + [[bar(100, perp_open=300.0), bar(100)]] * 2
    env = make_env(tape(*rows, symbols=("PLAIN", "OTHER")), quote_borrow_rate=0.0876, cash_rate=0.5)
    info = play(env, [[(1.0, 0.0, 1.0), (1.0, 1.5, 2.0)], [FLAT, HOLD]])[1]
    assert info["account"]["cash"] == pytest.approx(
        -5_000.05 + 2_500 * 0.5 / 8760, rel=1e-9
    )  # interest of the first bar was earned on 2,500
    assert info["parts"]["borrow_interest"] == pytest.approx(-0.05, rel=1e-4)
    assert info["parts"]["cash_interest"] == 0.0


def test_leverage_alone_moves_money_between_the_wallets():
    opened, moved = play(make_env(flat_tape()), [HALF, (0.5, 1.0, 2.0)])
    assert moved["account"]["margin"][0] == opened["account"]["margin"][0]
    # leverage 2 -> 1: notional 0.75 x 30,000 x 1/2 = 11,250 ... carry 0.66666 keeps the size; here the size may change, the wallet is N / L
    changed = play(make_env(flat_tape()), [HALF, (0.5, 1.0, 1.0)])[1]["account"]
    assert changed["margin"][0] == pytest.approx(-changed["perp"][0] * 100, rel=1e-12)


def test_adding_averages_the_entry_and_closing_a_part_keeps_it():
    # 100 units at 100; at 120 (equity still 30,000) carry 0.75: 15,000 / 120 = 125 units: 25 more at 120: entry (10,000 + 3,000) / 125 = 104
    market = tape(bar(100), bar(100, 120), bar(120), bar(120), bar(120))
    _, more, less, other = play(make_env(market), [HALF, (0.75, 1.0, 2.0), (0.25, 1.0, 2.0), (-0.25, 1.0, 2.0)])
    assert more["account"]["perp"][0] == pytest.approx(-125, rel=1e-12)
    assert more["account"]["entry"][0] == pytest.approx(104, rel=1e-12)
    assert less["account"]["entry"][0] == pytest.approx(104, rel=1e-12)
    assert other["account"]["perp"][0] == pytest.approx(125 / 3, rel=1e-12)
    assert other["account"]["entry"][0] == pytest.approx(120, rel=1e-12)  # crossed zero: a new position
    assert other["equity"] == pytest.approx(30_000, rel=1e-12)


def test_no_sale_gets_a_negative_price():
    # cost_scale 100: half-spread 10 % and 20 %; impact 100 x 0.5 x 0.04 x sqrt(100 / 100) = 200 %, so spread and impact are 100 % together.
    # Entry without impact: spot at 120, perp at 90, wallet 5,000 + 1,000, cash 30,000 - 12,000 - 6,000. The spot leg is given away; the
    # perp is bought back at 200: 6,000 - 100 x 110 = -5,000
    day = {"spot_day_volume": 100.0, "perp_day_volume": 100.0}
    market = tape(bar(100), bar(100, sigma_day=0.0), bar(100, **day), bar(100), symbols=("COSTLY",))
    opened, closed = play(make_env(market, cost_scale=100.0), [HALF, FLAT])
    assert opened["account"]["cash"] == pytest.approx(12_000, rel=1e-12)
    assert closed["prices"]["fill_spot"][0] == pytest.approx(0.0, abs=1e-12)
    assert closed["prices"]["fill_perp"][0] == pytest.approx(200.0, rel=1e-12)
    assert closed["parts"]["spread"] == pytest.approx(-(1_000 + 2_000), rel=1e-12)
    assert closed["parts"]["impact"] == pytest.approx(-(9_000 + 8_000), rel=1e-12)
    assert closed["equity"] == closed["account"]["cash"] == pytest.approx(7_000, rel=1e-12)


def test_a_half_spread_is_at_most_the_price():
    # stress 10 x cost_scale 100 x 20 bp = 200 %: the spot leg of a liquidated short goes for nothing, and not for -100 %
    row = {"sigma_day": 0.0}
    market = tape(bar(100, **row), bar(100, **row), bar(100, 150, **row), bar(150, **row), bar(150, **row), symbols=("COSTLY",))
    _, hit, sold = play(make_env(market, cost_scale=100.0, stress_multiplier=10.0), [HALF, HOLD, HOLD])
    assert list(hit["liquidated"]) == [1]
    assert sold["prices"]["fill_spot"][0] == pytest.approx(0.0, abs=1e-12)
    assert sold["parts"]["spread"] == pytest.approx(-100 * 150, rel=1e-12)
    assert sold["equity"] == pytest.approx(hit["account"]["cash"], rel=1e-12)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@pytest.mark.parametrize("swapped", [False, True])
def test_an_asset_that_releases_cash_is_filled_whole_while_another_shrinks(swapped, margin_mode):
    # A: 100 short, 100 spot, wallet 5,000, cash 15,000. Then A halves: + 5,000 + 2,500. B wants 75 short at leverage 1 and 112.5 of spot and
    # opens at 200: 22,500 + 15,000 of the 22,500 there are: 0.6 of it
    def order(a, b):
        return [b, a] if swapped else [a, b]

    rows = [[bar(100), bar(100)]] * 2 + [order(bar(100), bar(200))] * 2
    moves = [order(FULL, FLAT), order(HALF, (1.0, 1.5, 1.0))]
    info = play(make_env(tape(*rows, symbols=("PLAIN", "OTHER")), margin_mode=margin_mode), moves)[1]
    account, trade = info["account"], info["trade"]
    assert order(*trade["reason"]) == ["none", "not enough funds"]
    assert order(*account["perp"]) == pytest.approx([-50, -45], rel=1e-9)
    assert order(*account["spot"]) == pytest.approx([50, 67.5], rel=1e-9)
    assert account["cash"] == pytest.approx(0.0, abs=1e-6)
    assert account["margin"].sum() == pytest.approx(2_500 + 9_000, rel=1e-9)


def test_shrunk_orders_pass_the_minimum_notional_again():
    # 200 units asked at 100; the bar opens at 3,000: 900,000 are needed, k = 1/30: 6.67, in lots 6.5 units: 650 at the last close.
    # That is below 1,000 for the perpetual and above 500 for spot
    market = tape(bar(100), bar(3000), bar(3000), symbols=("COSTLY",))
    info = play(make_env(market, cost_scale=0.0), [FULL])[0]
    assert info["trade"]["filled_perp"][0] == 0.0
    assert info["trade"]["filled_spot"][0] == 6.5
    assert info["trade"]["reason"][0] == "not enough funds"


def test_a_billionth_of_the_cash_trades_nothing():
    # hedge 1.5 takes 30,000 for three quarters of the target, 150 and 225 units; a settlement pays 1e-7, and the rest would cost 10,000: k = 1e-11
    market = tape(bar(100), bar(100), bar(100, settle_rate=1e-7 / 15_000, settle_price=100.0), bar(100))
    opened, more = play(make_env(market), [(1.0, 1.5, 2.0)] * 2)
    assert opened["account"]["spot"][0] == pytest.approx(225, rel=1e-12)
    assert opened["account"]["cash"] == pytest.approx(0.0, abs=1e-10)
    assert 0.99e-7 < more["account"]["cash"] <= 1.01e-7
    assert more["trade"]["filled_spot"][0] == more["trade"]["filled_perp"][0] == 0.0
    assert more["trade"]["reason"][0] == "not enough funds"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_wallet_that_releases_pays_for_one_that_needs(swapped):
    # both 100 short with wallets of 5,000, no cash; sizes stay (band 3,000). Leverage 2 -> 1 needs 5,000 more, 2 -> 4 releases 2,500
    def order(a, b):
        return [b, a] if swapped else [a, b]

    row = [bar(100), bar(100)]
    env = make_env(tape(row, row, row, row, symbols=("PLAIN", "OTHER")), rebalance_band=0.1)
    info = play(env, [[FULL, FULL], order((1.0, 1.0, 1.0), (1.0, 1.0, 4.0))])[1]
    assert info["trade"]["reason"] == ("inside the band",) * 2
    assert order(*info["account"]["margin"]) == pytest.approx([7_500, 2_500], rel=1e-12)
    assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-9)


def test_an_overdrawn_wallet_is_emptied_before_another_is_topped_up():
    # A: 100 short, 150 of spot, wallet 5,000, wants leverage 1: 5,000 more. B: 75 short unhedged, wallet 7,500, leaves at 300: -7,500.
    # Cash 2,500. Mirrored assets must get mirrored wallets: the debt first, so that none is left for A
    def order(a, b):
        return [b, a] if swapped else [a, b]

    for swapped in (False, True):
        rows = [[bar(100), bar(100)]] * 2 + [order(bar(100), bar(100, perp_open=300.0))] * 2
        env = make_env(tape(*rows, symbols=("PLAIN", "OTHER")), rebalance_band=0.2)
        info = play(env, [order((1.0, 1.5, 2.0), (1.0, 0.0, 1.0)), order((1.0, 1.5, 1.0), FLAT)])[1]
        assert order(*info["account"]["margin"]) == pytest.approx([5_000, 0], rel=1e-12), swapped
        assert info["account"]["cash"] == pytest.approx(-5_000, rel=1e-12)
