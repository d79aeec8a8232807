"""Liquidation: at which mark, at what loss, and what becomes of the rest.

The account of most tapes: 30,000 quote, carry 1, leverage 2 at price 100, so 200 units of perpetual and a wallet of 10,000. Venue PLAIN:
maintenance 1 % of notional, liquidation fee 0.5 %, no spread. Liquidation of the short at x with 10,000 - 200 (x - 100) = 0.01 x 200 x, so
x = 30,000 / 202 = 148.5148...; of the long at 10,000 + 200 (x - 100) = 0.01 x 200 x, so x = 10,000 / 198 = 50.5050...
"""

from __future__ import annotations

import math

import pytest

from tests.laws.play import FLAT, HOLD, equity_of, make_env, play
from tests.markets import bar, tape

SHORT = (1.0, 1.0, 2.0)
HALF = (0.5, 1.0, 2.0)
LONG_UNHEDGED = (-1.0, 0.0, 2.0)
SHORT_AT, LONG_AT = 30_000 / 202, 10_000 / 198
MODES = pytest.mark.parametrize("margin_mode", ["isolated", "cross"])


@MODES
@pytest.mark.parametrize(
    ("move", "wick", "liquidated"),
    [
        (SHORT, {"high": SHORT_AT * (1 - 1e-9)}, 0),
        (SHORT, {"high": SHORT_AT * (1 + 1e-9)}, 1),
        (SHORT, {"low": 1.0}, 0),  # a crash does not hurt a short
        (LONG_UNHEDGED, {"low": LONG_AT * (1 + 1e-9)}, 0),
        (LONG_UNHEDGED, {"low": LONG_AT * (1 - 1e-9)}, 1),
        (LONG_UNHEDGED, {"high": 900.0}, 0),
    ],
)
def test_it_fires_exactly_where_the_balance_meets_maintenance(move, wick, liquidated, margin_mode):
    market = tape(bar(100), bar(100), bar(100, **wick), bar(100))
    info = play(make_env(market, margin_mode=margin_mode), [move, HOLD])[1]
    assert list(info["liquidated"]) == [liquidated]
    assert (info["account"]["perp"][0] == 0) == bool(liquidated)


@MODES
def test_the_bar_of_the_trade_itself_can_liquidate(margin_mode):
    market = tape(bar(100), bar(100, high=149.0), bar(100))
    assert list(play(make_env(market, margin_mode=margin_mode), [SHORT])[0]["liquidated"]) == [1]


@MODES
def test_only_mark_liquidates_and_not_the_traded_price(margin_mode):
    traded = bar(100, 160, mark_open=100.0, mark_close=100.0, mark_high=100.0, mark_low=100.0)
    market = tape(bar(100), bar(100), traded, bar(100))
    assert list(play(make_env(market, margin_mode=margin_mode), [SHORT, HOLD])[1]["liquidated"]) == [0]


@MODES
def test_a_hedged_short_is_liquidated_by_a_rally_while_its_spot_gains(margin_mode):
    # closed at 148.51: perp -200 x 48.5149 = -9,702.97; fee 0.005 x 200 x 148.51 = 148.51; 148.51 of the wallet return to cash.
    # spot 200 x (150 - 100) = +10,000 and stays: equity = 200 x 150 + 148.51
    market = tape(bar(100), bar(100), bar(100, 150), bar(150))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [SHORT, HOLD])[1]
    fee = 0.005 * 200 * SHORT_AT
    assert info["parts"]["perp_pnl"] == pytest.approx(-200 * (SHORT_AT - 100), rel=1e-12)
    assert info["parts"]["spot_pnl"] == pytest.approx(10_000, rel=1e-12)
    assert info["parts"]["liquidation_loss"] == pytest.approx(-fee, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(10_000 - 200 * (SHORT_AT - 100) - fee, rel=1e-9)
    assert info["account"]["margin"][0] == 0
    assert info["equity"] == pytest.approx(30_000 + 148.5148514, rel=1e-9)


@MODES
def test_the_loss_in_a_gap_stops_at_the_wallet(margin_mode):
    # opens at 160: perp -12,000, fee 0.005 x 32,000 = 160, wallet 10,000: the venue bears 2,160. liquidation_loss = -160 + 2,160
    market = tape(bar(100), bar(100), bar(160), bar(160))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [SHORT, HOLD])[1]
    assert list(info["liquidated"]) == [1]
    assert info["parts"]["perp_pnl"] == pytest.approx(-12_000, rel=1e-12)
    assert info["parts"]["liquidation_loss"] == pytest.approx(2_000, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-6)
    assert info["equity"] == pytest.approx(32_000, rel=1e-12)  # 200 x 160


