"""How much of an order is made: halts, brackets, participation, lots, smallest orders."""

import math

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.away import backed_size
from fundenv.dynamics.holdings import hedge_held, spot_target
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.legs import base_of, quote_of, value_of
from fundenv.dynamics.margin import largest_value
from fundenv.dynamics.types import (
    PERP,
    REASON,
    REASON_BRACKET,
    REASON_FROZEN,
    REASON_FUNDS,
    REASON_HALTED,
    REASON_PARTICIPATION,
    REASON_RECALLED,
    REASON_SIZE,
    SPOT,
    TARGET_LEVERAGE,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.dynamics.wallets import is_away, is_stopped
from fundenv.market.layout import (
    HALTED,
    MARK_CLOSE,
    PERP_OPEN,
    PERP_VOLUME,
    SPOT_CLOSE,
    SPOT_VOLUME,
    TRADED,
    UNLISTED,
)

_ROUNDING = 1.0 + 1e-12
SAME = 1e-9  # relative; sizes that differ by less are the same


@jit
def cut_to_lot(order, position, lot):
    """The order cut towards zero to a multiple of the lot, untouched where it closes the position
    exactly or lots are not known (0).

    What rounding alone keeps below a multiple (by less than a relative 1e-12) counts as that
    multiple.
    """
    if lot <= 0.0 or order == -position:
        return order
    return math.copysign(math.floor(abs(order) / lot * _ROUNDING) * lot, order)


@jit
def drop_if_small(order, position, price, minimum):
    """The order, or 0 where its value [quote] is below the minimum notional and it does not close
    the position exactly.
    """
    if order == -position or abs(order) * price >= minimum:
        return order
    return 0.0


@jit
def participation_factor(order, volume, share):
    """Factor in [0, 1] that keeps |order| within share x volume of the bar; share 0 means no
    limit.
    """
    limit = share * volume
    if share <= 0.0 or abs(order) <= limit:
        return 1.0
    return limit / abs(order)


@jit
def order_towards(target, held):
    """The order from the size held to a share of a target; none where rounding alone tells them
    apart.
    """
    return target - held if abs(target - held) > SAME * abs(held) else 0.0


@jit
def bracket_share(order, position, limit):
    """Share, in [0, 1], of the target position + order that may be held where at most `limit` (same
    unit) may; no less than the position stands already.
    """
    after = abs(position + order)
    if after <= limit or after <= abs(position):
        return 1.0
    kept = abs(position) if position * (position + order) > 0.0 else 0.0
    return max(limit, kept) / after


@jit
def sized_perp(world, store, i, a, row, rule, order):
    """The order of the perpetual of leg a in whole lots, 0 below the minimum notional at the last
    mark.
    """
    size = store.legs[i, a, PERP]
    price = quote_of(world.contract, 1.0, world.bars[row - 1, a, MARK_CLOSE])
    return drop_if_small(
        cut_to_lot(order, size, rule.lot_perp), size, price, rule.min_notional_perp
    )


@jit
def size_order(world, store, i, a, row, book):
    """Cut the wanted orders of leg a to lots and drop what is below the minimum notional at the
    last prices.
    """
    legs, bars = store.legs, world.bars
    rule = rules_of(world.rules, world.symbols[book, a])
    spot = cut_to_lot(legs[i, a, WANT_SPOT], legs[i, a, SPOT], rule.lot_spot)
    perp = sized_perp(world, store, i, a, row, rule, legs[i, a, WANT_PERP])
    spot = drop_if_small(
        spot, legs[i, a, SPOT], bars[row - 1, a, SPOT_CLOSE], rule.min_notional_spot
    )
    if (spot == 0.0 and legs[i, a, WANT_SPOT] != 0.0) or (
        perp == 0.0 and legs[i, a, WANT_PERP] != 0.0
    ):
        legs[i, a, REASON] = REASON_SIZE
    legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = spot, perp


@jit
def _without_perp(world, store, p, i, a, row, book, spot, perp):
    """The spot order `spot` of leg a, or what of it the perpetual that is held needs as its hedge
    where the order `perp` is too small to be made: whole, it would leave a leg naked. What the
    lender takes back stays as it is.
    """
    legs = store.legs
    rule = rules_of(world.rules, world.symbols[book, a])
    made = sized_perp(world, store, i, a, row, rule, perp)
    if perp == 0.0 or made != 0.0 or legs[i, a, REASON] == REASON_RECALLED:
        return spot
    backed = p.allow_short_spot <= 0.5
    held = legs[i, a, SPOT]
    order = spot_target(world, store, i, a, row, legs[i, a, PERP], backed) - held
    if abs(order + held) <= SAME * abs(held):
        order = -held
    return min(max(order, min(spot, 0.0)), max(spot, 0.0))


@jit
def limit_orders(world, store, p, i, row, book):
    """Apply halt, the bracket's leverage, participation, lot and minimum notional, in this order,
    to the wanted orders of every leg.
    """
    legs, bars = store.legs, world.bars
    for a in range(legs.shape[1]):
        spot, perp = legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP]
        if spot == 0.0 and perp == 0.0:
            continue
        own = of_leg(world, book, a)
        if is_stopped(world, row, a, book):
            if bars[row, a, HALTED] < UNLISTED:  # what is delisted is closed, whatever was traded
                legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = 0.0, 0.0
                halted = bars[row, a, HALTED] > TRADED
                legs[i, a, REASON] = REASON_HALTED if halted else REASON_FROZEN
            continue
        mark, size = bars[row - 1, a, MARK_CLOSE], legs[i, a, PERP]
        limit = largest_value(
            world.tiers, world.symbols[book, a], legs[i, a, TARGET_LEVERAGE]
        ) / value_of(own.contract, 1.0, mark)
        share, reason = bracket_share(perp, size, limit), REASON_BRACKET
        if is_away(own, store, row, a, book):
            backed = bracket_share(perp, size, backed_size(own, store, i, a, row, book))
            if backed < share:
                share, reason = backed, REASON_FUNDS
        if share < 1.0:
            held = hedge_held(own, store, i, a, row)
            spot, perp = (
                order_towards(share * (held + spot), held),
                order_towards(share * (size + perp), size),
            )
            legs[i, a, REASON] = reason
        factor = min(
            participation_factor(spot, bars[row, a, SPOT_VOLUME], p.max_participation),
            participation_factor(
                base_of(own.contract, perp, bars[row, a, PERP_OPEN]),
                bars[row, a, PERP_VOLUME],
                p.max_participation,
            ),
        )
        if factor < 1.0:
            spot, perp = spot * factor, perp * factor
            legs[i, a, REASON] = REASON_PARTICIPATION
        spot = _without_perp(own, store, p, i, a, row, book, spot, perp)
        legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = spot, perp
        size_order(own, store, i, a, row, book)
