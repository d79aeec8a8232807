"""Coin-margined contracts against the slow account, and their accounting and causality."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.laws.coin_env import coin_env
from tests.laws.play import action, make_env, play
from tests.laws.test_accounting import books_are_wrong
from tests.laws.test_causality import corrupted, random_moves, same
from tests.laws.test_reference import EVERYTHING, PATHS, REFUSALS, walk, walk_paths
from tests.laws.venue_books import check_books_of, venues_of
from tests.laws.wild import (
    SEEDS,
    SYMBOLS,
    inverse_settings,
    remembering_settings,
    targets,
)
from tests.markets import wild_market
from tests.oracle.inverse import InverseAccount

MODES = pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])


def test_kernel_and_reference_agree_on_wild_markets():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=int(os.environ.get("FUNDENV_EXAMPLES", "100")), **EVERYTHING)
    @given(SEEDS, SYMBOLS, inverse_settings())
    def check(seed, symbols, chosen):
        market = wild_market(seed, symbols, PATHS)
        walk_paths(market, chosen, seed, seen, account=InverseAccount)

    check()
    assert seen["steps"] > 2_000
    assert min(seen[f"liquidated {mode}"] for mode in ("isolated", "cross", "portfolio")) > 5, seen
    assert seen["partial liquidations"] > 20
    for reason in REFUSALS:
        assert seen[reason] > 10, (reason, seen)


def test_kernel_and_reference_agree_where_impact_stays_behind():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=80, **EVERYTHING)
    @given(SEEDS, SYMBOLS, remembering_settings(inverse_settings))
    def check(seed, symbols, chosen):
        market = wild_market(seed, symbols, PATHS)
        walk_paths(market, chosen, seed, seen, account=InverseAccount)

    check()
    assert seen["steps"] > 1_000, seen
    assert seen["liquidations"] > 20, seen
    assert seen["impact got back"] > 100, seen


def test_kernel_and_reference_agree_where_coins_are_listed_and_delisted():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=50, **EVERYTHING)
    @given(SEEDS, st.sampled_from([("PLAIN", "PLAIN2"), ("COSTLY", "FINE")]), inverse_settings())
    def check(seed, symbols, chosen):
        market = wild_market(seed, symbols, 4, listings=True)
        env, rng = make_env(market, **chosen), np.random.default_rng(seed)
        for path in range(4):
            begin = int(rng.integers(0, 20))
            walk(env, market, chosen, path, begin, rng, 40, seen, account=InverseAccount)

    check()
    assert seen["delisted"] > 20, seen
    assert seen["not listed"] > 50, seen


def test_parts_add_up_to_the_change_of_equity_and_equity_to_the_coins():
    @hypothesis_settings(max_examples=50, **EVERYTHING)
    @given(SEEDS, SYMBOLS, inverse_settings())
    def check(seed, symbols, chosen):
        rng, env = np.random.default_rng(seed), make_env(wild_market(seed, symbols, 4), **chosen)
        for path in range(4):
            env.reset(options={"path": path, "start": int(rng.integers(0, 20))})
            before, done = chosen["initial_equity"], False
            while not done:
                _, reward, terminated, truncated, info = env.step(
                    action(targets(rng, len(symbols)))
                )
                assert books_are_wrong(before, dict(info) | {"reward": reward}, inverse=True) == ""
                before, done = info["equity"], terminated or truncated

    check()


@MODES
@pytest.mark.parametrize("reward", ["log_growth", "expected"])
def test_the_future_changes_no_observation_reward_or_info(margin_mode, reward):
    settings: dict[str, Any] = {
        "perp_fee": None,
        "keeper_interval": "2h",
        "max_participation": 0.1,
        "decision_interval": "3h",
    }
    settings |= {"margin_mode": margin_mode, "reward": reward, "ruin_fraction": 0.0}
    for seed in range(3):
        market = wild_market(seed, ("COSTLY", "FINE"), length=38)
        moves = random_moves(seed, 12, 2)
        whole = play(coin_env(market, **settings), moves)
        for known in range(1, len(whole)):
            part = play(
                coin_env(corrupted(market, whole[known - 1]["row"], seed), **settings),
                moves[:known],
            )
            assert all(same(x, y) for x, y in zip(whole, part, strict=False)), (
                f"seed {seed}: step {known} saw the future"
            )


@pytest.mark.parametrize("name", venues_of("inverse"))
@MODES
def test_every_inverse_venue_of_the_package_keeps_its_books(name, margin_mode):
    check_books_of(name, margin_mode, "BTCUSD", coin_env, InverseAccount)
