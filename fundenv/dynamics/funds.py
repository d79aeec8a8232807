"""The free cash or collateral that orders leave, and the transfers between cash and the perp
wallets.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.costs import order_cost, perp_fee, perp_slippage, spot_fee, spot_slippage
from fundenv.dynamics.inverse import (
    free_beside_coins,
    free_cash_after_coins,
    free_collateral_of_coins,
    spent_on_coins,
    transfer_coins,
)
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.lending import quote_left
from fundenv.dynamics.margin import maintenance, wallet_floor
from fundenv.dynamics.shares import orders_at
from fundenv.dynamics.types import (
    CASH,
    ENTRY,
    INVERSE,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    MIXED,
    PERP,
    PLACED,
    SHRINK,
    SHRINK_USES,
    SPOT,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
)
from fundenv.dynamics.venue_funds import (
    free_of_venues,
    set_wallet,
    share_left,
    transfer_at_venues,
)
from fundenv.dynamics.wallets import is_away
from fundenv.formulas.collateral import spot_collateral
from fundenv.formulas.contract import notional, unrealised
from fundenv.market.layout import PERP_OPEN, SPOT_OPEN


@jit
def free_cash_after(world, store, p, i, row, book, using, rest):
    """Free cash [quote] at open prices after the transfers, when the legs marked in column SHRINK
    fill their orders at the share `using` and the others at the share `rest` (`orders_at`): f of
    the specification.
    """
    if world.contract == INVERSE:
        return free_cash_after_coins(world, store, p, i, row, book, using, rest)
    legs = store.legs
    shared = world.codes[MARGIN_MODE] == MARGIN_CROSS
    of_venues = shared and world.contract >= PLACED
    cross = shared and not of_venues
    free = store.account[i, CASH]
    wallet, left, need, kept, touched = 0.0, 0.0, 0.0, 0.0, False
    for a in range(legs.shape[1]):
        touch = legs[i, a, TOUCH]
        spot_open, perp_open = world.bars[row, a, SPOT_OPEN], world.bars[row, a, PERP_OPEN]
        size, own = legs[i, a, PERP], of_leg(world, book, a)
        if world.contract == MIXED and own.contract == INVERSE:
            free = free_beside_coins(own, store, p, i, a, row, book, using, rest, free)
            continue
        if cross:
            wallet += legs[i, a, MARGIN]
        elif touch == TOUCH_NONE:
            if legs[i, a, SPOT] < 0.0:
                free += legs[i, a, SPOT] * spot_open
            continue
        rule = rules_of(world.rules, world.symbols[book, a])
        k = using if legs[i, a, SHRINK] == SHRINK_USES else rest
        spot_order, perp_order = orders_at(own, store, p, i, a, row, k)
        spread, impact = spot_slippage(own, store, p, i, a, row, rule, spot_order, touch)
        price_cost = abs(spot_order) * spot_open
        sign = 1.0 if spot_order > 0.0 else -1.0
        free -= spot_order * spot_open + price_cost * (spread + impact)
        free -= price_cost * (1.0 + sign * (spread + impact)) * spot_fee(rule, touch) * p.fee_scale
        free += min(legs[i, a, SPOT] + spot_order, 0.0) * spot_open
        spread, impact = perp_slippage(own, store, p, i, a, row, rule, perp_order, touch)
        price_cost = abs(perp_order) * perp_open
        sign = 1.0 if perp_order > 0.0 else -1.0
        cost = (
            price_cost * (spread + impact)
            + price_cost * (1.0 + sign * (spread + impact)) * perp_fee(rule, touch) * p.fee_scale
        )
        profit = unrealised(size, legs[i, a, ENTRY], perp_open)
        required = notional(size + perp_order, perp_open) / legs[i, a, TARGET_LEVERAGE]
        profit_left = profit * share_left(size, perp_order)
        floor = maintenance(
            world.tiers, world.symbols[book, a], notional(size + perp_order, perp_open)
        )
        if cross:
            wallet += profit - cost
            left += profit_left
            need += required
            kept += floor
            touched = touched or touch != TOUCH_NONE
        elif not of_venues and not is_away(own, store, row, a, book):
            balance = legs[i, a, MARGIN] + profit - cost
            free += balance - max(
                profit_left + wallet_floor(balance - profit_left, floor), required
            )
    if of_venues:
        free += free_of_venues(world, store, p, i, row, book, using, rest)
    if cross and touched:
        free += wallet - max(left + wallet_floor(wallet - left, kept), need)
    return free


@jit_rare
def free_collateral_after(world, store, p, i, row, book, k):
    """Adjusted equity less initial margin [quote] at open prices when all orders are filled at the
    share k, but no more than the quote that is there or can be borrowed: f(k) in portfolio mode.
    """
    legs = store.legs
    free, spent = store.account[i, CASH], 0.0
    for a in range(legs.shape[1]):
        rule = rules_of(world.rules, world.symbols[book, a])
        if world.contract == INVERSE:
            free += free_collateral_of_coins(world, store, p, i, a, row, rule, k)
            spent += spent_on_coins(world, store, p, i, a, row, rule, k)
            continue
        touch = legs[i, a, TOUCH]
        spot_open, perp_open = world.bars[row, a, SPOT_OPEN], world.bars[row, a, PERP_OPEN]
        spot_order, perp_order = orders_at(world, store, p, i, a, row, k)
        spread, impact = spot_slippage(world, store, p, i, a, row, rule, spot_order, touch)
        paid = spot_order * spot_open + order_cost(
            spot_order, spot_open, spread, impact, spot_fee(rule, touch) * p.fee_scale
        )
        free -= paid
        spent += paid
        free += spot_collateral(legs[i, a, SPOT] + spot_order, spot_open, rule.collateral_rate)
        spread, impact = perp_slippage(world, store, p, i, a, row, rule, perp_order, touch)
        paid = order_cost(
            perp_order, perp_open, spread, impact, perp_fee(rule, touch) * p.fee_scale
        )
        free -= paid
        spent += paid
        free += unrealised(legs[i, a, PERP], legs[i, a, ENTRY], perp_open)
        free -= notional(legs[i, a, PERP] + perp_order, perp_open) / legs[i, a, TARGET_LEVERAGE]
    if p.quote_supply > 0.0:
        free = min(free, quote_left(world, store, p, i, row, spent))
    return free


@jit
def to_cash(store, i):
    """Portfolio mode: what went through the wallet of asset 0 belongs to cash."""
    store.account[i, CASH] += store.legs[i, 0, MARGIN]
    store.legs[i, 0, MARGIN] = 0.0


@jit
def transfer(world, store, p, i, row, book):
    """Bring the wallets of all touched legs to their required margin at the open of bar `row`
    (cross: the shared wallet); releases come first.
    """
    if world.contract == INVERSE:
        transfer_coins(world, store, p, i, row, book)
        return
    legs = store.legs
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        to_cash(store, i)
        return
    free = store.account[i, CASH] - locked_cash(world, store, i, row, SPOT_OPEN)
    if world.codes[MARGIN_MODE] == MARGIN_CROSS:
        if world.contract >= PLACED:
            transfer_at_venues(world, store, i, row, book)
        else:
            _transfer_shared(world, store, i, row, book, free)
        if world.contract == MIXED:
            transfer_coins(world, store, p, i, row, book)
        return
    for top_up in (False, True):
        for a in range(legs.shape[1]):
            if world.contract == MIXED and is_inverse(world, book, a):
                continue
            if legs[i, a, TOUCH] != TOUCH_NONE and not is_away(world, store, row, a, book):
                size, price = legs[i, a, PERP], world.bars[row, a, PERP_OPEN]
                required = notional(size, price) / legs[i, a, TARGET_LEVERAGE]
                profit = unrealised(size, legs[i, a, ENTRY], price)
                floor = maintenance(world.tiers, world.symbols[book, a], notional(size, price))
                free = set_wallet(store, i, a, profit, required, floor, size != 0.0, free, top_up)
    if world.contract == MIXED:
        transfer_coins(world, store, p, i, row, book)


@jit
def _transfer_shared(world, store, i, row, book, free):
    legs = store.legs
    profits, needs, floor, touched, positions = 0.0, 0.0, 0.0, False, False
    for a in range(legs.shape[1]):
        size, price = legs[i, a, PERP], world.bars[row, a, PERP_OPEN]
        profits += unrealised(size, legs[i, a, ENTRY], price)
        needs += notional(size, price) / legs[i, a, TARGET_LEVERAGE]
        floor += maintenance(world.tiers, world.symbols[book, a], notional(size, price))
        touched = touched or legs[i, a, TOUCH] != TOUCH_NONE
        positions = positions or size != 0.0
    if touched:
        free = set_wallet(store, i, 0, profits, needs, floor, positions, free, False)
        set_wallet(store, i, 0, profits, needs, floor, positions, free, True)
