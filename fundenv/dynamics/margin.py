"""Maintenance margin by bracket, risk limits, and the liquidation price that follows from the brackets.

Public functions take numbers; `marginal_margin` and the products take arrays too. Rates are fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.dynamics.collateral import (
    adjusted_equity,
    borrow_power,
    collateral_value,
    portfolio_status,
    tiered_collateral_value,
    uni_mmr,
)
from fundenv.dynamics.contract import notional
from fundenv.dynamics.jit import formula, jit
from fundenv.dynamics.types import ENTRY_MARGIN
from fundenv.market.premium import Values

__all__ = [
    "adjusted_equity",
    "borrow_power",
    "collateral_value",
    "liquidation_price",
    "maintenance",
    "maintenance_amount",
    "maintenance_amounts",
    "maintenance_margin",
    "margin_ratio",
    "marginal_margin",
    "portfolio_status",
    "risk_limit_margins",
    "tiered_collateral_value",
    "uni_mmr",
]


@formula
def maintenance_amount(floor, rate, previous_rate, previous_amount):
    """Maintenance amount of a bracket: previous amount + floor x (rate - previous rate); it makes the margin continuous at the floor.

    floor: notional at which the bracket begins [quote; base at COIN-M]; rates: maintenance margin rates. The first bracket has amount 0.
    """
    return previous_amount + floor * (rate - previous_rate)


@formula
def maintenance_margin(value, rate, amount=0.0):
    """Maintenance margin: value x rate - amount, in the unit of value.

    value: position at MARK price (Binance, OKX, Hyperliquid) or at ENTRY price (Bybit): `notional` or `inverse_notional`; rate and amount of its
    bracket. The leverage of the user does not enter.
    """
    return value * rate - amount


def maintenance_amounts(floors: Sequence[float], rates: Sequence[float]) -> NDArray[np.float64]:
    """Maintenance amounts of a whole table by the recursion of `maintenance_amount`."""
    amounts = [0.0]
    for k in range(1, len(floors)):
        amounts.append(float(maintenance_amount(floors[k], rates[k], rates[k - 1], amounts[-1])))
    return np.array(amounts)


def marginal_margin(value: Values, floors: Sequence[float], rates: Sequence[float]) -> NDArray[np.float64]:
    """Margin when each slice of the value pays the rate of its own bracket: sum over brackets of (part of value within) x rate.

    Equal to value x rate - amount with the amounts of `maintenance_amounts`. Bybit states both its initial (rate = 1 / maximum leverage) and its
    maintenance margin so. floors: lower ends, the first 0.
    """
    amount = np.asarray(value, dtype=np.float64)[..., None]
    upper = np.append(np.asarray(floors, dtype=np.float64)[1:], np.inf)
    slices = np.clip(amount, floors, upper) - np.asarray(floors, dtype=np.float64)
    return np.asarray((slices * np.asarray(rates)).sum(axis=-1))


def risk_limit_margins(
    base_maintenance: float, base_initial: float, value: float, base_limit: float = 200.0, step: float = 100.0
) -> tuple[float, float]:
    """BitMEX: (maintenance rate, initial rate) of a position worth `value`: every started step above the base limit adds the base maintenance rate to both.

    XBTUSD: limit 200 XBT, step 100 XBT, base 0.5 % and 1 % now (0.4 % and 1 % in 2020). Source: BitMEX risk limits.
    """
    steps = max(int(np.ceil((value - base_limit) / step)), 0)
    return base_maintenance * (1 + steps), base_initial + base_maintenance * steps


@formula
def margin_ratio(margin, profit, value):
    """OKX: (margin + unrealised profit) / position value at mark. Liquidation below maintenance rate + liquidation fee rate.

    All three in one unit: quote for linear, base for inverse. The page of 2020 prints it in per cent with two digits.
    """
    return (margin + profit) / value


@jit
def maintenance(tiers: Any, symbol: Any, value: Any) -> Any:
    """Maintenance margin [quote] of a position worth `value` [quote]: value x rate - amount of its bracket.

    tiers: (S, K, 3) floor, rate, amount; source: Binance "Leverage and Margin of USD-M Futures".
    """
    k = bracket_of(tiers, symbol, value)
    return maintenance_margin(value, tiers[symbol, k, 1], tiers[symbol, k, 2])


@jit
def bracket_of(tiers: Any, symbol: Any, value: Any) -> Any:
    """Number of the bracket, from 0, that holds `value`."""
    k = 0
    while k + 1 < tiers.shape[1] and value >= tiers[symbol, k + 1, 0]:
        k += 1
    return k


@jit
def required_maintenance(world: Any, symbol: Any, size: Any, entry: Any, price: Any) -> Any:
    """Maintenance margin [quote] of a leg at a mark price, on its value at that price or at entry, as the venue has it."""
    return maintenance(world.tiers, symbol, notional(size, entry if world.codes[ENTRY_MARGIN] != 0 else price))


@jit
def liquidation_price(margin: Any, size: Any, entry: Any, tiers: Any, symbol: Any) -> Any:
    """Mark price at which margin + size (price - entry) meets the maintenance margin; 0 or below means a long cannot be liquidated.

    margin: wallet of the position [quote]; size: signed, base units; entry: quote per base. `binance_price` with the bracket that holds at the price
    itself; tiers (S, K, 3) as for `maintenance`, symbol: its first index.
    """
    price = 0.0
    for k in range(tiers.shape[1]):
        price = (margin + tiers[symbol, k, 2] - size * entry) / (abs(size) * tiers[symbol, k, 1] - size)
        if k + 1 == tiers.shape[1] or abs(size) * price < tiers[symbol, k + 1, 0]:
            break
    return price
