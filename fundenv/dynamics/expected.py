"""The price profit that the reward `expected` counts: what spot does to both legs, and the
reversion of the basis.
"""

from fundenv.compiler.jit import jit
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.legs import quote_of
from fundenv.dynamics.types import (
    BASIS_FEATURE,
    BOOK,
    ENTRY,
    EXPECTED_PNL,
    INVERSE,
    MARGIN,
    PERP,
    SPOT,
)
from fundenv.market.layout import SPOT_CLOSE, SPOT_OPEN


@jit
def _delta(world, store, i, a):
    """Base units of asset a that move with spot while the basis stands still: both legs; all coins
    and the contracts at entry of an inverse leg.
    """
    legs = store.legs
    if world.contract == INVERSE:
        sold = legs[i, a, PERP] / legs[i, a, ENTRY] if legs[i, a, PERP] != 0.0 else 0.0
        return legs[i, a, SPOT] + legs[i, a, MARGIN] + sold
    return legs[i, a, SPOT] + legs[i, a, PERP]


@jit
def expect_to_open(world, store, out, i, row):
    """`expected` reward: what spot does to both legs from the last close to the open, on what is
    held before the orders.
    """
    for a in range(store.legs.shape[1]):
        own = of_leg(world, store.episode[i, BOOK], a)
        out.ledger[i, EXPECTED_PNL] += _delta(own, store, i, a) * (
            world.bars[row, a, SPOT_OPEN] - world.bars[row - 1, a, SPOT_CLOSE]
        )


@jit
def expect_to_close(world, store, out, p, i, row):
    """`expected` reward: what spot does from the open to the close on what is held now, and the
    reversion of the last basis deviation.
    """
    feature = world.codes[BASIS_FEATURE]
    for a in range(store.legs.shape[1]):
        own = of_leg(world, store.episode[i, BOOK], a)
        perp = quote_of(own.contract, store.legs[i, a, PERP], world.bars[row - 1, a, SPOT_CLOSE])
        deviation = world.features[row - 1, a, feature] * world.scales[feature] * 1e-4
        spot_move = world.bars[row, a, SPOT_CLOSE] - world.bars[row, a, SPOT_OPEN]
        out.ledger[i, EXPECTED_PNL] += _delta(own, store, i, a) * spot_move
        out.ledger[i, EXPECTED_PNL] -= perp * p.basis_reversion * deviation
