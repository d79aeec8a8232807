"""Liquidity that remembers: what slices of an order cost together, and that no round trip earns."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.checks import check_accounting
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t
from fundenv.market import synthetic_market
from tests.laws.play import FRICTIONLESS, action, make_env
from tests.markets import bar, tape, wild_market

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
def test_nobody_ever_got_back_more_than_was_paid(half_life, exponent, coin):
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


@pytest.fixture(scope="module")
def fair() -> Any:
    """Paths of a price without drift whose volume and volatility change from hour to hour."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(400):
        price = 100.0
        for hour in range(26):
            end = price * (1.0 + 0.004 * rng.choice([-1.0, 1.0]))
            thin = {name: float(rng.choice([3e2, 3e4])) for name in QUIET}
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
