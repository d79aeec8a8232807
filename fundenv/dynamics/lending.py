"""Loans out of a pool that others draw on too: what a loan costs there, how much is left, and what
the lender takes back.

The pool of a coin has a value [quote]; so has that of the quote. A pool of 0 never ends and its
rate is flat. What others ask of it rises with the daily volatility; the rate is flat up to the kink
of the pool and rises beyond it.
"""

from fundenv.compiler.jit import jit, jit_order_but_for, jit_rare
from fundenv.dynamics.holdings import hedge_held
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.types import (
    BOOK,
    CASH,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    PERP,
    REASON,
    REASON_RECALLED,
    REASON_SUPPLY,
    TARGET_CARRY,
    TOUCH,
    TOUCH_STRESSED,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.market.layout import HALTED, SIGMA_DAY, SPOT_CLOSE, UNLISTED

# share of a pool up to which its rate is flat: 80 % at Derive and at Sui's DeepBook, and the
# optimum of many markets of Aave, whose curve this is
KINK = 0.8
_SLOPE = 1.0 / (1.0 - KINK)
_EVEN = 1.0 + 1e-9  # a loan that exceeds what is left by less does not exceed it
_DUST = 1e-9  # of the initial equity


@jit
def is_dust(p, owed):
    """Whether a debt [quote] is what rounding leaves behind, and no loan."""
    return owed <= _DUST * p.initial_equity


@jit
def lent_to_others(p, sigma):
    """Share of a pool that others ask for at a daily volatility; above 1 they get all of it."""
    return max(p.borrow_used, p.borrow_slope * sigma)


@jit
def loan_left(p, sigma, supply):
    """What others leave of a pool [quote] at a daily volatility."""
    return supply * max(1.0 - lent_to_others(p, sigma), 0.0)


@jit
def is_scarce(p, sigma, supply, owed):
    """Whether a loan of `owed` quote out of a pool of `supply` quote costs more than the flat rate;
    it does where the loan is larger than what others leave.
    """
    return supply > 0.0 and owed > supply * (KINK - lent_to_others(p, sigma))


@jit
def scarcity_rate(p, sigma, supply, owed):
    """Annual rate beyond the flat one on a loan of `owed` quote out of a pool of `supply` quote."""
    if supply <= 0.0:
        return 0.0
    used = lent_to_others(p, sigma) + owed / supply
    return p.borrow_steep * max(used - KINK, 0.0) * _SLOPE


@jit
def mean_sigma(world, row, assets):
    """Daily volatility that the pool of quote goes by: the mean of the listed assets', known at the
    open of bar `row`; 0 where none is listed.
    """
    total, count = 0.0, 0
    for a in range(assets):
        if world.bars[row, a, HALTED] < UNLISTED:
            total += world.bars[row, a, SIGMA_DAY]
            count += 1
    return total / max(count, 1)


@jit
def quote_rate(world, p, row, assets, owed):
    """Annual rate on a loan of `owed` quote in bar `row`; the pool of quote lends in portfolio mode
    alone.
    """
    if world.codes[MARGIN_MODE] != MARGIN_PORTFOLIO:
        return p.quote_borrow_rate
    sigma = mean_sigma(world, row, assets)
    return p.quote_borrow_rate + scarcity_rate(p, sigma, p.quote_supply, owed)


@jit_rare
def _shrink_loan(world, store, p, i, a, row):
    """Where the target of leg a owes more than may be owed at the last close, bring it to that,
    both legs by one factor. Where the loan held is larger than that already, the lender takes the
    rest back: at stressed cost, and the remembered carry shrinks too.
    """
    legs = store.legs
    price = world.bars[row - 1, a, SPOT_CLOSE]
    left = loan_left(p, world.bars[row, a, SIGMA_DAY], p.base_supply)
    held, size = hedge_held(world, store, i, a, row), legs[i, a, PERP]
    target = held + legs[i, a, WANT_SPOT]
    if is_dust(p, -target * price - left * _EVEN):
        return
    share = left / (-target * price)
    legs[i, a, WANT_SPOT] = share * target - held
    legs[i, a, WANT_PERP] = share * (size + legs[i, a, WANT_PERP]) - size
    legs[i, a, REASON] = REASON_SUPPLY
    if not is_dust(p, -held * price - left * _EVEN):
        legs[i, a, REASON] = REASON_RECALLED
        legs[i, a, TOUCH] = TOUCH_STRESSED
        legs[i, a, TARGET_CARRY] *= share


@jit
def _recall_later(world, store, p, i, row):
    """`limit_loans` without an order: a loan that is too large is scarce, and `accrue` gives the
    step up.
    """


@jit_order_but_for(_recall_later)
def limit_loans(world, store, p, i, row):
    """No order of bar `row` may leave more coins owed than others leave of the pool; a loan beyond
    that is taken back.
    """
    legs = store.legs
    for a in range(legs.shape[1]):
        own = of_leg(world, store.episode[i, BOOK], a)
        target = hedge_held(own, store, i, a, row) + legs[i, a, WANT_SPOT]
        owed = -target * world.bars[row - 1, a, SPOT_CLOSE]
        sigma = world.bars[row, a, SIGMA_DAY]
        if target < 0.0 and is_scarce(p, sigma, p.base_supply, owed):
            _shrink_loan(own, store, p, i, a, row)


@jit
def quote_left(world, store, p, i, row, spent):
    """Quote that a purchase for `spent` leaves of cash and the pool of quote, negative where the
    pool has too little.
    """
    sigma = mean_sigma(world, row, store.legs.shape[1])
    return store.account[i, CASH] - spent + loan_left(p, sigma, p.quote_supply)