@MODES
def test_a_gap_below_the_wallet_closes_at_the_open_and_not_at_the_liquidation_price(margin_mode):
    # opens at 149, above 148.51: -9,800, fee 149, 51 left
    market = tape(bar(100), bar(100), bar(149), bar(149))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [SHORT, HOLD])[1]
    assert info["account"]["cash"] == pytest.approx(51.0, rel=1e-6)


@MODES
@pytest.mark.parametrize("perp_open", [160.0, 101.0])
@pytest.mark.parametrize(("move", "after"), [(HOLD, "flatten"), (HOLD, "naked"), (FLAT, "flatten"), (FLAT, "naked"), (FLAT, "rehedge")])
def test_a_gap_comes_before_any_order(move, after, perp_open, margin_mode):
    # the mark opens at 160: perp -12,000, fee 160, the venue bears 2,160, whatever is decided and wherever the perpetual trades.
    # 200 of spot are left, sold at 160 or kept
    market = tape(bar(100), bar(100), bar(160, perp_open=perp_open), bar(160))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation=after), [SHORT, move])[1]
    assert list(info["liquidated"]) == [1]
    assert info["parts"]["perp_pnl"] == pytest.approx(-12_000, rel=1e-12)
    assert info["parts"]["spot_pnl"] == pytest.approx(12_000, rel=1e-12)
    assert info["parts"]["liquidation_loss"] == pytest.approx(2_000, rel=1e-9)
    assert info["equity"] == pytest.approx(32_000, rel=1e-12)
    assert info["account"]["perp"][0] == 0
    sold = move == FLAT or after == "flatten"
    assert info["account"]["spot"][0] == (0 if sold else 200)


@MODES
@pytest.mark.parametrize(("move", "after"), [(SHORT, "flatten"), (SHORT, "naked"), (SHORT, "rehedge"), (HOLD, "rehedge")])
def test_an_order_behind_a_gap_is_as_large_as_the_purse(move, after, margin_mode):
    # as above, and 200 units are asked for again, sized at 100: 32,000 + 16,000 of the 32,000 there are, so two thirds of them on both legs
    market = tape(bar(100), bar(100), bar(160), bar(160))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation=after), [SHORT, move])[1]
    assert list(info["liquidated"]) == [1]
    assert info["equity"] == pytest.approx(32_000, rel=1e-12)
    assert info["account"]["spot"][0] == pytest.approx(200 * 2 / 3, rel=1e-9)
    assert info["account"]["perp"][0] == pytest.approx(-200 * 2 / 3, rel=1e-9)
    assert info["trade"]["reason"] == ("not enough funds",)


@MODES
def test_a_rehedge_after_a_gap_knows_the_equity_of_the_last_close(margin_mode):
    # carry 0.5: 100 units, wallet 5,000 lost (6,000 + fee), cash 15,000. E is 30,000, the last mark 100: 100 units again, now at 160:
    # wallet 8,000
    market = tape(bar(100), bar(100), bar(160), bar(160))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation="rehedge"), [HALF, HOLD])[1]
    assert list(info["liquidated"]) == [1]
    assert info["account"]["perp"][0] == pytest.approx(-100, rel=1e-12)
    assert info["account"]["entry"][0] == 160
    assert info["account"]["margin"][0] == pytest.approx(8_000, rel=1e-12)
    assert info["account"]["cash"] == pytest.approx(7_000, rel=1e-12)


@MODES
@pytest.mark.parametrize(("rate", "liquidated"), [(0.0, 0), (-0.01, 1)])
def test_the_settlement_comes_before_the_gap(rate, liquidated, margin_mode):
    # 148 is survived with a wallet of 10,000 (up to 148.51), not with 9,800: (9,800 + 20,000) / 202 = 147.52. No cash
    market = tape(bar(100), bar(100), bar(148, settle_rate=rate, settle_price=100.0), bar(148))
    info = play(make_env(market, margin_mode=margin_mode), [SHORT, FLAT])[1]
    assert list(info["liquidated"]) == [liquidated]
    assert info["parts"]["perp_pnl"] == pytest.approx(-9_600, rel=1e-12)


