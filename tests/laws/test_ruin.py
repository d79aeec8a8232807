"""Ruin: when it ends an episode, and what the reward says of it.

The account: 30,000 quote, carry 1, leverage 2 at price 100: 200 units of each leg, a wallet of
10,000.
"""

from __future__ import annotations

import math

import pytest

from tests.laws.play import HOLD, make_env, play
from tests.markets import bar, tape

SHORT = (1.0, 1.0, 2.0)
MODES = pytest.mark.parametrize("margin_mode", ["isolated", "cross"])


@MODES
@pytest.mark.parametrize("reward", ["log_growth", "mean_variance"])
def test_ruin_terminates_and_the_reward_carries_the_loss(margin_mode, reward):
    # liquidated in the rally, 200 units of naked spot fall to 14: equity 2,800 + 148.51 <= 3,000
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, 14), bar(14), bar(14))
    env = make_env(
        market, margin_mode=margin_mode, after_liquidation="naked", reward=reward, risk_aversion=4.0
    )
    infos = play(env, [SHORT, HOLD, HOLD, HOLD])
    assert len(infos) == 3
    before, last = infos[1]["equity"], infos[2]
    assert last["equity"] == pytest.approx(2_948.5148514, rel=1e-9)
    assert (last["terminated"], last["truncated"]) == (True, False)
    noise = last["parts"]["spot_pnl"] / before
    penalty = 4.0 / 2 * noise**2 if reward == "mean_variance" else 0.0
    assert last["reward"] == pytest.approx(
        1e3 * (math.log(last["equity"] / before) - penalty), rel=1e-9
    )


def test_a_debt_is_valued_at_the_floor_of_the_reward():
    # reverse carry: long perp liquidated in a crash to 40, 200 units of borrowed base stay; then
    # base rises to 400: equity < 0
    market = tape(bar(100), bar(100), bar(100, 40), bar(40, 400), bar(400), bar(400))
    infos = play(make_env(market, after_liquidation="naked"), [(-1.0, 1.0, 2.0), HOLD, HOLD, HOLD])
    before, last = infos[1]["equity"], infos[2]
    assert last["equity"] < 0
    assert last["terminated"]
    assert last["reward"] == pytest.approx(1e3 * math.log(300 / before), rel=1e-9)


def test_ruin_inside_a_step_ends_it_at_that_bar():
    # decisions every 4 bars; ruined in the third bar, so the recovery in the fourth never happens
    # and only 3 hours of cash rate are charged
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, 14), bar(14, 150), bar(150))
    env = make_env(market, after_liquidation="naked", decision_interval="4h", cash_rate=0.0876)
    (info,) = play(env, [SHORT])
    assert info["terminated"]
    assert info["row"] == 3
    # 0.0876 a year = 1e-5 an hour
    assert info["reward"] == pytest.approx(
        1e3 * (math.log(info["equity"] / 30_000) - 3e-5), rel=1e-9
    )


def test_below_the_floor_of_the_reward_nothing_is_earned():
    # 200 units of naked spot fall to 0.0075: equity 148.51 + 1.5 = 150.01, half of the floor of
    # 300. Idle: only the hurdle of 1e-5 an hour; back to 2.2575: 148.51 + 451.5 = 600.01, twice the
    # floor
    market = tape(
        bar(100),
        bar(100),
        bar(100, 150),
        bar(150, 0.0075),
        bar(0.0075),
        bar(0.0075, 2.2575),
        bar(2.2575),
    )
    env = make_env(market, after_liquidation="naked", ruin_fraction=0.0)
    _, hit, fell, idle, back = play(env, [SHORT] + [HOLD] * 4)
    assert fell["equity"] == pytest.approx(150.0148514, rel=1e-7)
    assert fell["reward"] == pytest.approx(1e3 * math.log(300 / hit["equity"]), rel=1e-9)
    assert idle["reward"] == 0.0
    assert back["reward"] == pytest.approx(1e3 * math.log(600.0148514 / 300), rel=1e-7)
    env = make_env(market, after_liquidation="naked", ruin_fraction=0.0, cash_rate=0.0876)
    idle = play(env, [SHORT] + [HOLD] * 3)[-1]
    assert idle["reward"] == pytest.approx(-1e-2, rel=1e-9)
