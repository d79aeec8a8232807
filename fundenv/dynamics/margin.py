"""Margin rules of a step: maintenance by bracket, the liquidation price that follows from the
brackets, the largest position at a leverage.

Rates are fractions. The formulas for users: `fundenv.formulas.margin`.
"""

from __future__ import annotations

import math
from typing import Any

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import entry_margin
from fundenv.dynamics.legs import value_of
from fundenv.formulas.margin import maintenance_margin

FEW_BRACKETS = 4
_ROUNDED = 1.0 - 1e-6  # an action of single precision may exceed a limit by its rounding


@jit
def maintenance(tiers: Any, symbol: Any, value: Any) -> Any:
    """Maintenance margin [quote] of a position worth `value` [quote]: value x rate - amount of its
    bracket.

    tiers: (S, K, 4) floor, rate, amount, maximum leverage; an inverse contract's value and brackets
    are in coin. Source: Binance "Leverage and Margin of USD-M Futures".
    """
    if tiers.shape[1] <= FEW_BRACKETS:  # no branch: lanes choose each their own bracket
        rate, amount = tiers[symbol, 0, 1], tiers[symbol, 0, 2]
        for k in range(1, tiers.shape[1]):
            if value >= tiers[symbol, k, 0]:
                rate, amount = tiers[symbol, k, 1], tiers[symbol, k, 2]
        return maintenance_margin(value, rate, amount)
    k = bracket_of(tiers, symbol, value)
    return maintenance_margin(value, tiers[symbol, k, 1], tiers[symbol, k, 2])


@jit
def wallet_floor(wallet: Any, needed: Any) -> Any:
    """What must stay in a wallet from which margin is withdrawn: its maintenance margin, as far as
    it is there. Source: `removable_margin`.
    """
    return min(max(wallet, 0.0), needed)


@jit
def bracket_of(tiers: Any, symbol: Any, value: Any) -> Any:
    """Number of the bracket, from 0, that holds `value`."""
    k = 0
    while k + 1 < tiers.shape[1] and value >= tiers[symbol, k + 1, 0]:
        k += 1
    return k


@jit
def required_maintenance(world: Any, symbol: Any, size: Any, entry: Any, price: Any) -> Any:
    """Maintenance margin [quote; inverse: coin] of a leg at a mark price, on its value at that
    price or at entry, as the venue has it.
    """
    return maintenance(
        world.tiers,
        symbol,
        value_of(world.contract, size, entry if entry_margin(world, symbol) else price),
    )


@jit
def liquidation_price(margin: Any, size: Any, entry: Any, tiers: Any, symbol: Any) -> Any:
    """Mark price at which margin + size (price - entry) meets the maintenance margin; 0 or below
    means a long cannot be liquidated.

    margin: wallet of the position [quote]; size: signed, base units; entry: quote per base.
    `binance_price` with the bracket that holds at the price itself; tiers (S, K, 4) as for
    `maintenance`, symbol: its first index.
    """
    price = 0.0
    for k in range(tiers.shape[1]):
        price = (margin + tiers[symbol, k, 2] - size * entry) / (
            abs(size) * tiers[symbol, k, 1] - size
        )
        if k + 1 == tiers.shape[1] or abs(size) * price < tiers[symbol, k + 1, 0]:
            break
    return price


@jit
def inverse_liquidation_price(margin: Any, size: Any, entry: Any, tiers: Any, symbol: Any) -> Any:
    """Mark price at which margin + size (1 / entry - 1 / price) meets the maintenance margin;
    infinite where no rally liquidates a short.

    margin: wallet [coin]; size: signed, quote (contracts x face). `binance_coinm_price` with the
    bracket that holds at the price itself; tiers in coin.
    """
    price = 0.0
    for k in range(tiers.shape[1]):
        funds = margin + tiers[symbol, k, 2] + size / entry
        price = (size + abs(size) * tiers[symbol, k, 1]) / funds
        if size < 0.0 and funds >= 0.0:
            price = math.inf
        if k + 1 == tiers.shape[1] or abs(size) < tiers[symbol, k + 1, 0] * price:
            break
    return price


@jit
def largest_value(tiers: Any, symbol: Any, leverage: Any) -> Any:
    """Largest position value [quote; inverse: coin] that may be held at `leverage`: the floor of
    the first bracket whose maximum is lower.
    """
    asked = leverage * _ROUNDED
    if tiers.shape[1] <= FEW_BRACKETS:  # no branch, as in `maintenance`
        largest = math.inf
        for k in range(tiers.shape[1] - 1, -1, -1):
            if tiers[symbol, k, 3] < asked:
                largest = tiers[symbol, k, 0]
        return largest
    for k in range(tiers.shape[1]):
        if tiers[symbol, k, 3] < asked:
            return tiers[symbol, k, 0]
    return math.inf