@MODES
def test_slippage_of_a_liquidation_is_stressed_and_costs_the_rest_of_the_wallet(margin_mode):
    # COSTLY: half-spread 10 bp x 5; impact 0.5 x 0.04 x sqrt(q / 1e6) x 5. Brackets: 1 % holds from 5,000 (amount 30), 2 % from 20,000 (230).
    # E 30,000, carry 0.5, leverage 2: 100 units short at 100, wallet 5,000; spread and impact of the entry are switched off by scale only at
    # entry's cost, so entry, wallet and quantities are read from the account and the rest is computed here
    row = {"perp_day_volume": 1e6, "spot_day_volume": 1e6, "sigma_day": 0.04}
    market = tape(bar(100, **row), bar(100, **row), bar(100, 155, **row), bar(155, **row), symbols=("COSTLY",))
    opened, info = play(make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [(0.5, 1.0, 2.0), HOLD])
    q, entry, margin = -opened["account"]["perp"][0], opened["account"]["entry"][0], opened["account"]["margin"][0]
    assert q == 100.0
    x = (margin + q * entry + 30) / (q * 1.01)  # 1 % bracket: 100 x 149 = 14,900 lies in 5,000 .. 20,000
    assert 140 < x < 155
    slip = 5 * (0.001 + 0.5 * 0.04 * math.sqrt(q / 1e6))
    fill = x * (1 + slip)
    borne_by_the_venue = max(0.0, q * (fill - entry) + 0.005 * q * fill - margin)
    assert info["parts"]["liquidation_loss"] == pytest.approx(-q * x * slip - 0.005 * q * fill + borne_by_the_venue, rel=1e-9)
    assert equity_of(info) == pytest.approx(info["equity"], rel=1e-12)


@MODES
def test_maintenance_follows_the_bracket_at_the_liquidation_price(margin_mode):
    # COSTLY without costs: 200 units at 100 = 20,000 entry notional; at 148 the notional is near 30,000: bracket 2 %, amount
    # 5,000 x 0.006 + 20,000 x 0.01 = 230: x = (10,000 + 20,000 + 230) / (200 x 1.02) = 148.186
    x = 30_230 / 204
    for factor, liquidated in ((1 - 1e-9, 0), (1 + 1e-9, 1)):
        market = tape(bar(100), bar(100), bar(100, high=x * factor), bar(100), symbols=("COSTLY",))
        info = play(make_env(market, margin_mode=margin_mode, cost_scale=0.0), [SHORT, HOLD])[1]
        assert list(info["liquidated"]) == [liquidated]


def test_isolated_legs_fall_alone_and_cross_legs_fall_together():
    # two assets, 100 units short each, wallets 5,000. Isolated: each at (5,000 + 10,000) / 101 = 148.51.
    # Cross: both at their highs, 10,000 - 100 x 80 - 100 x 0 against 1 % of 28,000: survives; a high of 199 in one alone does not
    quiet, mover = bar(100), bar(100, high=180.0)
    rows = [[quiet, quiet], [quiet, quiet], [mover, quiet], [quiet, quiet]]
    symbols = ("PLAIN", "OTHER")
    moves = [[SHORT, SHORT], [HOLD, HOLD]]
    assert list(play(make_env(tape(*rows, symbols=symbols)), moves)[1]["liquidated"]) == [1, 0]
    assert list(play(make_env(tape(*rows, symbols=symbols), margin_mode="cross"), moves)[1]["liquidated"]) == [0, 0]
    rows[2] = [bar(100, high=199.0), quiet]
    assert list(play(make_env(tape(*rows, symbols=symbols), margin_mode="cross"), moves)[1]["liquidated"]) == [1, 1]


