"""Auto-deleveraging: what the venue takes from winners when it cannot place what it took from
losers.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.close_position import empty_wallets, take_off, valued_at, worth_of
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.legs import profit_of
from fundenv.dynamics.types import (
    BOOK,
    ENTRY,
    MARGIN,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    PERP,
    PERP_PNL,
)
from fundenv.dynamics.wallets import wallet_of
from fundenv.market.layout import MARK_HIGH, MARK_LOW, MARK_OPEN, SIGMA_DAY


@jit
def _deleverage_price(world, row, a, size, adl_sigma):
    """Mark price at which a winning position of a signed size is deleveraged in bar `row`, 0 where
    mark does not get there.
    """
    bars = world.bars
    way = -1.0 if size < 0.0 else 1.0
    price = bars[row, a, MARK_OPEN] * max(1.0 + way * adl_sigma * bars[row, a, SIGMA_DAY], 0.0)
    reached = bars[row, a, MARK_LOW] <= price if size < 0.0 else bars[row, a, MARK_HIGH] >= price
    return price if reached else 0.0


@jit_rare
def deleverage(world, store, out, p, i, row):
    """Auto-deleveraging: the venue closes a share of every leg that wins while mark runs far in its
    favour, at that price, without fee or slippage.
    """
    legs = store.legs
    for a in range(legs.shape[1]):
        size = legs[i, a, PERP]
        if size == 0.0:
            continue
        own = of_leg(world, store.episode[i, BOOK], a)
        price = _deleverage_price(world, row, a, size, p.adl_sigma)
        if price > 0.0 and profit_of(own.contract, size, legs[i, a, ENTRY], price) > 0.0:
            wallet = wallet_of(world, store.episode[i, BOOK], a)
            closed = size * p.adl_share
            legs[i, wallet, MARGIN] += profit_of(own.contract, closed, legs[i, a, ENTRY], price)
            out.ledger[i, PERP_PNL] += profit_of(
                own.contract, closed, valued_at(world, row, a, False), price
            ) * worth_of(own, row, a, False)
            take_off(own, store, i, a, closed, p.adl_share)
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        empty_wallets(world, store, i)
