"""What a venue does to a position that fails its margin test: how much it closes, which account
bears the rest, which one is deleveraged.
"""

from __future__ import annotations

import numpy as np

from fundenv.formulas.arguments import Values, ascending, checked, formula
from fundenv.formulas.kinds import (
    Amount,
    Exact,
    ExactShare,
    Leverage,
    Number,
    Positive,
    Price,
    Quantity,
    Rungs,
    Share,
    Side,
    Size,
    Threshold,
    Tiers,
)


@checked
def partial_quantity(held: Quantity, limit: Quantity) -> float:
    """Quantity to close so that at most `limit` (the largest size of the lower tier) is left:
    max(held - limit, 0); same unit as the arguments.
    """
    return np.maximum(held - limit, 0.0)


@checked
def tier_reduction(held: Quantity, upper_limits: Tiers, rungs: Rungs = 2) -> float:
    """OKX (2020): quantity closed first when a position of `held` fails its margin test.

    upper_limits: largest size of tier 1, 2, ... (ascending); from tier 3 up the position falls by
    `rungs` tiers (tier 3 to 1), so held - limit of that tier is closed; in tier 1 or 2 everything.
    The caller closes everything, at the bankruptcy price, where the margin ratio is below tier 1's
    requirement. Source: OKX help, section VIII of the perpetual guide.
    """
    ascending("tier_reduction", "upper_limits", np.append(0.0, upper_limits))
    tier = np.searchsorted(upper_limits, held)  # from 0
    left = np.where(tier < 2, 0.0, upper_limits[np.maximum(tier - rungs, 0)])
    return np.maximum(held - left, 0.0)


@checked
def hyperliquid_first_order(
    quantity: Quantity, price: Price, threshold: Threshold = 100_000.0, share: ExactShare = 0.2
) -> Values:
    """Size of Hyperliquid's first liquidation order: 20 % of a position worth more than 100,000
    USDC, else all of it; after 30 s the whole rest may follow.
    """
    worth = quantity * price
    first = np.where(worth > threshold, quantity * share, quantity)
    return np.where(np.isnan(worth), np.nan, first)


@formula
def insurance_loss(balance: Number):
    """What the venue's insurance fund bears when a closed position leaves a wallet at `balance`:
    -balance below zero, else 0.
    """
    return (abs(balance) - balance) / 2.0


@formula
def buffered_price(price: Number, entry: Price, share: Share = 0.05):
    """freqtrade's safety margin: price + share x (entry - price), 5 % of the distance nearer to the
    entry. No venue uses it.
    """
    return price + share * (entry - price)


@checked
def binance_adl_rank(
    profit_share: Number, maintenance: Amount, wallet: Number, unrealised: Number
) -> Values:
    """Binance's LeveragePnL, which orders the deleveraging queue: profit share x margin ratio;
    higher is reduced first.

    profit_share: unrealised profit / entry notional; margin ratio = maintenance / (wallet +
    unrealised) and 0 where that sum is not positive.
    """
    balance = wallet + unrealised
    none = (balance <= 0.0) & ~np.isnan(maintenance)
    return profit_share * np.where(none, 0.0, maintenance / balance)


@checked
def bitmex_adl_rank(profit_share: Number, leverage: Leverage) -> float:
    """BitMEX: profit share x effective leverage for a winner, profit share / leverage for a loser;
    leverage = |mark value| / (mark - bankruptcy value).
    """
    return np.where(profit_share > 0.0, profit_share * leverage, profit_share / leverage)


@formula
def hyperliquid_adl_rank(mark: Price, entry: Price, value: Amount, account_value: Positive):
    """Hyperliquid: (mark / entry) x (position value / account value), for a long; money in
    quote.
    """
    return mark / entry * (value / account_value)


@formula
def dydx_fillable_price(
    side: Side,
    price: Price,
    equity: Number,
    total_maintenance: Positive,
    rate: Share,
    spread_multiple: Amount = 1.5,
    adjustment: Amount = 1.0,
):
    """Worst price at which dYdX v4 may liquidate: oracle price x (1 - side x ABR x spread_multiple
    x rate).

    ABR = adjustment x (1 - equity / total_maintenance), within [0, 1]. equity, total_maintenance:
    of the subaccount [quote]; rate: maintenance margin fraction of the market. The penalty that
    goes to the insurance fund is at most 1.5 % of the notional.
    """
    ratio = adjustment * (1.0 - equity / total_maintenance)
    bounded = (abs(ratio) - abs(ratio - 1.0) + 1.0) / 2.0
    return price * (1.0 - side * bounded * spread_multiple * rate)


@checked
def hyperliquid_backstop(equity: Exact, maintenance: Exact) -> bool:
    """Whether Hyperliquid's backstop vault takes the position over: equity below 2/3 of the
    maintenance margin (account value and sum, quote).
    """
    return equity < 2.0 / 3.0 * maintenance


@formula
def bankruptcy_takeover_loss(size: Size, bankruptcy: Number, fill: Price):
    """What an insurance fund gains (+) or loses (-) [quote] on a position taken over at its
    bankruptcy price and closed at `fill`.

    size x (fill - bankruptcy); size: signed, base units, of the position that was liquidated.
    """
    return size * (fill - bankruptcy)


@formula
def dydx_liquidation_penalty(value: Amount, remaining: Number, share: Share = 0.015):
    """dYdX v4: penalty to the insurance fund [quote], the smaller of share x value closed and the
    collateral that remains after the fill.

    Negative where the fill leaves a debt: the fund pays it.
    """
    return (value * share + remaining - abs(value * share - remaining)) / 2.0
