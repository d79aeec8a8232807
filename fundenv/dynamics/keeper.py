"""The margin keeper: it restores what the wallets, or the account, were asked to hold."""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.capital import capital_parts
from fundenv.dynamics.inverse import keep_coins
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.orders import order_to_target, used_share
from fundenv.dynamics.types import (
    BOOK,
    CASH,
    ENTRY,
    INVERSE,
    KEEPER_BARS,
    KEEPER_EQUITY,
    KEEPER_WATCHES,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    MIXED,
    PERP,
    SPOT,
    TARGET_CARRY,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
    TOUCH_NORMAL,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.dynamics.wallets import is_away, is_stopped, shares_wallet, wallet_places
from fundenv.formulas.contract import notional, unrealised
from fundenv.market.layout import HALTED, MARK_CLOSE, SPOT_CLOSE, UNLISTED

_EVEN = 1e-9  # relative difference below which a wallet counts as holding its required margin


@jit
def _rebalance(world, store, p, i, row, equity):
    """Orders of every leg with a perpetual back to its remembered target; what the venue has
    closed stays closed until the next decision.
    """
    for a in range(store.legs.shape[1]):
        if store.legs[i, a, PERP] != 0.0:
            store.legs[i, a, TOUCH] = TOUCH_NORMAL
            own = of_leg(world, store.episode[i, BOOK], a)
            order_to_target(own, store, p, i, a, row, equity, 0.0)


@jit_rare
def _keep_exposure(world, store, p, i, row, equity):
    """The margin keeper of an account: where the share of the capital that all perpetuals use
    leaves `keeper_down` .. `keeper_up` times what the targets ask, each of them goes back to its
    target. It waits while another order is due. Equity in quote, prices of the last close.
    """
    legs, book = store.legs, store.episode[i, BOOK]
    used, asked = 0.0, 0.0
    for a in range(legs.shape[1]):
        held = legs[i, a, PERP] != 0.0
        halted = world.bars[row, a, HALTED]
        # a coin that is not listed bars the way only in the bar in which it is closed
        waits = halted < UNLISTED and is_stopped(world, row, a, book)
        if legs[i, a, TOUCH] != TOUCH_NONE or waits or (held and halted >= UNLISTED):
            return
        if held:
            used += used_share(of_leg(world, book, a), store, i, a, row, equity)
            asked += abs(legs[i, a, TARGET_CARRY]) / capital_parts(world, legs.shape[1])
    if used > 0.0 and (used > p.keeper_up * asked or used < p.keeper_down * asked):
        _rebalance(world, store, p, i, row, equity)


@jit
def _keep(world, store, p, i, row, first, last, wallet):
    """Margin keeper over the legs first..last-1 that share the wallet of index `wallet`; prices of
    the last close.
    """
    legs, bars, book = store.legs, world.bars, store.episode[i, BOOK]
    balance, required, spot_value = legs[i, wallet, MARGIN], 0.0, 0.0
    for a in range(first, last):
        if not shares_wallet(world, book, a, wallet):
            continue
        size, mark = legs[i, a, PERP], bars[row - 1, a, MARK_CLOSE]
        balance += unrealised(size, legs[i, a, ENTRY], mark)
        required += notional(size, mark) / legs[i, a, TARGET_LEVERAGE]
        spot_value += max(legs[i, a, SPOT], 0.0) * bars[row - 1, a, SPOT_CLOSE]
    if required == 0.0 or (
        balance >= required / p.keeper_up and balance * p.keeper_down <= required
    ):
        return
    away = is_away(world, store, row, wallet, book)
    if balance < required and not away:
        free = store.account[i, CASH] - locked_cash(world, store, i, row - 1, SPOT_CLOSE)
        top_up = min(required - balance, max(free, 0.0))
        store.account[i, CASH] -= top_up
        legs[i, wallet, MARGIN] += top_up
        balance += top_up
    if abs(balance - required) <= _EVEN * required:
        return
    factor = (spot_value + max(balance, 0.0)) / (spot_value + required)
    if away:  # the wallet alone, which gives back what it has too much
        factor = min(max(balance, 0.0) / required, 1.0)
    for a in range(first, last):
        if not shares_wallet(world, book, a, wallet):
            continue
        legs[i, a, WANT_PERP] = (factor - 1.0) * legs[i, a, PERP]
        legs[i, a, WANT_SPOT] = (factor - 1.0) * legs[i, a, SPOT]
        legs[i, a, TOUCH] = TOUCH_NORMAL


@jit
def _keep_alone(world, store, p, i, a, row):
    """The margin keeper of one inverse leg, where no order touches it."""
    if store.legs[i, a, TOUCH] == TOUCH_NONE and store.legs[i, a, PERP] != 0.0:
        keep_coins(of_leg(world, store.episode[i, BOOK], a), store, p, i, a, row, _EVEN)


@jit
def _keep_shared(world, store, p, i, row):
    """`_keep` of every wallet that legs share, where none of them has an order."""
    legs, book = store.legs, store.episode[i, BOOK]
    for wallet in range(wallet_places(world, legs.shape[1])):
        touched = False
        for a in range(legs.shape[1]):
            here = legs[i, a, TOUCH] != TOUCH_NONE and shares_wallet(world, book, a, wallet)
            touched = touched or here
        if touched or not shares_wallet(world, book, wallet, wallet):
            continue
        if world.contract == MIXED and is_inverse(world, book, wallet):
            _keep_alone(world, store, p, i, wallet, row)
        else:
            _keep(world, store, p, i, row, 0, legs.shape[1], wallet)


@jit
def keep_margin(world, store, p, i, row, path, equity):
    """The margin keeper at the open of bar `row`, for wallets that no other order touches;
    equity [quote] after the settlement of the bar.
    """
    every = world.codes[KEEPER_BARS]
    watches_equity = world.codes[KEEPER_WATCHES] == KEEPER_EQUITY
    if (
        every == 0
        or (world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO and not watches_equity)
        or (every > 1 and (world.starts[path, 2] + row - world.paths[path, 0]) % every != 0)
    ):
        return
    legs = store.legs
    if watches_equity:
        _keep_exposure(world, store, p, i, row, equity)
        return
    if world.contract == INVERSE:
        for a in range(legs.shape[1]):
            _keep_alone(world, store, p, i, a, row)
        return
    if world.codes[MARGIN_MODE] == MARGIN_CROSS:
        _keep_shared(world, store, p, i, row)
        return
    for a in range(legs.shape[1]):
        if world.contract == MIXED and is_inverse(world, store.episode[i, BOOK], a):
            _keep_alone(world, store, p, i, a, row)
        elif legs[i, a, TOUCH] == TOUCH_NONE and legs[i, a, PERP] != 0.0:
            _keep(world, store, p, i, row, a, a + 1, a)
