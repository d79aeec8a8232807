"""Coins out of a pool: how much may be owed, what it costs, what the lender takes back."""

from __future__ import annotations

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import splice, synthetic_market
from tests.laws.play import HOLD, make_env, play
from tests.markets import bar, tape

# calm is 4 %: with a norm of 5 % and 60 % lent, 40,000 of a pool of 100,000 are left
POOL = {"base_supply": 100_000.0, "borrow_used": 0.6, "borrow_norm": 0.05, "borrow_steep": 1.0}
REVERSE = (-1.0, 1.0, 3.0)  # 22,500 of 30,000 borrowed and sold, 22,500 of perpetual bought
HOUR = 1 / 8760


def test_a_loan_within_a_calm_pool_pays_the_flat_rate_up_to_the_kink():
    # 60 % + 22.5 % = 82.5 % lent: 2.5 % above the kink of 80 %, of 20 %: an eighth of the steep
    # rate
    env = make_env(tape(*[bar(100)] * 3), base_borrow_rate=0.1, **POOL)
    info = play(env, [REVERSE])[-1]
    assert info["account"]["spot"][0] == -225.0
    assert info["parts"]["borrow_interest"] == pytest.approx(-22_500 * (0.1 + 0.125) * HOUR)
    within = make_env(tape(*[bar(100)] * 3), base_borrow_rate=0.1, **POOL)
    info = play(within, [(-0.5, 1.0, 3.0)])[-1]
    assert info["parts"]["borrow_interest"] == pytest.approx(-11_250 * 0.1 * HOUR)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
def test_an_order_takes_no_more_coins_than_are_left_and_keeps_its_hedge_ratio(margin_mode):
    # a pool of 25,000 leaves 10,000
    chosen = POOL | {"base_supply": 25_000.0, "margin_mode": margin_mode}
    info = play(make_env(tape(*[bar(100)] * 3), **chosen), [REVERSE])[-1]
    assert info["account"]["spot"][0] == pytest.approx(-100.0)
    assert info["account"]["perp"][0] == pytest.approx(100.0)
    assert info["trade"]["reason"] == ("no more coins to borrow",)
    assert info["trade"]["requested_spot"][0] < -200.0


@pytest.mark.parametrize(("sigma", "left"), [(0.05, 225.0), (0.075, 100.0), (0.09, 0.0)])
def test_the_lender_takes_back_what_the_pool_no_longer_has(sigma, left):
    """At 7.5 % others have 90 %, so 10,000 are left; beyond 8.33 % nothing is."""
    rows = [bar(100), bar(100), bar(100, sigma_day=sigma)]
    infos = play(make_env(tape(*rows), **POOL), [REVERSE, HOLD])
    assert infos[0]["account"]["spot"][0] == -225.0
    after = infos[1]
    assert after["account"]["spot"][0] == pytest.approx(-left)
    assert after["account"]["perp"][0] == pytest.approx(left)
    assert after["trade"]["reason"] == ("loan recalled" if left < 225.0 else "hold",)
    assert bool(after["liquidated"][0]) is False


def test_a_recall_trades_at_stressed_cost_and_waits_for_a_halted_market():
    rows = [bar(100), bar(100), bar(100, sigma_day=0.09, halted=1.0), bar(100, sigma_day=0.09)]
    for row in rows:
        row[10:14] = [1e9, 1e9, 0.0, 0.0]  # no impact
    env = make_env(tape(*rows, symbols=("COSTLY",)), cost_scale=1.0, **POOL)
    opened, halted, taken = play(env, [(-0.5, 1.0, 3.0), HOLD, HOLD])
    assert halted["account"]["spot"][0] == opened["account"]["spot"][0] < 0.0
    assert halted["trade"]["reason"] == ("halted",)
    assert taken["account"]["spot"][0] == 0.0
    assert taken["account"]["perp"][0] == 0.0
    assert taken["parts"]["spread"] == pytest.approx(5 * opened["parts"]["spread"], rel=0.02)


