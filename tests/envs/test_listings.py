"""Coins that come and go in a portfolio: closed at the last price with cost, masked, told."""

from __future__ import annotations

import dataclasses

import gymnasium
import numpy as np
import pytest

import fundenv  # noqa: F401
from fundenv.checks import check_accounting
from fundenv.config import ConfigError
from fundenv.envs.portfolio import PORTFOLIO, by_asset
from fundenv.envs.single import FundingHedgeEnv
from fundenv.market import layout
from tests.laws.play import FRICTIONLESS, HOLD, make_env, play
from tests.laws.test_causality import SETTINGS, random_moves, same
from tests.markets import bar, tape, wild_market

FULL = (1.0, 1.0, 3.0)
HALF = (0.5, 1.0, 1.0)
NOTHING = bar(1.0, sigma_day=1.0, halted=layout.UNLISTED)
MODES = pytest.mark.parametrize("mode", ["isolated", "cross", "portfolio"])


def gone(price: float) -> list[float]:
    return bar(price, halted=layout.UNLISTED, spot_volume=0.0, perp_volume=0.0)


def market(*second: list[float], symbols=("PLAIN", "PLAIN")):
    """A first coin that stands at 100, and a second one with the bars given."""
    return tape(*([bar(100.0), each] for each in second), symbols=symbols)


@MODES
def test_a_delisted_coin_is_closed_at_its_last_price_with_cost_and_told(mode) -> None:
    """1 % fee on both legs, which stand at 100, and no slippage: the venue has none."""
    coins = market(bar(100.0), bar(100.0), gone(100.0), gone(100.0))
    env = make_env(coins, margin_mode=mode, perp_fee=0.01, spot_fee=0.01, cost_scale=0.0)
    first, second, third = play(env, [[HOLD, HALF], [HOLD, HOLD], [HOLD, HALF]])
    size = -first["account"]["perp"][1]
    assert size > 30.0
    assert second["account"]["perp"].tolist() == [0.0, 0.0]
    assert second["account"]["spot"].tolist() == [0.0, 0.0]
    assert second["account"]["margin"].tolist() == [0.0, 0.0]
    assert second["parts"]["fees"] == pytest.approx(-2 * 0.01 * 100.0 * size)
    assert second["trade"]["filled_perp"][1] == pytest.approx(size)
    assert second["prices"]["fill_perp"][1] == 100.0
    assert list(second["trade"]["reason"]) == ["hold", "delisted"]
    assert second["available"].tolist() == [True, False]
    assert second["liquidated"].tolist() == [0, 0]
    # what is asked of it afterwards is none, with the reason
    assert third["account"]["perp"].tolist() == [0.0, 0.0]
    assert list(third["trade"]["reason"]) == ["hold", "not listed"]
    assert third["trade"]["requested_perp"][1] == 0.0


def test_a_forced_exit_pays_the_spread_of_a_forced_order_whatever_was_traded() -> None:
    coins = market(bar(100.0), bar(100.0), gone(100.0), symbols=("PLAIN", "COSTLY"))
    env = make_env(coins, max_participation=0.01, stress_multiplier=5.0)
    first, second = play(env, [[HOLD, HALF], [HOLD, HOLD]])
    assert first["account"]["perp"][1] < 0.0
    assert second["account"]["perp"][1] == 0.0
    opened, closed = (info["parts"]["spread"] for info in (first, second))
    assert closed == pytest.approx(5.0 * opened, rel=1e-6)


@MODES
def test_a_coin_takes_orders_from_its_first_close_on(mode) -> None:
    """Its first bar opens at 7 and closes at 8: nobody could size an order before."""
    coins = market(NOTHING, NOTHING, bar(7.0, 8.0), bar(8.0), bar(8.0))
    infos = play(make_env(coins, margin_mode=mode), [[HOLD, HALF]] * 3)
    assert [info["account"]["perp"][1] for info in infos[:2]] == [0.0, 0.0]
    assert [info["trade"]["reason"][1] for info in infos[:2]] == ["not listed", "not listed"]
    assert [info["available"][1] for info in infos] == [False, True, True]
    assert infos[2]["account"]["perp"][1] < 0.0
    assert infos[0]["equity"] == infos[1]["equity"] == 30_000.0


def test_what_is_asked_of_a_coin_that_is_not_listed_takes_nothing_from_the_others() -> None:
    coins = market(NOTHING, NOTHING, NOTHING)
    info = play(make_env(coins, capital="shared"), [[FULL, FULL]])[-1]
    assert -info["account"]["perp"][0] * 100.0 == pytest.approx(0.75 * 30_000.0)


def test_the_keeper_of_the_equity_works_beside_coins_that_are_not_listed() -> None:
    rows = [[bar(price), NOTHING] for price in (100.0, 100.0, 170.0, 170.0)]
    coins = tape(*rows, symbols=("PLAIN", "PLAIN"))
    settings = {"capital": "shared", "keeper_watches": "equity", "keeper_interval": "1h"}
    env = make_env(coins, margin_mode="portfolio", **settings)
    info = play(env, [[(0.5, 1.0, 1.0), HOLD], [HOLD, HOLD], [HOLD, HOLD]])[-1]
    used = np.abs(info["account"]["perp"][0]) * info["prices"]["mark"][0] * 1.05
    assert used == pytest.approx(0.5 * info["equity"])