def test_cross_closes_every_leg_on_the_line_from_the_opens_to_the_extremes():
    # highs 180 and 140: at s, marks are 100 + 80 s and 100 + 40 s; balance 10,000 - 12,000 s = 1 % of (20,000 + 12,000 s)
    # s = 9,800 / 12,120; perp profit -12,000 s
    rows = [[bar(100), bar(100)], [bar(100), bar(100)], [bar(100, high=180.0), bar(100, high=140.0)], [bar(100), bar(100)]]
    info = play(make_env(tape(*rows, symbols=("PLAIN", "OTHER")), margin_mode="cross"), [[SHORT, SHORT], [HOLD, HOLD]])[1]
    s = 9_800 / 12_120
    assert list(info["liquidated"]) == [1, 1]
    assert info["parts"]["perp_pnl"] == pytest.approx(-12_000 * s, rel=1e-9)
    assert info["parts"]["liquidation_loss"] == pytest.approx(-0.005 * (20_000 + 12_000 * s), rel=1e-9)


@MODES
def test_flatten_sells_the_spot_leg_at_the_next_open_at_stressed_cost(margin_mode):
    # COSTLY half-spread of spot 20 bp, stressed x 5 = 1 %; impact off by sigma 0
    row = {"sigma_day": 0.0}
    market = tape(bar(100, **row), bar(100, **row), bar(100, 150, **row), bar(150, 140, **row), bar(140, **row), symbols=("COSTLY",))
    _, hit, sold, after = play(make_env(market, margin_mode=margin_mode, after_liquidation="flatten"), [(0.5, 1.0, 2.0), HOLD, HOLD, HOLD])
    spot = hit["account"]["spot"][0]
    assert list(hit["liquidated"]) == [1]
    assert spot > 0
    assert sold["trade"]["filled_spot"][0] == -spot
    assert sold["prices"]["fill_spot"][0] == pytest.approx(150 * 0.99, rel=1e-12)
    assert sold["parts"]["spread"] == pytest.approx(-spot * 150 * 0.01, rel=1e-12)
    assert sold["account"]["spot"][0] == 0
    assert after["equity"] == sold["equity"] == sold["account"]["cash"]


@MODES
def test_rehedge_opens_the_remembered_target_at_the_next_open(margin_mode):
    market = tape(bar(100), bar(100), bar(100, 150), bar(150), bar(150))
    _, hit, back = play(make_env(market, margin_mode=margin_mode, after_liquidation="rehedge"), [SHORT, HOLD, HOLD])
    assert hit["account"]["perp"][0] == 0
    # carry 1, leverage 2 at equity 30,148.51: notional 20,099 at 150, margin half of it
    notional = hit["equity"] * 2 / 3
    assert back["account"]["perp"][0] == pytest.approx(-notional / 150, rel=1e-9)
    assert back["account"]["spot"][0] == pytest.approx(notional / 150, rel=1e-9)
    assert back["account"]["margin"][0] == pytest.approx(notional / 2, rel=1e-9)


@MODES
def test_naked_keeps_the_spot_leg_until_the_next_decision(margin_mode):
    market = tape(bar(100), bar(100), bar(100, 150), bar(150), bar(150, 120), bar(120), bar(120))
    _, hit, still, fell, decided = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [SHORT, HOLD, HOLD, HOLD, (0.5, 1.0, 2.0)]
    )
    assert hit["account"]["spot"][0] == still["account"]["spot"][0] == fell["account"]["spot"][0]
    assert fell["parts"]["spot_pnl"] == pytest.approx(-200 * 30, rel=1e-9)
    assert decided["account"]["perp"][0] == pytest.approx(-0.5 * fell["equity"] * 2 / 3 / 120, rel=1e-9)
    assert decided["account"]["spot"][0] == pytest.approx(-decided["account"]["perp"][0], rel=1e-12)


def test_the_pending_order_runs_inside_a_step_of_several_bars():
    # decision every 4 bars; the liquidation in the second bar is flattened at the third open, at 150, before the fall to 90
    rows = [bar(100), bar(100), bar(100, 150), bar(150, 90), bar(90), bar(90)]
    (info,) = play(make_env(tape(*rows), decision_interval="4h"), [SHORT])
    assert list(info["liquidated"]) == [1]
    assert info["account"]["spot"][0] == 0
    assert info["equity"] == pytest.approx(30_000 + 148.5148514, rel=1e-9)


