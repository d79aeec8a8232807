"""What orders cost behind a crash and in the order book: by hand, and the laws that no round trip
earns and that no number of slices makes an order cheap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fundenv.market import splice, synthetic_market
from tests.laws.play import FLAT, HOLD, action, make_env, play
from tests.laws.test_impact_memory import (
    MILLION,
    PRICE,
    QUIET,
    at_rest,
    impact_of,
    schedules,
)
from tests.laws.wild import OWN_VENUES
from tests.markets import bar, tape, wild_market

SHORT = (1.0, 1.0, 2.0)
# mark ranges over 12 %: three daily volatilities of 4 %
CRASH = {"high": PRICE * 1.06, "low": PRICE * 1.06 / 1.12, **QUIET}


@pytest.fixture
def rebate(tmp_path: Path) -> str:
    """A venue that pays makers 2 bp on COSTLY, whose half-spreads are 10 and 20 bp."""
    path = tmp_path / "rebate.toml"
    legs = ("perp", "spot")
    maker = "".join(
        f'{leg}_maker = {{ value = -0.0002, source = "made up", date = "2024" }}\n' for leg in legs
    )
    whole = (Path(__file__).parent / "plain.toml").read_text().split("[fees]")
    rest = whole[1].partition("[fees_high]")
    taker = "".join(
        f'{leg}_taker = {{ value = 0.0005, source = "made up", date = "2024" }}\n' for leg in legs
    )
    path.write_text(f"{whole[0]}[fees]\n{maker}{taker}\n{''.join(rest[1:])}")
    return str(path)


def costs(info: dict[str, Any]) -> float:
    """What a step has paid for fees, spread and impact [quote]."""
    return -sum(info["parts"][part] for part in ("fees", "spread", "impact"))


def spread_of(*rows: Any, **settings: Any) -> float:
    """What an entry at the last row pays for half-spreads, as a fraction of a leg."""
    env = make_env(tape(*rows, symbols=("COSTLY",)), **settings)
    info = play(env, [*[HOLD] * (len(rows) - 2), (0.5, 1.0, 3.0)])[-1]
    return -info["parts"]["spread"] / abs(info["trade"]["filled_perp"][0] * PRICE)


def test_crashes_count_by_default_on_several_venues_and_under_a_named_shock():
    """10 and 20 bp on the two legs, 54 times that behind the crash."""
    rows = [bar(PRICE), bar(PRICE, **CRASH), bar(PRICE)]
    assert spread_of(*rows) == pytest.approx(0.003)
    assert spread_of(*rows, crash_sigma=2.5) == pytest.approx(54 * 0.003)
    assert spread_of(*rows, crash_sigma=3.5) == pytest.approx(0.003)
    placed = tape(*rows, symbols=("COSTLY@tiered:COSTLY",))
    for settings, times in (({}, 54), ({"crash_sigma": 0.0}, 1), ({"crash_spread": 7.0}, 7)):
        env = make_env(placed, venues=OWN_VENUES, **settings)
        info = play(env, [HOLD, (0.5, 1.0, 3.0)])[-1]
        value = abs(info["trade"]["filled_perp"][0]) * PRICE
        assert -info["parts"]["spread"] == pytest.approx(times * 0.003 * value), settings


def test_a_named_shock_makes_its_own_hours_dear():
    calm = synthetic_market("btc", years=0.2, paths=1, seed=3)
    struck = splice(calm, "2020-03-12", at=1_000)
    paid = {}
    for name, market, settings in (
        ("calm", calm, {}),
        ("struck", struck, {}),
        ("struck, never", struck, {"crash_sigma": 0.0}),
    ):
        env = make_env(market, venue="binance", **settings)
        infos = play(env, [SHORT, FLAT] * 40, start=980)
        paid[name] = -sum(info["parts"]["spread"] for info in infos)
    assert paid["struck"] > 2.5 * paid["struck, never"]
    assert paid["struck, never"] == pytest.approx(paid["calm"], rel=0.5)


def test_impact_and_forced_orders_behind_a_crash():
    """4.5 times the impact of an order; a forced one pays the larger of both multipliers."""
    rows = [bar(PRICE, **QUIET), bar(PRICE, **CRASH), *[bar(PRICE, **QUIET)] * 2]
    paid = impact_of([0.0, MILLION], rows, crash_sigma=2.5)
    assert paid == pytest.approx(4.5 * at_rest(MILLION), rel=1e-6)
    found = {}
    for multiplier in (5.0, 90.0):
        env = make_env(
            tape(bar(PRICE), bar(PRICE, **CRASH), bar(PRICE, high=190.0), symbols=("COSTLY",)),
            crash_sigma=2.5,
            stress_multiplier=multiplier,
            crash_impact=1.0,
            deficit_share=1.0,
            after_liquidation="naked",
        )
        _, hit = play(env, [(0.5, 1.0, 2.0), HOLD])
        assert hit["liquidated"][0] == 1
        # 10,000 of perpetual, closed at 10 bp times the multiplier, beside a fee of 50 bp
        lost = -hit["parts"]["liquidation_loss"] / abs(hit["parts"]["perp_pnl"])
        found[multiplier] = lost
    assert found[90.0] > found[5.0] * 1.3


def test_what_waits_in_the_book_pays_maker_fees_and_misses_some_moves():
    """Of 40 % that wait 60 % are filled: 24 % at the maker's 2 bp and no half-spread of 10 bp, 16 %
    after the price has run away by 80 bp.
    """
    market = tape(*[bar(PRICE)] * 4, symbols=("COSTLY",))
    chosen = {"maker_share": 0.4, "maker_fill": 0.6, "maker_missed": 80.0, "perp_fee": None}
    env = make_env(market, **chosen)
    (info,) = play(env, [(0.5, 0.0, 1.0)])
    value = abs(info["trade"]["filled_perp"][0]) * PRICE
    spread = 0.76 * 10e-4 + 0.16 * 80e-4
    assert -info["parts"]["spread"] / value == pytest.approx(spread)
    fee = (0.24 * 2e-4 + 0.76 * 5e-4) * (1.0 - spread)
    assert -info["parts"]["fees"] / value == pytest.approx(fee, rel=1e-3)


def test_a_forced_order_does_not_wait():
    """A venue that closes a leg takes the whole half-spread, and so does what follows it."""
    rows = [bar(PRICE), bar(PRICE), bar(PRICE, high=175.0), bar(PRICE)]
    lost = {}
    for share in (0.0, 1.0):
        env = make_env(
            tape(*rows, symbols=("COSTLY",)), maker_share=share, maker_fill=1.0, spot_fee=None
        )
        _, hit, after = play(env, [SHORT, HOLD, HOLD])
        assert hit["liquidated"][0] == 1
        sold = abs(after["trade"]["filled_spot"][0]) * PRICE
        assert -after["parts"]["spread"] / sold == pytest.approx(5 * 20e-4)
        lost[share] = hit["parts"]["liquidation_loss"] / hit["equity"]
    assert lost[1.0] == pytest.approx(lost[0.0], rel=0.05)


@pytest.mark.parametrize(("fees", "rest"), [(1.0, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 0.0)])
def test_no_rebate_is_an_income(rebate, fees, rest):
    """A maker who is filled for sure on a venue that pays 2 bp does not get them."""
    market = tape(*[bar(PRICE)] * 9, symbols=("PLAIN",))
    env = make_env(
        market,
        venue=rebate,
        maker_share=1.0,
        maker_fill=1.0,
        perp_fee=None,
        spot_fee=None,
        fee_scale=fees,
        cost_scale=rest,
    )
    infos = play(env, [(0.5, 1.0, 1.0), FLAT] * 3)
    assert all(abs(info["trade"]["filled_perp"][0]) > 10.0 for info in infos)
    assert min(map(costs, infos)) >= -1e-9
    assert infos[0]["parts"]["fees"] == 0.0


@pytest.mark.parametrize("stress", [1.0, 5.0])
@pytest.mark.parametrize("symbol", ["PLAIN", "FINE", "COSTLY"])
def test_a_forced_order_is_not_cheaper_than_one_that_waits(symbol, stress):
    """What missed moves cost is more than a multiple of a narrow spread."""
    rows = [bar(PRICE), bar(PRICE), bar(PRICE, high=175.0), bar(PRICE), bar(PRICE), bar(PRICE)]
    env = make_env(
        tape(*rows, symbols=(symbol,)), maker_share=1.0, perp_fee=None, stress_multiplier=stress
    )
    _, hit, forced, entered = play(env, [SHORT, HOLD, HOLD, SHORT])
    assert hit["liquidated"][0] == 1
    assert forced["trade"]["filled_spot"][0] < 0.0 < entered["trade"]["filled_spot"][0]
    paid = []
    for info in (forced, entered):
        traded = abs(info["trade"]["filled_spot"][0]) + abs(info["trade"]["filled_perp"][0])
        paid.append(-info["parts"]["spread"] / (traded * PRICE))
    assert paid[0] >= paid[1] * (1.0 - 1e-12) > 0.0


@pytest.mark.parametrize("lasting", [0.0, 1.0])
@pytest.mark.parametrize("half_life", [None, "1h"])
def test_no_round_trip_earns_whatever_crashes_and_makers_do(rebate, lasting, half_life):
    """Fees, spread and impact of any sequence of orders, over calm and crashed hours, sum to a
    cost after every order that leaves the account flat, and at no time to a gain.
    """
    rng, orders = np.random.default_rng(0), 0
    for _ in range(40):
        market = wild_market(int(rng.integers(2**31)), ("COSTLY", "FINE"), 1, 60)
        env = make_env(
            market,
            venue=rebate,
            perp_fee=None,
            spot_fee=None,
            max_leverage=20.0,
            initial_equity=5e6,
            stress_multiplier=1.0,
            crash_sigma=0.5,
            maker_share=float(rng.choice([0.0, 0.5, 1.0])),
            maker_fill=float(rng.choice([0.0, 0.8, 1.0])),
            maker_missed=float(rng.choice([0.0, 80.0])),
            impact_lasting=lasting,
            impact_half_life=half_life,
        )
        env.reset(options={"path": 0, "start": 0})
        total = 0.0
        for _ in range(50):
            move: list[Any] = [
                None if rng.random() < 0.3 else (float(rng.uniform(-1, 1)), 1.0, 1.0)
                for _ in range(2)
            ]
            move = [FLAT, FLAT] if rng.random() < 0.2 else move
            *_, terminated, truncated, info = env.step(action(move))
            if info["liquidated"].any() or terminated or truncated:
                break
            total += costs(info)
            assert total >= -1e-9 * info["equity"]
            orders += bool(info["trade"]["filled_perp"].any())
    assert orders > 300


@pytest.mark.parametrize("lasting", [1.0, 0.5])
def test_no_number_of_slices_is_cheap_behind_crashes(lasting):
    """With memory the cost of any schedule within a time T stays above w times Obizhaeva and Wang's
    limit 2 / (2 + rho T) of one order's (2013), whichever hours crash: multipliers are at least 1.
    """
    hours = 8
    limit = lasting * 2.0 / (2.0 + np.log(2.0))
    chosen = {
        "impact_lasting": lasting,
        "impact_exponent": 1.0,
        "impact_half_life": "8h",
        "crash_sigma": 2.5,
    }
    rng = np.random.default_rng(2)
    best = schedules(hours + 1, 0.5 ** (1.0 / 8.0), MILLION)
    for number in range(12):
        crashes = rng.random(hours + 3) < 0.3
        rows = [bar(PRICE, **(CRASH if hit else QUIET)) for hit in crashes]
        orders = best if number % 2 else rng.dirichlet(np.ones(hours + 1)) * MILLION
        paid = impact_of(list(orders), rows, **chosen)
        assert paid > limit * at_rest(MILLION, 1.0)
        calm = impact_of(list(orders), **chosen)
        assert paid >= calm * (1.0 - 1e-9)
