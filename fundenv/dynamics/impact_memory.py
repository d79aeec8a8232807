"""Liquidity that remembers: what an order displaces is still partly there when the next one comes.

From rest, an order of q base units costs k |q|^(1 + d) of base, k of `_per_volume`. A leg remembers
its deposit: what its orders have paid for the displacement and may get back. That is the cost of
one order from rest, the displaced volume x; the next order q moves x to x + q and pays, or gets,
the difference. Between orders x shrinks. A deposit is never larger than what was paid for it, so
no sequence of orders gets back more than it paid, whatever volumes, volatilities and prices do in
between (order books with a shape and resilience: Alfonsi, Fruth and Schied 2010, arXiv 0708.1756).

Deposits stand in the unit in which the leg pays: quote, of an inverse perpetual coin.
"""

import math

from fundenv.compiler.jit import jit, jit_rare, jit_rare_but_for
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.types import BOOK, DISPLACED_PERP, DISPLACED_SPOT, INVERSE, PERP
from fundenv.market.layout import (
    PERP_DAY_VOLUME,
    PERP_OPEN,
    SIGMA_DAY,
    SPOT_DAY_VOLUME,
    SPOT_OPEN,
)

SPOT_LEG, PERP_LEG = DISPLACED_SPOT, DISPLACED_PERP
_LEAST_DEPTH = 1e-100  # below it nothing is displaced, and no division overflows
_MOST_BACK = -0.5  # of the price; an order gets no more


@jit
def _per_volume(world, p, a, row, leg, coefficient):
    """k: impact of an order from rest as a fraction of the price, over its size [base] to the power
    `impact_exponent`, at a cost_scale of 1; 0 where no day volume is known.
    """
    bars = world.bars
    volume = bars[row, a, SPOT_DAY_VOLUME] if leg == SPOT_LEG else bars[row, a, PERP_DAY_VOLUME]
    if volume <= 0.0:
        return 0.0
    return coefficient * bars[row, a, SIGMA_DAY] * math.pow(volume, -p.impact_exponent)


@jit
def _unit(world, leg, price):
    """Worth of a base unit in the unit of the deposit."""
    return 1.0 if leg == PERP_LEG and world.contract == INVERSE else price


@jit
def _open_of(world, a, row, leg):
    return world.bars[row, a, SPOT_OPEN if leg == SPOT_LEG else PERP_OPEN]


@jit
def _volume_of(deposit, depth, exponent):
    """Displaced volume [base], + where purchases hold the price up, of a deposit."""
    return math.copysign(math.pow(abs(deposit) / depth, 1.0 / (1.0 + exponent)), deposit)


@jit
def _deposit_after(p, deposit, depth, order):
    """The deposit once an order [base] has moved the displaced volume."""
    volume = _volume_of(deposit, depth, p.impact_exponent) + order
    return math.copysign(depth * math.pow(abs(volume), 1.0 + p.impact_exponent), volume)


@jit
def impact_at_rest(world, p, a, row, leg, coefficient, order, stress):
    """Impact of an order [base] where nothing is displaced, as a fraction of the price."""
    k = _per_volume(world, p, a, row, leg, coefficient)
    return k * stress * math.pow(abs(order), p.impact_exponent)


@jit
def _no_impact(world, store, p, i, a, row, leg, coefficient, order, stress):
    return 0.0


@jit_rare_but_for(_no_impact)
def remembered_impact(world, store, p, i, a, row, leg, coefficient, order, stress):
    """Impact of an order [base] at the open of bar `row`, as a fraction of the price; negative
    where it goes back on what earlier orders have displaced.

    The stress (`costs.impact_stress`) multiplies what an order pays, never what it gets back. The
    coin that an inverse perpetual pays is exact: s / (1 + s) of a purchase at the fraction s.
    """
    if order == 0.0:
        return 0.0
    unit = _unit(world, leg, _open_of(world, a, row, leg))
    k = _per_volume(world, p, a, row, leg, coefficient)
    rest = impact_at_rest(world, p, a, row, leg, coefficient, order, stress)
    share, depth = (1.0 - p.impact_lasting) * rest, p.impact_lasting * p.cost_scale * k * unit
    if depth > _LEAST_DEPTH:
        before = abs(store.displaced[i, a, leg])
        moved = abs(_deposit_after(p, store.displaced[i, a, leg], depth, order)) - before
        paid = moved * stress / p.cost_scale if moved > 0.0 else moved
        share += paid / (abs(order) * unit)
    if leg == PERP_LEG and world.contract == INVERSE and p.impact_lasting > 0.0:
        share = min(max(share, -1.0 / 3.0), 1.0 / 3.0)
        share /= 1.0 - share if order > 0.0 else 1.0 + share
    return max(share, _MOST_BACK)


@jit_rare
def remember_order(world, store, p, i, a, row, leg, coefficient, order, impact, price):
    """Take note of an order [base] that fills at the open of bar `row` with an impact of that
    fraction of `price`. Where the impact was capped, the deposit grows by what was paid alone.
    """
    k = _per_volume(world, p, a, row, leg, coefficient)
    opened = _open_of(world, a, row, leg)
    depth = p.impact_lasting * p.cost_scale * k * _unit(world, leg, opened)
    if order == 0.0 or depth <= _LEAST_DEPTH:
        return
    paid = abs(order) * impact * _unit(world, leg, price)
    if leg == PERP_LEG and world.contract == INVERSE:
        paid /= (1.0 + impact if order > 0.0 else 1.0 - impact) * (price / opened)
    before = store.displaced[i, a, leg]
    after = _deposit_after(p, before, depth, order)
    store.displaced[i, a, leg] = math.copysign(min(abs(after), max(abs(before) + paid, 0.0)), after)


@jit_rare
def fade_impact(world, store, p, i):
    """Let a bar pass: of every displaced volume the share `impact_keep` is left."""
    kept = math.pow(p.impact_keep, 1.0 + p.impact_exponent)
    for a in range(store.displaced.shape[1]):
        store.displaced[i, a, SPOT_LEG] *= kept
        store.displaced[i, a, PERP_LEG] *= kept


@jit
def displacement(world, store, p, i, a, row, leg, price):
    """How far the own orders of leg a hold its price away, as a fraction of `price`, with volume
    and volatility of bar `row`: what the next small order pays; within -1 .. 1.
    """
    coefficient = rules_of(world.rules, world.symbols[store.episode[i, BOOK], a]).impact
    k = p.impact_lasting * p.cost_scale * _per_volume(world, p, a, row, leg, coefficient)
    depth = k * _unit(world, leg, price)
    if depth <= _LEAST_DEPTH:
        return 0.0
    volume = _volume_of(store.displaced[i, a, leg], depth, p.impact_exponent)
    moved = (1.0 + p.impact_exponent) * k * math.pow(abs(volume), p.impact_exponent)
    return math.copysign(min(moved, 1.0), volume)


@jit
def _no_response(world, store, p, i, row, a):
    return 0.0


@jit_rare_but_for(_no_response)
def displaced_rate(world, store, p, i, row, a):
    """What the own displacement of the premium adds to the rate that leg a settles at the open of
    bar `row`. Only what works against the position counts: nobody moves funding to his own gain.
    """
    if p.funding_response <= 0.0:
        return 0.0
    moved = displacement(
        world, store, p, i, a, row, PERP_LEG, _open_of(world, a, row, PERP_LEG)
    ) - displacement(world, store, p, i, a, row, SPOT_LEG, _open_of(world, a, row, SPOT_LEG))
    return p.funding_response * moved if moved * store.legs[i, a, PERP] > 0.0 else 0.0
