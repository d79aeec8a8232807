"""Collateral of a portfolio account: haircuts, the account ratio and its thresholds, borrowing
power. Values in quote, + owned, - owed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fundenv.formulas.arguments import Values, checked, formula, same_length
from fundenv.formulas.kinds import (
    Amount,
    Number,
    Numbers,
    Price,
    Prices,
    Ratio,
    Series,
    Share,
    Shares,
    refusal,
)

LIQUIDATION_RATIO = 1.05  # uniMMR below which Binance liquidates a portfolio account


@formula
def collateral_value(amount: Amount, rate: Share, price: Price = 1.0):
    """Collateral of a holding at a flat rate: amount x rate x price; with price 1 in the unit of
    amount (3 BTC at 0.95 count as 2.85 BTC).

    Binance portfolio margin (2022), Bybit UTA, OKX discount rates. For a debt use
    `adjusted_equity`, which applies no haircut to it.
    """
    return amount * rate * price


@checked
def tiered_collateral_value(value: Amount, tiers: Sequence[tuple[float, float]]) -> Numbers:
    """Collateral [quote] of a holding worth `value` [quote] when each slice has its own rate;
    nothing counts above the last bound.

    tiers: (upper bound of the slice [quote, cumulative], collateral rate), ascending. Binance cross
    margin: 6,000 BTC at 20,000 with (100M, 1), (120M, 0.975), ... counts 119.5M. Source: Binance
    "Cross Margin Collateral Haircuts". Bounds in coins (Bybit) work with value in coins.
    """
    upper, rates = _slices(tiers)
    lower = np.append(0.0, upper[:-1])
    parts = np.clip(np.asarray(value)[..., None], lower, upper) - lower
    return (parts * rates).sum(axis=-1)


def _slices(tiers: Sequence[tuple[float, float]]) -> tuple[Numbers, Numbers]:
    """Bounds and rates of a table of slices; raises ValueError where it is none."""
    text = "rows (upper bound, rate), bounds ascending above 0, rates from 0 to 1"
    try:
        table = np.array([(float(bound), float(rate)) for bound, rate in tiers])
        bounds, rates = table.T
    except (TypeError, ValueError):
        raise refusal("tiered_collateral_value", "tiers", tiers, text) from None
    ordered = bool(np.all(np.diff(np.append(0.0, bounds)) > 0.0))
    if not ordered or not np.all((rates >= 0.0) & (rates <= 1.0)):
        raise refusal("tiered_collateral_value", "tiers", tiers, text)
    return bounds, rates


@checked
def adjusted_equity(net: Series, prices: Prices, rates: Shares) -> Numbers:
    """Binance portfolio margin: sum over assets (last axis) of min(net x price x rate, net x price)
    [quote].

    net: balance + unrealised profit - borrowed, in units of the asset, signed; prices: index price
    [quote per unit]; rates: collateral rates. A negative net counts in full, a positive one after
    its haircut. Source: Binance FAQ 146ac090710a49f99c4732b00f8c09df.
    """
    same_length("adjusted_equity", net=net, prices=prices, rates=rates)
    value = net * prices
    return np.minimum(value * rates, value).sum(axis=-1)


@formula
def spot_collateral(amount: Number, price: Price, rate: Share):
    """One asset's share of `adjusted_equity`: min(amount x price x rate, amount x price) [quote];
    amount signed, rate at most 1.
    """
    value = amount * price
    return 0.5 * (value * (1.0 + rate) - abs(value) * (1.0 - rate))


@formula
def uni_mmr(equity: Number, maintenance: Amount):
    """Binance's unified maintenance margin ratio: adjusted equity / total maintenance margin of all
    positions and loans, both in quote.
    """
    return equity / maintenance


@checked
def portfolio_status(ratio: Ratio) -> Values:
    """What Binance does at a uniMMR: above 1.5 "normal", to 1.2 "warning", to 1.05 "reduce only"
    (no new orders), below 1.05 "liquidation".
    """
    low = np.where(ratio >= LIQUIDATION_RATIO, "reduce only", "liquidation")
    return np.where(ratio > 1.5, "normal", np.where(ratio > 1.2, "warning", low))


@formula
def borrow_power(balance: Amount, price: Price, loan_to_value: Share):
    """Largest loan [quote] against a holding: balance x price x LTV. balance: units of the
    collateral; Hyperliquid portfolio margin: LTV 0.5 for HYPE.
    """
    return balance * price * loan_to_value
