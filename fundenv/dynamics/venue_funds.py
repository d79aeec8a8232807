"""Wallets that the legs of a venue share, in an account on several: the free cash that they leave
and the transfers between them and cash.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.costs import order_cost, perp_fee, perp_slippage
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.margin import maintenance, wallet_floor
from fundenv.dynamics.shares import orders_at
from fundenv.dynamics.types import (
    CASH,
    ENTRY,
    MARGIN,
    PERP,
    SHRINK,
    SHRINK_USES,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
)
from fundenv.dynamics.wallets import is_away, wallet_of
from fundenv.formulas.contract import notional, unrealised
from fundenv.market.layout import PERP_OPEN, SPOT_OPEN


@jit
def share_left(size, order):
    """Share of the old position that the order leaves open, in [0, 1]."""
    if size * order >= 0.0:
        return 1.0
    return max(1.0 - abs(order) / abs(size), 0.0)


@jit
def touched_at(world, store, i, book, wallet):
    """Whether a leg of a shared wallet has an order."""
    for a in range(wallet, store.legs.shape[1]):
        if store.legs[i, a, TOUCH] != TOUCH_NONE and wallet_of(world, book, a) == wallet:
            return True
    return False


@jit
def _released_at(world, store, p, i, row, book, wallet, using, rest):
    """Cash that a shared wallet gives back at the open, below 0 where it takes some, once the
    orders of its legs are filled at the share `using` or `rest` (`free_cash_after`).
    """
    legs = store.legs
    balance, left, needed, kept = legs[i, wallet, MARGIN], 0.0, 0.0, 0.0
    for a in range(wallet, legs.shape[1]):
        if wallet_of(world, book, a) != wallet:
            continue
        symbol, size, price = (
            world.symbols[book, a],
            legs[i, a, PERP],
            world.bars[row, a, PERP_OPEN],
        )
        rule, touch = rules_of(world.rules, symbol), legs[i, a, TOUCH]
        k = using if legs[i, a, SHRINK] == SHRINK_USES else rest
        own = of_leg(world, book, a)
        order = orders_at(own, store, p, i, a, row, k)[1]
        spread, impact = perp_slippage(own, store, p, i, a, row, rule, order, touch)
        profit, after = unrealised(size, legs[i, a, ENTRY], price), notional(size + order, price)
        fee = perp_fee(rule, touch) * p.fee_scale
        balance += profit - order_cost(order, price, spread, impact, fee)
        left += profit * share_left(size, order)
        needed += after / legs[i, a, TARGET_LEVERAGE]
        kept += maintenance(world.tiers, symbol, after)
    return balance - max(left + wallet_floor(balance - left, kept), needed)


@jit_rare
def free_of_venues(world, store, p, i, row, book, using, rest):
    """What the wallets of all venues that get a transfer add to `free_cash_after` [quote]."""
    free = 0.0
    for wallet in range(store.legs.shape[1]):
        moves = touched_at(world, store, i, book, wallet) and not is_inverse(world, book, wallet)
        if moves and not is_away(world, store, row, wallet, book):
            free += _released_at(world, store, p, i, row, book, wallet, using, rest)
    return free


@jit
def set_wallet(store, i, wallet, profit, required, floor, positions, free, top_up):
    """Move cash so that the wallet plus its unrealised profit holds the required margin; returns
    the free cash left.

    floor: maintenance margin of the wallet, which is never withdrawn, however large the profit.

    Acts only on wallets that take cash (`top_up`, limited by `free`), or only on those that give it
    back or hold no position any more.
    """
    margin = store.legs[i, wallet, MARGIN]
    move = max(required - profit, wallet_floor(margin, floor)) - margin if positions else -margin
    if (positions and move > 0.0) != top_up:
        return free
    if positions and top_up:
        move = min(move, max(free, 0.0))
    store.legs[i, wallet, MARGIN] = margin + move
    store.account[i, CASH] -= move
    return free - move


@jit
def _set_at(world, store, i, row, book, wallet, free, top_up):
    """`set_wallet` of a wallet that the legs of a venue share."""
    legs = store.legs
    profits, needed, floor, positions = 0.0, 0.0, 0.0, False
    for a in range(wallet, legs.shape[1]):
        if wallet_of(world, book, a) != wallet:
            continue
        size, price = legs[i, a, PERP], world.bars[row, a, PERP_OPEN]
        profits += unrealised(size, legs[i, a, ENTRY], price)
        needed += notional(size, price) / legs[i, a, TARGET_LEVERAGE]
        floor += maintenance(world.tiers, world.symbols[book, a], notional(size, price))
        positions = positions or size != 0.0
    return set_wallet(store, i, wallet, profits, needed, floor, positions, free, top_up)


@jit_rare
def transfer_at_venues(world, store, i, row, book):
    """Bring the wallets of venues of which a leg is touched to their required margin at the open of
    bar `row`; releases come first.
    """
    free = store.account[i, CASH] - locked_cash(world, store, i, row, SPOT_OPEN)
    for top_up in (False, True):
        for wallet in range(store.legs.shape[1]):
            moves = touched_at(world, store, i, book, wallet)
            moves = moves and not is_inverse(world, book, wallet)
            if moves and not is_away(world, store, row, wallet, book):
                free = _set_at(world, store, i, row, book, wallet, free, top_up)
