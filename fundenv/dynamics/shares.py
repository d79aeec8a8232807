"""What a leg orders when funds are short: the target becomes smaller and keeps its proportions."""

from fundenv.compiler.jit import jit
from fundenv.dynamics.holdings import hedge_held
from fundenv.dynamics.legs import base_of
from fundenv.dynamics.order_sizes import SAME, order_towards, participation_factor
from fundenv.dynamics.types import PERP, WANT_PERP, WANT_SPOT
from fundenv.market.layout import PERP_OPEN, PERP_VOLUME, SPOT_VOLUME


@jit
def share_held(held, target):
    """Largest share of a target size, in [0, 1], that lies between 0 and the size held; 1 where the
    target is 0 or what rounding leaves of it.
    """
    if abs(target) <= SAME * abs(held):
        return 1.0
    return min(max(held / target, 0.0), 1.0)


@jit
def orders_at(world, store, p, i, a, row, k):
    """(spot order, perp order) of leg a at the share k from its least orders (k = 0) to the wanted
    ones (k = 1).

    The least orders keep of the target, in its proportions, what lies within the legs held, and
    close the rest as far as the volume of bar `row` allows. They are never smaller than the part of
    the wanted orders that closes something.
    """
    legs, bars = store.legs, world.bars
    spot, perp, size = legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP], legs[i, a, PERP]
    if k == 1.0:
        return spot, perp
    held = hedge_held(world, store, i, a, row)
    share = min(share_held(held, held + spot), share_held(size, size + perp))
    if share > 1.0 - SAME:
        return spot, perp
    least_spot, least_perp = (
        order_towards(share * (held + spot), held),
        order_towards(share * (size + perp), size),
    )
    least_spot *= participation_factor(least_spot, bars[row, a, SPOT_VOLUME], p.max_participation)
    traded = base_of(world.contract, least_perp, bars[row, a, PERP_OPEN])
    least_perp *= participation_factor(traded, bars[row, a, PERP_VOLUME], p.max_participation)
    return least_spot + k * (spot - least_spot), least_perp + k * (perp - least_perp)
