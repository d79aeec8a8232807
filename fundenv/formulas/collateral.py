"""Collateral of a portfolio account: haircuts, the account ratio and its thresholds, borrowing
power. Values in quote, + owned, - owed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fundenv.compiler.jit import formula
from fundenv.formulas.premium import Values

LIQUIDATION_RATIO = 1.05  # uniMMR below which Binance liquidates a portfolio account


@formula
def collateral_value(amount, rate, price=1.0):
    """Collateral of a holding at a flat rate: amount x rate x price; with price 1 in the unit of
    amount (3 BTC at 0.95 count as 2.85 BTC).

    Binance portfolio margin (2022), Bybit UTA, OKX discount rates. For a debt use
    `adjusted_equity`, which applies no haircut to it.
    """
    return amount * rate * price


def tiered_collateral_value(
    value: Values, tiers: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Collateral [quote] of a holding worth `value` [quote] when each slice has its own rate;
    nothing counts above the last bound.

    tiers: (upper bound of the slice [quote, cumulative], collateral rate), ascending. Binance cross
    margin: 6,000 BTC at 20,000 with (100M, 1), (120M, 0.975), ... counts 119.5M. Source: Binance
    "Cross Margin Collateral Haircuts". Bounds in coins (Bybit) work with value in coins.
    """
    upper = np.array([bound for bound, _ in tiers])
    lower = np.append(0.0, upper[:-1])
    slices = np.clip(np.asarray(value, dtype=np.float64)[..., None], lower, upper) - lower
    return np.asarray((slices * np.array([rate for _, rate in tiers])).sum(axis=-1))


def adjusted_equity(net: Values, prices: Values, rates: Values) -> NDArray[np.float64]:
    """Binance portfolio margin: sum over assets (last axis) of min(net x price x rate, net x price)
    [quote].

    net: balance + unrealised profit - borrowed, in units of the asset, signed; prices: index price
    [quote per unit]; rates: collateral rates. A negative net counts in full, a positive one after
    its haircut. Source: Binance FAQ 146ac090710a49f99c4732b00f8c09df.
    """
    value = np.asarray(net, dtype=np.float64) * prices
    return np.asarray(np.minimum(value * rates, value).sum(axis=-1))


@formula
def spot_collateral(amount, price, rate):
    """One asset's share of `adjusted_equity`: min(amount x price x rate, amount x price) [quote];
    amount signed, rate at most 1.
    """
    value = amount * price
    return 0.5 * (value * (1.0 + rate) - abs(value) * (1.0 - rate))


@formula
def uni_mmr(equity, maintenance):
    """Binance's unified maintenance margin ratio: adjusted equity / total maintenance margin of all
    positions and loans, both in quote.
    """
    return equity / maintenance


def portfolio_status(ratio: float) -> str:
    """What Binance does at a uniMMR: above 1.5 "normal", to 1.2 "warning", to 1.05 "reduce only"
    (no new orders), below 1.05 "liquidation".
    """
    if ratio > 1.5:
        return "normal"
    if ratio > 1.2:
        return "warning"
    return "reduce only" if ratio >= LIQUIDATION_RATIO else "liquidation"


@formula
def borrow_power(balance, price, loan_to_value):
    """Largest loan [quote] against a holding: balance x price x LTV. balance: units of the
    collateral; Hyperliquid portfolio margin: LTV 0.5 for HYPE.
    """
    return balance * price * loan_to_value
