"""Rewards by hand, in thousandths of log growth. Account: 30,000 quote, 200 units short at 100, 200
units of spot (carry 1, leverage 2).
"""

from __future__ import annotations

import math

import pytest

from tests.laws.play import FLAT, HOLD, make_env, play
from tests.markets import bar, tape

SHORT = (1.0, 1.0, 2.0)
EARNING = {"settle_rate": 0.001, "settle_price": 100.0}  # pays the short 20


def basis_moves(**columns: float) -> list[list[float]]:
    """The perpetual's mark falls from 100 to 99 in the third bar while spot stands still: the short
    gains 200.
    """
    return [
        bar(100),
        bar(100),
        bar(100, perp_close=99.0, mark_close=99.0, mark_low=99.0, **columns),
        bar(100),
    ]


def test_log_growth_is_what_the_account_earned_above_the_cash_rate():
    # 0.0876 a year = 1e-5 an hour; no cash is idle but the 20 received, which earn 20e-5:
    # ln(30,220.0002 / 30,000) - 1e-5
    opened, info = play(make_env(tape(*basis_moves(**EARNING)), cash_rate=0.0876), [SHORT, HOLD])
    assert opened["reward"] == pytest.approx(-1e-2, rel=1e-9)
    assert info["reward"] == pytest.approx(1e3 * (math.log(30_220.0002 / 30_000) - 1e-5), rel=1e-9)


def test_a_longer_step_owes_the_hurdle_of_all_its_bars():
    market = tape(*[bar(100)] * 5, bar_hours=2.0)
    (info,) = play(make_env(market, decision_interval="8h", cash_rate=0.0876), [SHORT])
    assert info["reward"] == pytest.approx(-1e3 * 8e-5, rel=1e-9)


def test_mean_variance_subtracts_half_gamma_times_the_squared_price_profit():
    # price profit 200 on 30,000, gamma 10: 1,000 x 5 x (1 / 150)^2
    _, info = play(
        make_env(tape(*basis_moves(**EARNING)), reward="mean_variance", risk_aversion=10.0),
        [SHORT, HOLD],
    )
    assert info["reward"] == pytest.approx(1e3 * (math.log(30_220 / 30_000) - 5 / 150**2), rel=1e-9)


def test_expected_replaces_price_profit_by_the_reversion_of_the_basis():
    # basis deviation 0.5 x 10 bp = 5 bp; half-life 1 h, so half of it reverts: the short expects
    # 200 x 100 x 0.5 x 0.0005 = 5, not 200
    market = tape(*basis_moves(**EARNING), deviation=0.5)
    opened, info = play(make_env(market, reward="expected", basis_half_life="1h"), [SHORT, HOLD])
    # held over the bar that it opened in
    assert opened["reward"] == pytest.approx(1e3 * math.log(1 + 5 / 30_000), rel=1e-9)
    assert info["reward"] == pytest.approx(1e3 * math.log(1 + (20 + 5) / 30_000), rel=1e-9)
    # the account keeps what really happened
    assert info["equity"] == pytest.approx(30_220, rel=1e-12)


def test_expected_reads_the_position_after_the_trade():
    market = tape(*basis_moves(), deviation=0.5)
    _, left = play(make_env(market, reward="expected", basis_half_life="1h"), [SHORT, FLAT])
    assert left["reward"] == pytest.approx(0.0, abs=1e-9)


def test_rewards_of_an_episode_add_up_to_its_log_growth():
    market = tape(
        bar(100),
        *[bar(100 + i, 101 + i, settle_rate=0.001, settle_price=100.0 + i) for i in range(10)],
        bar(110),
    )
    infos = play(make_env(market), [(0.5, 0.5, 2.0)] + [HOLD] * 9)
    assert sum(info["reward"] for info in infos) == pytest.approx(
        1e3 * math.log(infos[-1]["equity"] / 30_000), rel=1e-9
    )


