"""Contracts: value, profit, margin and bankruptcy price of linear and inverse perpetuals.

Linear: size in base units (contracts x face in base), money in quote. Inverse (coin-margined): size in contracts of `face` quote units each, money in
base (the coin). Sizes are signed, + long, - short. Arguments may be numbers or arrays.
"""

import numpy as np

from fundenv.dynamics.jit import formula, jit
from fundenv.dynamics.types import INVERSE


def quotient(top, bottom):
    """top / bottom, infinite (never an error) where bottom is 0: no price reaches the condition."""
    divisor = np.asarray(bottom, dtype=np.float64)
    safe = np.where(divisor == 0.0, 1.0, divisor)
    return np.where(divisor == 0.0, np.inf, np.asarray(top, dtype=np.float64) / safe)[()]


@formula
def notional(size, price):
    """Value [quote] of a linear position: |size| x price. size: base units; price: the mark for margin, the fill for fees."""
    return abs(size) * price


@formula
def unrealised(size, entry, price):
    """Profit [quote] of a linear position: size x (price - entry).

    size: signed, base units; entry: average entry price; price: the mark for unrealised profit, the exit price for realised profit.
    """
    return size * (price - entry)


@formula
def inverse_notional(contracts, price, face=1.0):
    """Value [base] of an inverse position: |contracts| x face / price. face: quote per contract (1 BitMEX, Bybit; 10 or 100 USD Binance COIN-M)."""
    return abs(contracts) * face / price


@formula
def inverse_unrealised(contracts, entry, price, face=1.0):
    """Profit [base] of an inverse position: contracts x face x (1 / entry - 1 / price); contracts signed, + long.

    price: the mark for unrealised profit, the exit price for realised profit. Fees and funding are not in it.
    """
    return contracts * face * (1.0 / entry - 1.0 / price)


@formula
def initial_margin(value, leverage):
    """Initial margin: value / leverage, in the unit of value (quote for linear, base for inverse). A rate r is the leverage 1 / r."""
    return value / leverage


@formula
def margin_at_rate(value, rate):
    """Margin: value x rate (initial or maintenance margin rate, a fraction), in the unit of value."""
    return value * rate


@formula
def bankruptcy_price(side, entry, leverage):
    """Price at which an isolated linear position has lost its initial margin: entry x (1 - side / leverage), without fees.

    side: +1 long, -1 short.
    """
    return entry * (1.0 - side / leverage)


def inverse_bankruptcy_price(side, entry, leverage):
    """Price at which an isolated inverse position has lost its initial margin: entry x leverage / (leverage + side), without fees.

    side: +1 long, -1 short. A short at leverage 1 has none: infinity (it is a synthetic dollar).
    """
    return quotient(np.asarray(entry) * leverage, np.asarray(leverage, dtype=np.float64) + side)


@formula
def wallet_bankruptcy_price(wallet, size, entry):
    """Price at which wallet + size (price - entry) is zero: entry - wallet / size. wallet: quote; size: signed, base units; no fees."""
    return entry - wallet / size


def inverse_wallet_bankruptcy_price(wallet, contracts, entry, face=1.0, fee_rate=0.0):
    """Price at which an inverse position and its wallet are worth nothing, the fee to close included.

    side n (1 + side x fee) / (wallet + side n / entry), n = |contracts| x face. wallet: base; contracts: signed; fee_rate: taker fee, a fraction.
    Bybit's cross bankruptcy price (help 900000031623 and neighbours, 2020). Infinite or negative: none.
    """
    amount = contracts * face
    return quotient(amount + abs(amount) * fee_rate, wallet + amount / entry)


@formula
def tick_rounded(price, tick, side):
    """The price as a venue displays it: rounded towards the entry to a multiple of `tick`: up for a long (side +1), down for a short (-1)."""
    steps = price * side / tick
    return side * tick * -(-steps // 1.0)


@jit
def after_fill(size, entry, fill, price):
    """Position after a signed fill [base] at `price`.

    Returns (size, entry, realised profit [quote]): adding averages the entry, reducing realises, crossing zero closes and opens at the fill.
    """
    left = size + fill
    if size * fill >= 0.0:
        return left, ((size * entry + fill * price) / left if left != 0.0 else 0.0), 0.0
    if abs(fill) <= abs(size):
        return left, (entry if left != 0.0 else 0.0), -fill * (price - entry)
    return left, price, size * (price - entry)


@jit
def after_inverse_fill(size, entry, fill, price):
    """`after_fill` of an inverse position: size and fill in quote (contracts x face), profit in coin; adding averages 1 / price."""
    left = size + fill
    if size == 0.0 or left == 0.0 or size * fill < 0.0:
        closed = -size if abs(fill) >= abs(size) else fill
        realised = inverse_unrealised(-closed, entry, price) if size != 0.0 else 0.0
        if left == 0.0:
            return left, 0.0, realised
        return left, (entry if abs(fill) < abs(size) else price), realised
    return left, left / (size / entry + fill / price), 0.0


@jit
def fill_of(contract, size, entry, fill, price):
    """`after_fill` or `after_inverse_fill`: (size, entry, realised profit in the currency of the wallet)."""
    if contract == INVERSE:
        return after_inverse_fill(size, entry, fill, price)
    return after_fill(size, entry, fill, price)


@jit
def profit_of(contract, size, entry, price):
    """Profit of a leg between two prices in the currency of its wallet: quote; coin for an inverse contract, whose size is in quote."""
    if contract == INVERSE:
        return inverse_unrealised(size, entry, price) if size != 0.0 else 0.0
    return unrealised(size, entry, price)


@jit
def value_of(contract, size, price):
    """Notional of a leg in the currency of its wallet: quote; coin for an inverse contract."""
    if contract == INVERSE:
        return inverse_notional(size, price) if size != 0.0 else 0.0
    return notional(size, price)


@jit
def base_of(contract, size, price):
    """A size in base units: itself; an inverse contract's, which is in quote, over the price."""
    return size / price if contract == INVERSE else size


@jit
def quote_of(contract, size, price):
    """A signed size in quote units: size x price; an inverse contract's is in quote already."""
    return size if contract == INVERSE else size * price
