"""Observations that only those settings have that ask for them (`observe`). They stand behind all
others: per asset in the order of `MORE_LEG_COLUMNS`, then those of the account.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import entry_margin, params_of, rules_of
from fundenv.dynamics.balance import margin_balance
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.columns import Column, by_name, clip
from fundenv.dynamics.impact_memory import PERP_LEG, SPOT_LEG, displacement
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.legs import quote_of, value_of
from fundenv.dynamics.lending import quote_rate
from fundenv.dynamics.margin import bracket_of
from fundenv.dynamics.types import (
    BOOK,
    CASH,
    EQUITY,
    INVERSE,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    OBSERVED,
    PERP,
    PLACED,
    SPOT,
    TARGET_LEVERAGE,
)
from fundenv.dynamics.wallets import wallet_of
from fundenv.formulas.collateral import LIQUIDATION_RATIO
from fundenv.market.layout import HALTED, MARK_CLOSE, SIGMA_DAY, SPOT_CLOSE, TRADED

MORE_LEG_COLUMNS = (
    Column(
        "available",
        "1 where the coin traded in the bar that closed; 0 where it is halted, not listed yet or"
        " delisted",
        "flag",
        0,
        1,
        1,
    ),
    Column(
        "liquidation_distance",
        "move of this coin alone, up or down, at which the account (isolated: the leg's wallet)"
        " fails its margin test, in daily volatilities (inverse: margin above maintenance over"
        " notional); the maximum where none does",
        "sigma",
        0,
        10,
        10,
    ),
    Column(
        "spot_displacement",
        "how far the own orders still hold the spot price away, + above (`impact_lasting`)",
        "bp",
        -10,
        10,
        10,
    ),
    Column(
        "perp_displacement",
        "the same of the perpetual",
        "bp",
        -10,
        10,
        10,
    ),
)
MORE_ACCOUNT_COLUMNS = (
    Column(
        "unused_collateral",
        "margin balance and free cash (portfolio: adjusted equity) above notional / target leverage"
        " of all perpetuals, over equity",
        "fraction",
        -10,
        10,
        1,
    ),
    Column(
        "borrow_cost",
        "interest of 8 h that the next quote borrowed adds",
        "bp per 8 h",
        0,
        10,
        3,
    ),
    Column("keeper_up", "the keeper acts above this multiple of the target", "times", 0, 10, 1),
)
MORE = by_name("MoreSeen", (*MORE_LEG_COLUMNS, *MORE_ACCOUNT_COLUMNS))
# bit k of the code OBSERVED asks for column k of these
MORE_COLUMNS = (*MORE_LEG_COLUMNS, *MORE_ACCOUNT_COLUMNS)
_NEXT = 1e-6  # of the initial equity: the next quote borrowed
_OF_8_HOURS = 1e4 * 8.0 / 8760.0  # an annual rate in bp per 8 h


@jit
def _excess(world, store, i, a, row):
    """(margin balance above maintenance, notional) [quote] of the wallet that stands behind leg
    a.
    """
    assets = store.legs.shape[1]
    mode = world.codes[MARGIN_MODE]
    own = mode == MARGIN_ISOLATED or (world.contract == INVERSE and mode != MARGIN_PORTFOLIO)
    first = a if own else 0
    if world.contract >= PLACED and not own:
        first = wallet_of(world, store.episode[i, BOOK], a)
    balance, needed, value = margin_balance(world, store, i, first, a + 1 if own else assets, row)
    return balance - needed, value


@jit
def _lost(world, store, i, a, row):
    """What the excess of leg a's wallet loses [quote] by a move of 1 of its coin's price, + where a
    rise hurts, with the maintenance rate of the present bracket.
    """
    legs, book = store.legs, store.episode[i, BOOK]
    symbol, size = world.symbols[book, a], legs[i, a, PERP]
    mark = world.bars[row, a, MARK_CLOSE]
    held = value_of(world.contract, size, mark)
    lost = -quote_of(world.contract, size, mark)
    portfolio = world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO
    if not entry_margin(world, symbol):
        rate = world.tiers[symbol, bracket_of(world.tiers, symbol, held), 1]
        lost += held * rate * (LIQUIDATION_RATIO if portfolio else 1.0)
    if portfolio:
        coins = legs[i, a, SPOT] * world.bars[row, a, SPOT_CLOSE]
        lost -= coins * (rules_of(world.rules, symbol).collateral_rate if coins > 0.0 else 1.0)
    return lost


@jit
def _distance(world, store, i, a, row):
    """`liquidation_distance` of leg a."""
    excess, value = _excess(world, store, i, a, row)
    furthest = MORE.liquidation_distance.high / MORE.liquidation_distance.per
    if value <= 0.0:
        return furthest
    sigma = world.bars[row, a, SIGMA_DAY]
    own = of_leg(world, store.episode[i, BOOK], a)
    if own.contract == INVERSE:
        return excess / (value * sigma)
    lost = abs(_lost(own, store, i, a, row)) * sigma
    return excess / lost if lost > 0.0 else furthest


@jit
def _unused(world, store, i, row):
    """`unused_collateral` in quote."""
    legs, assets = store.legs, store.legs.shape[1]
    mode = world.codes[MARGIN_MODE]
    own = mode == MARGIN_ISOLATED or (world.contract == INVERSE and mode != MARGIN_PORTFOLIO)
    left = 0.0
    for a in range(assets):
        first = a if own else 0
        if world.contract >= PLACED and not own:
            first = wallet_of(world, store.episode[i, BOOK], a)
        if first == a:
            left += margin_balance(world, store, i, a, a + 1 if own else assets, row)[0]
        size, mark = legs[i, a, PERP], world.bars[row, a, MARK_CLOSE]
        kind = of_leg(world, store.episode[i, BOOK], a).contract
        left -= abs(quote_of(kind, size, mark)) / legs[i, a, TARGET_LEVERAGE]
    if mode != MARGIN_PORTFOLIO:
        left += store.account[i, CASH] - locked_cash(world, store, i, row, SPOT_CLOSE)
    return left


@jit
def _next_rate(world, store, p, i, row):
    """Annual rate on the next quote borrowed: that of the pool, and what the whole debt then costs
    more where the rate rises with it.
    """
    assets, debt = store.legs.shape[1], max(-store.account[i, CASH], 0.0)
    rate, more = quote_rate(world, p, row, assets, debt), _NEXT * p.initial_equity
    return rate + debt * (quote_rate(world, p, row, assets, debt + more) - rate) / more


@jit
def _asked(world, column):
    return (world.codes[OBSERVED] >> column.at) & 1


@jit
def _write(obs, i, at, column, value):
    obs[i, at] = clip(column.per * value, column.low, column.high)


@jit_rare
def observe_more(world, store, obs, i, row, at):
    """Write the observations that were asked for from obs[i, at] on, taken at the close of bar
    `row`.
    """
    p = params_of(store.params, i)
    for a in range(store.legs.shape[1]):
        if _asked(world, MORE.available):
            traded = world.bars[row, a, HALTED] <= TRADED
            _write(obs, i, at, MORE.available, 1.0 if traded else 0.0)
            at += 1
        if _asked(world, MORE.liquidation_distance):
            distance = _distance(world, store, i, a, row)
            _write(obs, i, at, MORE.liquidation_distance, distance)
            at += 1
        if _asked(world, MORE.spot_displacement):
            price = world.bars[row, a, SPOT_CLOSE]
            moved = displacement(world, store, p, i, a, row, SPOT_LEG, price)
            _write(obs, i, at, MORE.spot_displacement, 1e4 * moved)
            at += 1
        if _asked(world, MORE.perp_displacement):
            price = world.bars[row, a, MARK_CLOSE]
            seen = of_leg(world, store.episode[i, BOOK], a)
            moved = displacement(seen, store, p, i, a, row, PERP_LEG, price)
            _write(obs, i, at, MORE.perp_displacement, 1e4 * moved)
            at += 1
    if _asked(world, MORE.unused_collateral):
        equity = store.account[i, EQUITY]
        left = _unused(world, store, i, row) / equity if equity > 0.0 else 0.0
        _write(obs, i, at, MORE.unused_collateral, left)
        at += 1
    if _asked(world, MORE.borrow_cost):
        rate = _next_rate(world, store, p, i, row)
        _write(obs, i, at, MORE.borrow_cost, rate * _OF_8_HOURS)
        at += 1
    if _asked(world, MORE.keeper_up):
        _write(obs, i, at, MORE.keeper_up, p.keeper_up)
