"""Maintenance margin by bracket, and the liquidation price that follows from it."""

from fundenv.dynamics.jit import jit


@jit
def maintenance(tiers, symbol, value):
    """Maintenance margin [quote] of a position worth `value` [quote]: value x rate - amount of its bracket.

    tiers: (S, K, 3) floor, rate, amount; source: Binance "Leverage and Margin of USD-M Futures".
    """
    k = 0
    while k + 1 < tiers.shape[1] and value >= tiers[symbol, k + 1, 0]:
        k += 1
    return value * tiers[symbol, k, 1] - tiers[symbol, k, 2]


@jit
def liquidation_price(margin, size, entry, tiers, symbol):
    """Mark price at which margin + size (price - entry) meets the maintenance margin; 0 or below means a long cannot be liquidated.

    margin: wallet of the position [quote]; size: signed, base units; entry: quote per base. Binance's one-way formula
    (wallet + amount - size x entry) / (|size| x rate - size) with the bracket that holds at the price itself.
    """
    price = 0.0
    for k in range(tiers.shape[1]):
        price = (margin + tiers[symbol, k, 2] - size * entry) / (abs(size) * tiers[symbol, k, 1] - size)
        if k + 1 == tiers.shape[1] or abs(size) * price < tiers[symbol, k + 1, 0]:
            break
    return price
