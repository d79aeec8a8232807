"""No policy earns on two venues with one price, a martingale with gaps, and no funding: neither the
time that money travels nor the rules of either venue are a source of money.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import layout
from fundenv.market.market import Market
from fundenv.venues import UnsourcedValue
from tests.markets import TABLE

PATHS, BARS, PARTS = 3_000, 16, 6
JUMP, OFTEN, MOVE = 0.1, 0.02, 0.0008  # gap, its probability in a bar, and the usual step
ASSETS = ("binance:BTCUSDT", "hyperliquid:BTC@binance:BTCUSDT")
# two contracts on each venue, which share a wallet there in cross mode
FOUR = (*ASSETS, "binance:ETHUSDT", "hyperliquid:ETH@binance:ETHUSDT")
FAIR: dict[str, Any] = {
    "venue_date": "2025-06-01",
    "actions": "target",
    "decision_interval": "1h",
    "episode": None,
    "random_start": False,
    "initial_equity": 10_000.0,
    "max_leverage": 40.0,
    "cash_rate": 0.0,
    "rebalance_band": 0.0,
    "max_participation": 0.0,
    "liquidation_gap": 1.0,
    "deficit_share": 1.0,
    "fee_scale": 0.0,
    "cost_scale": 0.0,
    "quote_borrow_rate": 0.0,
    "base_borrow_rate": 0.0,
}
# (leverage, carry here, carry there, hedge)
POLICIES = tuple(itertools.product((1.0, 5.0, 40.0), (1.0, 0.0, -1.0), (1.0, -1.0), (0.0, 1.0)))


@pytest.fixture(scope="module")
def martingale() -> Market:
    """A price that moves by +-8 bp and gaps by +-10 %, six times a bar, the same on both venues."""
    rng = np.random.default_rng(0)
    size = np.where(rng.random((PATHS, BARS, PARTS)) < OFTEN / PARTS, JUMP, MOVE)
    factor = 1.0 + size * rng.choice([-1.0, 1.0], size.shape)
    price = 100.0 * factor.reshape(PATHS, -1).cumprod(axis=1).reshape(PATHS, BARS, PARTS)
    bars = np.zeros((PATHS, BARS, layout.N_COLUMNS))
    bars[..., [layout.SPOT_OPEN, layout.PERP_OPEN, layout.MARK_OPEN]] = price[..., :1]
    bars[..., [layout.SPOT_CLOSE, layout.PERP_CLOSE, layout.MARK_CLOSE]] = price[..., -1:]
    bars[..., layout.MARK_HIGH], bars[..., layout.MARK_LOW] = price.max(axis=2), price.min(axis=2)
    bars[..., layout.SPOT_VOLUME : layout.SIGMA_DAY] = 1e9
    bars[..., layout.SIGMA_DAY] = 0.03
    both = np.repeat(bars.reshape(-1, 1, layout.N_COLUMNS), 2, axis=1)
    return Market(
        bars=both,
        features=np.zeros((PATHS * BARS, 2, len(TABLE)), np.float32),
        paths=np.stack([np.arange(PATHS), np.arange(1, PATHS + 1)], axis=1) * BARS,
        close_ns=np.tile(np.arange(1, BARS + 1) * 3_600_000_000_000, PATHS)
        + 1_748_736_000_000_000_000,
        symbols=(ASSETS,) * PATHS,
        bar_hours=1.0,
        table=TABLE,
        venue="binance+hyperliquid",
    )


def scores(market: Market, **settings: Any) -> dict[tuple[float, ...], float]:
    """Mean over standard error of what each policy earns that asks for its targets in the first
    six hours, holds, and leaves three hours before the end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsourcedValue)
        batch = Batch(market.n_paths, market=market, autoreset="disabled", **(FAIR | settings))
    found = {}
    for highest, here, there, hedge in POLICIES:
        leverage = min(highest, batch.config.max_leverage)
        batch.reset(0)
        for hour in range(BARS - 2):
            asked, leaves = hour < 6, hour > BARS - 6
            hold = float(not (asked or leaves))
            carries = (here, there, -here, there) if market.n_assets == 4 else (here, there)
            move = [x for c in carries for x in (hold, c * asked, hedge, leverage)]
            batch.step(np.tile(np.float32(move), (PATHS, 1)))
            if (batch.terminated | batch.truncated).all():
                break
        earned = batch.store.account[:, t.EQUITY] / FAIR["initial_equity"] - 1.0
        error = earned.std() / np.sqrt(len(earned))
        found[highest, here, there, hedge] = earned.mean() / max(error, 1e-12)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("delay", [None, "1h", "4h"])
def test_no_policy_earns_on_two_venues_with_one_price(
    martingale: Market, delay: str | None
) -> None:
    found = scores(martingale, transfer_delay=delay, keeper_interval="1h")
    assert len(found) == 36
    assert max(found.values()) < 4.0, max(found, key=found.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [None, "4h"])
def test_no_policy_earns_where_the_legs_of_a_venue_share_its_wallet(
    martingale: Market, delay: str | None
) -> None:
    """The second coin's price is that of another path; on the first venue it is held the other way
    round, so that its wallet nets the two.
    """
    other = martingale.bars.reshape(PATHS, BARS, 2, -1)[np.roll(np.arange(PATHS), 1)]
    bars = np.concatenate([martingale.bars, other.reshape(martingale.bars.shape)], axis=1)
    market = replace(
        martingale,
        bars=bars,
        features=np.repeat(martingale.features, 2, axis=1),
        symbols=(FOUR,) * PATHS,
    )
    # Hyperliquid allows a leverage of 25 in ETH
    shared = {"margin_mode": "cross", "max_leverage": 25.0}
    found = scores(market, transfer_delay=delay, keeper_interval="1h", **shared)
    assert len(found) == 36
    assert max(found.values()) < 4.0, max(found, key=found.__getitem__)


@pytest.mark.slow
def test_the_search_finds_a_dearer_second_venue(martingale: Market) -> None:
    bars = martingale.bars.copy()
    bars[:, 1, layout.SETTLE_RATE], bars[:, 1, layout.SETTLE_PRICE] = 0.001, 100.0
    found = scores(replace(martingale, bars=bars), transfer_delay="1h")
    assert max(found.values()) > 4.0
