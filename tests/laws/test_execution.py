"""Orders: what is asked, what is filled, at which price, and what it costs.

The account of most tapes: 30,000 quote; carry 0.5, leverage 2 at price 100 asks for 100 units short
and 100 units of spot (10,000 quote each), with a wallet of 5,000 and 15,000 idle.
"""

from __future__ import annotations

import pytest

from tests.laws.play import FLAT, HOLD, make_env, play, rally
from tests.markets import bar, tape

HALF = (0.5, 1.0, 2.0)
FULL = (1.0, 1.0, 2.0)
REVERSE = (-0.5, 1.0, 2.0)


def flat_tape(n: int = 5, price: float = 100.0, symbol: str = "PLAIN", **columns: float):
    return tape(*[bar(price, **columns)] * n, symbols=(symbol,))


def test_sizes_follow_the_formula_of_the_target():
    # E 30,000, carry 0.75, leverage 4, hedge 1.25: perp = -0.75 x 30,000 x 4 / 5 / 100 = -180; spot
    # = 225; wallet 18,000 / 4
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
    info = play(
        make_env(
            flat_tape(), margin_mode=margin_mode, perp_fee=0.0005, spot_fee=0.001, fee_scale=2.0
        ),
        [HALF],
    )[0]
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
    one, three = (
        play(make_env(market, cost_scale=s, perp_fee=0.0), [HALF])[0]["parts"] for s in (1.0, 3.0)
    )
    assert three["spread"] == pytest.approx(3 * one["spread"], rel=1e-12)
    assert three["impact"] == pytest.approx(3 * one["impact"], rel=1e-12)


def test_no_impact_where_the_day_had_no_volume():
    info = play(
        make_env(flat_tape(symbol="COSTLY", spot_day_volume=0.0, perp_day_volume=0.0)), [HALF]
    )[0]
    assert info["parts"]["impact"] == 0.0
    assert info["parts"]["spread"] < 0


def test_participation_shrinks_both_legs_by_the_thinner_one():
    # spot volume 500 x 0.1 = 50 units of the 100 asked
    info = play(
        make_env(flat_tape(spot_volume=500.0, perp_volume=800.0), max_participation=0.1), [HALF]
    )[0]
    assert info["trade"]["requested_perp"][0] == pytest.approx(-100)
    assert info["trade"]["filled_spot"][0] == pytest.approx(50, rel=1e-12)
    assert info["trade"]["filled_perp"][0] == pytest.approx(-50, rel=1e-12)
    assert info["trade"]["reason"][0] == "participation"


def test_zero_participation_is_no_limit():
    info = play(
        make_env(flat_tape(spot_volume=0.0, perp_volume=0.0), max_participation=0.0), [HALF]
    )[0]
    assert info["trade"]["filled_perp"][0] == pytest.approx(-100, rel=1e-12)


def test_orders_are_cut_to_lots_towards_zero():
    # at 130: 10,000 / 130 = 76.923 units; lots 0.5 and 0.25
    info = play(make_env(flat_tape(price=130.0, symbol="COSTLY"), cost_scale=0.0), [HALF])[0]
    assert info["trade"]["filled_perp"][0] == -76.5
    assert info["trade"]["filled_spot"][0] == 76.75


def test_an_order_below_the_minimum_notional_is_dropped():
    # COSTLY: 1,000 quote for the perpetual, 500 for spot. Carry 0.03125 x 30,000 x 2 / 3 = 625:
    # the spot alone would be naked (spec 7.12)
    info = play(make_env(flat_tape(symbol="COSTLY"), cost_scale=0.0), [(0.03125, 1.0, 2.0)])[0]
    assert info["trade"]["filled_perp"][0] == 0.0
    assert info["trade"]["filled_spot"][0] == 0.0
    assert info["trade"]["reason"][0] == "below lot or minimum notional"


def test_closing_a_leg_exactly_ignores_lot_and_minimum():
    # 12.5 units of the perpetual, half hedged: 6.25 units of spot at 100 are worth 375 at 60, below
    # the minimum of 500, and are sold all the same
    market = tape(bar(100), bar(100, 60), bar(60), bar(60), symbols=("COSTLY",))
    info = play(make_env(market, cost_scale=0.0), [(0.0625, 0.5, 2.0), FLAT])[1]
    assert info["trade"]["filled_spot"][0] == -6.25
    assert info["account"]["spot"][0] == 0.0


