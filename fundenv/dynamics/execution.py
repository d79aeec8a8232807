"""What an order costs, how much of it fills, and the booking of a fill."""

import math

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.holdings import hedge_held, spot_target
from fundenv.dynamics.legs import base_of, fill_of, quote_of, value_of
from fundenv.dynamics.margin import largest_value
from fundenv.dynamics.types import (
    ACCRUED,
    CASH,
    ENTRY,
    FEES,
    FILLED_PERP,
    FILLED_SPOT,
    IDLE_BARS,
    IMPACT,
    INVERSE,
    MARGIN,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    PERP,
    PERP_QUANTITY,
    PERP_VALUE,
    REASON,
    REASON_BRACKET,
    REASON_HALTED,
    REASON_PARTICIPATION,
    REASON_RECALLED,
    REASON_SIZE,
    SPOT,
    SPOT_QUANTITY,
    SPOT_VALUE,
    SPREAD,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_STRESSED,
    TURNOVER,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.market.layout import (
    HALTED,
    MARK_CLOSE,
    PERP_DAY_VOLUME,
    PERP_OPEN,
    PERP_VOLUME,
    SIGMA_DAY,
    SPOT_CLOSE,
    SPOT_DAY_VOLUME,
    SPOT_OPEN,
    SPOT_VOLUME,
    UNLISTED,
)

_ROUNDING = 1.0 + 1e-12
SAME = 1e-9  # relative; sizes that differ by less are the same


@jit
def impact_fraction(order, day_volume, sigma_day, coefficient):
    """Square-root impact as a fraction of the price: Y sigma_day sqrt(|order| / day_volume); 0
    where no volume is known.

    order, day_volume: base units; sigma_day: daily volatility; coefficient: Y (Donier and Bonart
    2015, arXiv 1412.4503).
    """
    if day_volume <= 0.0:
        return 0.0
    return coefficient * sigma_day * math.sqrt(abs(order) / day_volume)


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
        if bars[row, a, HALTED] > 0.0:
            if bars[row, a, HALTED] != UNLISTED:  # what is delisted is closed, whatever was traded
                legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = 0.0, 0.0
                legs[i, a, REASON] = REASON_HALTED
            continue
        mark, size = bars[row - 1, a, MARK_CLOSE], legs[i, a, PERP]
        limit = largest_value(
            world.tiers, world.symbols[book, a], legs[i, a, TARGET_LEVERAGE]
        ) / value_of(world.contract, 1.0, mark)
        share = bracket_share(perp, size, limit)
        if share < 1.0:
            held = hedge_held(world, store, i, a, row)
            spot, perp = (
                order_towards(share * (held + spot), held),
                order_towards(share * (size + perp), size),
            )
            legs[i, a, REASON] = REASON_BRACKET
        factor = min(
            participation_factor(spot, bars[row, a, SPOT_VOLUME], p.max_participation),
            participation_factor(
                base_of(world.contract, perp, bars[row, a, PERP_OPEN]),
                bars[row, a, PERP_VOLUME],
                p.max_participation,
            ),
        )
        if factor < 1.0:
            spot, perp = spot * factor, perp * factor
            legs[i, a, REASON] = REASON_PARTICIPATION
        spot = _without_perp(world, store, p, i, a, row, book, spot, perp)
        legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = spot, perp
        size_order(world, store, i, a, row, book)


@jit
def stress_of(p, touch):
    """Multiplier of half-spread and impact: cost_scale, times the stress multiplier for a forced
    order.
    """
    return p.cost_scale * (p.stress_multiplier if touch == TOUCH_STRESSED else 1.0)


@jit
def spot_slippage(bars, row, a, rule, order, stress):
    """(half-spread, impact) of a spot order in bar `row` of asset a, as fractions of the open;
    together at most 1: a sale gets no negative price.
    """
    spread = min(rule.half_spread_spot * stress, 1.0)
    impact = (
        impact_fraction(order, bars[row, a, SPOT_DAY_VOLUME], bars[row, a, SIGMA_DAY], rule.impact)
        * stress
    )
    return spread, min(impact, 1.0 - spread)


@jit
def perp_slippage(world, row, a, rule, order, stress):
    """(half-spread, impact) of a perpetual order in bar `row` of asset a, as fractions of the open;
    together at most 1 (inverse: at most 1/2).
    """
    bars = world.bars
    most = 0.5 if world.contract == INVERSE else 1.0
    spread = min(rule.half_spread_perp * stress, most)
    traded = base_of(world.contract, order, bars[row, a, PERP_OPEN])
    impact = (
        impact_fraction(traded, bars[row, a, PERP_DAY_VOLUME], bars[row, a, SIGMA_DAY], rule.impact)
        * stress
    )
    return spread, min(impact, most - spread)


@jit
def order_cost(order, mid, spread, impact, fee_rate):
    """Spread, impact and fee [quote] of an order in base units at a mid price."""
    slip = math.copysign(spread + impact, order)
    return abs(order) * mid * (spread + impact) + abs(order) * mid * (1.0 + slip) * fee_rate


@jit
def fill_spot(world, store, out, p, rule, i, a, row):
    """Fill the wanted spot order of leg a at the open of bar `row`, paying from cash."""
    legs, order = store.legs, store.legs[i, a, WANT_SPOT]
    spread, impact = spot_slippage(world.bars, row, a, rule, order, stress_of(p, legs[i, a, TOUCH]))
    size, mid = abs(order), world.bars[row, a, SPOT_OPEN]
    price = mid * (1.0 + math.copysign(spread + impact, order))
    fee = rule.fee_spot * p.fee_scale * size * price
    store.account[i, CASH] -= order * price + fee
    legs[i, a, SPOT] += order
    legs[i, a, IDLE_BARS] = 0.0
    out.ledger[i, FEES] -= fee
    out.ledger[i, SPREAD] -= size * mid * spread
    out.ledger[i, IMPACT] -= size * mid * impact
    out.trades[i, a, FILLED_SPOT] += order
    out.trades[i, a, SPOT_VALUE] += size * price
    out.trades[i, a, SPOT_QUANTITY] += size
    out.trades[i, a, TURNOVER] += size * price


@jit
def fill_perp(world, store, out, p, rule, i, a, row):
    """Fill the wanted perpetual order of leg a at the open of bar `row`; fee and realised profit go
    through its wallet.

    An inverse contract costs coin, valued at the spot open: spread and impact of the fraction s are
    |order| s / fill price.
    """
    legs, order = store.legs, store.legs[i, a, WANT_PERP]
    inverse = world.contract == INVERSE
    wallet = a if inverse or world.codes[MARGIN_MODE] == MARGIN_ISOLATED else 0
    spread, impact = perp_slippage(world, row, a, rule, order, stress_of(p, legs[i, a, TOUCH]))
    size, mid = abs(order), world.bars[row, a, PERP_OPEN]
    price = mid * (1.0 + math.copysign(spread + impact, order))
    fee = rule.fee_perp * p.fee_scale * value_of(world.contract, order, price)
    worth = world.bars[row, a, SPOT_OPEN] if inverse else 1.0
    before = legs[i, a, PERP]
    legs[i, a, PERP], legs[i, a, ENTRY], realised = fill_of(
        world.contract, before, legs[i, a, ENTRY], order, price
    )
    if before * legs[i, a, PERP] <= 0.0:
        legs[i, a, ACCRUED] = 0.0
    legs[i, wallet, MARGIN] += realised - fee
    legs[i, a, IDLE_BARS] = 0.0
    traded = value_of(world.contract, order, price if inverse else mid) * worth
    out.ledger[i, FEES] -= fee * worth
    out.ledger[i, SPREAD] -= traded * spread
    out.ledger[i, IMPACT] -= traded * impact
    out.trades[i, a, FILLED_PERP] += order
    out.trades[i, a, PERP_VALUE] += size * price
    out.trades[i, a, PERP_QUANTITY] += size
    out.trades[i, a, TURNOVER] += quote_of(world.contract, size, price)
