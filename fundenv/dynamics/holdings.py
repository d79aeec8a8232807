"""What stands beside a perpetual as its hedge: spot, or all coins of the asset where the contract
is inverse.
"""

from fundenv.compiler.jit import jit
from fundenv.dynamics.legs import base_of
from fundenv.dynamics.types import (
    ENTRY,
    INVERSE,
    MARGIN,
    PERP,
    SPOT,
    TARGET_HEDGE,
    TARGET_LEVERAGE,
)
from fundenv.formulas.contract import inverse_unrealised
from fundenv.market.layout import MARK_CLOSE


@jit
def coin_profit(store, i, a, price):
    """Unrealised profit [coin] of leg a at a price of the perpetual."""
    size = store.legs[i, a, PERP]
    return inverse_unrealised(size, store.legs[i, a, ENTRY], price) if size != 0.0 else 0.0


@jit
def coins_of(store, i, a, price):
    """All coins of asset a at a price of the perpetual: free coins + wallet + unrealised profit."""
    return store.legs[i, a, SPOT] + store.legs[i, a, MARGIN] + coin_profit(store, i, a, price)


@jit
def hedge_held(world, store, i, a, row):
    """Base units held as the hedge of leg a when the orders of bar `row` are sized: at the last
    mark.
    """
    if world.contract == INVERSE:
        return coins_of(store, i, a, world.bars[row - 1, a, MARK_CLOSE])
    return store.legs[i, a, SPOT]


@jit
def spot_target(world, store, i, a, row, perp, backed):
    """Spot position [base] that hedges a perpetual of size `perp` with the remembered ratio, at
    last prices.

    Inverse: what the free coins must be so that ALL coins of the asset, wallet and unrealised
    profit included, are the hedge; `backed`: at least the required margin.
    """
    legs = store.legs
    mark = world.bars[row - 1, a, MARK_CLOSE]
    base = base_of(world.contract, perp, mark)
    target = -legs[i, a, TARGET_HEDGE] * base
    if world.contract == INVERSE:
        if backed:
            target = max(target, abs(base) / legs[i, a, TARGET_LEVERAGE])
        target -= coins_of(store, i, a, mark) - legs[i, a, SPOT]
    return target
