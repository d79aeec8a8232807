"""Whether the account can pay for its orders, and the transfers between cash and the perp wallets."""

import math

from fundenv.dynamics.access import rules_of
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.collateral import spot_collateral
from fundenv.dynamics.contract import notional, unrealised
from fundenv.dynamics.execution import cut_to_lot, perp_slippage, spot_slippage, stress_of
from fundenv.dynamics.jit import jit
from fundenv.dynamics.types import (
    CASH,
    ENTRY,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    PERP,
    REASON,
    REASON_FUNDS,
    SPOT,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.market.layout import PERP_OPEN, SPOT_OPEN


@jit
def _share_left(size, order):
    """Share of the old position that the order leaves open, in [0, 1]."""
    if size * order >= 0.0:
        return 1.0
    return max(1.0 - abs(order) / abs(size), 0.0)


@jit
def free_cash_after(world, store, p, i, row, book, k):
    """Free cash [quote] at open prices after the share k of every wanted order and the transfers that follow: f(k) of the specification."""
    legs = store.legs
    cross = world.codes[MARGIN_MODE] == MARGIN_CROSS
    free = store.account[i, CASH]
    wallet, left, need, touched = 0.0, 0.0, 0.0, False
    for a in range(legs.shape[1]):
        touch = legs[i, a, TOUCH]
        spot_open, perp_open = world.bars[row, a, SPOT_OPEN], world.bars[row, a, PERP_OPEN]
        size = legs[i, a, PERP]
        if cross:
            wallet += legs[i, a, MARGIN]
        elif touch == TOUCH_NONE:
            if legs[i, a, SPOT] < 0.0:
                free += legs[i, a, SPOT] * spot_open
            continue
        rule = rules_of(world.rules, world.symbols[book, a])
        stress = stress_of(p, touch)
        spot_order, perp_order = k * legs[i, a, WANT_SPOT], k * legs[i, a, WANT_PERP]
        spread, impact = spot_slippage(world.bars, row, a, rule, spot_order, stress)
        price_cost = abs(spot_order) * spot_open
        sign = 1.0 if spot_order > 0.0 else -1.0
        free -= spot_order * spot_open + price_cost * (spread + impact)
        free -= price_cost * (1.0 + sign * (spread + impact)) * rule.fee_spot * p.fee_scale
        free += min(legs[i, a, SPOT] + spot_order, 0.0) * spot_open
        spread, impact = perp_slippage(world.bars, row, a, rule, perp_order, stress)
        price_cost = abs(perp_order) * perp_open
        sign = 1.0 if perp_order > 0.0 else -1.0
        cost = price_cost * (spread + impact) + price_cost * (1.0 + sign * (spread + impact)) * rule.fee_perp * p.fee_scale
        profit = unrealised(size, legs[i, a, ENTRY], perp_open)
        required = notional(size + perp_order, perp_open) / legs[i, a, TARGET_LEVERAGE]
        profit_left = profit * _share_left(size, perp_order)
        if cross:
            wallet += profit - cost
            left += profit_left
            need += required
            touched = touched or touch != TOUCH_NONE
        else:
            free += legs[i, a, MARGIN] + profit - cost - max(profit_left, required)
    if cross and touched:
        free += wallet - max(left, need)
    return free


@jit
def unbacked_share(world, symbol):
    """Share of the spot leg that equity must pay for: all of it, in portfolio mode what its haircut leaves uncovered."""
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        return 1.0 - rules_of(world.rules, symbol).haircut
    return 1.0


@jit
def _order_cost(order, mid, spread, impact, fee_rate):
    """Spread, impact and fee [quote] of an order at a mid price."""
    slip = math.copysign(spread + impact, order)
    return abs(order) * mid * (spread + impact) + abs(order) * mid * (1.0 + slip) * fee_rate


@jit
def free_collateral_after(world, store, p, i, row, book, k):
    """Adjusted equity less initial margin [quote] at open prices after the share k of every wanted order: f(k) in portfolio mode."""
    legs = store.legs
    free = store.account[i, CASH]
    for a in range(legs.shape[1]):
        rule = rules_of(world.rules, world.symbols[book, a])
        stress = stress_of(p, legs[i, a, TOUCH])
        spot_open, perp_open = world.bars[row, a, SPOT_OPEN], world.bars[row, a, PERP_OPEN]
        spot_order, perp_order = k * legs[i, a, WANT_SPOT], k * legs[i, a, WANT_PERP]
        spread, impact = spot_slippage(world.bars, row, a, rule, spot_order, stress)
        free -= spot_order * spot_open + _order_cost(spot_order, spot_open, spread, impact, rule.fee_spot * p.fee_scale)
        free += spot_collateral(legs[i, a, SPOT] + spot_order, spot_open, rule.haircut)
        spread, impact = perp_slippage(world.bars, row, a, rule, perp_order, stress)
        free -= _order_cost(perp_order, perp_open, spread, impact, rule.fee_perp * p.fee_scale)
        free += unrealised(legs[i, a, PERP], legs[i, a, ENTRY], perp_open)
        free -= notional(legs[i, a, PERP] + perp_order, perp_open) / legs[i, a, TARGET_LEVERAGE]
    return free


@jit
def shrink_to_funds(world, store, p, i, row, book):
    """Shrink every wanted order by one factor so that free cash stays at or above zero; the hedge ratio is kept."""
    after, before = 0.0, 0.0
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        for share in range(2):  # one copy of a long rule that seldom runs
            before, after = after, free_collateral_after(world, store, p, i, row, book, float(share))
    else:
        after = free_cash_after(world, store, p, i, row, book, 1.0)
        if after < 0.0:
            before = free_cash_after(world, store, p, i, row, book, 0.0)
    if after >= 0.0:
        return
    if after >= before:
        return
    k = min(max(before / (before - after), 0.0), 1.0)  # f is concave in k: the chord lies below it, so the cash is never overdrawn
    legs = store.legs
    for a in range(legs.shape[1]):
        if legs[i, a, WANT_SPOT] != 0.0 or legs[i, a, WANT_PERP] != 0.0:
            rule = rules_of(world.rules, world.symbols[book, a])
            legs[i, a, WANT_SPOT] = cut_to_lot(k * legs[i, a, WANT_SPOT], legs[i, a, SPOT], rule.lot_spot)
            legs[i, a, WANT_PERP] = cut_to_lot(k * legs[i, a, WANT_PERP], legs[i, a, PERP], rule.lot_perp)
            legs[i, a, REASON] = REASON_FUNDS


@jit
def _set_wallet(store, i, wallet, profit, required, positions, free):
    """Move cash so that the wallet plus its unrealised profit holds the required margin; `free` limits a top-up."""
    margin = store.legs[i, wallet, MARGIN]
    if positions:
        move = max(required - profit, 0.0) - margin
        if move > 0.0:
            move = min(move, max(free, 0.0))
    else:
        move = -margin
    store.legs[i, wallet, MARGIN] = margin + move
    store.account[i, CASH] -= move
    return free - move


@jit
def to_cash(store, i):
    """Portfolio mode: what went through the wallet of asset 0 belongs to cash."""
    store.account[i, CASH] += store.legs[i, 0, MARGIN]
    store.legs[i, 0, MARGIN] = 0.0


@jit
def transfer(world, store, i, row):
    """Bring the wallets of all touched legs to their required margin at the open of bar `row` (cross: the shared wallet)."""
    legs = store.legs
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        to_cash(store, i)
        return
    cross = world.codes[MARGIN_MODE] == MARGIN_CROSS
    free = store.account[i, CASH] - locked_cash(world, store, i, row, SPOT_OPEN)
    profits, needs, touched, positions = 0.0, 0.0, False, False
    for a in range(legs.shape[1]):
        size, price = legs[i, a, PERP], world.bars[row, a, PERP_OPEN]
        profit = unrealised(size, legs[i, a, ENTRY], price)
        required = notional(size, price) / legs[i, a, TARGET_LEVERAGE]
        touch = legs[i, a, TOUCH] != TOUCH_NONE
        if cross:
            profits += profit
            needs += required
            touched = touched or touch
            positions = positions or size != 0.0
        elif touch:
            free = _set_wallet(store, i, a, profit, required, size != 0.0, free)
    if cross and touched:
        _set_wallet(store, i, 0, profits, needs, positions, free)
