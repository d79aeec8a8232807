"""The learning stack can learn: handed the funding that its action will collect, an agent earns it;
without, it cannot.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from agents import Learner
from experiments.rollout.make import roll_out
from fundenv.dynamics.types import PARTS
from fundenv.market import Feature, Market, select, synthetic_market
from fundenv.market.layout import SETTLE_PRICE, SETTLE_RATE

# every settlement pays or costs this much, with equal chance: nothing but the future says which
RATE = 30e-4
CHEAP = {"fee_scale": 0.05, "cost_scale": 0.05, "cash_rate": 0.0}
COLUMNS = (
    Feature(
        "funding_next",
        "rate of the first settlement that an action taken now can collect",
        "bp",
        -10.0,
        10.0,
        30.0,
    ),
    # makes the state Markov
    Feature(
        "funding_due",
        "rate that settles at this instant, on what is held already",
        "bp",
        -10.0,
        10.0,
        30.0,
    ),
)


def coin_tosses() -> Market:
    """Two synthetic paths of a year whose settled rates are +-30 bp at random."""
    market = synthetic_market("btc", years=1.0, paths=2, seed=11)
    bars = market.bars.copy()
    settled = bars[:, 0, SETTLE_PRICE] > 0
    bars[settled, 0, SETTLE_RATE] = np.random.default_rng(5).choice([-RATE, RATE], settled.sum())
    return replace(market, bars=bars)


def future(market: Market) -> NDArray[np.float64]:
    """COLUMNS [bp] for each row r, (R, 2): the first settlement after the open of row r + 1 (the
    action of r trades there, after a settlement on it), and the one on the open of row r + 1 (0
    where none falls on it).
    """
    known = np.zeros((len(market.bars), 2))
    rates = np.where(market.bars[:, 0, SETTLE_PRICE] > 0, 1e4 * market.bars[:, 0, SETTLE_RATE], 0.0)
    for first, last in market.paths:
        upcoming = 0.0
        for r in range(last - 2, first - 1, -1):
            known[r] = upcoming, rates[r + 1]
            upcoming = rates[r + 1] or upcoming
    return known


def with_columns(market: Market, raw: NDArray[np.float64]) -> Market:
    """The market with two more features."""
    features = np.concatenate(
        [market.features, (raw / COLUMNS[0].scale)[:, None, :].astype(np.float32)], axis=2
    )
    return replace(market, features=features, table=(*market.table, *COLUMNS))


def learned_growth(market: Market, name: str, params: dict[str, object], steps: int) -> float:
    """Yearly growth on the second path of an agent that learned on the first."""
    learning, unseen = (select(market, market.symbols[path]) for path in (0, 1))
    agent = agents.make(name, **params)
    assert isinstance(agent, Learner)
    agent.learn(learning, CHEAP, steps=steps, seed=0)
    return roll_out(agent, unseen, CHEAP)[0].metrics().net_log_growth


def test_the_columns_hold_what_the_step_after_books() -> None:
    market = coin_tosses()
    known = future(market)
    for path in range(2):
        first, last = market.paths[path]
        item = roll_out(agents.make("carry"), select(market, market.symbols[path]), CHEAP)[0]
        # the row at whose close each action was taken
        decided = np.searchsorted(market.close_ns[first:last], item.time) + first - 8
        funding = item.parts[:, PARTS.index("funding")]
        assert funding[0] == 0.0  # nothing was held at the first settlement
        assert (np.sign(funding[1:]) == np.sign(known[decided[:-1], 0])).all()
        assert (np.sign(funding[1:]) == np.sign(known[decided[1:], 1])).all()


SMALL = {"gamma": 0.9, "funding_share": 0.0, "cash_low": 0.0, "cash_high": 0.0}
LEARNERS = {
    "ppo": (
        SMALL
        | {
            "n_envs": 64,
            "n_steps": 32,
            "batch_size": 512,
            "hold_bias": 0.0,
            "leverage_bias": 0.0,
            "imitate": 0,
            "counterfactual_rounds": 0,
            "entropy": 0.003,
            "learning_rate": 3e-3,
            "reward_scale": 0.1,
        },
        60_000,
    ),
    "sac": (
        SMALL
        | {
            "n_envs": 32,
            "batch_size": 256,
            "gradient_steps": 2,
            "learning_starts": 2_000,
            "entropy": 0.02,
        },
        16_000,
    ),
}


@pytest.mark.learn
@pytest.mark.parametrize("name", LEARNERS)
def test_an_agent_that_sees_the_future_earns_it(name: str) -> None:
    market = coin_tosses()
    known = future(market)
    noise = np.random.default_rng(6).permutation(known)  # the same numbers at the wrong times
    params, steps = LEARNERS[name]
    seeing, blind = (
        learned_growth(with_columns(market, columns), name, params, steps)
        for columns in (known, noise)
    )
    # invested in the better half of a year's settlements with 4/5 of the equity (leverage 4)
    bound = 0.5 * RATE * 1095 * 0.8
    assert seeing > 0.5 * bound
    assert blind < 0.15 * bound
