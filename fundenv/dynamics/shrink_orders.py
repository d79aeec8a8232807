"""What the account fills of its orders where it cannot pay for all of them."""

import math

from fundenv.compiler.jit import jit, jit_rare, jit_rare_but_for
from fundenv.dynamics.funds import free_cash_after, free_collateral_after
from fundenv.dynamics.holdings import hedge_held
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.order_sizes import size_order
from fundenv.dynamics.shares import orders_at
from fundenv.dynamics.types import (
    EQUITY,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    PERP,
    REASON,
    REASON_FUNDS,
    SHRINK,
    SHRINK_FOUND,
    SHRINK_RESTS,
    SHRINK_USES,
    SPOT,
    WANT_PERP,
    WANT_SPOT,
)

_DUST = 1e-9  # a smaller share of an order is rounding and is not filled
_ROUNDING = 1e-12  # of the equity: a smaller shortage is none
# how often a share is looked for where lots, the minimum notional or a bend of f leave a shortage
_TRIES = 8


@jit_rare
def _free_at(world, store, p, i, row, book, using, rest):
    """f of the specification in the account's margin mode, in code of its own, for those who look
    at several shares.
    """
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        return free_collateral_after(world, store, p, i, row, book, using)
    return free_cash_after(world, store, p, i, row, book, using, rest)


@jit_rare
def _mark_users(world, store, p, i, row, book):
    """Mark in column SHRINK the legs whose whole orders, beside the least ones of all others, leave
    less free cash than least orders all round.

    Portfolio: all legs.
    """
    legs = store.legs
    portfolio = world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO
    least = _free_at(world, store, p, i, row, book, 0.0, 0.0)
    for a in range(legs.shape[1]):
        legs[i, a, SHRINK] = SHRINK_RESTS
    for a in range(legs.shape[1]):
        legs[i, a, SHRINK] = SHRINK_USES
        alone = _free_at(world, store, p, i, row, book, 1.0, 0.0)
        legs[i, a, SHRINK] = SHRINK_FOUND if portfolio or alone < least else SHRINK_RESTS
    for a in range(legs.shape[1]):
        if legs[i, a, SHRINK] == SHRINK_FOUND:
            legs[i, a, SHRINK] = SHRINK_USES


@jit
def shrink_to_funds(world, store, p, i, row, book):
    """Where free cash would fall below zero, shrink the targets that use it, by one share k;
    no part of an order that closes a position is dropped.
    """
    if (
        world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO
        or free_cash_after(world, store, p, i, row, book, 1.0, 1.0) < 0.0
    ):
        _shrink(world, store, p, i, row, book)


@jit
def _lowered(before, after):
    """The share at which the chord from f(0) = before to f(1) = after < 0 meets zero."""
    k = before / (before - after) if before > 0.0 else 0.0
    return k if k >= _DUST else 0.0


@jit
def _at_least_closed(order, sized, position):
    """`sized`, what lots and minimum notional leave of an order; the position closed exactly where
    the order closes it and what is left would not.
    """
    return (
        -position if order * position < 0.0 and abs(sized) < abs(position) <= abs(order) else sized
    )


@jit
def _order_at(world, store, p, i, a, row, book, k):
    """Replace the wanted orders of leg a by those at the share k."""
    legs = store.legs
    spot, perp = orders_at(world, store, p, i, a, row, k)
    if spot != legs[i, a, WANT_SPOT] or perp != legs[i, a, WANT_PERP]:
        legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = spot, perp
        size_order(world, store, i, a, row, book)
        legs[i, a, WANT_SPOT] = _at_least_closed(spot, legs[i, a, WANT_SPOT], legs[i, a, SPOT])
        legs[i, a, WANT_PERP] = _at_least_closed(perp, legs[i, a, WANT_PERP], legs[i, a, PERP])
        legs[i, a, REASON] = REASON_FUNDS


@jit
def _closing_part(order, held):
    """The part of an order that makes what is held smaller."""
    return -math.copysign(min(abs(order), abs(held)), held) if order * held < 0.0 else 0.0


@jit
def _open_nothing(world, store, i, a, row):
    """Leave of the orders of leg a what they close."""
    legs = store.legs
    spot = _closing_part(legs[i, a, WANT_SPOT], hedge_held(world, store, i, a, row))
    perp = _closing_part(legs[i, a, WANT_PERP], legs[i, a, PERP])
    if spot != legs[i, a, WANT_SPOT] or perp != legs[i, a, WANT_PERP]:
        legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = spot, perp
        legs[i, a, REASON] = REASON_FUNDS


@jit
def _shrink_once(world, store, p, i, row, book):
    """`_shrink` of one leg on a draft: what its first share settles, or where no share does, what
    the orders close; where the first share leaves a shortage the step is a fallback.
    """
    rounding = _ROUNDING * max(store.account[i, EQUITY], p.initial_equity)
    after = free_cash_after(world, store, p, i, row, book, 1.0, 1.0)
    if after >= -rounding:
        return
    store.legs[i, 0, SHRINK] = SHRINK_USES
    before = free_cash_after(world, store, p, i, row, book, 0.0, 1.0)
    if after >= before:
        _open_nothing(world, store, i, 0, row)
        return
    _order_at(world, store, p, i, 0, row, book, _lowered(before, after))
    if not free_cash_after(world, store, p, i, row, book, 1.0, 1.0) >= -rounding:
        store.needs_fallback[0] = True


@jit_rare_but_for(_shrink_once)
def _shrink(world, store, p, i, row, book):
    legs = store.legs
    rounding = _ROUNDING * max(store.account[i, EQUITY], p.initial_equity)
    after = _free_at(world, store, p, i, row, book, 1.0, 1.0)
    if after >= -rounding:
        return
    _mark_users(world, store, p, i, row, book)
    # f is concave in k, but for the cap on impact and profit locked in a wallet: then the first
    # chord lies below it, and lots alone ask for a second
    factor = 1.0
    for left in range(_TRIES, -1, -1):
        before = _free_at(world, store, p, i, row, book, 0.0, 1.0)
        if after >= before:
            break
        k = _lowered(before, factor * after) if left > 0 else 0.0
        for a in range(legs.shape[1]):
            if legs[i, a, SHRINK] == SHRINK_USES:
                _order_at(of_leg(world, book, a), store, p, i, a, row, book, k)
        after = _free_at(world, store, p, i, row, book, 1.0, 1.0)
        if after >= -rounding:
            return
        factor *= 2.0
    for a in range(legs.shape[1]):
        _open_nothing(of_leg(world, book, a), store, i, a, row)
