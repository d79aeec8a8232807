"""The coin account of inverse contracts: what is coin-margined is paid for, margined and settled in
the coin itself.

Each asset has one pool of coins: free coins (column SPOT, negative = borrowed), the wallet (MARGIN)
and the unrealised profit. In isolated mode the wallet holds the required margin, in cross mode
every coin that is owned; in portfolio mode there is no wallet. Sizes are in quote (contracts x
face).
"""

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.costs import order_cost, perp_fee, perp_slippage, spot_fee, spot_slippage
from fundenv.dynamics.holdings import coin_profit, coins_of
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.margin import maintenance, wallet_floor
from fundenv.dynamics.order_sizes import SAME
from fundenv.dynamics.shares import orders_at
from fundenv.dynamics.types import (
    ACCRUED,
    CASH,
    INVERSE,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    PERP,
    REASON,
    REASON_FUNDS,
    SHRINK,
    SHRINK_USES,
    SPOT,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
    TOUCH_NORMAL,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.formulas.collateral import spot_collateral
from fundenv.formulas.contract import inverse_notional
from fundenv.market.layout import MARK_CLOSE, PERP_OPEN, SPOT_CLOSE, SPOT_OPEN


@jit
def settle_coin(world, store, i, a, flow, worth):
    """Book a funding payment [coin]: to free coins or out of them first, the rest out of the wallet
    (cross: the wallet). worth: quote per coin.
    """
    legs = store.legs
    legs[i, a, ACCRUED] += flow * worth
    if world.codes[MARGIN_MODE] == MARGIN_CROSS:
        legs[i, a, MARGIN] += flow
        return
    from_free = flow
    if world.codes[MARGIN_MODE] == MARGIN_ISOLATED:
        from_free = max(flow, -max(legs[i, a, SPOT], 0.0))
    legs[i, a, SPOT] += from_free
    legs[i, a, MARGIN] += flow - from_free


@jit
def coin_cost(order, price, slip, fee_rate):
    """Slippage and fee [coin] of a perpetual order of `order` quote units at a mid price: both on
    the value at the fill.
    """
    return inverse_notional(order, price * (1.0 + (slip if order > 0.0 else -slip))) * (
        slip + fee_rate
    )


@jit
def _perp_cost(world, store, p, i, a, row, rule, order, touch):
    """Slippage and fee [coin] of a perpetual order of asset a at the open."""
    spread, impact = perp_slippage(world, store, p, i, a, row, rule, order, touch)
    return coin_cost(
        order, world.bars[row, a, PERP_OPEN], spread + impact, perp_fee(rule, touch) * p.fee_scale
    )


@jit
def _spot_cost(world, store, p, i, a, row, rule, order, touch):
    """Slippage and fee [quote] of a spot order of asset a at the open."""
    spread, impact = spot_slippage(world, store, p, i, a, row, rule, order, touch)
    return order_cost(
        order, world.bars[row, a, SPOT_OPEN], spread, impact, spot_fee(rule, touch) * p.fee_scale
    )


@jit
def _released(world, store, p, i, a, row, book, order):
    """Coins that the wallet of leg a has beyond what it must hold once a perpetual order is filled
    at the open; negative: what it lacks.
    """
    price, size = world.bars[row, a, PERP_OPEN], store.legs[i, a, PERP]
    rule = rules_of(world.rules, world.symbols[book, a])
    profit = coin_profit(store, i, a, price)
    left = profit
    if size * order < 0.0:
        left *= max(1.0 - abs(order) / abs(size), 0.0)
    after = inverse_notional(size + order, price)
    balance = (
        store.legs[i, a, MARGIN]
        + profit
        - _perp_cost(world, store, p, i, a, row, rule, order, store.legs[i, a, TOUCH])
    )
    floor = wallet_floor(balance - left, maintenance(world.tiers, world.symbols[book, a], after))
    return balance - max(left + floor, after / store.legs[i, a, TARGET_LEVERAGE])


@jit
def within_coins(store, p, i, a, order, released):
    """A spot order of leg a; where base may not be borrowed, it sells no more than the free coins
    and those that the wallet gives back.
    """
    if order >= 0.0 or p.allow_short_spot > 0.5:
        return order
    there = max(store.legs[i, a, SPOT] + max(released, 0.0), 0.0)
    return order if -order <= there * (1.0 + SAME) else -there


@jit
def free_beside_coins(world, store, p, i, a, row, book, using, rest, free):
    """`free` [quote], free cash before leg a, less what its spot order costs and the value of the
    coins that it must borrow (`free_cash_after`).
    """
    legs = store.legs
    spot_open = world.bars[row, a, SPOT_OPEN]
    if legs[i, a, TOUCH] == TOUCH_NONE:
        return free + min(legs[i, a, SPOT], 0.0) * spot_open
    k = using if legs[i, a, SHRINK] == SHRINK_USES else rest
    rule = rules_of(world.rules, world.symbols[book, a])
    spot_order, perp_order = orders_at(world, store, p, i, a, row, k)
    released = _released(world, store, p, i, a, row, book, perp_order)
    spot_order = within_coins(store, p, i, a, spot_order, released)
    free += min(legs[i, a, SPOT] + spot_order + released, 0.0) * spot_open - spot_order * spot_open
    return free - _spot_cost(world, store, p, i, a, row, rule, spot_order, legs[i, a, TOUCH])


@jit
def free_cash_after_coins(world, store, p, i, row, book, using, rest):
    """`free_cash_after` of inverse contracts: cash less what the spot orders cost less the value of
    the coins that must be borrowed.
    """
    free = store.account[i, CASH]
    for a in range(store.legs.shape[1]):
        free = free_beside_coins(world, store, p, i, a, row, book, using, rest, free)
    return free


@jit
def sell_within_coins(world, store, p, i, row, book):
    """Cut the wanted spot orders to the coins that are there at the open (`within_coins`); in
    portfolio mode the collateral decides.
    """
    legs = store.legs
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        return
    for a in range(legs.shape[1]):
        own = of_leg(world, book, a)
        if legs[i, a, WANT_SPOT] < 0.0 and own.contract == INVERSE:
            released = _released(own, store, p, i, a, row, book, legs[i, a, WANT_PERP])
            order = within_coins(store, p, i, a, legs[i, a, WANT_SPOT], released)
            if order != legs[i, a, WANT_SPOT]:
                legs[i, a, WANT_SPOT] = order
                legs[i, a, REASON] = REASON_FUNDS


@jit
def free_collateral_of_coins(world, store, p, i, a, row, rule, k):
    """What asset a adds to `free_collateral_after` [quote]: its coins at their collateral rate less
    initial margin and what the spot order costs.
    """
    legs = store.legs
    spot_open, perp_open = world.bars[row, a, SPOT_OPEN], world.bars[row, a, PERP_OPEN]
    touch = legs[i, a, TOUCH]
    spot_order, perp_order = orders_at(world, store, p, i, a, row, k)
    coins = (
        coins_of(store, i, a, perp_open)
        + spot_order
        - _perp_cost(world, store, p, i, a, row, rule, perp_order, touch)
    )
    required = (
        inverse_notional(legs[i, a, PERP] + perp_order, perp_open) / legs[i, a, TARGET_LEVERAGE]
    )
    spot_cost = _spot_cost(world, store, p, i, a, row, rule, spot_order, touch)
    return (
        spot_collateral(coins, spot_open, rule.collateral_rate)
        - required * spot_open
        - spot_order * spot_open
        - spot_cost
    )


@jit
def spent_on_coins(world, store, p, i, a, row, rule, k):
    """Quote that the spot order of asset a costs at the share k."""
    spot_order, _ = orders_at(world, store, p, i, a, row, k)
    touch = store.legs[i, a, TOUCH]
    return spot_order * world.bars[row, a, SPOT_OPEN] + _spot_cost(
        world, store, p, i, a, row, rule, spot_order, touch
    )


@jit
def lendable(world, store, p, i, a, row, column):
    """Coins that may move into a wallet: the free ones, and those that free cash can borrow where
    base may be borrowed.
    """
    coins = max(store.legs[i, a, SPOT], 0.0)
    if p.allow_short_spot > 0.5:
        free = store.account[i, CASH] - locked_cash(world, store, i, row, column)
        coins += max(free, 0.0) / world.bars[row, a, column]
    return coins


@jit
def _move(store, i, a, coins):
    store.legs[i, a, MARGIN] += coins
    store.legs[i, a, SPOT] -= coins


@jit
def transfer_coins(world, store, p, i, row, book):
    """Bring the wallets of all touched legs to their required margin at the open of bar `row`
    (cross: to all coins owned), asset after asset.
    """
    legs = store.legs
    for a in range(legs.shape[1]):
        if not is_inverse(world, book, a):
            continue
        margin = legs[i, a, MARGIN]
        if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO or (
            legs[i, a, TOUCH] != TOUCH_NONE and legs[i, a, PERP] == 0.0
        ):
            _move(store, i, a, -margin)
        elif legs[i, a, TOUCH] != TOUCH_NONE:
            price = world.bars[row, a, PERP_OPEN]
            required = inverse_notional(legs[i, a, PERP], price) / legs[i, a, TARGET_LEVERAGE]
            floor = maintenance(
                world.tiers, world.symbols[book, a], inverse_notional(legs[i, a, PERP], price)
            )
            wanted = max(required - coin_profit(store, i, a, price), wallet_floor(margin, floor))
            if world.codes[MARGIN_MODE] == MARGIN_CROSS:
                wanted = max(wanted, margin + legs[i, a, SPOT])
            _move(
                store, i, a, min(wanted - margin, lendable(world, store, p, i, a, row, SPOT_OPEN))
            )


@jit
def keep_coins(world, store, p, i, a, row, even):
    """Margin keeper of one inverse leg at prices of the last close: coins into the wallet first,
    then a smaller position; what is too much goes back.

    It never sells coins: they are the hedge. even: relative difference below which the wallet
    counts as holding its required margin.
    """
    legs = store.legs
    size, mark = legs[i, a, PERP], world.bars[row - 1, a, MARK_CLOSE]
    required = inverse_notional(size, mark) / legs[i, a, TARGET_LEVERAGE]
    balance = legs[i, a, MARGIN] + coin_profit(store, i, a, mark)
    if abs(balance - required) <= even * required:
        return
    if balance < required / p.keeper_up:
        top_up = min(required - balance, lendable(world, store, p, i, a, row - 1, SPOT_CLOSE))
        _move(store, i, a, top_up)
        balance += top_up
        if balance >= required * (1.0 - even):
            return
        factor = max(balance, 0.0) / required
        legs[i, a, WANT_PERP] = (factor - 1.0) * size
        legs[i, a, WANT_SPOT] = (factor - 1.0) * min(coins_of(store, i, a, mark), 0.0)
        legs[i, a, TOUCH] = TOUCH_NORMAL
    elif balance * p.keeper_down > required and world.codes[MARGIN_MODE] == MARGIN_ISOLATED:
        legs[i, a, TOUCH] = TOUCH_NORMAL
