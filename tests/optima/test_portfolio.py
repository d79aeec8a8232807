"""The clairvoyant of one capital: values by hand, loans, and the agent that follows its plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, layout
from fundenv.optima.portfolio import LOANS, PortfolioForesight, inputs
from fundenv.optima.portfolio_programme import Inputs, solve
from tests.optima.one_capital import SETTINGS, played


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
