"""No account exceeds the bound of one capital, in any market and with any policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market
from fundenv.optima.portfolio import portfolio_bound
from tests.optima.one_capital import SETTINGS, played


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
