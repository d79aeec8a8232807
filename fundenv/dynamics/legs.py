"""A leg of an account: position after a fill, profit, notional and size, of linear and inverse
contracts.

Linear: size in base units, money in quote. Inverse: size in quote units (contracts x face), money
in coin.
"""

from fundenv.compiler.jit import jit
from fundenv.dynamics.types import INVERSE
from fundenv.formulas.contract import inverse_notional, inverse_unrealised, notional, unrealised


@jit
def after_fill(size, entry, fill, price):
    """Position after a signed fill [base] at `price`.

    Returns (size, entry, realised profit [quote]): adding averages the entry, reducing realises,
    crossing zero closes and opens at the fill.
    """
    left = size + fill
    if size * fill >= 0.0:
        return left, ((size * entry + fill * price) / left if left != 0.0 else 0.0), 0.0
    if abs(fill) <= abs(size):
        return left, (entry if left != 0.0 else 0.0), -fill * (price - entry)
    return left, price, size * (price - entry)


@jit
def after_inverse_fill(size, entry, fill, price):
    """`after_fill` of an inverse position: size and fill in quote (contracts x face), profit in
    coin; adding averages 1 / price.
    """
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
    """`after_fill` or `after_inverse_fill`: (size, entry, realised profit in the currency of the
    wallet).
    """
    if contract == INVERSE:
        return after_inverse_fill(size, entry, fill, price)
    return after_fill(size, entry, fill, price)


@jit
def profit_of(contract, size, entry, price):
    """Profit of a leg between two prices in the currency of its wallet: quote; coin for an inverse
    contract, whose size is in quote.
    """
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
