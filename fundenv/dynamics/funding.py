"""Funding settlement."""

from fundenv.dynamics.jit import jit
from fundenv.dynamics.types import ACCRUED, CASH, FUNDING, MARGIN, MARGIN_CROSS, MARGIN_MODE, PERP
from fundenv.market.layout import SETTLE_PRICE, SETTLE_RATE


@jit
def payment(size, price, rate):
    """Cash flow [quote] to the holder of a signed size [base] at a settlement: -size x price x rate. Positive rate: longs pay shorts."""
    return -size * price * rate


@jit
def settle(world, store, out, i, row, free):
    """Settle every leg of environment i at the open of bar `row`; returns the sum of the payments [quote].

    free: free cash at the last close. A payment is taken from it first and then from the margin of the leg, so the liquidation price moves.
    """
    account, legs = store.account, store.legs
    total = 0.0
    for a in range(legs.shape[1]):
        price = world.bars[row, a, SETTLE_PRICE]
        if price <= 0.0 or legs[i, a, PERP] == 0.0:
            continue
        flow = payment(legs[i, a, PERP], price, world.bars[row, a, SETTLE_RATE])
        total += flow
        legs[i, a, ACCRUED] += flow
        if world.codes[MARGIN_MODE] == MARGIN_CROSS:
            legs[i, 0, MARGIN] += flow
            continue
        from_cash = max(flow, -max(free, 0.0))
        account[i, CASH] += from_cash
        free += from_cash
        legs[i, a, MARGIN] += flow - from_cash
    out.ledger[i, FUNDING] += total
    return total
