"""On a market whose price is a martingale with gaps nobody earns: neither the price at which a
liquidation fills nor a loss that the venue bears may be an insurance without a premium.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import layout
from fundenv.market.market import Market
from fundenv.venues import UnsourcedValue
from tests.markets import TABLE

PATHS, BARS, PARTS = 6_000, 24, 12
JUMP, OFTEN, MOVE = 0.1, 0.02, 0.0008  # gap, its probability in a bar, and the usual step
FREE: dict[str, Any] = {
    "venue": "binance",
    "venue_date": "2025-06-01",
    "actions": "target",
    "decision_interval": "1h",
    "episode": None,
    "random_start": False,
    "initial_equity": 10_000.0,
    "max_leverage": 125.0,
    "cash_rate": 0.0,
    "rebalance_band": 0.0,
    "max_participation": 0.0,
}
UNINSURED = {"liquidation_gap": 1.0, "deficit_share": 1.0}
COSTLESS = {"fee_scale": 0.0, "cost_scale": 0.0, "quote_borrow_rate": 0.0, "base_borrow_rate": 0.0}
KEEPERS = {
    "none": {"keeper_interval": None},
    "wallet": {"keeper_watches": "wallet"},
    "equity": {"keeper_watches": "equity"},
}
MODES = ("isolated", "cross", "portfolio")
LEVERAGES, HOURS = (1.0, 3.0, 10.0, 20.0, 50.0, 125.0), (1, 5, 20)


def made(paths: int, symbols: tuple[str, ...]) -> Market:
    """Independent paths of prices that move by +-8 bp and gap by +-10 %, at the open of a bar and
    inside it, twelve times a bar; spot, perpetual and mark of a coin alike, each coin on its own.
    """
    rng, coins = np.random.default_rng(0), len(symbols)
    size = np.where(rng.random((paths, BARS, PARTS, coins)) < OFTEN / PARTS, JUMP, MOVE)
    factor = 1.0 + size * rng.choice([-1.0, 1.0], size.shape)
    price = 100.0 * factor.reshape(paths, -1, coins).cumprod(axis=1)
    price = price.reshape(paths, BARS, PARTS, coins).swapaxes(2, 3)
    bars = np.zeros((paths, BARS, coins, layout.N_COLUMNS))
    # the first part of a bar lies between the last close and its open
    bars[..., [layout.SPOT_OPEN, layout.PERP_OPEN, layout.MARK_OPEN]] = price[..., :1]
    bars[..., [layout.SPOT_CLOSE, layout.PERP_CLOSE, layout.MARK_CLOSE]] = price[..., -1:]
    bars[..., layout.MARK_HIGH], bars[..., layout.MARK_LOW] = price.max(axis=-1), price.min(axis=-1)
    bars[..., layout.SPOT_VOLUME : layout.SIGMA_DAY] = 1e9
    bars[..., layout.SIGMA_DAY] = 0.03
    return Market(
        bars=bars.reshape(-1, coins, layout.N_COLUMNS),
        features=np.zeros((paths * BARS, coins, len(TABLE)), np.float32),
        paths=np.stack([np.arange(paths), np.arange(1, paths + 1)], axis=1) * BARS,
        close_ns=np.tile(np.arange(1, BARS + 1) * 3_600_000_000_000, paths)
        + 1_748_736_000_000_000_000,
        symbols=(symbols,) * paths,
        bar_hours=1.0,
        table=TABLE,
        venue="binance",
    )


@pytest.fixture(scope="module")
def martingale() -> Market:
    return made(PATHS, ("BTCUSDT",))


@pytest.fixture(scope="module")
def two_coins() -> Market:
    return made(PATHS, ("BTCUSDT", "ETHUSDT"))


def scores(
    market: Market, carries: Sequence[tuple[float, ...]] = ((1.0,), (-1.0,)), **settings: Any
) -> dict[tuple[Any, ...], float]:
    """Mean over standard error of what an account earns that takes a target, holds it and leaves:
    for each (leverage, carry of each coin, hedge, hours).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsourcedValue)
        batch = Batch(market.n_paths, market=market, **(FREE | settings))
    found = {}
    for leverage, carry, hedge in itertools.product(LEVERAGES, carries, (0.0, 1.0)):
        batch.reset(0)
        earned, running = np.zeros(batch.num_envs), np.ones(batch.num_envs, dtype=bool)
        for hour in range(max(HOURS)):
            action = [(float(hour > 0), part, hedge, leverage) for part in carry]
            batch.step(np.tile(np.float32(action).ravel(), (market.n_paths, 1)))
            earned[running] = batch.store.account[running, t.EQUITY] / FREE["initial_equity"] - 1.0
            running &= ~batch.terminated  # a ruined account stays what it is
            if hour + 1 in HOURS:
                error = earned.std() / np.sqrt(len(earned))
                found[leverage, carry, hedge, hour + 1] = earned.mean() / max(error, 1e-12)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("costs", [COSTLESS, {}], ids=["no costs", "costs"])
@pytest.mark.parametrize("keeper", KEEPERS)
@pytest.mark.parametrize("margin_mode", MODES)
def test_no_policy_earns_on_a_martingale_with_gaps(martingale, margin_mode, keeper, costs):
    found = scores(martingale, margin_mode=margin_mode, **KEEPERS[keeper], **costs, **UNINSURED)
    assert len(found) == 72
    assert max(found.values()) < 4.0, max(found, key=found.__getitem__)


PAIRS = ((0.5, 0.5), (0.5, -0.5), (-0.5, -0.5), (0.8, 0.2))


@pytest.mark.slow
@pytest.mark.parametrize("keeper", KEEPERS)
@pytest.mark.parametrize("margin_mode", MODES)
def test_no_policy_on_one_capital_over_two_coins_earns_there(two_coins, margin_mode, keeper):
    settings = {"margin_mode": margin_mode, "capital": "shared"} | KEEPERS[keeper] | COSTLESS
    found = scores(two_coins, PAIRS, **settings, **UNINSURED)
    assert len(found) == 144
    assert max(found.values()) < 4.0, max(found, key=found.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize(
    "insured",
    [
        {"liquidation_gap": 0.0},
        {"liquidation_gap": 0.5},
        {"deficit_share": 0.0},
        {"liquidation_gap": 0.0, "deficit_share": 0.0},
    ],
    ids=["fills at the liquidation price", "fills half-way", "the venue bears", "default"],
)
def test_the_search_finds_an_insurance_without_a_premium(martingale, insured):
    chosen = COSTLESS | UNINSURED | insured
    found = scores(martingale, margin_mode="isolated", keeper_interval=None, **chosen)
    assert max(found.values()) > 4.0