@MODES
def test_a_decision_in_the_bar_of_a_pending_order_pays_stressed_cost(margin_mode):
    # COSTLY half-spread of spot 20 bp x 5; the agent sells the naked leg itself
    row = {"sigma_day": 0.0}
    market = tape(bar(100, **row), bar(100, **row), bar(100, 150, **row), bar(150, **row), bar(150, **row), symbols=("COSTLY",))
    _, hit, sold = play(make_env(market, margin_mode=margin_mode, after_liquidation="flatten"), [(0.5, 1.0, 2.0), HOLD, FLAT])
    assert list(hit["liquidated"]) == [1]
    assert sold["prices"]["fill_spot"][0] == pytest.approx(150 * 0.99, rel=1e-12)
    assert sold["trade"]["requested_spot"][0] == -hit["account"]["spot"][0]


@MODES
@pytest.mark.parametrize("after", ["flatten", "rehedge"])
def test_a_pending_order_waits_while_the_asset_is_halted(after, margin_mode):
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, halted=1.0), bar(150), bar(150))
    _, hit, halted, back = play(make_env(market, margin_mode=margin_mode, after_liquidation=after), [SHORT] + [HOLD] * 3)
    assert halted["account"]["spot"][0] == hit["account"]["spot"][0] == 200
    assert (back["account"]["spot"][0] == 0) == (after == "flatten")
    assert (back["account"]["perp"][0] < 0) == (after == "rehedge")


@MODES
def test_flatten_goes_on_until_the_spot_leg_is_gone(margin_mode):
    # 0.1 x 800 units fill in a bar: 200 units are sold in three
    rows = [bar(100)] * 2 + [bar(100, 150)] + [bar(150, spot_volume=800.0)] * 5
    infos = play(make_env(tape(*rows), margin_mode=margin_mode, max_participation=0.1), [SHORT] + [HOLD] * 5)
    assert [info["account"]["spot"][0] for info in infos] == pytest.approx([200, 200, 120, 40, 0, 0])


@MODES
def test_a_new_decision_drops_the_pending_order(margin_mode):
    # carry 0.5 at equity 30,148.51 and price 150: 67.0 units each; had the order stayed, the next bar would sell the spot leg
    market = tape(bar(100), bar(100), bar(100, 150), bar(150), bar(150), bar(150))
    *_, decided, last = play(make_env(market, margin_mode=margin_mode), [SHORT, HOLD, HALF, HOLD])
    for info in (decided, last):
        assert info["account"]["spot"][0] == pytest.approx(0.5 * (30_000 + 148.5148514) * 2 / 3 / 150, rel=1e-9)
        assert info["account"]["perp"][0] == pytest.approx(-info["account"]["spot"][0], rel=1e-12)


@MODES
@pytest.mark.parametrize("after", ["flatten", "rehedge"])
@pytest.mark.parametrize("move", [FLAT, HALF])
def test_a_decision_during_a_halt_does_not_drop_the_pending_order(move, after, margin_mode):
    # the decision fills nothing, but a rehedge goes to its target: carry 0 or 0.5 of 30,148.51
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, halted=1.0), bar(150), bar(150), bar(150))
    env = make_env(market, margin_mode=margin_mode, after_liquidation=after)
    _, _, halted, back, still = play(env, [SHORT, HOLD, move, HOLD, HOLD])
    assert halted["trade"]["reason"] == ("halted",)
    assert halted["account"]["spot"][0] == 200
    size = move[0] * (30_000 + 148.5148514) * 2 / 3 / 150 if after == "rehedge" else 0.0
    for info in (back, still):
        assert info["account"]["spot"][0] == pytest.approx(size, rel=1e-9)
        assert info["account"]["perp"][0] == pytest.approx(-size, rel=1e-9)


RALLY = [100.0 * 1.1**i for i in range(8)]  # 100, 110, ... 195: the wallet of a short at leverage 2 does not survive 148.5


def rally() -> list[list[float]]:
    return [bar(100), bar(100)] + [bar(a, b) for a, b in zip(RALLY, RALLY[1:], strict=False)] + [bar(RALLY[-1])]


@MODES
@pytest.mark.parametrize("carry", [1.0, 0.5])  # without and with idle cash
def test_the_keeper_prevents_what_happens_without_it(carry, margin_mode):
    moves = [(carry, 1.0, 2.0)] + [HOLD] * 7
    off = play(make_env(tape(*rally()), margin_mode=margin_mode), moves)
    on = play(make_env(tape(*rally()), margin_mode=margin_mode, keeper_interval="1h"), moves)
    assert sum(info["liquidated"][0] for info in off) == 1
    assert sum(info["liquidated"][0] for info in on) == 0
    assert on[-1]["equity"] == pytest.approx(30_000, rel=1e-9)  # hedged throughout: a rally costs nothing


