"""Rules pay for loans what the account pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError
from agents.rules.loans import KINK, VOLATILITIES, Loans, daily
from agents.rules.threshold_fit import next_position
from fundenv.batch.cpu import Batch
from fundenv.dynamics import lending
from fundenv.dynamics import types as t
from fundenv.market import Market, layout, splice, synthetic_market
from tests.agents.one_capital import look

POOL: dict[str, Any] = {"borrow_used": 0.6, "borrow_norm": 0.05, "borrow_steep": 1.0}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(("btc", "eth"), years=0.3, seed=1)


def wild(sigma: float) -> dict[str, float]:
    """Observations of a coin with this daily volatility over every window."""
    return {name: sigma * np.sqrt(365) for name in VOLATILITIES}


def seen(batch: Batch, *coins: dict[str, float]) -> Any:
    """`look`, with volatilities of one day too."""
    obs = look(batch, *coins)
    for at, column in enumerate(batch.observation_table):
        prefix, _, name = column.name.rpartition(":")
        if prefix and name in VOLATILITIES:
            obs[0, at] = coins[int(prefix)].get(name, 0.0) / column.scale
    return obs


def scarce(sigma: float, share: float) -> float:
    """Specification 11.2: what a loan of that share of its pool costs beyond the flat rate."""
    if share == 0.0:
        return 0.0
    return max(0.6 * max(sigma / 0.05, 1.0) + share - 0.8, 0.0) / 0.2


@pytest.mark.parametrize("sigma", [0.02, 0.06, 0.065, 0.07, 0.08])
@pytest.mark.parametrize("owed", [0.0, 0.3, 0.75, 2.0])
def test_the_rates_are_those_of_the_account(market: Market, sigma: float, owed: float) -> None:
    """100,000 of equity, pools of 1,000,000."""
    batch = Batch(
        1,
        market=market,
        margin_mode="portfolio",
        base_supply=1e6,
        quote_supply=1e6,
        base_borrow_rate=0.09,
        quote_borrow_rate=0.07,
        **POOL,
    )
    batch.reset(0)
    loans = Loans(batch)
    loans.look(seen(batch, wild(sigma), wild(0.5 * sigma)))
    expected = np.array([scarce(s, owed / 10) for s in (sigma, 0.5 * sigma)])
    assert loans.coins(owed)[0] == pytest.approx(0.09 + expected, rel=1e-5)
    assert loans.quote(owed)[0] == pytest.approx(0.07 + scarce(0.75 * sigma, owed / 10), rel=1e-5)
    loans.look(seen(batch, wild(sigma), wild(9.0)), np.array([[True, False]]))  # not listed
    assert loans.quote(owed)[0] == pytest.approx(0.07 + expected[0], rel=1e-5)


OWN: dict[str, list[float]] = {
    "quote_supply": [0.0, 1e6, 3e5],
    "base_supply": [1e6, 0.0, 4e5],
    "quote_borrow_rate": [0.05, 0.07, 0.1],
    "borrow_used": [0.6, 0.7, 0.5],
    "borrow_slope": [12.0, 12.0, 20.0],
    "borrow_steep": [1.0, 2.0, 0.5],
    "initial_equity": [1e5, 2e5, 1e5],
}


def test_each_environment_has_its_own_rates_and_pools(market: Market) -> None:
    """`per_env` says other numbers than the config; the rule has to see those of the account."""
    three = Batch(3, market=market, margin_mode="portfolio", per_env=OWN)
    three.reset(0)
    loans = Loans(three)
    coins = (wild(0.06), wild(0.08))
    loans.look(np.repeat(seen(three, *coins)[:1], 3, axis=0))
    owed = np.array([[0.9, 1.5]])
    for at in range(3):
        own = {name: values[at] for name, values in OWN.items()}
        own["borrow_norm"] = own["borrow_used"] / own.pop("borrow_slope")
        one = Batch(1, market=market, margin_mode="portfolio", **own)
        one.reset(0)
        alone = Loans(one)
        alone.look(seen(one, *coins))
        for said, told in (
            (loans.quote(owed), alone.quote(owed)),
            (loans.coins(owed), alone.coins(owed)),
        ):
            found, expected = np.broadcast_to(said, (3, 2)), np.broadcast_to(told, (1, 2))
            np.testing.assert_allclose(found[at], expected[0], rtol=1e-12)
    with pytest.raises(AgentError, match="is bound to 3 environments of different"):
        loans.look(np.zeros((2, three.obs.shape[1]), np.float32))


def test_an_account_repays_a_loan_that_its_own_pool_makes_dear(market: Market) -> None:
    """The pool in `per_env` is the pool in the config: same orders, same equity."""
    settings: dict[str, Any] = {"margin_mode": "portfolio", "keeper_watches": "equity"}
    pools = [0.0, 2e5]

    def played(count: int, **more: Any) -> np.ndarray:
        agent = agents.make("margin_carry", highest=4, enter=-5, exit=-9, borrow=-2, repay=-3)
        batch = Batch(
            count,
            market=market,
            random_start=False,
            **settings | agent.env_settings() | more,
        )
        agent.bind(batch)
        agent.reset()
        batch.reset([0] * count)
        for _ in range(100):
            batch.step(agent.act(batch.obs))
        return batch.store.account[:, t.EQUITY].copy()

    together = played(2, per_env={"quote_supply": pools})
    alone = [played(1, quote_supply=pool)[0] for pool in pools]
    np.testing.assert_array_equal(together, alone)
    assert alone[0] != alone[1]


def test_the_pools_have_the_kink_of_the_kernel() -> None:
    assert KINK == lending.KINK


def test_endless_pools_have_the_flat_rate(market: Market) -> None:
    batch = Batch(1, market=market, base_supply=0.0, quote_supply=0.0)
    batch.reset(0)
    loans = Loans(batch)
    loans.look(batch.obs)
    assert loans.coins(5.0) == batch.venue.value("borrow", "base_annual")
    assert loans.quote(5.0) == batch.venue.value("borrow", "quote_annual")


def test_the_volatility_that_a_rule_sees_is_near_the_accounts() -> None:
    market = splice(synthetic_market("alt", years=1, seed=3), "2022-11-09", at=24 * 100)
    names = [feature.name for feature in market.table]
    columns = {
        name: market.features[:-1, 0, names.index(name)] * market.table[names.index(name)].scale
        for name in VOLATILITIES
    }
    ratio = daily(columns) / market.bars[1:, 0, layout.SIGMA_DAY]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
    assert np.percentile(np.abs(ratio - 1.0), 90) < 0.2


def test_a_reverse_carry_is_charged_what_its_rule_counts_with(market: Market) -> None:
    """Interest booked in each step over the value of the loan, against the rate of the rule; the
    coin of the pool is in stress.
    """
    whole = splice(synthetic_market("alt", years=0.4, seed=3), "2022-11-09", at=24 * 60)
    agent: Any = agents.make("reverse", enter=-50, exit=-60, leverage=3)
    batch = Batch(
        1, market=whole, episode=None, random_start=False, base_supply=2e6, **agent.env_settings()
    )
    agent.bind(batch)
    agent.reset()
    batch.reset(0)
    ratios = []
    for _ in range(270):
        batch.step(agent.act(batch.obs))
        row = batch.store.episode[0, t.ROW]
        owed = -batch.store.legs[0, 0, t.SPOT] * batch.market.bars[row, 0, layout.SPOT_CLOSE]
        if owed <= 1.0:
            continue
        booked = -batch.ledger[0, t.BORROW_INTEREST] / owed / (8 / 8760)
        agent.loans.look(batch.obs)
        ratios.append(booked / agent.loans.coins(owed / 1e5)[0, 0])
    assert len(ratios) > 100
    assert np.median(ratios) == pytest.approx(1.0, abs=0.02)


def test_reverse_carry_waits_while_coins_are_dear(market: Market) -> None:
    """Funding of -3 bp; a flat rate of 8.76 % is 0.8 bp, a daily volatility of 7 % adds 1.9 bp."""
    agent: Any = agents.make("reverse", enter=1.0, exit=0.0)
    batch = Batch(1, market=market, cash_rate=0.0, **agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    for sigma, enters in ((0.03, True), (0.07, False)):
        agent.reset()
        obs = seen(batch, {"mean": -3.0} | wild(sigma), {"mean": 1.0} | wild(0.03))
        assert (agent.act(obs).reshape(-1, 4)[0, :2].tolist() == [0.0, -1.0]) == enters


def test_the_threshold_rule_counts_dear_coins_as_funding_that_is_less_negative() -> None:
    rules = np.array([[[[5.0, -5.0], [-1.0, -2.0]]]])  # reverse carry up to -2, until -1
    forecast, flat = np.array([[-2.5]]), np.zeros((1, 1))
    assert next_position(forecast, flat, rules) == -1.0
    assert next_position(forecast, flat, rules, 0.6) == 0.0
    assert next_position(forecast, -np.ones((1, 1)), rules, 0.6) == -1.0
    assert next_position(forecast, -np.ones((1, 1)), rules, 1.6) == 0.0


def test_rules_of_one_capital_pay_the_pool_of_quote(market: Market) -> None:
    """Rotation at leverage 3 borrows 1 - 2.2 / 3 of its notional where 0.6 is collateral, 0.3636 of
    the equity; in stress it stays out, and margin carry keeps to its own capital.
    """
    flat, pool = 0.073, {"quote_supply": 200_000.0} | POOL
    for name, params in (
        ("rotation", {"leverage": 3.0, "enter": 0.5}),
        ("margin_carry", {"highest": 1.4, "distance": 1.0, "near": 0.0}),
    ):
        agent: Any = agents.make(name, **params)
        settings = agent.env_settings() | {"margin_mode": "portfolio", "cash_rate": 0.0} | pool
        batch = Batch(1, market=market, **settings)
        agent.bind(batch)
        batch.reset(0)
        notionals = []
        for sigma in (0.02, 0.07):
            agent.reset()
            coin = {"mean": 2.0} | wild(sigma)
            rows = agent.act(seen(batch, coin, {"mean": -5.0} | wild(sigma))).reshape(-1, 4)
            full = float(agent.capital.notional(rows[:, 3]).ravel()[0])
            notionals.append(0.0 if rows[0, 0] > 0.5 else rows[0, 1] * full)
        if name == "rotation":
            owed = (1 - 2.2 / 3) / (2.2 / 3)
            used = 0.6 * 0.07 / 0.05 + owed * 1e5 / 200_000
            rate = flat + (used - 0.8) / 0.2
            assert agent.capital.hurdle(3.0, 0.0)[0, 0] == pytest.approx(rate * (1 - 2.2 / 3))
            assert notionals == [pytest.approx(3 / 2.2), 0.0]
        else:
            assert notionals == [pytest.approx(1.4), pytest.approx(0.95)]


def test_the_basket_keeps_its_risk_budget_on_the_whole_capital(market: Market) -> None:
    """A stop of 10 % on full carry at leverage 3 loses 7.5 % of the equity; 1.5 % is allowed."""
    agent: Any = agents.make("zscore_basket", stop=0.1, risk=0.015, most=1.0, correlation=False)
    batch = Batch(1, market=market, **agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    obs = seen(batch, {"mean": 3.0, "funding_z": 3.0} | wild(0.03), wild(0.03))
    assert agent.act(obs).reshape(-1, 4)[0, :2] == pytest.approx([0.0, 0.2])
