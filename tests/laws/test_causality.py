"""Nothing that happens after a decision reaches it: rows after t may be anything."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fundenv.market import layout
from fundenv.market.market import Market
from tests.laws.play import action, make_env, play
from tests.markets import wild_market

SETTINGS: dict[str, Any] = {
    "perp_fee": None,
    "spot_fee": None,
    "cash_rate": 0.045,
    "keeper_interval": "2h",
    "max_participation": 0.1,
    "decision_interval": "3h",
    "base_supply": 20_000.0,
    "quote_supply": 20_000.0,
    "borrow_steep": 5.0,
    "liquidation_gap": 0.5,
    "deficit_share": 0.5,
}


# what every account may meet
STATES = (layout.TRADED, layout.NO_PRICE, layout.UNLISTED)


def corrupted(market: Market, after: int, seed: int, states: tuple[float, ...] = STATES) -> Market:
    """The market with every number of every row after `after` replaced: prices, rates and volumes
    by any, the state of the market by one of `states`.
    """
    rng = np.random.default_rng(seed)
    bars, features = market.bars.copy(), market.features.copy()
    bars[after + 1 :] = rng.uniform(1.0, 100.0, bars[after + 1 :].shape)
    bars[after + 1 :, :, layout.MARK_HIGH] += 100
    bars[after + 1 :, :, layout.MARK_LOW] *= 0.01
    bars[after + 1 :, :, layout.HALTED] = rng.choice(states, bars[after + 1 :, :, 0].shape)
    features[after + 1 :] = rng.uniform(-5, 5, features[after + 1 :].shape)
    return dataclasses.replace(market, bars=bars, features=features)


def random_moves(seed: int, n: int, assets: int) -> list[list[tuple[float, float, float] | None]]:
    rng = np.random.default_rng(seed)

    def one() -> tuple[float, float, float] | None:
        return (
            None
            if rng.random() < 0.3
            else (rng.uniform(-1, 1), rng.uniform(0, 1.5), rng.uniform(1, 10))
        )

    return [[one() for _ in range(assets)] for _ in range(n)]


def flatten(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in flatten(value[key])]
    return [value]


def same(x: dict[str, Any], y: dict[str, Any]) -> bool:
    return all(
        np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")
        for a, b in zip(flatten(x), flatten(y), strict=True)
    )


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
@pytest.mark.parametrize("symbols", [("COSTLY",), ("COSTLY", "FINE")])
@pytest.mark.parametrize("reward", ["log_growth", "mean_variance", "expected"])
def test_the_future_changes_no_observation_reward_or_info(symbols, margin_mode, reward):
    steps = 12
    for seed in range(4):
        market = wild_market(seed, symbols, length=3 * steps + 2)
        moves = random_moves(seed, steps, len(symbols))
        settings = SETTINGS | {"margin_mode": margin_mode, "reward": reward, "ruin_fraction": 0.0}
        whole = play(make_env(market, **settings), moves)
        assert len(whole) > 3
        for known in range(1, len(whole)):
            row = whole[known - 1]["row"]
            part = play(make_env(corrupted(market, row, seed), **settings), moves[:known])
            assert len(part) == known
            assert all(same(x, y) for x, y in zip(whole, part, strict=False)), (
                f"seed {seed}: step {known} saw a row after {row}"
            )


def test_the_first_observation_is_blind_to_the_first_bar():
    market = wild_market(3, ("FINE",))
    seen = [
        make_env(m, **SETTINGS).reset(options={"path": 0, "start": 5})[0]
        for m in (market, corrupted(market, 5, 1))
    ]
    assert np.array_equal(*seen)
    # the gate can fail
    assert not np.array_equal(
        seen[0],
        make_env(corrupted(market, 4, 1), **SETTINGS).reset(options={"path": 0, "start": 5})[0],
    )


def test_what_is_asked_for_does_not_know_the_bar_in_which_it_is_filled():
    # from one state, the next bar replaced (but for the settlement on its open, which is over
    # before the order): the request is the same
    market = wild_market(11, ("FINE",))
    for row in range(6, 40):
        other = corrupted(market, row, row)
        bars = other.bars.copy()
        for column in (layout.SETTLE_RATE, layout.SETTLE_PRICE):
            bars[:, :, column] = market.bars[:, :, column]
        other = dataclasses.replace(other, bars=bars)
        requests = []
        for m in (market, other):
            env = make_env(m, **(SETTINGS | {"decision_interval": "1h"}))
            env.reset(options={"path": 0, "start": row})
            trade = env.step(action([(0.5, 1.0, 3.0)]))[4]["trade"]
            requests.append((trade["requested_spot"][0], trade["requested_perp"][0]))
        assert requests[0] == requests[1]
