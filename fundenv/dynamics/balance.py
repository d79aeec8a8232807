"""What stands behind the perpetuals: margin balance and maintenance at the close of a bar."""

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.holdings import coins_of
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.legs import profit_of, value_of
from fundenv.dynamics.margin import required_maintenance
from fundenv.dynamics.types import (
    BOOK,
    CASH,
    ENTRY,
    INVERSE,
    MARGIN,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    PERP,
    SPOT,
)
from fundenv.dynamics.wallets import shares_wallet
from fundenv.formulas.collateral import LIQUIDATION_RATIO, spot_collateral
from fundenv.market.layout import MARK_CLOSE, SPOT_CLOSE


@jit
def coin_balance(world, store, i, first, last, row):
    """`margin_balance` of inverse contracts, whose wallets hold coin."""
    legs = store.legs
    portfolio = world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO
    balance, needed, value = store.account[i, CASH] if portfolio else 0.0, 0.0, 0.0
    for a in range(first, last):
        mark, size, spot = (
            world.bars[row, a, MARK_CLOSE],
            legs[i, a, PERP],
            world.bars[row, a, SPOT_CLOSE],
        )
        symbol = world.symbols[store.episode[i, BOOK], a]
        coins = coins_of(store, i, a, mark)
        balance += (
            spot_collateral(coins, spot, rules_of(world.rules, symbol).collateral_rate)
            if portfolio
            else (coins - legs[i, a, SPOT]) * spot
        )
        needed += required_maintenance(world, symbol, size, legs[i, a, ENTRY], mark) * spot
        value += value_of(world.contract, size, mark) * spot
    return balance, needed * (LIQUIDATION_RATIO if portfolio else 1.0), value


@jit
def margin_balance(world, store, i, first, last, row):
    """(margin balance, maintenance, notional) [quote] of those legs first..last-1 that have the
    wallet of leg `first`, at the close of bar `row`.

    Portfolio mode: adjusted equity, and 1.05 x maintenance. Inverse: valued at the spot close.
    """
    legs = store.legs
    book = store.episode[i, BOOK]
    if is_inverse(world, book, first):
        last = last if world.contract == INVERSE else first + 1
        return coin_balance(of_leg(world, book, first), store, i, first, last, row)
    balance, needed, value = legs[i, first, MARGIN], 0.0, 0.0
    for a in range(first, last):
        if last > first + 1 and not shares_wallet(world, book, a, first):
            continue
        mark, size = world.bars[row, a, MARK_CLOSE], legs[i, a, PERP]
        own = of_leg(world, book, a)
        balance += profit_of(own.contract, size, legs[i, a, ENTRY], mark)
        held = value_of(own.contract, size, mark)
        needed += required_maintenance(own, world.symbols[book, a], size, legs[i, a, ENTRY], mark)
        value += held
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        balance += store.account[i, CASH]
        for a in range(first, last):
            rate = rules_of(world.rules, world.symbols[book, a]).collateral_rate
            balance += spot_collateral(legs[i, a, SPOT], world.bars[row, a, SPOT_CLOSE], rate)
        needed *= LIQUIDATION_RATIO
    return balance, needed, value