@MODES
def test_the_keeper_takes_idle_cash_before_it_trades(margin_mode):
    # carry 0.5: 100 units, wallet 5,000, cash 15,000. At 121 the balance is 5,000 - 2,100 = 2,900 against 12,100 / 2 = 6,050 / 1.6 = 3,781
    infos = play(make_env(tape(*rally()), margin_mode=margin_mode, keeper_interval="1h"), [(0.5, 1.0, 2.0)] + [HOLD] * 3)
    assert [info["account"]["perp"][0] for info in infos] == pytest.approx([-100] * 4)
    assert infos[2]["account"]["margin"][0] == pytest.approx(5_000)  # looked at 110 and left it
    assert infos[3]["account"]["margin"][0] == pytest.approx(6_050 + 2_100, rel=1e-9)
    assert infos[3]["account"]["cash"] == pytest.approx(15_000 - 3_150, rel=1e-9)


@MODES
def test_the_keeper_without_cash_shrinks_both_legs_alike(margin_mode):
    # carry 1: no cash. At 121: B = 10,000 - 4,200 = 5,800, M = 12,100, V = 24,200: f = 30,000 / 36,300
    infos = play(make_env(tape(*rally()), margin_mode=margin_mode, keeper_interval="1h"), [SHORT] + [HOLD] * 3)
    f = 30_000 / 36_300
    account = infos[3]["account"]
    assert account["perp"][0] == pytest.approx(-200 * f, rel=1e-9)
    assert account["spot"][0] == pytest.approx(200 * f, rel=1e-9)
    balance = account["margin"][0] + account["perp"][0] * (121 - account["entry"][0])
    assert balance == pytest.approx(200 * f * 121 / 2, rel=1e-9)  # leverage 2 again


@MODES
def test_the_keeper_grows_both_legs_when_leverage_has_fallen(margin_mode):
    # price 100 -> 60: B = 10,000 + 8,000 = 18,000, M = 200 x 60 / 2 = 6,000: B > 2.56 x 6,000. V = 12,000: f = 30,000 / 18,000
    market = tape(bar(100), bar(100), bar(100, 60), bar(60), bar(60))
    infos = play(make_env(market, margin_mode=margin_mode, keeper_interval="1h"), [SHORT, HOLD, HOLD])
    account = infos[2]["account"]
    assert account["perp"][0] == pytest.approx(-200 * 5 / 3, rel=1e-9)
    assert account["spot"][0] == pytest.approx(200 * 5 / 3, rel=1e-9)
    assert account["cash"] == pytest.approx(0.0, abs=1e-6)
    assert infos[2]["equity"] == pytest.approx(30_000, rel=1e-12)


def test_the_keeper_looks_only_when_its_interval_is_due():
    # every 4 h, counted from 1970: the bars that open at 00:00 and 04:00. The tape's row r opens at r - 1 o'clock: rows 1 and 5.
    infos = play(make_env(tape(*rally()), keeper_interval="4h"), [SHORT] + [HOLD] * 4)
    perps = [info["account"]["perp"][0] for info in infos]
    assert perps[:4] == [perps[0]] * 4
    assert abs(perps[4]) < abs(perps[0])


def test_the_keeper_leaves_a_wallet_that_holds_its_margin_up_to_rounding():
    # both decisions set the wallet to N / L; after the second one balance and requirement differ in the last digit
    market = tape(bar(83.6), bar(83.6, 103.2), *[bar(103.2)] * 3)
    env = make_env(market, keeper_interval="1h", keeper_down=1.0)
    info = play(env, [(0.5, 1.0, 3.0), (0.5, 1.0, 3.0), HOLD])[2]
    assert info["trade"]["filled_perp"][0] == info["trade"]["filled_spot"][0] == 0


