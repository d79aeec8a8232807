"""Margin of a position from its bracket, margin ratios, what may be withdrawn, and the collateral
of a portfolio account (`fundenv.formulas.collateral`, listed here too).

Rates are fractions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fundenv.compiler.jit import formula
from fundenv.formulas.collateral import (
    adjusted_equity,
    borrow_power,
    collateral_value,
    portfolio_status,
    tiered_collateral_value,
    uni_mmr,
)
from fundenv.formulas.premium import Values

__all__ = [
    "account_margin_ratio",
    "adjusted_equity",
    "borrow_power",
    "bracket_number",
    "collateral_value",
    "deribit_margin_rates",
    "free_collateral",
    "hyperliquid_maintenance_rate",
    "largest_leverage",
    "maintenance_amount",
    "maintenance_amounts",
    "maintenance_margin",
    "margin_ratio",
    "marginal_margin",
    "portfolio_status",
    "removable_margin",
    "risk_limit_margins",
    "tiered_collateral_value",
    "tiered_maintenance",
    "uni_mmr",
    "withdrawable_cross",
]


@formula
def maintenance_amount(floor, rate, previous_rate, previous_amount):
    """Maintenance amount of a bracket: previous amount + floor x (rate - previous rate); it makes
    the margin continuous at the floor.

    floor: notional at which the bracket begins [quote; base at COIN-M]; rates: maintenance margin
    rates. The first bracket has amount 0.
    """
    return previous_amount + floor * (rate - previous_rate)


@formula
def maintenance_margin(value, rate, amount=0.0):
    """Maintenance margin: value x rate - amount, in the unit of value.

    value: position at MARK price (Binance, OKX, Hyperliquid) or at ENTRY price (Bybit): `notional`
    or `inverse_notional`; rate and amount of its bracket. The leverage of the user does not enter.
    """
    return value * rate - amount


def maintenance_amounts(floors: Sequence[float], rates: Sequence[float]) -> NDArray[np.float64]:
    """Maintenance amounts of a whole table by the recursion of `maintenance_amount`."""
    amounts = [0.0]
    for k in range(1, len(floors)):
        amounts.append(float(maintenance_amount(floors[k], rates[k], rates[k - 1], amounts[-1])))
    return np.array(amounts)


def marginal_margin(
    value: Values, floors: Sequence[float], rates: Sequence[float]
) -> NDArray[np.float64]:
    """Margin when each slice of the value pays the rate of its own bracket: sum over brackets of
    (part of value within) x rate.

    Equal to value x rate - amount with the amounts of `maintenance_amounts`. Bybit states both its
    initial (rate = 1 / maximum leverage) and its maintenance margin so. floors: lower ends, the
    first 0.
    """
    amount = np.asarray(value, dtype=np.float64)[..., None]
    upper = np.append(np.asarray(floors, dtype=np.float64)[1:], np.inf)
    slices = np.clip(amount, floors, upper) - np.asarray(floors, dtype=np.float64)
    return np.asarray((slices * np.asarray(rates)).sum(axis=-1))


def risk_limit_margins(
    base_maintenance: float,
    base_initial: float,
    value: float,
    base_limit: float = 200.0,
    step: float = 100.0,
) -> tuple[float, float]:
    """BitMEX: (maintenance rate, initial rate) of a position worth `value`: every started step
    above the base limit adds the base maintenance rate to both.

    XBTUSD: limit 200 XBT, step 100 XBT, base 0.5 % and 1 % now (0.4 % and 1 % in 2020). Source:
    BitMEX risk limits.
    """
    steps = max(int(np.ceil((value - base_limit) / step)), 0)
    return base_maintenance * (1 + steps), base_initial + base_maintenance * steps


@formula
def margin_ratio(margin, profit, value):
    """OKX: (margin + unrealised profit) / position value at mark. Liquidation below maintenance
    rate + liquidation fee rate.

    All three in one unit: quote for linear, base for inverse. The page of 2020 prints it in per
    cent with two digits.
    """
    return (margin + profit) / value


def bracket_number(value: float, floors: Sequence[float]) -> int:
    """Number, from 0, of the bracket that holds a position value: the last one whose floor is at or
    below it. floors: ascending, the first 0.
    """
    return int(np.searchsorted(np.asarray(floors, dtype=np.float64), value, side="right")) - 1


def tiered_maintenance(
    value: Values, floors: Sequence[float], rates: Sequence[float]
) -> NDArray[np.float64]:
    """Maintenance margin of a position from a whole table of brackets: `marginal_margin`, which is
    value x rate - amount of its bracket.
    """
    return marginal_margin(value, floors, rates)


def largest_leverage(value: float, floors: Sequence[float], leverages: Sequence[float]) -> float:
    """Largest leverage at which a position of this value may be opened: that of its bracket
    (Binance, Bybit, OKX). floors: ascending, the first 0.

    A bracket reaches up to and including the floor of the next one, as venues print it ("up to
    50,000") and as orders are limited in a step.
    """
    return float(
        leverages[max(int(np.searchsorted(np.asarray(floors, dtype=np.float64), value)) - 1, 0)]
    )


@formula
def hyperliquid_maintenance_rate(max_leverage):
    """Hyperliquid: maintenance rate, half the initial rate at the maximum leverage of the asset or
    tier: 1 / (2 x max_leverage); 40x gives 1.25 %.
    """
    return 0.5 / max_leverage


@formula
def deribit_margin_rates(position, base_initial=0.02, base_maintenance=0.01, step=0.00005):
    """Deribit: (initial rate, maintenance rate) of a perpetual of `position` coins: base + position
    x step each.

    BTC: 2 % and 1 % plus 0.5 % for every 100 BTC; recalled from Deribit's margin pages and not
    retrieved.
    """
    return base_initial + abs(position) * step, base_maintenance + abs(position) * step


@formula
def account_margin_ratio(maintenance, balance):
    """Binance USD-M margin ratio, also Bybit's maintenance margin rate of an account: maintenance /
    margin balance; liquidation at 1. One unit.

    balance: wallet + unrealised profit. OKX states the ratio the other way round: `margin_ratio`.
    """
    return maintenance / balance


@formula
def free_collateral(equity, initial):
    """What may still be used or withdrawn: equity - sum of initial margins (dYdX free collateral,
    Binance available balance), in one unit.
    """
    return equity - initial


def removable_margin(
    wallet: Values, profit: Values, initial: Values, maintenance: Values
) -> NDArray[np.float64]:
    """Margin that Binance lets go from an isolated position: max(0, min(wallet - maintenance,
    wallet + profit - initial)).

    wallet: isolated wallet; profit: unrealised at mark; initial: |position value at mark| /
    leverage; maintenance: maintenance margin; all in quote, or all in base for COIN-M. Profit
    counts as margin but is itself never paid out. Until 2020 maintenance was not subtracted (pass
    0). Source: binance.com FAQ 360038447311.
    """
    held = np.asarray(wallet, dtype=np.float64)
    return np.asarray(np.maximum(np.minimum(held - maintenance, held + profit - initial), 0.0))


def withdrawable_cross(
    wallet: Values,
    profit: Values,
    initial: Values,
    maintenance: Values,
    isolated_initial: Values = 0.0,
) -> NDArray[np.float64]:
    """What Binance lets go from a cross wallet: max(0, min(wallet - isolated_initial - maintenance,
    wallet + profit - initial - isolated_initial)).

    profit, initial, maintenance: sums over the cross positions; isolated_initial: initial margin of
    open isolated orders. Source: FAQ 360038447311.
    """
    held = np.asarray(wallet, dtype=np.float64) - isolated_initial
    return removable_margin(held, profit, initial, maintenance)
