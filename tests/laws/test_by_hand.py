"""A trader's arithmetic with the numbers of Binance typed here: fees, funding, borrowing and
liquidation of BTCUSDT at random prices.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from fundenv.envs.single import FundingHedgeEnv
from tests.laws.play import HOLD, play
from tests.markets import bar, tape

PERP_FEE, SPOT_FEE, PERP_HALF, SPOT_HALF, IMPACT = 0.0005, 0.001, 0.055e-4, 0.095e-4, 0.7
PERP_LOT, SPOT_LOT = 0.001, 0.00001
# 2024-10-24
BRACKETS = [
    (0.0, 0.004),
    (50e3, 0.005),
    (600e3, 0.0065),
    (3e6, 0.01),
    (12e6, 0.02),
    (70e6, 0.025),
    (100e6, 0.05),
    (230e6, 0.1),
]
SEEDS = pytest.mark.parametrize("seed", range(4))
FREE = {"perp_fee": 0.0, "spot_fee": 0.0, "cost_scale": 0.0}


def binance(market, **settings):
    usual = {
        "venue": "binance",
        "venue_date": "2024-10-24",
        "actions": "target",
        "decision_interval": "1h",
        "episode": None,
    }
    usual |= {
        "random_start": False,
        "start_invested": 0.0,
        "keeper_interval": None,
        "rebalance_band": 0.0,
        "max_participation": 0.0,
    }
    return FundingHedgeEnv(
        market=market, info=True, **(usual | {"max_leverage": 20.0, "cash_rate": 0.0} | settings)
    )


def btc(*rows):
    return tape(*rows, symbols=("BTCUSDT",))


def lots(size, lot):
    return math.floor(size / lot * (1 + 1e-12)) * lot


def maintenance(value):
    """Every slice of the value at the rate of its own bracket."""
    ends = [floor for floor, _ in BRACKETS[1:]] + [math.inf]
    return sum(
        max(min(value, end) - floor, 0.0) * rate
        for (floor, rate), end in zip(BRACKETS, ends, strict=True)
    )


@SEEDS
def test_entry_settlement_and_exit_to_the_penny(seed):
    rng = np.random.default_rng(seed)
    last, equity, leverage = (
        rng.uniform(20e3, 90e3),
        float(rng.choice([2e5, 1e6, 2e7])),
        float(rng.choice([1, 2, 3, 5])),
    )
    spot, out = last * rng.uniform(0.98, 1.02), last * rng.uniform(0.95, 1.05)
    perp, rate, sigma, volume = (
        spot * rng.uniform(0.998, 1.002),
        rng.uniform(-0.003, 0.003),
        0.03,
        5e4,
    )
    day = {"sigma_day": sigma, "perp_day_volume": volume, "spot_day_volume": volume}
    settled = {"settle_rate": rate, "settle_price": spot * 1.0003}
    rows = [
        bar(last, **day),
        bar(spot, perp_open=perp, **day),
        bar(spot, out, **settled, **day),
        bar(out, **day),
        bar(out, **day),
    ]
    entered, held, left = play(
        binance(btc(*rows), initial_equity=equity),
        [(0.5, 1.0, leverage), HOLD, (0.0, 1.0, leverage)],
    )

    asked = 0.5 * equity * leverage / (1 + leverage) / last
    short, owned = lots(asked, PERP_LOT), lots(asked, SPOT_LOT)
    slip_perp, slip_spot = (
        half + IMPACT * sigma * math.sqrt(n / volume)
        for half, n in ((PERP_HALF, short), (SPOT_HALF, owned))
    )
    sold, bought = perp * (1 - slip_perp), spot * (1 + slip_spot)
    # the margin, and what the fill has lost against the open
    wallet = short * perp / leverage + short * (perp - sold)
    cash = equity - owned * bought * (1 + SPOT_FEE) - short * sold * PERP_FEE - wallet
    assert entered["account"]["entry"][0] == pytest.approx(sold, rel=1e-12)
    assert entered["account"]["margin"][0] == pytest.approx(wallet, rel=1e-9)
    assert entered["account"]["cash"] == pytest.approx(cash, rel=1e-9)
    assert entered["equity"] == pytest.approx(
        cash + wallet + owned * spot - short * (spot - sold), rel=1e-12
    )
    assert entered["reward"] == pytest.approx(1e3 * math.log(entered["equity"] / equity), rel=1e-6)

    received = short * spot * 1.0003 * rate  # a short is paid where the rate is positive
    assert held["parts"]["funding"] == pytest.approx(received, rel=1e-9)
    assert held["account"]["cash"] == pytest.approx(cash + received, rel=1e-9)
    back, proceeds = short * out * (1 + slip_perp), owned * out * (1 - slip_spot)
    final = (
        cash + received + wallet + short * sold - back * (1 + PERP_FEE) + proceeds * (1 - SPOT_FEE)
    )
    assert left["equity"] == left["account"]["cash"] == pytest.approx(final, rel=1e-12)


@SEEDS
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_it_is_liquidated_where_the_slices_of_its_brackets_say(seed, side):
    rng = np.random.default_rng(seed)
    price, equity, leverage = (
        rng.uniform(20e3, 90e3),
        float(rng.choice([2e4, 1e6, 2e7])),
        float(rng.choice([3, 5, 10])),
    )
    settings = FREE | {"initial_equity": equity, "after_liquidation": "naked"}
    move = (-side * 0.75, 0.0, leverage)
    account = play(binance(btc(*[bar(price)] * 3), **settings), [move])[0]["account"]
    size, wallet = account["perp"][0], account["margin"][0]
    assert size * side > 0
    safe, dead = price, price * (0.5 if side > 0 else 2.0)
    for _ in range(100):
        middle = (safe + dead) / 2
        alive = wallet + size * (middle - price) > maintenance(abs(size) * middle)
        safe, dead = (middle, dead) if alive else (safe, middle)
    for wick, fires in ((safe * (1 + side * 1e-7), False), (dead * (1 - side * 1e-7), True)):
        touched = bar(price, **({"low": wick} if side > 0 else {"high": wick}))
        assert (
            bool(
                play(
                    binance(btc(bar(price), bar(price), touched, bar(price)), **settings),
                    [move, HOLD],
                )[1]["liquidated"][0]
            )
            is fires
        )


@SEEDS
def test_a_reverse_carry_pays_for_its_coins_and_earns_nothing_on_their_proceeds(seed):
    rng = np.random.default_rng(seed)
    price, idle, loan = rng.uniform(20e3, 90e3), rng.uniform(0, 0.1), rng.uniform(0, 0.3)
    end = price * rng.uniform(0.98, 1.02)
    env = binance(
        btc(bar(price), bar(price, end), bar(end)),
        initial_equity=1e6,
        cash_rate=idle,
        base_borrow_rate=loan,
        **FREE,
    )
    (info,) = play(env, [(-0.25, 1.0, 3.0)])
    asked = 0.25 * 1e6 * 3 / 4 / price
    long, owed = lots(asked, PERP_LOT), lots(asked, SPOT_LOT)
    free = 1e6 - long * price / 3 + owed * price - owed * end
    assert info["parts"]["cash_interest"] == pytest.approx(free * idle / 8760, rel=1e-9)
    assert info["parts"]["borrow_interest"] == pytest.approx(-owed * end * loan / 8760, rel=1e-9)
    gained = (
        (long - owed) * (end - price)
        + info["parts"]["cash_interest"]
        + info["parts"]["borrow_interest"]
    )
    assert info["equity"] == pytest.approx(1e6 + gained, rel=1e-12)