def test_an_episode_that_starts_invested_holds_no_coin_that_is_not_listed() -> None:
    coins = market(*[NOTHING] * 30)
    env = FundingHedgeEnv(
        market=coins, **FRICTIONLESS | {"random_start": True, "start_invested": 1.0}
    )
    env.reset(seed=1)
    legs = env.batch.store.legs[0]
    assert legs[0, 1] != 0.0
    assert (legs[1, :4] == 0.0).all()


def test_the_brief_info_counts_coins_that_were_closed() -> None:
    coins = market(bar(100.0), bar(100.0), gone(100.0), gone(100.0))
    env = FundingHedgeEnv(market=coins, **FRICTIONLESS)
    _, info = env.reset()
    told = [info["delisted"]]
    for _ in range(3):
        told.append(env.step(np.array([1, 0, 0, 1, 0, 0.5, 1, 1], np.float32))[4]["delisted"])
    assert told == [0, 0, 1, 0]
    plain = FundingHedgeEnv(market=market(bar(100.0), bar(100.0)), **FRICTIONLESS)
    assert "delisted" not in plain.reset()[1]


def test_observation_and_mask_tell_which_coins_trade() -> None:
    halted = bar(100.0, halted=layout.NO_PRICE)
    rows = (NOTHING, bar(100.0), halted, bar(100.0), gone(100.0), gone(100.0))
    env = gymnasium.make(
        "fundenv/FundingPortfolio-v0",
        market=market(*rows),
        **FRICTIONLESS | {"actions": "discrete", "dials": ("carry", "leverage")},
    )
    obs, _ = env.reset()
    assert env.action_space.nvec.tolist() == [6, 4, 6, 4]
    seen = [(by_asset(obs, 2)[0][:, -1].tolist(), env.unwrapped.action_masks())]
    for _ in rows[2:]:
        obs, *_ = env.step(np.array([0, 0, 3, 1]))
        seen.append((by_asset(obs, 2)[0][:, -1].tolist(), env.unwrapped.action_masks()))
    assert [second for (_, second), _ in seen] == [0.0, 1.0, 0.0, 1.0, 0.0]
    for (_, second), mask in seen:
        gate = [True] + [second == 1.0] * 5
        assert mask.tolist() == [True] * 10 + gate + [True] * 4


def test_masks_of_indexed_actions_name_the_decisions_that_hold_what_is_not_listed() -> None:
    vec = gymnasium.make_vec(
        "fundenv/FundingPortfolio-v0",
        num_envs=2,
        market=market(*[NOTHING] * 5),
        **FRICTIONLESS
        | {"actions": "indexed", "dials": ("carry", "keeper"), "carry_grid": (0.0, 1.0)},
    )
    vec.reset()
    masks, decisions = vec.unwrapped.action_masks(), vec.unwrapped.batch.decisions
    assert decisions.shape == (3 * 3 * 3, 3)
    assert np.array_equal(masks, np.tile(decisions[:, 1] == 0, (2, 1)))


def test_actions_without_choices_have_no_masks() -> None:
    env = gymnasium.make("fundenv/FundingPortfolio-v0")
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="'continuous' has no choices to mask"):
        env.unwrapped.action_masks()


@MODES
def test_the_future_of_listings_changes_nothing_before_it(mode) -> None:
    """Whether a coin is delisted in the next bar, or ever, is in no observation, reward or info."""
    observe = ("available", "liquidation_distance", "unused_collateral", "borrow_cost", "keeper_up")
    settings = SETTINGS | {"margin_mode": mode, "ruin_fraction": 0.0, "observe": observe}
    settings |= {"capital": "shared", "keeper_watches": "equity"}
    told = 0
    for seed in range(10):
        coins = wild_market(seed, ("COSTLY", "FINE", "PLAIN"), length=38, listings=True)
        moves = random_moves(seed, 12, 3)
        whole = play(make_env(coins, **settings), moves)
        told += sum("delisted" in info["trade"]["reason"] for info in whole)
        for known in range(1, len(whole)):
            after = whole[known - 1]["row"] + 1
            bars = coins.bars.copy()
            flip = np.where(bars[after:, 1:, layout.HALTED] == layout.UNLISTED, 0.0, 2.0)
            bars[after:, 1:, layout.HALTED] = flip
            other = dataclasses.replace(coins, bars=bars)
            part = play(make_env(other, **settings), moves[:known])
            assert all(same(x, y) for x, y in zip(whole, part, strict=False)), (seed, known)
    assert told > 1


def test_the_parts_of_random_steps_add_up_where_coins_come_and_go() -> None:
    coins = wild_market(5, ("PLAIN", "FINE", "COSTLY"), paths=4, length=300, listings=True)
    venue = {"venue": FRICTIONLESS["venue"], "max_participation": 0.0}
    check_accounting(**PORTFOLIO, **venue, market=coins, num_envs=8, steps=300)