def test_the_keeper_does_not_borrow_again_what_was_recalled():
    rows = [bar(100), bar(100), bar(100, sigma_day=0.075), bar(100), bar(100)]
    env = make_env(tape(*rows), keeper_interval="1h", keeper_watches="equity", **POOL)
    infos = play(env, [REVERSE, HOLD, HOLD, HOLD])
    assert [round(info["account"]["spot"][0]) for info in infos] == [-225, -100, -100, -100]


def test_a_portfolio_buys_with_the_quote_that_it_has_or_can_borrow():
    # PLAIN's collateral rate lets 3x buy more than 30,000 of spot; a pool of 10,000 leaves 4,000
    chosen = {"margin_mode": "portfolio", "borrow_used": 0.6, "borrow_norm": 0.05}
    bought = play(make_env(tape(*[bar(100)] * 3), **chosen), [(1.0, 1.0, 3.0)])[-1]
    assert bought["account"]["cash"] < -4_000
    chosen |= {"quote_supply": 10_000.0, "quote_borrow_rate": 0.1, "borrow_steep": 1.0}
    infos = play(make_env(tape(*[bar(100)] * 9), **chosen), [(1.0, 1.0, 3.0)] * 7)
    for before, info in zip([None, *infos], infos, strict=False):
        assert info["trade"]["reason"] == ("not enough funds",)
        assert info["account"]["perp"][0] == pytest.approx(-info["account"]["spot"][0])
        debt = -(info["account"]["cash"] - info["parts"]["borrow_interest"])
        assert 0 < debt < 4_010  # the interest of the bars before is owed too
        # beyond 80 % of the pool the loan pays more
        rate = 0.1 + 1.0 * max(0.6 + debt / 10_000 - 0.8, 0.0) / 0.2
        assert info["parts"]["borrow_interest"] == pytest.approx(-debt * rate * HOUR)
        assert before is None or info["account"]["cash"] < before["account"]["cash"]
    assert -infos[-1]["account"]["cash"] > 3_500


def test_a_pool_of_nothing_is_endless_and_its_rate_flat():
    env = make_env(tape(*[bar(100, sigma_day=9.0)] * 3), base_borrow_rate=0.1)
    info = play(env, [REVERSE])[-1]
    assert info["account"]["spot"][0] == -225.0
    assert info["parts"]["borrow_interest"] == pytest.approx(-22_500 * 0.1 * HOUR)


def test_what_is_not_borrowed_is_not_touched():
    """A carry that is never negative is the same to the bit with and without the pool."""
    market = splice(synthetic_market("alt", years=0.3, seed=3), "2022-11-09", at=24 * 40)
    seen = []
    for supply in (0.0, 5_000_000.0):
        batch = Batch(1, market=market, random_start=False, episode=None, base_supply=supply)
        batch.reset(0)
        rng, states = np.random.default_rng(0), []
        while not (batch.terminated | batch.truncated).any():
            batch.step(np.array([[rng.uniform(0, 1), 0.0, 0.3]], np.float32))
            states.append(batch.store.account.copy())
        seen.append(np.array(states))
    assert np.array_equal(*seen)


def reverse_carry(supply: float) -> float:
    """What an always-on reverse carry earns in twenty days with the fall of SOL of November 2022
    in them, as a share of its equity.
    """
    calm = synthetic_market("alt", years=0.3, paths=1, seed=3)
    market = splice(calm, "2022-11-09", at=24 * 40)
    batch = Batch(
        1,
        market=market,
        actions="target",
        random_start=False,
        episode="20D",
        base_supply=supply,
        max_leverage=10.0,
    )
    batch.reset(0, paths=[0], starts=[24 * 35])
    while not (batch.terminated | batch.truncated).any():
        batch.step(np.float32([[0.0, -1.0, 1.0, 3.0]]))
    return float(batch.store.account[0, t.EQUITY] / 100_000.0 - 1.0)


def test_the_fall_of_november_2022_is_no_free_money_for_who_is_short_of_coins():
    assert reverse_carry(0.0) > 0.1
    assert reverse_carry(5_000_000.0) < 0.01
