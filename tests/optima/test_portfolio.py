"""The clairvoyant of the portfolio: values by hand, above every random policy, played by its
agent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, synthetic_market
from fundenv.optima.portfolio import inputs, portfolio_bound
from fundenv.optima.portfolio_programme import Inputs, solve

SETTINGS: dict[str, Any] = {
    "margin_mode": "portfolio",
    "capital": "shared",
    "actions": "target",
    "episode": None,
    "random_start": False,
    "autoreset": "disabled",
    "cash_rate": 0.0,
    "funding_shift": 0.2,  # so that there is something to earn
}


def made(funding: list[list[float]], **given: Any) -> Inputs:
    """Coins at a price of 1 whose short perpetual receives `funding` (K, A) in each step."""
    flow = np.array(funding)
    one, nothing = np.ones(flow.shape), np.zeros(flow.shape)
    numbers: dict[str, Any] = {
        "before": nothing,
        "move": flow,
        "early": nothing,
        "up": 0.01 * one,
        "down": 0.01 * one,
        "spot": one,
        "perp": one,
        "close": one,
        "mark": one,
        "last": one,
        "collateral": np.full(flow.shape[1], 0.5),
        "maintenance": np.zeros(flow.shape[1]),
        "lend": 0.0,
        "borrow": 0.02,
    }
    return Inputs(**numbers | given)


def test_one_coin_by_hand() -> None:
    """Collateral 0.5: twice the equity at most. 5 % funding for one step on a notional of 2 less 1
    % of it to open and 2 % on the borrowed 1 + 0.02 of it: margin binds at the end of the step, E
    = 1 + 0.05 z - 0.01 z - 0.02 (1.01 z - 1), z / 2 = E.
    """
    plan = solve(made([[0.05]]), buckets=1)
    size = 1.02 / (0.5 - 0.04 + 0.0202)
    assert plan.position[0, 0] == pytest.approx(size)
    assert plan.equity[-1] == pytest.approx(size / 2)


def test_borrows_only_where_funding_pays_the_interest() -> None:
    """1.5 % a step pays the 1 % of opening, and not 2 % of interest beside it: own money alone, 1 /
    1.01 of the equity.
    """
    plan = solve(made([[0.015]]), buckets=1)
    assert plan.position[0, 0] == pytest.approx(1 / 1.01)
    assert plan.growth == pytest.approx(np.log(1 + 0.005 / 1.01))
    assert solve(made([[0.005]]), buckets=1).position[0, 0] == pytest.approx(0.0)


def test_changes_coins_where_that_pays_both_costs() -> None:
    """The second coin pays 3 % in the second step, the first nothing: worth 2 % of costs."""
    nobody = {"borrow": 1.0, "collateral": np.zeros(2)}
    plan = solve(made([[0.05, 0.0], [0.0, 0.03]], **nobody), buckets=1)
    assert plan.position[1] == pytest.approx([0.0, plan.position[:, 1].max()])
    stays = solve(made([[0.05, 0.0], [0.0, 0.015]], **nobody), buckets=1)
    assert stays.position[1, 0] == pytest.approx(stays.position[0, 0])
    # what the first step has earned, which pays 1.5 % less 1 % there
    assert stays.position[1, 1] == pytest.approx((stays.equity[1] - 1 / 1.01) / 1.01)


def test_interest_runs_on_the_price_of_entry() -> None:
    """A price that doubles borrows nothing more: own money at an entry of 1 still finances the
    spot, worth 2, in the second step.
    """
    price = np.array([[1.0], [2.0]])
    moved = {"spot": price, "perp": price, "close": np.full((2, 1), 2.0)}
    moved |= {"mark": np.full((2, 1), 2.0), "last": price, "collateral": np.array([0.9])}
    data = made([[0.015], [0.009]], **moved)
    fine, rough = (solve(data, buckets=count).equity[-1] for count in (2, 1))
    assert fine == pytest.approx(1 + (0.024 - 0.01) / 1.01)
    assert rough >= fine - 1e-12  # fewer buckets: looser


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(("btc", "eth"), years=0.2, seed=3)


@pytest.mark.parametrize("keeper", ["wallet", "equity"])
def test_no_random_policy_is_above_the_bound(market: Market, keeper: str) -> None:
    count, days = 200, 12
    batch = Batch(count, market=market, keeper_watches=keeper, **SETTINGS)
    batch.reset(0)
    rng = np.random.default_rng(0)
    bound = portfolio_bound(batch, leverage=4.0, steps=24 * days, buckets=3)
    patience = rng.choice([0.0, 0.8, 0.98], (count, 1))  # chance of holding
    lean = rng.choice([0.0, 0.5, 1.0], (count, 1))
    start = batch.store.account[:, t.EQUITY].copy()
    for step in range(3 * days):
        hold = (rng.random((count, 2)) < patience) & (step > 0)
        carry = np.maximum(rng.random((count, 2)), lean)
        leverage = rng.uniform(1, 4, (count, 2))
        actions = np.stack([hold, carry, np.ones_like(carry), leverage], axis=-1)
        batch.step(actions.reshape(count, -1))
        assert not (batch.store.legs[:, :, t.LIQUIDATED] > 0).any()
    growth = np.log(batch.store.account[:, t.EQUITY] / start)
    assert growth.max() > 0.0  # there is something to be above of
    assert growth.max() < bound


def test_the_agent_earns_about_the_plan_and_more_than_the_rules(market: Market) -> None:
    def walk(name: str, **params: Any) -> tuple[float, Any]:
        agent: Any = agents.make(name, **params)
        batch = Batch(1, market=market, **SETTINGS | agent.env_settings())
        agent.bind(batch)
        batch.reset(0)
        while not (batch.terminated | batch.truncated)[0]:
            batch.step(agent.act(batch.obs))
        return float(np.log(batch.store.account[0, t.EQUITY] / 1e5)), (agent, batch)

    best, (_, batch) = walk("portfolio_clairvoyant", leverage=5)
    others = [walk(name)[0] for name in ("rotation", "equal_weight", "margin_carry")]
    assert best > max(others)
    first = int(batch.world.paths[0, 0])
    steps = (int(batch.world.paths[0, 1]) - first - 1) // 8
    data = inputs(batch, 0, first, steps, 8)
    share = (1.0 + 5 * (1.0 - data.collateral)) / 5
    assert best == pytest.approx(solve(data, share=share, buckets=2).growth, rel=0.03)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"margin_mode": "isolated"}, "margin_mode = 'isolated'"),
        ({"capital": "parts"}, "capital = 'parts'"),
        ({"quote_borrow_rate": 0.01, "cash_rate": 0.03}, "quote_borrow_rate = 0.01 is below"),
    ],
)
def test_what_it_does_not_cover_is_refused(
    market: Market, settings: dict[str, Any], said: str
) -> None:
    batch = Batch(1, market=market, **SETTINGS | settings)
    with pytest.raises(ValueError, match=said):
        portfolio_bound(batch, leverage=3.0)
