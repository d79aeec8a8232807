"""What an order costs: half-spread, impact, fee.

`touch` is the TOUCH_* code of the order: a forced order, and every order behind a crash of the mark
price, pays more and does not wait in the book.
"""

import math

from fundenv.compiler.jit import jit
from fundenv.dynamics.impact_memory import PERP_LEG, SPOT_LEG, remembered_impact
from fundenv.dynamics.legs import base_of
from fundenv.dynamics.types import (
    INVERSE,
    REMEMBERS,
    TOUCH_CRASHED,
    TOUCH_FORCED_CRASHED,
    TOUCH_STRESSED,
)
from fundenv.market.layout import (
    MARK_HIGH,
    MARK_LOW,
    PERP_DAY_VOLUME,
    PERP_OPEN,
    SIGMA_DAY,
    SPOT_DAY_VOLUME,
)


@jit
def crashed(world, row, a, crash_sigma):
    """Whether mark ranged over more than `crash_sigma` daily volatilities in the bar before `row`:
    known when the orders of `row` are filled.
    """
    bars = world.bars
    spread = bars[row - 1, a, MARK_HIGH] / bars[row - 1, a, MARK_LOW] - 1.0
    return crash_sigma > 0.0 and spread > crash_sigma * bars[row - 1, a, SIGMA_DAY]


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
def _multiplier(p, touch, behind_a_crash):
    """cost_scale, times the stress multiplier for a forced order, times the multiplier behind a
    crash; times the larger of the two for an order that is both.
    """
    if p.crash_sigma > 0.0 and touch >= TOUCH_CRASHED:
        forced = p.stress_multiplier if touch == TOUCH_FORCED_CRASHED else 1.0
        return p.cost_scale * max(forced, behind_a_crash)
    return p.cost_scale * (p.stress_multiplier if touch == TOUCH_STRESSED else 1.0)


@jit
def impact_stress(p, touch):
    """Multiplier of the impact of an order."""
    return _multiplier(p, touch, p.crash_impact)


@jit
def _half_spread(p, touch, usual, forced):
    """Half-spread of an order as a fraction of the price: `usual` where it may wait in the book; a
    forced order and one behind a crash pay at least that, too.
    """
    waiting = usual * p.cost_scale
    if touch < TOUCH_STRESSED:
        return waiting
    return max(forced * _multiplier(p, touch, p.crash_spread), waiting)


@jit
def spot_fee(rule, touch):
    """Fee rate of a spot order, before `fee_scale`."""
    return rule.forced_fee_spot if touch >= TOUCH_STRESSED else rule.fee_spot


@jit
def perp_fee(rule, touch):
    """Fee rate of a perpetual order, before `fee_scale`."""
    return rule.forced_fee_perp if touch >= TOUCH_STRESSED else rule.fee_perp


@jit
def spot_slippage(world, store, p, i, a, row, rule, order, touch):
    """(half-spread, impact) of a spot order in bar `row` of leg a, as fractions of the open;
    together at most 1: a sale gets no negative price.
    """
    bars, stress = world.bars, impact_stress(p, touch)
    spread = min(_half_spread(p, touch, rule.half_spread_spot, rule.forced_spread_spot), 1.0)
    if world.codes[REMEMBERS] != 0:
        impact = remembered_impact(world, store, p, i, a, row, SPOT_LEG, rule.impact, order, stress)
    else:
        impact = (
            impact_fraction(
                order, bars[row, a, SPOT_DAY_VOLUME], bars[row, a, SIGMA_DAY], rule.impact
            )
            * stress
        )
    return spread, min(impact, 1.0 - spread)


@jit
def perp_slippage(world, store, p, i, a, row, rule, order, touch):
    """(half-spread, impact) of a perpetual order in bar `row` of leg a, as fractions of the open;
    together at most 1 (inverse: at most 1/2).
    """
    bars, stress = world.bars, impact_stress(p, touch)
    most = 0.5 if world.contract == INVERSE else 1.0
    spread = min(_half_spread(p, touch, rule.half_spread_perp, rule.forced_spread_perp), most)
    traded = base_of(world.contract, order, bars[row, a, PERP_OPEN])
    if world.codes[REMEMBERS] != 0:
        impact = remembered_impact(
            world, store, p, i, a, row, PERP_LEG, rule.impact, traded, stress
        )
    else:
        impact = (
            impact_fraction(
                traded, bars[row, a, PERP_DAY_VOLUME], bars[row, a, SIGMA_DAY], rule.impact
            )
            * stress
        )
    return spread, min(impact, most - spread)


@jit
def order_cost(order, mid, spread, impact, fee_rate):
    """Spread, impact and fee [quote] of an order in base units at a mid price."""
    slip = math.copysign(1.0, order) * (spread + impact)
    return abs(order) * mid * (spread + impact) + abs(order) * mid * (1.0 + slip) * fee_rate
