"""Liquidation: at which mark, at what loss, and what becomes of the rest.

The account of most tapes: 30,000 quote, carry 1, leverage 2 at price 100, so 200 units of perpetual
and a wallet of 10,000. Venue PLAIN: maintenance 1 % of notional, liquidation fee 0.5 %, no spread.
Liquidation of the short at x with 10,000 - 200 (x - 100) = 0.01 x 200 x, so x = 30,000 / 202 =
148.5148...; of the long at 10,000 + 200 (x - 100) = 0.01 x 200 x, so x = 10,000 / 198 = 50.5050...
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
    assert list(
        play(make_env(market, margin_mode=margin_mode), [SHORT, HOLD])[1]["liquidated"]
    ) == [0]


@MODES
def test_a_hedged_short_is_liquidated_by_a_rally_while_its_spot_gains(margin_mode):
    # closed at 148.51: perp -200 x 48.5149 = -9,702.97; fee 0.005 x 200 x 148.51 = 148.51; 148.51
    # of the wallet return to cash. spot 200 x (150 - 100) = +10,000 and stays: equity = 200 x 150 +
    # 148.51
    market = tape(bar(100), bar(100), bar(100, 150), bar(150))
    info = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [SHORT, HOLD]
    )[1]
    fee = 0.005 * 200 * SHORT_AT
    assert info["parts"]["perp_pnl"] == pytest.approx(-200 * (SHORT_AT - 100), rel=1e-12)
    assert info["parts"]["spot_pnl"] == pytest.approx(10_000, rel=1e-12)
    assert info["parts"]["liquidation_loss"] == pytest.approx(-fee, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(10_000 - 200 * (SHORT_AT - 100) - fee, rel=1e-9)
    assert info["account"]["margin"][0] == 0
    assert info["equity"] == pytest.approx(30_000 + 148.5148514, rel=1e-9)


@MODES
def test_the_loss_in_a_gap_stops_at_the_wallet(margin_mode):
    # opens at 160: perp -12,000, fee 0.005 x 32,000 = 160, wallet 10,000: the venue bears 2,160.
    # liquidation_loss = -160 + 2,160
    market = tape(bar(100), bar(100), bar(160), bar(160))
    info = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [SHORT, HOLD]
    )[1]
    assert list(info["liquidated"]) == [1]
    assert info["parts"]["perp_pnl"] == pytest.approx(-12_000, rel=1e-12)
    assert info["parts"]["liquidation_loss"] == pytest.approx(2_000, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-6)
    assert info["equity"] == pytest.approx(32_000, rel=1e-12)  # 200 x 160


@MODES
def test_a_gap_below_the_wallet_closes_at_the_open_and_not_at_the_liquidation_price(margin_mode):
    # opens at 149, above 148.51: -9,800, fee 149, 51 left
    market = tape(bar(100), bar(100), bar(149), bar(149))
    info = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="naked"), [SHORT, HOLD]
    )[1]
    assert info["account"]["cash"] == pytest.approx(51.0, rel=1e-6)


@MODES
@pytest.mark.parametrize("perp_open", [160.0, 101.0])
@pytest.mark.parametrize(
    ("move", "after"),
    [(HOLD, "flatten"), (HOLD, "naked"), (FLAT, "flatten"), (FLAT, "naked"), (FLAT, "rehedge")],
)
def test_a_gap_comes_before_any_order(move, after, perp_open, margin_mode):
    # the mark opens at 160: perp -12,000, fee 160, the venue bears 2,160, whatever is decided and
    # wherever the perpetual trades. 200 of spot are left, sold at 160 or kept
    market = tape(bar(100), bar(100), bar(160, perp_open=perp_open), bar(160))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation=after), [SHORT, move])[
        1
    ]
    assert list(info["liquidated"]) == [1]
    assert info["parts"]["perp_pnl"] == pytest.approx(-12_000, rel=1e-12)
    assert info["parts"]["spot_pnl"] == pytest.approx(12_000, rel=1e-12)
    assert info["parts"]["liquidation_loss"] == pytest.approx(2_000, rel=1e-9)
    assert info["equity"] == pytest.approx(32_000, rel=1e-12)
    assert info["account"]["perp"][0] == 0
    sold = move == FLAT or after == "flatten"
    assert info["account"]["spot"][0] == (0 if sold else 200)


@MODES
@pytest.mark.parametrize(
    ("move", "after"), [(SHORT, "flatten"), (SHORT, "naked"), (SHORT, "rehedge"), (HOLD, "rehedge")]
)
def test_an_order_behind_a_gap_is_as_large_as_the_purse(move, after, margin_mode):
    # as above, and 200 units are asked for again, sized at 100: 32,000 + 16,000 of the 32,000 there
    # are, so two thirds of them on both legs
    market = tape(bar(100), bar(100), bar(160), bar(160))
    info = play(make_env(market, margin_mode=margin_mode, after_liquidation=after), [SHORT, move])[
        1
    ]
    assert list(info["liquidated"]) == [1]
    assert info["equity"] == pytest.approx(32_000, rel=1e-12)
    assert info["account"]["spot"][0] == pytest.approx(200 * 2 / 3, rel=1e-9)
    assert info["account"]["perp"][0] == pytest.approx(-200 * 2 / 3, rel=1e-9)
    assert info["trade"]["reason"] == ("not enough funds",)


@MODES
def test_a_rehedge_after_a_gap_knows_the_equity_of_the_last_close(margin_mode):
    # carry 0.5: 100 units, wallet 5,000 lost (6,000 + fee), cash 15,000. E is 30,000, the last mark
    # 100: 100 units again, now at 160: wallet 8,000
    market = tape(bar(100), bar(100), bar(160), bar(160))
    info = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="rehedge"), [HALF, HOLD]
    )[1]
    assert list(info["liquidated"]) == [1]
    assert info["account"]["perp"][0] == pytest.approx(-100, rel=1e-12)
    assert info["account"]["entry"][0] == 160
    assert info["account"]["margin"][0] == pytest.approx(8_000, rel=1e-12)
    assert info["account"]["cash"] == pytest.approx(7_000, rel=1e-12)


@MODES
@pytest.mark.parametrize(("rate", "liquidated"), [(0.0, 0), (-0.01, 1)])
def test_the_settlement_comes_before_the_gap(rate, liquidated, margin_mode):
    # 148 is survived with a wallet of 10,000 (up to 148.51), not with 9,800: (9,800 + 20,000) / 202
    # = 147.52. No cash
    market = tape(bar(100), bar(100), bar(148, settle_rate=rate, settle_price=100.0), bar(148))
    info = play(make_env(market, margin_mode=margin_mode), [SHORT, FLAT])[1]
    assert list(info["liquidated"]) == [liquidated]
    assert info["parts"]["perp_pnl"] == pytest.approx(-9_600, rel=1e-12)


@MODES
def test_slippage_of_a_liquidation_is_stressed_and_costs_the_rest_of_the_wallet(margin_mode):
    # COSTLY: half-spread 10 bp x 5; impact 0.5 x 0.04 x sqrt(q / 1e6) x 5. Brackets: 1 % holds from
    # 5,000 (amount 30), 2 % from 20,000 (230). E 30,000, carry 0.5, leverage 2: 100 units short at
    # 100, wallet 5,000; spread and impact of the entry are switched off by scale only at entry's
    # cost, so entry, wallet and quantities are read from the account and the rest is computed here
    row = {"perp_day_volume": 1e6, "spot_day_volume": 1e6, "sigma_day": 0.04}
    market = tape(
        bar(100, **row), bar(100, **row), bar(100, 155, **row), bar(155, **row), symbols=("COSTLY",)
    )
    opened, info = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="naked"),
        [(0.5, 1.0, 2.0), HOLD],
    )
    q, entry, margin = (
        -opened["account"]["perp"][0],
        opened["account"]["entry"][0],
        opened["account"]["margin"][0],
    )
    assert q == 100.0
    # 1 % bracket: 100 x 149 = 14,900 lies in 5,000 .. 20,000
    x = (margin + q * entry + 30) / (q * 1.01)
    assert 140 < x < 155
    slip = 5 * (0.001 + 0.5 * 0.04 * math.sqrt(q / 1e6))
    fill = x * (1 + slip)
    borne_by_the_venue = max(0.0, q * (fill - entry) + 0.005 * q * fill - margin)
    assert info["parts"]["liquidation_loss"] == pytest.approx(
        -q * x * slip - 0.005 * q * fill + borne_by_the_venue, rel=1e-9
    )
    assert equity_of(info) == pytest.approx(info["equity"], rel=1e-12)


@MODES
def test_maintenance_follows_the_bracket_at_the_liquidation_price(margin_mode):
    # COSTLY without costs: 200 units at 100 = 20,000 entry notional; at 148 the notional is near
    # 30,000: bracket 2 %, amount 5,000 x 0.006 + 20,000 x 0.01 = 230: x = (10,000 + 20,000 + 230) /
    # (200 x 1.02) = 148.186
    x = 30_230 / 204
    for factor, liquidated in ((1 - 1e-9, 0), (1 + 1e-9, 1)):
        market = tape(bar(100), bar(100), bar(100, high=x * factor), bar(100), symbols=("COSTLY",))
        info = play(make_env(market, margin_mode=margin_mode, cost_scale=0.0), [SHORT, HOLD])[1]
        assert list(info["liquidated"]) == [liquidated]


def test_isolated_legs_fall_alone_and_cross_legs_fall_together():
    # two assets, 100 units short each, wallets 5,000. Isolated: each at (5,000 + 10,000) / 101 =
    # 148.51. Cross: both at their highs, 10,000 - 100 x 80 - 100 x 0 against 1 % of 28,000:
    # survives; a high of 199 in one alone does not
    quiet, mover = bar(100), bar(100, high=180.0)
    rows = [[quiet, quiet], [quiet, quiet], [mover, quiet], [quiet, quiet]]
    symbols = ("PLAIN", "OTHER")
    moves = [[SHORT, SHORT], [HOLD, HOLD]]
    assert list(play(make_env(tape(*rows, symbols=symbols)), moves)[1]["liquidated"]) == [1, 0]
    assert list(
        play(make_env(tape(*rows, symbols=symbols), margin_mode="cross"), moves)[1]["liquidated"]
    ) == [0, 0]
    rows[2] = [bar(100, high=199.0), quiet]
    assert list(
        play(make_env(tape(*rows, symbols=symbols), margin_mode="cross"), moves)[1]["liquidated"]
    ) == [1, 1]


def test_cross_closes_every_leg_on_the_line_from_the_opens_to_the_extremes():
    # highs 180 and 140: at s, marks are 100 + 80 s and 100 + 40 s; balance 10,000 - 12,000 s = 1 %
    # of (20,000 + 12,000 s) s = 9,800 / 12,120; perp profit -12,000 s
    rows = [
        [bar(100), bar(100)],
        [bar(100), bar(100)],
        [bar(100, high=180.0), bar(100, high=140.0)],
        [bar(100), bar(100)],
    ]
    info = play(
        make_env(tape(*rows, symbols=("PLAIN", "OTHER")), margin_mode="cross"),
        [[SHORT, SHORT], [HOLD, HOLD]],
    )[1]
    s = 9_800 / 12_120
    assert list(info["liquidated"]) == [1, 1]
    assert info["parts"]["perp_pnl"] == pytest.approx(-12_000 * s, rel=1e-9)
    assert info["parts"]["liquidation_loss"] == pytest.approx(
        -0.005 * (20_000 + 12_000 * s), rel=1e-9
    )
