"""Interest of a bar on idle and borrowed balances, and the margin level of the spot account. The
formulas for users: `fundenv.formulas.borrowing`.
"""

import math

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.lending import is_dust, is_scarce, mean_sigma, scarcity_rate
from fundenv.dynamics.types import (
    BORROW_INTEREST,
    CASH,
    CASH_INTEREST,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    SPOT,
)
from fundenv.market.layout import SIGMA_DAY, SPOT_CLOSE


@jit
def locked_cash(world, store, i, row, column):
    """Proceeds of borrowed base [quote] at the spot price in `column` of bar `row`: cash that
    neither earns nor can be spent.
    """
    locked = 0.0
    for a in range(store.legs.shape[1]):
        if store.legs[i, a, SPOT] < 0.0:
            locked -= store.legs[i, a, SPOT] * world.bars[row, a, column]
    return locked


@jit
def level_of(world, store, p, i, row):
    """`margin_level` of the spot account of environment i at spot closes of bar `row`: cash and
    coins owned over cash and coins owed (no `is_dust`).
    """
    owned, owed = max(store.account[i, CASH], 0.0), max(-store.account[i, CASH], 0.0)
    for a in range(store.legs.shape[1]):
        value = store.legs[i, a, SPOT] * world.bars[row, a, SPOT_CLOSE]
        owned += max(value, 0.0)
        owed += max(-value, 0.0)
    return math.inf if is_dust(p, owed) else owned / owed


@jit_rare
def _accrue_scarcity(world, store, out, p, i, row):
    """Book what the loans of bar `row` cost beyond the flat rates where their pools are scarce."""
    legs, bars = store.legs, world.bars
    extra = 0.0
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        debt = max(-store.account[i, CASH], 0.0)
        sigma = mean_sigma(world, row, legs.shape[1])
        extra += debt * scarcity_rate(p, sigma, p.quote_supply, debt)
    for a in range(legs.shape[1]):
        owed = max(-legs[i, a, SPOT], 0.0)
        size = owed * bars[row - 1, a, SPOT_CLOSE]
        rate = scarcity_rate(p, bars[row, a, SIGMA_DAY], p.base_supply, size)
        extra += owed * bars[row, a, SPOT_CLOSE] * rate
    out.ledger[i, BORROW_INTEREST] -= extra * p.bar_years
    store.account[i, CASH] -= extra * p.bar_years


@jit
def accrue(world, store, out, p, i, row, book):
    """Book the interest of bar `row` into cash: simple interest for the length of the bar on the
    balances after its trades.
    """
    account, legs = store.account, store.legs
    cash = account[i, CASH]
    locked, scarce = 0.0, False
    borrow = min(cash, 0.0) * p.quote_borrow_rate
    for a in range(legs.shape[1]):
        if legs[i, a, SPOT] < 0.0:
            value = -legs[i, a, SPOT] * world.bars[row, a, SPOT_CLOSE]
            locked += value
            borrow -= value * rules_of(world.rules, world.symbols[book, a]).base_borrow_rate
            size = -legs[i, a, SPOT] * world.bars[row - 1, a, SPOT_CLOSE]
            if is_scarce(p, world.bars[row, a, SIGMA_DAY], p.base_supply, size):
                scarce = True
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO and p.quote_supply > 0.0 and cash < 0.0:
        scarce = True
    if scarce:
        _accrue_scarcity(world, store, out, p, i, row)
    earned = max(cash - locked, 0.0) * p.cash_rate * p.bar_years
    borrow *= p.bar_years
    out.ledger[i, CASH_INTEREST] += earned
    out.ledger[i, BORROW_INTEREST] += borrow
    account[i, CASH] = account[i, CASH] + earned + borrow