@MODES
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_keeper_trades_beyond_a_billionth_on_either_side(side, margin_mode):
    # B = 10,000 - 200 d, M = 10,000 + 100 d for a move by d: |B - M| / M = 0.03 d; no cash to move, none to spare
    for d, trades in ((1e-9, False), (2e-8, False), (1e-6, True)):
        price = 100 + side * d
        market = tape(bar(100), bar(100, price), bar(price), bar(price))
        env = make_env(market, margin_mode=margin_mode, keeper_interval="1h", keeper_up=1.0, keeper_down=1.0)
        _, info = play(env, [SHORT, HOLD])
        assert (info["trade"]["filled_perp"][0] != 0) == trades, d


@MODES
def test_the_keeper_cannot_help_against_a_gap(margin_mode):
    market = tape(bar(100), bar(100), bar(150), bar(150))
    assert list(play(make_env(market, margin_mode=margin_mode, keeper_interval="1h"), [SHORT, HOLD])[1]["liquidated"]) == [1]


@MODES
@pytest.mark.parametrize("reward", ["log_growth", "mean_variance"])
def test_ruin_terminates_and_the_reward_carries_the_loss(margin_mode, reward):
    # liquidated in the rally, 200 units of naked spot fall to 14: equity 2,800 + 148.51 <= 3,000
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, 14), bar(14), bar(14))
    env = make_env(market, margin_mode=margin_mode, after_liquidation="naked", reward=reward, risk_aversion=4.0)
    infos = play(env, [SHORT, HOLD, HOLD, HOLD])
    assert len(infos) == 3
    before, last = infos[1]["equity"], infos[2]
    assert last["equity"] == pytest.approx(2_948.5148514, rel=1e-9)
    assert (last["terminated"], last["truncated"]) == (True, False)
    noise = last["parts"]["spot_pnl"] / before
    penalty = 4.0 / 2 * noise**2 if reward == "mean_variance" else 0.0
    assert last["reward"] == pytest.approx(1e3 * (math.log(last["equity"] / before) - penalty), rel=1e-9)


def test_a_debt_is_valued_at_the_floor_of_the_reward():
    # reverse carry: long perp liquidated in a crash to 40, 200 units of borrowed base stay; then base rises to 400: equity < 0
    market = tape(bar(100), bar(100), bar(100, 40), bar(40, 400), bar(400), bar(400))
    infos = play(make_env(market, after_liquidation="naked"), [(-1.0, 1.0, 2.0), HOLD, HOLD, HOLD])
    before, last = infos[1]["equity"], infos[2]
    assert last["equity"] < 0
    assert last["terminated"]
    assert last["reward"] == pytest.approx(1e3 * math.log(300 / before), rel=1e-9)


def test_ruin_inside_a_step_ends_it_at_that_bar():
    # decisions every 4 bars; ruined in the third bar, so the recovery in the fourth never happens and only 3 hours of cash rate are charged
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, 14), bar(14, 150), bar(150))
    env = make_env(market, after_liquidation="naked", decision_interval="4h", cash_rate=0.0876)
    (info,) = play(env, [SHORT])
    assert info["terminated"]
    assert info["row"] == 3
    assert info["reward"] == pytest.approx(1e3 * (math.log(info["equity"] / 30_000) - 3e-5), rel=1e-9)  # 0.0876 a year = 1e-5 an hour


def test_below_the_floor_of_the_reward_nothing_is_earned():
    # 200 units of naked spot fall to 0.0075: equity 148.51 + 1.5 = 150.01, half of the floor of 300. Idle: only the hurdle of 1e-5 an hour;
    # back to 2.2575: 148.51 + 451.5 = 600.01, twice the floor
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, 0.0075), bar(0.0075), bar(0.0075, 2.2575), bar(2.2575))
    env = make_env(market, after_liquidation="naked", ruin_fraction=0.0)
    _, hit, fell, idle, back = play(env, [SHORT] + [HOLD] * 4)
    assert fell["equity"] == pytest.approx(150.0148514, rel=1e-7)
    assert fell["reward"] == pytest.approx(1e3 * math.log(300 / hit["equity"]), rel=1e-9)
    assert idle["reward"] == 0.0
    assert back["reward"] == pytest.approx(1e3 * math.log(600.0148514 / 300), rel=1e-7)
    env = make_env(market, after_liquidation="naked", ruin_fraction=0.0, cash_rate=0.0876)
    idle = play(env, [SHORT] + [HOLD] * 3)[-1]
    assert idle["reward"] == pytest.approx(-1e-2, rel=1e-9)
