"""Settlement of funding in a step. The formulas for users: `fundenv.formulas.funding`.

Payments are cash flows to the holder: + received. A positive rate means that longs pay shorts.
"""

from fundenv.compiler.jit import jit, jit_but_for
from fundenv.dynamics.access import settles_on_spot
from fundenv.dynamics.impact_memory import displaced_rate
from fundenv.dynamics.inverse import settle_coin
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.types import (
    ACCRUED,
    BOOK,
    CASH,
    FUNDING,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    MIXED,
    N_RULES,
    PATH,
    PERP,
    REMEMBERS,
    SPOT,
)
from fundenv.dynamics.wallets import is_away, wallet_of
from fundenv.formulas.payments import inverse_payment, payment
from fundenv.market.layout import SETTLE_PRICE, SETTLE_RATE, SPOT_CLOSE

LONGEST_YEARS = 8.0 / 8760.0


@jit
def _usual_years_closed(world, store, p, i, row, a):
    """`_years_closed` on a draft, which knows no earlier bars: the number behind the rules of its
    symbol (`fundenv.batch.simd.market_copy.facts`).
    """
    return world.rules[world.symbols[store.episode[i, BOOK], a], N_RULES] * p.bar_years


@jit_but_for(_usual_years_closed)
def _years_closed(world, store, p, i, row, a):
    """Length of the interval that the settlement at the open of bar `row` closes; eight hours, the
    longest there is, where none came before.
    """
    first, longest = world.paths[store.episode[i, PATH], 0], round(LONGEST_YEARS / p.bar_years)
    bars = 1
    while bars < longest and (row - bars < first or world.bars[row - bars, a, SETTLE_PRICE] <= 0.0):
        bars += 1
    return bars * p.bar_years


@jit
def _settled_rate(world, store, p, i, row, a):
    """Rate of the settlement at the open of bar `row`, at the level of funding of the episode."""
    rate = p.funding_scale * world.bars[row, a, SETTLE_RATE]
    if p.funding_shift != 0.0:
        rate += p.funding_shift * _years_closed(world, store, p, i, row, a)
    return rate


@jit
def settle(world, store, out, p, i, row, free):
    """Settle every leg of environment i at the open of bar `row`; returns the sum of the payments
    [quote].

    free: free cash at the last close. A payment is taken from it first and then from the margin of
    the leg, so the liquidation price moves. Inverse contracts pay coin, valued at the last spot
    close.
    """
    account, legs = store.account, store.legs
    total = 0.0
    for a in range(legs.shape[1]):
        price = world.bars[row, a, SETTLE_PRICE]
        if price <= 0.0 or legs[i, a, PERP] == 0.0:
            continue
        book = store.episode[i, BOOK]
        symbol = world.symbols[book, a]
        if settles_on_spot(world, symbol):
            price = world.bars[row - 1, a, SPOT_CLOSE]
        rate = _settled_rate(world, store, p, i, row, a)
        if world.codes[REMEMBERS] != 0:
            rate += displaced_rate(of_leg(world, book, a), store, p, i, row, a)
        if is_inverse(world, book, a):
            flow, worth = (
                inverse_payment(legs[i, a, PERP], price, rate),
                world.bars[row - 1, a, SPOT_CLOSE],
            )
            owed = min(legs[i, a, SPOT], 0.0)
            settle_coin(world, store, i, a, flow, worth)
            if world.contract == MIXED:  # cash is locked for what is owed
                free += (min(legs[i, a, SPOT], 0.0) - owed) * worth
            total += flow * worth
            continue
        flow = payment(legs[i, a, PERP], price, rate)
        total += flow
        legs[i, a, ACCRUED] += flow
        if world.codes[MARGIN_MODE] != MARGIN_ISOLATED:
            if world.codes[MARGIN_MODE] == MARGIN_CROSS:
                legs[i, wallet_of(world, book, a), MARGIN] += flow
            else:
                account[i, CASH] += flow
            continue
        if is_away(world, store, row, a, book):
            legs[i, a, MARGIN] += flow
            continue
        from_cash = max(flow, -max(free, 0.0))
        account[i, CASH] += from_cash
        free += from_cash
        legs[i, a, MARGIN] += flow - from_cash
    out.ledger[i, FUNDING] += total
    return total
