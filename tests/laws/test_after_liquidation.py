"""What becomes of the spot leg once its perpetual is liquidated: flatten, rehedge, naked, and a
decision in between.

The account is that of `test_liquidation`: 30,000 quote, carry 1, leverage 2 at price 100: 200 units
of each leg, a wallet of 10,000; a rally to 150 liquidates the short at 148.51, and 148.51 quote of
the wallet return.
"""

from __future__ import annotations

import pytest

from tests.laws.play import FLAT, HOLD, make_env, play, rally
from tests.markets import bar, tape

SHORT = (1.0, 1.0, 2.0)
HALF = (0.5, 1.0, 2.0)
MODES = pytest.mark.parametrize("margin_mode", ["isolated", "cross"])


@MODES
def test_flatten_sells_the_spot_leg_at_the_next_open_at_stressed_cost(margin_mode):
    # COSTLY half-spread of spot 20 bp, stressed x 5 = 1 %; impact off by sigma 0
    market = rally(140.0)
    _, hit, sold, after = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="flatten"),
        [(0.5, 1.0, 2.0), HOLD, HOLD, HOLD],
    )
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
    _, hit, back = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="rehedge"), [SHORT, HOLD, HOLD]
    )
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
        make_env(market, margin_mode=margin_mode, after_liquidation="naked"),
        [SHORT, HOLD, HOLD, HOLD, (0.5, 1.0, 2.0)],
    )
    assert hit["account"]["spot"][0] == still["account"]["spot"][0] == fell["account"]["spot"][0]
    assert fell["parts"]["spot_pnl"] == pytest.approx(-200 * 30, rel=1e-9)
    assert decided["account"]["perp"][0] == pytest.approx(
        -0.5 * fell["equity"] * 2 / 3 / 120, rel=1e-9
    )
    assert decided["account"]["spot"][0] == pytest.approx(-decided["account"]["perp"][0], rel=1e-12)


def test_the_pending_order_runs_inside_a_step_of_several_bars():
    # decision every 4 bars; the liquidation in the second bar is flattened at the third open, at
    # 150, before the fall to 90
    rows = [bar(100), bar(100), bar(100, 150), bar(150, 90), bar(90), bar(90)]
    (info,) = play(make_env(tape(*rows), decision_interval="4h"), [SHORT])
    assert list(info["liquidated"]) == [1]
    assert info["account"]["spot"][0] == 0
    assert info["equity"] == pytest.approx(30_000 + 148.5148514, rel=1e-9)


@MODES
def test_a_decision_in_the_bar_of_a_pending_order_pays_stressed_cost(margin_mode):
    # COSTLY half-spread of spot 20 bp x 5; the agent sells the naked leg itself
    market = rally()
    _, hit, sold = play(
        make_env(market, margin_mode=margin_mode, after_liquidation="flatten"),
        [(0.5, 1.0, 2.0), HOLD, FLAT],
    )
    assert list(hit["liquidated"]) == [1]
    assert sold["prices"]["fill_spot"][0] == pytest.approx(150 * 0.99, rel=1e-12)
    assert sold["trade"]["requested_spot"][0] == -hit["account"]["spot"][0]


@MODES
@pytest.mark.parametrize("after", ["flatten", "rehedge"])
def test_a_pending_order_waits_while_the_asset_is_halted(after, margin_mode):
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, halted=1.0), bar(150), bar(150))
    _, hit, halted, back = play(
        make_env(market, margin_mode=margin_mode, after_liquidation=after), [SHORT] + [HOLD] * 3
    )
    assert halted["account"]["spot"][0] == hit["account"]["spot"][0] == 200
    assert (back["account"]["spot"][0] == 0) == (after == "flatten")
    assert (back["account"]["perp"][0] < 0) == (after == "rehedge")


@MODES
def test_flatten_goes_on_until_the_spot_leg_is_gone(margin_mode):
    # 0.1 x 800 units fill in a bar: 200 units are sold in three
    rows = [bar(100)] * 2 + [bar(100, 150)] + [bar(150, spot_volume=800.0)] * 5
    infos = play(
        make_env(tape(*rows), margin_mode=margin_mode, max_participation=0.1), [SHORT] + [HOLD] * 5
    )
    assert [info["account"]["spot"][0] for info in infos] == pytest.approx(
        [200, 200, 120, 40, 0, 0]
    )


@MODES
def test_a_new_decision_drops_the_pending_order(margin_mode):
    # carry 0.5 at equity 30,148.51 and price 150: 67.0 units each; had the order stayed, the next
    # bar would sell the spot leg
    market = tape(bar(100), bar(100), bar(100, 150), bar(150), bar(150), bar(150))
    *_, decided, last = play(make_env(market, margin_mode=margin_mode), [SHORT, HOLD, HALF, HOLD])
    for info in (decided, last):
        assert info["account"]["spot"][0] == pytest.approx(
            0.5 * (30_000 + 148.5148514) * 2 / 3 / 150, rel=1e-9
        )
        assert info["account"]["perp"][0] == pytest.approx(-info["account"]["spot"][0], rel=1e-12)


@MODES
@pytest.mark.parametrize("after", ["flatten", "rehedge"])
@pytest.mark.parametrize("move", [FLAT, HALF])
def test_a_decision_during_a_halt_does_not_drop_the_pending_order(move, after, margin_mode):
    # the decision fills nothing, but a rehedge goes to its target: carry 0 or 0.5 of 30,148.51
    market = tape(
        bar(100), bar(100), bar(100, 150), bar(150, halted=1.0), bar(150), bar(150), bar(150)
    )
    env = make_env(market, margin_mode=margin_mode, after_liquidation=after)
    _, _, halted, back, still = play(env, [SHORT, HOLD, move, HOLD, HOLD])
    assert halted["trade"]["reason"] == ("halted",)
    assert halted["account"]["spot"][0] == 200
    size = move[0] * (30_000 + 148.5148514) * 2 / 3 / 150 if after == "rehedge" else 0.0
    for info in (back, still):
        assert info["account"]["spot"][0] == pytest.approx(size, rel=1e-9)
        assert info["account"]["perp"][0] == pytest.approx(-size, rel=1e-9)
