"""The booking of a fill."""

import math

from fundenv.compiler.jit import jit
from fundenv.dynamics.costs import perp_fee, perp_slippage, spot_fee, spot_slippage
from fundenv.dynamics.impact_memory import PERP_LEG, SPOT_LEG, remember_order
from fundenv.dynamics.legs import base_of, fill_of, quote_of, value_of
from fundenv.dynamics.types import (
    ACCRUED,
    BOOK,
    CASH,
    ENTRY,
    FEES,
    FILLED_PERP,
    FILLED_SPOT,
    IDLE_BARS,
    IMPACT,
    INVERSE,
    MARGIN,
    PERP,
    PERP_QUANTITY,
    PERP_VALUE,
    REMEMBERS,
    SPOT,
    SPOT_QUANTITY,
    SPOT_VALUE,
    SPREAD,
    TOUCH,
    TURNOVER,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.dynamics.wallets import wallet_of
from fundenv.market.layout import PERP_OPEN, SPOT_OPEN


@jit
def fill_spot(world, store, out, p, rule, i, a, row):
    """Fill the wanted spot order of leg a at the open of bar `row`, paying from cash."""
    legs, order = store.legs, store.legs[i, a, WANT_SPOT]
    size, mid = abs(order), world.bars[row, a, SPOT_OPEN]
    touch = legs[i, a, TOUCH]
    spread, impact = spot_slippage(world, store, p, i, a, row, rule, order, touch)
    if world.codes[REMEMBERS] != 0:
        remember_order(world, store, p, i, a, row, SPOT_LEG, rule.impact, order, impact, mid)
    price = mid * (1.0 + math.copysign(1.0, order) * (spread + impact))
    fee = spot_fee(rule, touch) * p.fee_scale * size * price
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
    wallet = wallet_of(world, store.episode[i, BOOK], a)
    size, mid = abs(order), world.bars[row, a, PERP_OPEN]
    touch = legs[i, a, TOUCH]
    spread, impact = perp_slippage(world, store, p, i, a, row, rule, order, touch)
    if world.codes[REMEMBERS] != 0:
        traded = base_of(world.contract, order, mid)
        remember_order(world, store, p, i, a, row, PERP_LEG, rule.impact, traded, impact, mid)
    price = mid * (1.0 + math.copysign(1.0, order) * (spread + impact))
    fee = perp_fee(rule, touch) * p.fee_scale * value_of(world.contract, order, price)
    worth = world.bars[row, a, SPOT_OPEN] if inverse else 1.0
    before = legs[i, a, PERP]
    legs[i, a, PERP], legs[i, a, ENTRY], realised = fill_of(
        world.contract, before, legs[i, a, ENTRY], order, price
    )
    if before * legs[i, a, PERP] <= 0.0:
        legs[i, a, ACCRUED] = 0.0
    legs[i, wallet, MARGIN] += realised - fee
    legs[i, a, IDLE_BARS] = 0.0
    value = value_of(world.contract, order, price if inverse else mid) * worth
    out.ledger[i, FEES] -= fee * worth
    out.ledger[i, SPREAD] -= value * spread
    out.ledger[i, IMPACT] -= value * impact
    out.trades[i, a, FILLED_PERP] += order
    out.trades[i, a, PERP_VALUE] += size * price
    out.trades[i, a, PERP_QUANTITY] += size
    out.trades[i, a, TURNOVER] += quote_of(world.contract, size, price)
