"""Whether the account can pay for its orders, and the transfers between cash and the perp wallets."""

from fundenv.dynamics.access import rules_of
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.contract import notional, unrealised
from fundenv.dynamics.execution import perp_slippage, size_order, spot_slippage, stress_of
from fundenv.dynamics.jit import jit, jit_rare
from fundenv.dynamics.types import (
    CASH,
    ENTRY,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_MODE,
    PERP,
    REASON,
    REASON_FUNDS,
    SHRINK,
    SPOT,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.market.layout import PERP_OPEN, SPOT_OPEN

_RESTS, _USES, _FOUND = 0.0, 1.0, 2.0  # values of column SHRINK; _FOUND stands for _USES while the other legs are tried
_DUST = 1e-9  # a smaller share of an order is rounding and is not filled


@jit
def _share_left(size, order):
    """Share of the old position that the order leaves open, in [0, 1]."""
    if size * order >= 0.0:
        return 1.0
    return max(1.0 - abs(order) / abs(size), 0.0)


@jit
def free_cash_after(world, store, p, i, row, path, using, rest):
    """Free cash [quote] at open prices after the transfers, when the share `using` of every order marked in column SHRINK is filled and the share
    `rest` of every other: f of the specification."""
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
        rule = rules_of(world.rules, world.symbols[path, a])
        stress = stress_of(p, touch)
        k = using if legs[i, a, SHRINK] == _USES else rest
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


@jit_rare
def mark_cash_users(world, store, p, i, row, path):
    """Mark in column SHRINK the legs whose whole order, filled alone, leaves less free cash than none."""
    legs = store.legs
    nothing = free_cash_after(world, store, p, i, row, path, 0.0, 0.0)
    for a in range(legs.shape[1]):
        legs[i, a, SHRINK] = _RESTS
    for a in range(legs.shape[1]):
        legs[i, a, SHRINK] = _USES
        alone = free_cash_after(world, store, p, i, row, path, 1.0, 0.0)
        legs[i, a, SHRINK] = _FOUND if alone < nothing else _RESTS
    for a in range(legs.shape[1]):
        if legs[i, a, SHRINK] == _FOUND:
            legs[i, a, SHRINK] = _USES


@jit
def shrink_to_funds(world, store, p, i, row, path):
    """Shrink the orders that use free cash by one factor so that it stays at or above zero; the hedge ratio of each asset is kept."""
    after = free_cash_after(world, store, p, i, row, path, 1.0, 1.0)
    if after < 0.0:
        _shrink(world, store, p, i, row, path, after)


@jit_rare
def _shrink(world, store, p, i, row, path, after):
    legs = store.legs
    mark_cash_users(world, store, p, i, row, path)
    before = free_cash_after(world, store, p, i, row, path, 0.0, 1.0)
    if after >= before:
        return
    k = min(
        max(before / (before - after), 0.0), 1.0
    )  # f is concave in k (but for the cap on impact): the chord lies below it, so the cash is not overdrawn
    if k < _DUST:
        k = 0.0
    for a in range(legs.shape[1]):
        if legs[i, a, SHRINK] == _USES:
            legs[i, a, WANT_SPOT] *= k
            legs[i, a, WANT_PERP] *= k
            size_order(world, store, i, a, row, path)
            legs[i, a, REASON] = REASON_FUNDS


@jit
def _set_wallet(store, i, wallet, profit, required, positions, free, top_up):
    """Move cash so that the wallet plus its unrealised profit holds the required margin; returns the free cash left.

    Acts only on wallets that take cash (`top_up`, limited by `free`), or only on those that give it back or hold no position any more.
    """
    margin = store.legs[i, wallet, MARGIN]
    move = max(required - profit, 0.0) - margin if positions else -margin
    if (positions and move > 0.0) != top_up:
        return free
    if positions and top_up:
        move = min(move, max(free, 0.0))
    store.legs[i, wallet, MARGIN] = margin + move
    store.account[i, CASH] -= move
    return free - move


@jit
def transfer(world, store, i, row):
    """Bring the wallets of all touched legs to their required margin at the open of bar `row` (cross: the shared wallet); releases come first."""
    legs = store.legs
    free = store.account[i, CASH] - locked_cash(world, store, i, row, SPOT_OPEN)
    if world.codes[MARGIN_MODE] == MARGIN_CROSS:
        _transfer_shared(world, store, i, row, free)
        return
    for top_up in (False, True):
        for a in range(legs.shape[1]):
            if legs[i, a, TOUCH] != TOUCH_NONE:
                size, price = legs[i, a, PERP], world.bars[row, a, PERP_OPEN]
                required = notional(size, price) / legs[i, a, TARGET_LEVERAGE]
                profit = unrealised(size, legs[i, a, ENTRY], price)
                free = _set_wallet(store, i, a, profit, required, size != 0.0, free, top_up)


@jit
def _transfer_shared(world, store, i, row, free):
    legs = store.legs
    profits, needs, touched, positions = 0.0, 0.0, False, False
    for a in range(legs.shape[1]):
        size, price = legs[i, a, PERP], world.bars[row, a, PERP_OPEN]
        profits += unrealised(size, legs[i, a, ENTRY], price)
        needs += notional(size, price) / legs[i, a, TARGET_LEVERAGE]
        touched = touched or legs[i, a, TOUCH] != TOUCH_NONE
        positions = positions or size != 0.0
    if touched:
        free = _set_wallet(store, i, 0, profits, needs, positions, free, False)
        _set_wallet(store, i, 0, profits, needs, positions, free, True)