def test_expected_punishes_naked_spot_that_falls():
    # liquidated in the rally to 150; 200 of spot fall to 120. There is no perpetual, so the
    # deviation of 5 bp earns nothing
    market = tape(bar(100), bar(100), bar(100, 150), bar(150, 120), bar(120), deviation=0.5)
    env = make_env(market, reward="expected", basis_half_life="1h", after_liquidation="naked")
    _, hit, fell = play(env, [SHORT, HOLD, HOLD])
    assert list(hit["liquidated"]) == [1]
    # as realised
    assert hit["reward"] == pytest.approx(1e3 * math.log(hit["equity"] / 30_000), rel=1e-9)
    assert fell["reward"] == pytest.approx(1e3 * math.log(1 - 6_000 / hit["equity"]), rel=1e-9)


@pytest.mark.parametrize("move", [HOLD, FLAT])
@pytest.mark.parametrize(("hedge", "equity"), [(0.0, 20_000), (1.0, 32_000)])
def test_expected_pays_no_bonus_for_what_the_venue_bore(hedge, equity, move):
    # a gap to 160 takes the wallet of 10,000; what was lost beyond it is in the parts, but the step
    # counts as realised
    market = tape(bar(100), bar(100), bar(160), bar(160), deviation=0.5)
    env = make_env(market, reward="expected", basis_half_life="1h")
    _, info = play(env, [(1.0, hedge, 2.0), move])
    assert info["parts"]["liquidation_loss"] == pytest.approx(2_000, rel=1e-9)
    assert info["reward"] == pytest.approx(1e3 * math.log(equity / 30_000), rel=1e-9)


def test_expected_counts_ruin_as_realised():
    # 75 of spot against 50 short lose 25 x 86 = 2,150: 27,850 <= 28,500. Perpetuals of 15,000
    # expect 3.75 of the deviation, which is not paid
    rows = [[bar(100), bar(100)]] * 2 + [[bar(100, 14), bar(100)]] * 2
    market = tape(*rows, symbols=("PLAIN", "OTHER"), deviation=0.5)
    env = make_env(market, reward="expected", basis_half_life="1h", ruin_fraction=0.95)
    _, info = play(env, [[(0.5, 1.5, 2.0), (1.0, 0.0, 2.0)], [HOLD, HOLD]])
    assert info["terminated"]
    assert list(info["liquidated"]) == [0, 0]
    assert info["reward"] == pytest.approx(1e3 * math.log(27_850 / 30_000), rel=1e-9)


def wandering_basis() -> list[list[float]]:
    """Spot 100 -> 105 (gap) -> 110, the perpetual at a basis of its own all the time; nothing is
    liquidated.
    """
    start = bar(100, spot_close=100.0, mark_close=101.0, perp_close=102.0)
    moved = bar(
        105, 110, perp_open=103.0, mark_open=104.0, perp_close=118.0, mark_close=116.0, high=117.0
    )
    return [bar(100), start, moved, bar(110)]


def test_expected_sees_no_noise_of_the_basis_in_a_full_hedge():
    _, held = play(make_env(tape(*wandering_basis()), reward="expected"), [SHORT, HOLD])
    _, left = play(make_env(tape(*wandering_basis()), reward="expected"), [SHORT, FLAT])
    assert held["parts"]["spot_pnl"] + held["parts"]["perp_pnl"] == pytest.approx(
        200 * (10 - 15), rel=1e-9
    )
    assert held["reward"] == pytest.approx(0.0, abs=1e-9)
    assert left["reward"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("move", "rise"), [(HOLD, 10.0), (FLAT, 5.0)])
@pytest.mark.parametrize("hedge", [0.0, 0.5, 1.5])
def test_expected_takes_the_unhedged_part_at_the_price_of_spot(hedge, move, rise):
    # 200 short less the spot against it; the gap to 105 is before the trade, so the one who leaves
    # has it too
    market = tape(*wandering_basis())
    first, info = play(make_env(market, reward="expected"), [(1.0, hedge, 2.0), move])
    units = first["account"]["spot"][0] + first["account"]["perp"][0]
    assert units == pytest.approx((hedge - 1) * -first["account"]["perp"][0], rel=1e-9)
    assert info["reward"] == pytest.approx(
        1e3 * math.log(1 + units * rise / first["equity"]), rel=1e-9
    )
