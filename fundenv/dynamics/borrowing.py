"""Interest of a bar on idle and borrowed balances, and the margin level of the spot account. The
formulas for users: `fundenv.formulas.borrowing`.
"""

import math

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.types import BORROW_INTEREST, CASH, CASH_INTEREST, SPOT
from fundenv.market.layout import SPOT_CLOSE

_DUST = 1e-9  # of the initial equity


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


@jit
def is_dust(p, owed):
    """Whether a debt [quote] is what rounding leaves behind, and no loan."""
    return owed <= _DUST * p.initial_equity


@jit
def accrue(world, store, out, p, i, row, book):
    """Book the interest of bar `row` into cash: simple interest for the length of the bar on the
    balances after its trades.
    """
    account, legs = store.account, store.legs
    cash = account[i, CASH]
    locked = 0.0
    borrow = min(cash, 0.0) * p.quote_borrow_rate
    for a in range(legs.shape[1]):
        if legs[i, a, SPOT] < 0.0:
            value = -legs[i, a, SPOT] * world.bars[row, a, SPOT_CLOSE]
            locked += value
            borrow -= value * rules_of(world.rules, world.symbols[book, a]).base_borrow_rate
    earned = max(cash - locked, 0.0) * p.cash_rate * p.bar_years
    borrow *= p.bar_years
    out.ledger[i, CASH_INTEREST] += earned
    out.ledger[i, BORROW_INTEREST] += borrow
    account[i, CASH] = cash + earned + borrow
