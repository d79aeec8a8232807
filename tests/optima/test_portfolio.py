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
from fundenv.market import Market, layout, synthetic_market, synthetic_portfolio
from fundenv.optima.portfolio import LOANS, PortfolioForesight, inputs, portfolio_bound
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


@pytest.fixture(scope="module")
def coming() -> Market:
    """Five coins of which three come late and leave."""
    return synthetic_portfolio(5, years=0.1, seed=5, late=1.0, gone=1.0)


FORMS: dict[str, dict[str, Any]] = {
    "continuous": {},
    "discrete": {"carry_grid": (0.0, 0.3, 1.0), "leverage_grid": (1.0, 2.0, 4.0)},
    "target": {},
    "indexed": {"carry_grid": (0.0, 1.0), "leverage_grid": (1.0, 4.0), "dials": ("carry",)},
}


def drawn(rng: np.random.Generator, batch: Batch, form: str, eager: Any) -> Any:
    """Actions of hedged long carries."""
    n, assets = batch.num_envs, batch.n_assets
    if form == "target":
        hold = rng.random((n, assets)) > eager
        carry, leverage = rng.random((n, assets)), rng.uniform(1, 4, (n, assets))
        parts = [hold, carry, np.ones_like(carry), leverage]
        return np.stack(parts, axis=-1).reshape(n, -1)
    if form == "continuous":
        parts = [rng.random((n, assets)), rng.uniform(-1, 1, (n, assets))]
        return np.stack(parts, axis=-1).reshape(n, -1)
    if form == "indexed":
        return rng.integers(0, len(batch.decisions), n)
    wait = rng.random((n, assets)) > eager
    gate = np.where(wait, 0, rng.integers(1, 4, (n, assets)))
    return np.stack([gate, rng.integers(0, 3, (n, assets))], axis=-1).reshape(n, -1)


def random_growth(market: Market, form: str, days: int, **chosen: Any) -> tuple[np.ndarray, float]:
    """Growth of 60 random accounts that were never liquidated, and the bound."""
    usual = {"dials": ("carry", "leverage"), "max_leverage": 4.0, "leverage_grid": (1.0, 2.0, 4.0)}
    settings = SETTINGS | usual | FORMS[form]
    batch = Batch(60, market=market, **settings | {"actions": form} | chosen)
    batch.reset(0)
    bound = portfolio_bound(batch, leverage=4.0, steps=24 * days, buckets=2)
    rng = np.random.default_rng(0)
    eager, whole = rng.choice([0.05, 0.3, 1.0], (60, 1)), np.ones(60, bool)
    for _ in range(3 * days):
        batch.step(drawn(rng, batch, form, eager))
        whole &= ~(batch.store.legs[:, :, t.LIQUIDATED] > 0).any(axis=1)
    assert whole.sum() > 30
    growth = np.log(batch.store.account[whole, t.EQUITY] / batch.config.initial_equity)
    return growth, bound


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
@pytest.mark.parametrize("form", FORMS)
def test_no_account_is_above_the_bound_where_coins_come_and_go(
    coming: Market, form: str, margin_mode: str
) -> None:
    growth, bound = random_growth(coming, form, 20, margin_mode=margin_mode)
    assert growth.max() < bound


# orders move prices, and get back what they paid for that when they are undone
MEMORIES: dict[str, dict[str, Any]] = {
    "for good": {"impact_half_life": None},
    "funding follows": {"impact_half_life": None, "funding_response": 0.5, "impact_exponent": 1.0},
    "fades": {"impact_half_life": "1D", "impact_lasting": 0.5},
}


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_no_account_is_above_the_bound_where_impact_stays(
    coming: Market, memory: str, margin_mode: str
) -> None:
    lasting = {"initial_equity": 1e7, "impact_lasting": 1.0} | MEMORIES[memory]
    growth, bound = random_growth(coming, "target", 10, margin_mode=margin_mode, **lasting)
    assert growth.max() < bound
    forgetful = {"initial_equity": 1e7, "margin_mode": margin_mode}
    # who trades once, from rest, pays the same
    assert np.isin(growth, random_growth(coming, "target", 10, **forgetful)[0]).mean() < 0.3


def test_the_plan_of_a_clairvoyant_stays_below_the_bound_where_impact_stays(
    market: Market,
) -> None:
    for memory in MEMORIES.values():
        lasting = {"initial_equity": 1e6, "impact_lasting": 1.0} | memory
        growth, (_, batch) = played(market, "portfolio_clairvoyant", lasting, leverage=4)
        assert 0.0 < growth < portfolio_bound(batch, leverage=4.0, buckets=2)


@pytest.mark.parametrize("form", ["continuous", "target"])
@pytest.mark.parametrize("supply", [1e4, 1e5, 3e5])
def test_no_account_is_above_the_bound_of_a_pool(market: Market, form: str, supply: float) -> None:
    pool = {"quote_supply": supply, "borrow_steep": 0.5, "borrow_used": 0.5, "funding_shift": 0.6}
    growth, bound = random_growth(market, form, 12, **pool)
    assert growth.max() < bound
    endless = Batch(1, market=market, **SETTINGS | {"funding_shift": 0.6})
    endless.reset(0)
    free = portfolio_bound(endless, leverage=4.0, steps=24 * 12, buckets=2)
    assert bound < free - 1e-5  # the interest of the pool is in it


def test_a_pool_that_never_binds_changes_nothing(market: Market) -> None:
    bounds = []
    for pool in ({}, {"quote_supply": 1e12, "borrow_used": 0.0}, {"quote_supply": 1e12}):
        batch = Batch(1, market=market, **SETTINGS | pool)
        batch.reset(0)
        bounds.append(portfolio_bound(batch, leverage=4.0, steps=24 * 8, buckets=2))
    assert bounds[1:] == pytest.approx([bounds[0]] * 2, rel=1e-5)


