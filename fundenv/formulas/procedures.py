"""What a venue does to a position that fails its margin test: how much it closes, who bears the
rest, who is deleveraged.
"""

from __future__ import annotations

from collections.abc import Sequence

from fundenv.compiler.jit import formula


def partial_quantity(held: float, limit: float) -> float:
    """Quantity to close so that at most `limit` (the largest size of the lower tier) is left:
    max(held - limit, 0); same unit as the arguments.
    """
    return max(held - limit, 0.0)


def tier_reduction(held: float, upper_limits: Sequence[float], rungs: int = 2) -> float:
    """OKX (2020): quantity closed first when a position of size `held` fails its margin test.

    upper_limits: largest size of tier 1, 2, ... (ascending); from tier 3 up the position falls by
    `rungs` tiers (tier 3 to 1), so held - limit of that tier is closed; in tier 1 or 2 everything.
    The caller closes everything, at the bankruptcy price, where the margin ratio is below tier 1's
    requirement. Source: OKX help, section VIII of the perpetual guide.
    """
    # from 0
    tier = next((k for k, limit in enumerate(upper_limits) if held <= limit), len(upper_limits))
    if tier < 2:
        return held
    return partial_quantity(held, upper_limits[tier - rungs])


def hyperliquid_first_order(
    quantity: float, price: float, threshold: float = 100_000.0, share: float = 0.2
) -> float:
    """Size of Hyperliquid's first liquidation order: 20 % of a position worth more than 100,000
    USDC, else all of it; after 30 s the whole rest may follow.
    """
    return quantity * share if quantity * price > threshold else quantity


@formula
def insurance_loss(balance):
    """What the venue's insurance fund bears when a closed position leaves a wallet at `balance`:
    -balance below zero, else 0.
    """
    return (abs(balance) - balance) / 2.0


@formula
def buffered_price(price, entry, share=0.05):
    """freqtrade's safety margin: price + share x (entry - price), 5 % of the distance nearer to the
    entry. No venue uses it.
    """
    return price + share * (entry - price)


def binance_adl_rank(
    profit_share: float, maintenance: float, wallet: float, unrealised: float
) -> float:
    """Binance's LeveragePnL, which orders the deleveraging queue: profit share x margin ratio;
    higher is reduced first.

    profit_share: unrealised profit / entry notional; margin ratio = maintenance / (wallet +
    unrealised) and 0 where that sum is not positive.
    """
    balance = wallet + unrealised
    return profit_share * (maintenance / balance if balance > 0.0 else 0.0)


def bitmex_adl_rank(profit_share: float, leverage: float) -> float:
    """BitMEX: profit share x effective leverage for a winner, profit share / leverage for a loser;
    leverage = |mark value| / (mark - bankruptcy value).
    """
    return profit_share * leverage if profit_share > 0.0 else profit_share / leverage


@formula
def hyperliquid_adl_rank(mark, entry, value, account_value):
    """Hyperliquid: (mark / entry) x (position value / account value), for a long; money in
    quote.
    """
    return mark / entry * (value / account_value)


@formula
def dydx_fillable_price(
    side, price, equity, total_maintenance, rate, spread_multiple=1.5, adjustment=1.0
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


def hyperliquid_backstop(equity: float, maintenance: float) -> bool:
    """Whether Hyperliquid's backstop vault takes the position over: equity below 2/3 of the
    maintenance margin (account value and sum, quote).
    """
    return equity < 2.0 / 3.0 * maintenance


@formula
def bankruptcy_takeover_loss(size, bankruptcy, fill):
    """What an insurance fund gains (+) or loses (-) [quote] on a position taken over at its
    bankruptcy price and closed at `fill`.

    size x (fill - bankruptcy); size: signed, base units, of the position that was liquidated.
    """
    return size * (fill - bankruptcy)


@formula
def dydx_liquidation_penalty(value, remaining, share=0.015):
    """dYdX v4: penalty to the insurance fund [quote], the smaller of share x value closed and the
    collateral that remains after the fill.

    Negative where the fill leaves a debt: the fund pays it.
    """
    return (value * share + remaining - abs(value * share - remaining)) / 2.0
