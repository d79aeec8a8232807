"""Margin of a position from its bracket, margin ratios, what may be withdrawn, and the collateral
of a portfolio account (`fundenv.formulas.collateral`, listed here too).

Rates are fractions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fundenv.formulas.arguments import Values, ascending, checked, formula, same_length
from fundenv.formulas.collateral import (
    adjusted_equity,
    borrow_power,
    collateral_value,
    portfolio_status,
    tiered_collateral_value,
    uni_mmr,
)
from fundenv.formulas.kinds import (
    Amount,
    Floors,
    Leverage,
    Leverages,
    Number,
    Numbers,
    Positive,
    Share,
    Shares,
    Size,
    refusal,
)

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


class Margins(NamedTuple):
    """Margin rates of a position, fractions; everywhere initial before maintenance."""

    initial: Numbers | float
    maintenance: Numbers | float


@formula
def maintenance_amount(floor: Amount, rate: Share, previous_rate: Share, previous_amount: Number):
    """Maintenance amount of a bracket: previous amount + floor x (rate - previous rate); it makes
    the margin continuous at the floor.

    floor: notional at which the bracket begins [quote; base at COIN-M]; rates: maintenance margin
    rates. The first bracket has amount 0.
    """
    return previous_amount + floor * (rate - previous_rate)


@formula
def maintenance_margin(value: Amount, rate: Share, amount: Number = 0.0):
    """Maintenance margin: value x rate - amount, in the unit of value.

    value: position at MARK price (Binance, OKX, Hyperliquid) or at ENTRY price (Bybit): `notional`
    or `inverse_notional`; rate and amount of its bracket. The leverage of the user does not enter.
    """
    return value * rate - amount


@checked
def maintenance_amounts(floors: Floors, rates: Shares) -> Numbers:
    """Maintenance amounts of a whole table by the recursion of `maintenance_amount`."""
    ascending("maintenance_amounts", "floors", floors)
    same_length("maintenance_amounts", floors=floors, rates=rates)
    return np.append(0.0, np.cumsum(floors[1:] * np.diff(rates)))


@checked
def marginal_margin(value: Amount, floors: Floors, rates: Shares) -> Numbers:
    """Margin when each slice of the value pays the rate of its own bracket: sum over brackets of
    (part of value within) x rate.

    Equal to value x rate - amount with the amounts of `maintenance_amounts`. Bybit states both its
    initial (rate = 1 / maximum leverage) and its maintenance margin so. floors: lower ends, the
    first 0.
    """
    ascending("marginal_margin", "floors", floors)
    same_length("marginal_margin", floors=floors, rates=rates)
    slices = np.clip(np.asarray(value)[..., None], floors, np.append(floors[1:], np.inf)) - floors
    return (slices * rates).sum(axis=-1)


@checked
def risk_limit_margins(
    base_initial: Share,
    base_maintenance: Share,
    value: Amount,
    base_limit: Positive = 200.0,
    step: Positive = 100.0,
) -> Margins:
    """BitMEX: (initial rate, maintenance rate) of a position worth `value`: every started step
    above the base limit adds the base maintenance rate to both.

    XBTUSD: limit 200 XBT, step 100 XBT, base 1 % and 0.5 % now (1 % and 0.4 % in 2020). Source:
    BitMEX risk limits.
    """
    if np.any(base_initial < base_maintenance):
        text = (
            "an initial rate of at least the maintenance rate (the order is initial, maintenance)"
        )
        raise refusal("risk_limit_margins", "base_initial", base_initial, text)
    steps = np.maximum(np.ceil((value - base_limit) / step), 0.0)
    return Margins(base_initial + base_maintenance * steps, base_maintenance * (1.0 + steps))


@formula
def margin_ratio(margin: Number, profit: Number, value: Positive):
    """OKX: (margin + unrealised profit) / position value at mark. Liquidation below maintenance
    rate + liquidation fee rate.

    All three in one unit: quote for linear, base for inverse. The page of 2020 prints it in per
    cent with two digits.
    """
    return (margin + profit) / value


@checked
def bracket_number(value: Amount, floors: Floors) -> Values:
    """Number, from 0, of the bracket that holds a position value: the last one whose floor is at or
    below it. floors: ascending, the first 0.
    """
    ascending("bracket_number", "floors", floors)
    if np.any(np.isnan(value)):
        raise refusal("bracket_number", "value", value, "an amount; NaN has no bracket")
    return np.searchsorted(floors, value, side="right") - 1


@checked
def tiered_maintenance(value: Amount, floors: Floors, rates: Shares) -> Numbers:
    """Maintenance margin of a position from a whole table of brackets: `marginal_margin`, which is
    value x rate - amount of its bracket.
    """
    return marginal_margin(value, floors, rates)


@checked
def largest_leverage(value: Amount, floors: Floors, leverages: Leverages) -> Values:
    """Largest leverage at which a position of this value may be opened: that of its bracket
    (Binance, Bybit, OKX). floors: ascending, the first 0.

    A bracket reaches up to and including the floor of the next one, as venues print it ("up to
    50,000") and as orders are limited in a step.
    """
    ascending("largest_leverage", "floors", floors)
    same_length("largest_leverage", floors=floors, leverages=leverages)
    found = leverages[np.maximum(np.searchsorted(floors, value) - 1, 0)]
    return np.where(np.isnan(value), np.nan, found)


@formula
def hyperliquid_maintenance_rate(max_leverage: Leverage):
    """Hyperliquid: maintenance rate, half the initial rate at the maximum leverage of the asset or
    tier: 1 / (2 x max_leverage); 40x gives 1.25 %.
    """
    return 0.5 / max_leverage


@checked
def deribit_margin_rates(
    position: Size,
    base_initial: Share = 0.02,
    base_maintenance: Share = 0.01,
    step: Share = 0.00005,
):
    """Deribit: (initial rate, maintenance rate) of a perpetual of `position` coins: base + position
    x step each.

    BTC: 2 % and 1 % plus 0.5 % for every 100 BTC; recalled from Deribit's margin pages and not
    retrieved.
    """
    return Margins(base_initial + abs(position) * step, base_maintenance + abs(position) * step)


@formula
def account_margin_ratio(maintenance: Amount, balance: Number):
    """Binance USD-M margin ratio, also Bybit's maintenance margin rate of an account: maintenance /
    margin balance; liquidation at 1. One unit.

    balance: wallet + unrealised profit. OKX states the ratio the other way round: `margin_ratio`.
    """
    return maintenance / balance


@formula
def free_collateral(equity: Number, initial: Amount):
    """What may still be used or withdrawn: equity - sum of initial margins (dYdX free collateral,
    Binance available balance), in one unit.
    """
    return equity - initial


@checked
def removable_margin(
    wallet: Number, profit: Number, initial: Amount, maintenance: Amount
) -> Numbers:
    """Margin that Binance lets go from an isolated position: max(0, min(wallet - maintenance,
    wallet + profit - initial)).

    wallet: isolated wallet; profit: unrealised at mark; initial: |position value at mark| /
    leverage; maintenance: maintenance margin; all in quote, or all in base for COIN-M. Profit
    counts as margin but is itself never paid out. Until 2020 maintenance was not subtracted (pass
    0). Source: binance.com FAQ 360038447311.
    """
    return np.maximum(np.minimum(wallet - maintenance, wallet + profit - initial), 0.0)


@checked
def withdrawable_cross(
    wallet: Number,
    profit: Number,
    initial: Amount,
    maintenance: Amount,
    isolated_initial: Amount = 0.0,
) -> Numbers:
    """What Binance lets go from a cross wallet: max(0, min(wallet - isolated_initial - maintenance,
    wallet + profit - initial - isolated_initial)).

    profit, initial, maintenance: sums over the cross positions; isolated_initial: initial margin of
    open isolated orders. Source: FAQ 360038447311.
    """
    return removable_margin(wallet - isolated_initial, profit, initial, maintenance)