def test_account_observation_and_bound_say_the_same_of_a_loan(market: Market) -> None:
    """At every tangent the programme charges what the account does, and its slope is the marginal
    cost that is observed; between them it charges less, and a finite order more than its size
    times the observation.
    """
    pool = {"quote_supply": 5e6, "borrow_steep": 0.5, "borrow_used": 0.5}
    batch = Batch(1, market=market, **LENT | pool)
    batch.reset(0)
    data = inputs(batch, 0, int(batch.store.episode[0, t.ROW]), 1, 1)
    assert data.slopes is not None
    assert data.levels is not None

    def planned(loan: float) -> float:
        return max(float((data.slopes[0] * loan - data.levels[0]).max()), 0.0)

    for k, loan in enumerate(LOANS):
        interest, _, owed = lent(batch, loan)
        assert planned(loan) == pytest.approx(interest, rel=1e-9, abs=1e-15)
        before = loan * loan / owed  # so that the account owes `loan` when it observes
        for _ in range(3):
            _, observed, owed = lent(batch, before)
            before *= loan / owed
        assert data.slopes[0, k] == pytest.approx(observed, rel=1e-5, abs=1e-11)
        more, _, _ = lent(batch, loan + 1.0)
        assert more - interest >= (1.0 - 1e-5) * observed - 1e-11
    for loan in np.linspace(0.0, 20.0, 101):
        assert planned(loan) <= lent(batch, loan)[0] + 1e-15
    assert planned(20.0) > 1e-4  # of which all this speaks


LENT: dict[str, Any] = SETTINGS | {"decision_interval": "1h", "observe": ("borrow_cost",)}


def lent(batch: Batch, loan: float) -> tuple[float, float, float]:
    """One bar of an account that owes `loan` equities of quote: interest of the pool in it, what
    is observed of the next unit's (both beyond the flat rate), and what is owed after it.
    """
    batch.reset(0)
    store, row = batch.store, int(batch.store.episode[0, t.ROW])
    price = batch.market.bars[row, 0, layout.SPOT_CLOSE]
    store.account[0, t.CASH] = -loan * 1e5
    store.legs[0, 0, t.SPOT] = (1.0 + loan) * 1e5 / price
    batch.step(np.array([[1.0, 0.0, 1.0, 1.0] * 2]))  # both coins are held
    audit, names = batch.audit(), [column.name for column in batch.observation_table]
    column = batch.observation_table[names.index("borrow_cost")]
    observed = batch.obs[0, names.index("borrow_cost")] * column.scale / 1e4 / 8.0
    flat = batch.venue.value("borrow", "quote_annual") / 8760.0
    interest = -audit["parts"]["borrow_interest"][0] / 1e5 - flat * loan
    return float(interest), float(observed - flat), float(-audit["account"]["cash"][0] / 1e5)


def test_a_rising_rate_by_hand() -> None:
    """A pool of one equity of which nothing is lent, steep 0.1: beyond 0.8 the loan B costs 0.5 B
    (B - 0.8) more. Funding of 14 % on every unit beside 1 % of opening: borrow until the next unit
    costs what it brings.
    """
    loans = np.linspace(0.0, 2.0, 401)
    interest = 0.5 * loans * np.maximum(loans - 0.8, 0.0)
    slope = np.where(loans > 0.8, 0.5 * (2.0 * loans - 0.8), 0.0)
    pool = {"slopes": slope[None], "levels": (slope * loans - interest)[None]}
    plan = solve(made([[0.36]], borrow=0.0, collateral=np.ones(1), **pool), buckets=1)
    # 0.35 of gain for every 1.01 borrowed
    loan = (0.35 / 1.01 / 0.5 + 0.8) / 2.0
    if loan < 0.8:
        loan = 0.8
    assert plan.position[0, 0] == pytest.approx((1.0 + loan) / 1.01, rel=1e-3)


def test_the_plan_holds_no_coin_that_is_not_listed(coming: Market) -> None:
    """A coin of a price that would jump from 1 to its own is left alone while it is not there."""
    batch = Batch(1, market=coming, **SETTINGS)
    batch.reset(0)
    first, last = (int(row) for row in batch.world.paths[0])
    data = inputs(batch, 0, first, last - first - 1, 1)
    assert data.open is not None
    gone = coming.bars[first : last - 1, :, layout.HALTED] == layout.UNLISTED
    assert gone.any()
    assert not data.open[gone].any()
    plan = solve(data, share=np.ones(5), buckets=1)
    assert (plan.position[~data.open] < 1e-9).all()
    assert plan.position.max() > 0.0
    # and with all open it would hold them
    free = solve(data._replace(open=None), share=np.ones(5), buckets=1)
    assert free.growth > plan.growth


def played(
    market: Market, name: str, settings: dict[str, Any] | None = None, **params: Any
) -> tuple[float, tuple[Any, Batch]]:
    """Log growth of a rule over the whole market, with the rule and its batch."""
    agent: Any = agents.make(name, **params)
    batch = Batch(1, market=market, **SETTINGS | agent.env_settings() | (settings or {}))
    agent.bind(batch)
    batch.reset(0)
    while not (batch.terminated | batch.truncated)[0]:
        batch.step(agent.act(batch.obs))
    equity = batch.store.account[0, t.EQUITY]
    return float(np.log(equity / batch.config.initial_equity)), (agent, batch)


def test_the_agent_earns_about_the_plan_and_more_than_the_rules(market: Market) -> None:
    best, (_, batch) = played(market, "portfolio_clairvoyant", leverage=5)
    others = [played(market, name)[0] for name in ("rotation", "equal_weight", "margin_carry")]
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
        PortfolioForesight(batch, leverage=3.0)
