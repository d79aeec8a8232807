"""What an order costs: half-spread, impact, fee."""

import math

from fundenv.compiler.jit import jit
from fundenv.dynamics.impact_memory import PERP_LEG, SPOT_LEG, remembered_impact
from fundenv.dynamics.legs import base_of
from fundenv.dynamics.types import INVERSE, REMEMBERS, TOUCH_STRESSED
from fundenv.market.layout import PERP_DAY_VOLUME, PERP_OPEN, SIGMA_DAY, SPOT_DAY_VOLUME


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
def stress_of(p, touch):
    """Multiplier of half-spread and impact: cost_scale, times the stress multiplier for a forced
    order.
    """
    return p.cost_scale * (p.stress_multiplier if touch == TOUCH_STRESSED else 1.0)


@jit
def spot_slippage(world, store, p, i, a, row, rule, order, stress):
    """(half-spread, impact) of a spot order in bar `row` of leg a, as fractions of the open;
    together at most 1: a sale gets no negative price. stress: of `stress_of`.
    """
    bars = world.bars
    spread = min(rule.half_spread_spot * stress, 1.0)
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
def perp_slippage(world, store, p, i, a, row, rule, order, stress):
    """(half-spread, impact) of a perpetual order in bar `row` of leg a, as fractions of the open;
    together at most 1 (inverse: at most 1/2). stress: of `stress_of`.
    """
    bars = world.bars
    most = 0.5 if world.contract == INVERSE else 1.0
    spread = min(rule.half_spread_perp * stress, most)
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
