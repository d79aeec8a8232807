"""Lasting impact: the cost of slices of an order, of schedules and of forced orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t
from tests.laws.play import action, make_env
from tests.markets import bar, tape

# COSTLY: Y = 0.5; a day's volume of 100 M, a daily volatility of 4 %, and lots of half a coin,
# which are small against orders of a million
PRICE, VOLUME, SIGMA, Y, MILLION = 100.0, 1e8, 0.04, 0.5, 1e6
QUIET = {"perp_day_volume": VOLUME, "spot_day_volume": VOLUME}
EQUITY = 3e8


def at_rest(size: float, exponent: float = 0.5) -> float:
    """Quote that one order of so many coins costs."""
    return Y * SIGMA * (size / VOLUME) ** exponent * size * PRICE


def impact_of(orders: list[float], rows: Any = None, **settings: Any) -> float:
    """Quote that the orders of the perpetual [base], one an hour, pay for impact."""
    rows = rows or [bar(PRICE, **QUIET)] * (len(orders) + 2)
    chosen = {"cost_scale": 1.0, "initial_equity": EQUITY} | settings
    env = make_env(tape(*rows, symbols=("COSTLY",)), **chosen)
    env.reset(options={"path": 0, "start": 0})
    held, equity, paid = 0.0, EQUITY, 0.0
    for order in orders:
        held += order
        target = None if order == 0 else (-held * 2.0 * PRICE / equity, 0.0, 1.0)
        *_, info = env.step(action([target]))
        equity, paid = info["equity"], paid - info["parts"]["impact"]
        assert info["account"]["perp"][0] == pytest.approx(held, rel=1e-6, abs=2.0)
    return paid


def test_one_order_costs_what_it_costs_without_memory():
    for memory in ({}, {"impact_lasting": 1.0}, {"impact_lasting": 0.3, "impact_half_life": None}):
        assert impact_of([MILLION], **memory) == pytest.approx(at_rest(MILLION), rel=1e-6)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
@pytest.mark.parametrize("slices", [2, 24])
def test_where_nothing_fades_slices_cost_what_one_order_costs(slices, exponent):
    each = [MILLION / slices] * slices
    kept = impact_of(each, impact_lasting=1.0, impact_half_life=None, impact_exponent=exponent)
    assert kept == pytest.approx(at_rest(MILLION, exponent), rel=1e-5)
    forgotten = impact_of(each, impact_exponent=exponent)
    assert forgotten == pytest.approx(at_rest(MILLION, exponent) / slices**exponent, rel=1e-5)


def test_a_round_trip_at_once_pays_the_displacement_and_gets_it_back():
    permanent = {"impact_lasting": 1.0, "impact_half_life": None}
    assert impact_of([6e5, -6e5], **permanent) == pytest.approx(0.0, abs=10.0)
    # half fades in the hour between: the sale brings the price back, and as far to the other side
    fading = {"impact_lasting": 1.0, "impact_half_life": "1h"}
    assert impact_of([6e5, -6e5], **fading) == pytest.approx(at_rest(6e5), rel=1e-5)


def test_shares_that_stay_and_do_not():
    """w of the impact telescopes, 1 - w is paid by every order: Almgren and Chriss (2000), linear
    permanent and temporary impact.
    """
    n, w = 8, 0.4
    chosen = {"impact_lasting": w, "impact_half_life": None, "impact_exponent": 1.0}
    equal = at_rest(MILLION, 1.0) * (w + (1.0 - w) / n)
    assert impact_of([MILLION / n] * n, **chosen) == pytest.approx(equal, rel=1e-5)
    rng = np.random.default_rng(0)
    for _ in range(5):  # no other schedule is cheaper where risk does not count
        parts = rng.dirichlet(np.ones(n)) * MILLION
        assert impact_of(list(parts), **chosen) > equal


def schedules(n: int, kept: float, size: float) -> np.ndarray:
    """Cheapest n orders at equal distances, where `kept` of a displacement is left at the next:
    Alfonsi, Fruth and Schied (2010), theorem for blocks of linear density.
    """
    ends = size / (n - (n - 2) * kept)
    return np.array([ends, *[ends * (1.0 - kept)] * (n - 2), ends])


@pytest.mark.parametrize("half_life", [2.0, 6.0])
def test_the_cheapest_schedule_is_that_of_the_literature(half_life):
    n, kept = 12, 0.5 ** (1.0 / half_life)
    chosen = {
        "impact_lasting": 1.0,
        "impact_exponent": 1.0,
        "impact_half_life": f"{half_life:g}h",
    }
    best = schedules(n, kept, MILLION)
    assert best.sum() == pytest.approx(MILLION)
    least = at_rest(MILLION, 1.0) * (1.0 + kept) / (n - (n - 2) * kept)
    assert impact_of(list(best), **chosen) == pytest.approx(least, rel=1e-5)
    rng = np.random.default_rng(1)
    for _ in range(10):
        other = best + rng.normal(0.0, 0.03 * MILLION, n)
        other += (MILLION - other.sum()) / n
        assert impact_of(list(other), **chosen) > least


def test_no_schedule_is_cheaper_without_limit():
    """Within a time T the cost has the limit 2 / (2 + rho T) of one order's (Obizhaeva and Wang
    2013), however many slices there are; without memory it goes to 0.
    """
    rho, hours = np.log(2.0) / 8.0, 8
    limit = 2.0 / (2.0 + rho * hours)
    chosen = {"impact_lasting": 1.0, "impact_exponent": 1.0, "impact_half_life": "8h"}
    best = schedules(hours + 1, 0.5 ** (1.0 / 8.0), MILLION)
    paid = impact_of(list(best), **chosen) / at_rest(MILLION, 1.0)
    assert limit < paid < 1.02 * limit


def test_a_forced_order_pays_stress_and_gets_none_back():
    env = make_env(
        tape(
            bar(PRICE, **QUIET),
            bar(PRICE, **QUIET),
            bar(PRICE, high=175.0, **QUIET),
            *[bar(PRICE, **QUIET)] * 3,
            symbols=("COSTLY",),
        ),
        cost_scale=1.0,
        impact_lasting=1.0,
        impact_half_life=None,
        stress_multiplier=5.0,
        liquidation_gap=0.0,
    )
    env.reset(options={"path": 0, "start": 0})
    *_, opened = env.step(action([(1.0, 1.0, 2.0)]))
    *_, hit = env.step(action([None]))
    assert hit["liquidated"][0] == 1
    size, batch = -opened["account"]["perp"][0], env.unwrapped.batch
    # the forced purchase of the whole brings the price of the perpetual back
    assert batch.store.displaced[0, 0, t.DISPLACED_PERP] == pytest.approx(0.0, abs=1e-9)
    assert hit["parts"]["liquidation_loss"] < -5.0 * at_rest(size)


def test_a_response_without_memory_is_refused():
    with pytest.raises(ConfigError, match="impact_lasting"):
        EnvConfig(funding_response=1.0)
    with pytest.raises(ConfigError, match="impact_lasting"):
        Batch(2, per_env={"impact_lasting": [0.5, 0.5]})


def test_a_new_episode_and_a_restored_state_know_what_is_displaced():
    market = tape(*[bar(PRICE, **QUIET)] * 12, symbols=("COSTLY",))
    env = make_env(market, impact_lasting=1.0)
    batch = env.unwrapped.batch
    env.reset(options={"path": 0, "start": 0})
    env.step(action([(1.0, 1.0, 3.0)]))
    state, held = batch.state(), batch.store.displaced.copy()
    assert (held[..., :2] != 0).all()  # spot and perp; the rest is money on its way
    env.reset(options={"path": 0, "start": 0})
    assert (batch.store.displaced == 0).all()
    batch.restore(state)
    assert np.array_equal(batch.store.displaced, held)


def test_the_displacement_is_observed():
    market = tape(*[bar(PRICE, **QUIET)] * 12, symbols=("COSTLY",))
    env = make_env(
        market,
        impact_lasting=1.0,
        impact_half_life="1h",
        observe=("spot_displacement", "perp_displacement"),
    )
    env.reset(options={"path": 0, "start": 0})
    obs, *_, info = env.step(action([(0.001, 1.0, 1.0)]))
    names = [c.name for c in env.unwrapped.observation_table]
    size = info["account"]["spot"][0]
    seen = 1.5 * Y * SIGMA * np.sqrt(size / VOLUME) * 1e4 / 10.0
    assert obs[names.index("spot_displacement")] == pytest.approx(seen, rel=1e-4)
    assert obs[names.index("perp_displacement")] == pytest.approx(-seen, rel=1e-4)


def test_a_push_before_the_settlement_earns_no_funding():
    """A short account buys back just before a settlement of 0: the premium that its order holds up
    pays it nothing; a short account whose order pushed the premium down pays.
    """
    settled = bar(PRICE, settle_rate=0.0, settle_price=PRICE, **QUIET)
    rows = [bar(PRICE, **QUIET)] * 12 + [settled, bar(PRICE, **QUIET)]
    memory = {"impact_lasting": 1.0, "impact_half_life": "1h", "funding_response": 1.0}

    def funding(orders: list[float]) -> float:
        chosen = memory | {"initial_equity": EQUITY}
        env = make_env(tape(*rows, symbols=("COSTLY",)), cost_scale=1.0, **chosen)
        env.reset(options={"path": 0, "start": 0})
        held, total = 0.0, 0.0
        for order in orders:
            held += order
            *_, info = env.step(
                action([None if order == 0 else (-held * 200.0 / EQUITY, 0.0, 1.0)])
            )
            total += info["parts"]["funding"]
        return total

    quiet = [0.0] * 9
    assert funding([-MILLION, *quiet, 0.6 * MILLION, 0.0]) == 0.0
    pushed = funding([0.0, *quiet, -MILLION, 0.0])
    # half of the displaced volume is left: 3/2 of the square root of it, on the value of the short
    expected = -1.5 * Y * SIGMA * np.sqrt(0.5 * MILLION / VOLUME) * MILLION * PRICE
    assert pushed == pytest.approx(expected, rel=1e-4)
