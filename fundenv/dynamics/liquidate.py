"""The margin test inside a bar and what the venue does when it fails: every leg on its own wallet
here, all on one in `shared_wallet`.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import entry_margin
from fundenv.dynamics.close_position import (
    adverse_extreme,
    close_leg,
    gap_price,
    leg_excess,
    release_wallet,
    share_to_close,
    worth_of,
)
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.legs import profit_of, value_of
from fundenv.dynamics.margin import (
    inverse_liquidation_price,
    liquidation_price,
    required_maintenance,
)
from fundenv.dynamics.shared_wallet import liquidate_cross
from fundenv.dynamics.types import (
    ENTRY,
    INVERSE,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    MIXED,
    PERP,
)
from fundenv.market.layout import MARK_OPEN


@jit
def _trigger(world, store, i, a, symbol, start, worst):
    """Mark price between `start` and `worst` at which leg a fails its own wallet's test; `start`
    where it fails there already.
    """
    legs = store.legs
    margin, size, entry = legs[i, a, MARGIN], legs[i, a, PERP], legs[i, a, ENTRY]
    if margin + leg_excess(world, store, i, a, symbol, start) <= 0.0:
        return start
    if entry_margin(world, symbol):
        spare = margin - required_maintenance(world, symbol, size, entry, entry)
        if world.contract == INVERSE:
            price = size / (spare + size / entry)
        else:
            price = entry - spare / size
    elif world.contract == INVERSE:
        price = inverse_liquidation_price(margin, size, entry, world.tiers, symbol)
    else:
        price = liquidation_price(margin, size, entry, world.tiers, symbol)
    return min(max(price, min(start, worst)), max(start, worst))


@jit_rare
def _liquidate_leg(world, store, out, p, i, a, row, book, worst, at_open):
    """Close of leg a what the procedure asks, again and again until it passes its test at `worst`
    or is gone.
    """
    legs = store.legs
    symbol = world.symbols[book, a]
    price, first, failing = world.bars[row, a, MARK_OPEN], True, True
    while failing:
        price = _trigger(world, store, i, a, symbol, price, worst)
        size = legs[i, a, PERP]
        balance = legs[i, a, MARGIN] + profit_of(world.contract, size, legs[i, a, ENTRY], price)
        share = share_to_close(world, symbol, value_of(world.contract, size, price), balance, first)
        filled = gap_price(p, price, worst)
        close_leg(world, store, out, p, i, a, a, row, book, price, filled, at_open, share)
        first = False
        failing = (
            share < 1.0
            and legs[i, a, MARGIN] + leg_excess(world, store, i, a, symbol, worst) <= 0.0
        )
    if legs[i, a, PERP] == 0.0:
        release_wallet(world, store, out, p, i, row, a, worth_of(world, row, a, at_open))


@jit
def liquidate_isolated(world, store, out, p, i, row, book, at_open):
    """Test every leg against its own wallet, at the open or at the adverse extreme of mark; in
    cross mode inverse legs alone.
    """
    legs, linear_apart = store.legs, world.codes[MARGIN_MODE] == MARGIN_CROSS
    for a in range(legs.shape[1]):
        size, own = legs[i, a, PERP], of_leg(world, book, a)
        if size == 0.0:
            continue
        if world.contract == MIXED and linear_apart and own.contract != INVERSE:
            continue
        worst = (
            world.bars[row, a, MARK_OPEN] if at_open else adverse_extreme(world.bars, row, a, size)
        )
        if legs[i, a, MARGIN] + leg_excess(own, store, i, a, world.symbols[book, a], worst) <= 0.0:
            _liquidate_leg(own, store, out, p, i, a, row, book, worst, at_open)


@jit
def liquidate(world, store, out, p, i, row, book, at_open):
    """The margin test in the account's margin mode: at the mark open on what was held before the
    orders, or inside the bar on what is held after.
    """
    mode = world.codes[MARGIN_MODE]
    if mode == MARGIN_ISOLATED or (world.contract == INVERSE and mode == MARGIN_CROSS):
        liquidate_isolated(world, store, out, p, i, row, book, at_open)
    else:
        if world.contract == MIXED:
            liquidate_isolated(world, store, out, p, i, row, book, at_open)
        liquidate_cross(world, store, out, p, i, row, book, at_open)
