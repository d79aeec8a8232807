"""Coins that a joint market does not have in every bar: not listed yet, or delisted."""

from fundenv.compiler.jit import jit_rare
from fundenv.dynamics.holdings import hedge_held
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.types import (
    BOOK,
    PENDING,
    PENDING_NONE,
    PERP,
    REASON,
    REASON_DELISTED,
    REASON_FAILED,
    REASON_UNLISTED,
    REQUESTED_PERP,
    REQUESTED_SPOT,
    TARGET_CARRY,
    TOUCH,
    TOUCH_STRESSED,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.market.layout import HALTED, UNLISTED


@jit_rare
def close_unlisted(world, store, out, p, i, row, first):
    """Of a coin that is not listed in bar `row` everything is closed, at the open, which is the
    last price, as a forced order. One that was not at the last close takes no order yet: it has no
    price to size one with.
    """
    legs, bars = store.legs, world.bars
    for a in range(legs.shape[1]):
        gone = bars[row, a, HALTED] >= UNLISTED
        if not gone and bars[row - 1, a, HALTED] < UNLISTED:
            continue
        held = hedge_held(of_leg(world, store.episode[i, BOOK], a), store, i, a, row)
        legs[i, a, WANT_PERP], legs[i, a, WANT_SPOT] = -legs[i, a, PERP], -held
        if legs[i, a, PERP] != 0.0 or held != 0.0:
            failed = bars[row, a, HALTED] > UNLISTED
            legs[i, a, TOUCH] = TOUCH_STRESSED
            legs[i, a, REASON] = REASON_FAILED if failed else REASON_DELISTED
        elif first and legs[i, a, TARGET_CARRY] != 0.0:
            legs[i, a, REASON] = REASON_UNLISTED
        legs[i, a, TARGET_CARRY], legs[i, a, PENDING] = 0.0, PENDING_NONE
        if bars[row - 1, a, HALTED] >= UNLISTED:
            out.trades[i, a, REQUESTED_SPOT], out.trades[i, a, REQUESTED_PERP] = 0.0, 0.0