def test_each_of_two_assets_sizes_with_half_of_the_equity():
    # carry 0.5 and -0.25, leverage 2: 0.5 x 15,000 x 2 / 3 / 100 = 50 units and 25 units
    row = [bar(100), bar(100)]
    info = play(
        make_env(tape(row, row, row, symbols=("PLAIN", "OTHER"))), [[HALF, (-0.25, 1.0, 2.0)]]
    )[0]
    assert info["account"]["perp"] == pytest.approx([-50, 25], rel=1e-12)
    assert info["account"]["spot"] == pytest.approx([50, -25], rel=1e-12)
    assert info["account"]["margin"] == pytest.approx([2_500, 1_250], rel=1e-12)


def test_a_small_change_inside_the_band_is_not_traded():
    # band 2 % of 30,000 = 600 quote. Carry 0.5 -> 0.515625: 312 quote, no trade; -> 0.53125: 625,
    # trade; the transfer happens anyway
    inside, outside = (0.515625, 1.0, 2.0), (0.53125, 1.0, 2.0)
    for move, traded in ((inside, False), (outside, True)):
        info = play(make_env(flat_tape(), rebalance_band=0.02), [HALF, move])[1]
        assert (info["trade"]["filled_perp"][0] != 0) == traded
        assert info["trade"]["reason"][0] == ("none" if traded else "inside the band")
    less_leverage = play(
        make_env(flat_tape(), rebalance_band=0.02), [HALF, (0.515625, 1.0, 1.9375)]
    )[1]
    assert less_leverage["trade"]["filled_perp"][0] == 0
    assert less_leverage["account"]["margin"][0] == pytest.approx(10_000 / 1.9375, rel=1e-12)


def test_a_band_does_not_keep_the_agent_in_the_market():
    # band 15,000. 20,000 quote are bought, fall to 12,000 at 60: a change by less than the band is
    # not traded, going flat is
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
        assert (
            info["trade"]["filled_perp"][0]
            == info["trade"]["filled_spot"][0]
            == info["parts"]["fees"]
            == 0
        )
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


def test_adding_averages_the_entry_and_closing_a_part_keeps_it():
    # 100 units at 100; at 120 (equity still 30,000) carry 0.75: 15,000 / 120 = 125 units: 25 more
    # at 120: entry (10,000 + 3,000) / 125 = 104
    market = tape(bar(100), bar(100, 120), bar(120), bar(120), bar(120))
    _, more, less, other = play(
        make_env(market), [HALF, (0.75, 1.0, 2.0), (0.25, 1.0, 2.0), (-0.25, 1.0, 2.0)]
    )
    assert more["account"]["perp"][0] == pytest.approx(-125, rel=1e-12)
    assert more["account"]["entry"][0] == pytest.approx(104, rel=1e-12)
    assert less["account"]["entry"][0] == pytest.approx(104, rel=1e-12)
    assert other["account"]["perp"][0] == pytest.approx(125 / 3, rel=1e-12)
    # crossed zero: a new position
    assert other["account"]["entry"][0] == pytest.approx(120, rel=1e-12)
    assert other["equity"] == pytest.approx(30_000, rel=1e-12)


def test_no_sale_gets_a_negative_price():
    # cost_scale 100: half-spread 10 % and 20 %; impact 100 x 0.5 x 0.04 x sqrt(100 / 100) = 200 %,
    # so spread and impact are 100 % together. Entry without impact: spot at 120, perp at 90, wallet
    # 5,000 + 1,000, cash 30,000 - 12,000 - 6,000. The spot leg is given away; the perp is bought
    # back at 200: 6,000 - 100 x 110 = -5,000
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
    # stress 10 x cost_scale 100 x 20 bp = 200 %: the spot leg of a liquidated short goes for
    # nothing, and not for -100 %
    market = rally()
    _, hit, sold = play(
        make_env(market, cost_scale=100.0, stress_multiplier=10.0), [HALF, HOLD, HOLD]
    )
    assert list(hit["liquidated"]) == [1]
    assert sold["prices"]["fill_spot"][0] == pytest.approx(0.0, abs=1e-12)
    assert sold["parts"]["spread"] == pytest.approx(-100 * 150, rel=1e-12)
    assert sold["equity"] == pytest.approx(hit["account"]["cash"], rel=1e-12)
