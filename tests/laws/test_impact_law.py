"""Lasting impact gives no profit: no sequence of orders gets back more than it paid, no policy
earns on a price without drift, and the parts add up.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.checks import check_accounting
from fundenv.dynamics import types as t
from fundenv.market import synthetic_market
from tests.laws.play import FRICTIONLESS, action, make_env
from tests.markets import bar, tape, wild_market


def round_trips(rng: np.random.Generator, **settings: Any) -> list[float]:
    """What a random account has paid for impact, after each step, until the venue closes a leg."""
    market = wild_market(int(rng.integers(2**31)), ("COSTLY", "FINE"), 1, 60)
    env = make_env(market, max_leverage=20.0, initial_equity=5e6, **settings)
    env.reset(options={"path": 0, "start": 0})
    paid, total = [], 0.0
    for _ in range(50):
        move: list[Any] = [
            None
            if rng.random() < 0.3
            else (float(rng.choice([0.0, rng.uniform(-1, 1)])), float(rng.uniform(0, 1.5)), 1.0)
            for _ in range(2)
        ]
        *_, terminated, truncated, info = env.step(action(move))
        if info["liquidated"].any():
            break
        total -= info["parts"]["impact"]
        paid.append(total / info["equity"] if info["equity"] > 0 else 0.0)
        if terminated or truncated:
            break
    return paid


@pytest.mark.parametrize("half_life", [None, "1h", "1D"])
@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("coin", [False, True])
def test_no_orders_get_back_more_than_they_paid(half_life, exponent, coin):
    """Whatever prices, volumes and volatilities do between the orders."""
    rng, steps = np.random.default_rng(0), 0
    settings: dict[str, Any] = {
        "impact_lasting": 1.0,
        "impact_half_life": half_life,
        "impact_exponent": exponent,
        "stress_multiplier": 1.0,
    }
    if coin:
        settings["venue"] = str(Path(__file__).with_name("coin.toml"))
    for _ in range(40):
        paid = round_trips(rng, cost_scale=float(rng.choice([1.0, 30.0])), **settings)
        if not coin:  # coins are valued anew in every bar
            assert min(paid, default=0.0) >= -1e-9
        steps += len(paid)
    assert steps > 500


@pytest.fixture(scope="module")
def fair() -> Any:
    """Paths of a price without drift whose volume and volatility change from hour to hour."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(400):
        price = 100.0
        for hour in range(26):
            end = price * (1.0 + 0.004 * rng.choice([-1.0, 1.0]))
            thin = {
                name: float(rng.choice([3e2, 3e4]))
                for name in ("perp_day_volume", "spot_day_volume")
            }
            due = {"settle_price": price} if hour % 4 == 0 else {}
            rows.append(bar(price, end, sigma_day=float(rng.choice([0.01, 0.08])), **thin, **due))
            price = end
    return rows


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
@pytest.mark.parametrize("half_life", [None, "2h"])
def test_no_policy_earns_on_a_martingale_with_memory(fair, margin_mode, half_life):
    """Pushing, waiting and unwinding in slices of any size, hedged or naked, at hours of thin and
    of deep books; funding of 0 that follows the displaced premium.
    """
    market = tape(*fair, symbols=("COSTLY",))
    paths, hours = 400, 26
    first = np.arange(paths) * hours
    market = type(market)(
        **{f: getattr(market, f) for f in ("bars", "features", "bar_hours", "table", "venue")},
        paths=np.stack([first, first + hours], axis=1),
        close_ns=np.tile(market.close_ns[:hours], paths),
        symbols=(("COSTLY",),) * paths,
    )
    batch = Batch(
        paths,
        market=market,
        **(FRICTIONLESS | {"margin_mode": margin_mode, "initial_equity": 30_000.0}),
        impact_lasting=1.0,
        impact_half_life=half_life,
        funding_response=1.0,
        stress_multiplier=1.0,
    )
    best = -np.inf
    for push, wait, hedge, slices in itertools.product((1.0, -1.0), (1, 4), (0.0, 1.0), (1, 6)):
        batch.reset(0)
        done = np.zeros(paths)
        for hour in range(24):
            up, down = min(hour + 1, slices), max(hour + 1 - slices - wait, 0)
            carry = push * max(up - down, 0) / slices * 0.9
            batch.step(np.tile(np.float32((0.0, carry, hedge, 1.0)), (paths, 1)))
            done += batch.ledger[:, t.IMPACT]
        earned = batch.store.account[:, t.EQUITY] / 30_000.0 - 1.0
        assert done.max() <= 1e-6
        best = max(best, earned.mean() / (earned.std() / np.sqrt(paths) + 1e-12))
    assert best < 3.5


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
@pytest.mark.parametrize("venue", ["binance", "bybit_inverse"])
@pytest.mark.parametrize(
    "chosen",
    [{}, {"impact_half_life": None, "impact_exponent": 1.0, "capital": "shared"}],
    ids=["fades", "stays"],
)
def test_parts_add_up_to_the_change_of_equity(venue, margin_mode, chosen):
    """A million steps of each: FUNDENV_STEPS=16000."""
    market = synthetic_market(("btc", "eth"), years=0.3, paths=2, seed=1)
    check_accounting(
        steps=int(os.environ.get("FUNDENV_STEPS", "60")),
        market=market,
        venue=venue,
        margin_mode=margin_mode,
        initial_equity=2e7,
        max_participation=0.5,
        rebalance_band=0.0,
        max_leverage=20.0,
        decision_interval="1h",
        episode="30D",
        impact_lasting=0.8,
        funding_response=2.0,
        liquidation_gap=0.5,
        deficit_share=0.5,
        **chosen,
    )
