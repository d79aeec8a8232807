"""Linear contracts: size in base units, everything else in quote."""

from fundenv.dynamics.jit import jit


@jit
def notional(size, price):
    """|size| x price [quote]."""
    return abs(size) * price


@jit
def unrealised(size, entry, price):
    """Unrealised profit [quote] of a signed size [base] entered at `entry` when the mark stands at `price`."""
    return size * (price - entry)


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
