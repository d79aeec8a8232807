"""The order of events within a step. Every other file says what an event does; this one alone says
when.
"""

from fundenv.compiler.jit import jit, jit_order
from fundenv.dynamics.access import params_of, rules_of
from fundenv.dynamics.action import set_keeper
from fundenv.dynamics.away import earn_away, money_sent, receive, send
from fundenv.dynamics.borrowing import accrue, locked_cash
from fundenv.dynamics.deleveraging import deleverage
from fundenv.dynamics.expected import expect_to_close, expect_to_open
from fundenv.dynamics.failure import fail_venues
from fundenv.dynamics.fills import fill_perp, fill_spot
from fundenv.dynamics.funding import settle
from fundenv.dynamics.funds import transfer
from fundenv.dynamics.holdings import coins_of
from fundenv.dynamics.impact_memory import fade_impact
from fundenv.dynamics.inverse import sell_within_coins
from fundenv.dynamics.keeper import keep_margin
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.legs import profit_of
from fundenv.dynamics.lending import limit_loans
from fundenv.dynamics.liquidate import liquidate
from fundenv.dynamics.listing import close_unlisted
from fundenv.dynamics.order_sizes import limit_orders
from fundenv.dynamics.orders import (
    after_liquidation,
    call_loans,
    clear_flattened,
    decide,
    stress_crashes,
)
from fundenv.dynamics.reward import write_reward
from fundenv.dynamics.shrink_orders import shrink_to_funds
from fundenv.dynamics.types import (
    BOOK,
    CASH,
    DECISION,
    DECISION_BARS,
    ENTRY,
    EPISODE_STEPS,
    EQUITY,
    EQUITY_PEAK,
    FAILURES,
    FREE_DIALS,
    IDLE_BARS,
    INVERSE,
    KEEPER_DIAL,
    LAST_ROW,
    LIQUIDATED,
    LISTINGS,
    MARGIN,
    MIXED,
    N_LEDGER,
    N_TRADE,
    PATH,
    PERP,
    PERP_PNL,
    PLACED,
    REASON,
    REASON_NONE,
    REMEMBERS,
    REWARD,
    REWARD_EXPECTED,
    ROW,
    SPOT,
    SPOT_PNL,
    TOUCH,
    TOUCH_NONE,
    TRANSFER_BARS,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.market.layout import MARK_CLOSE, PERP_OPEN, SETTLE_PRICE, SPOT_CLOSE, SPOT_OPEN


@jit
def equity_of(world, store, i, row):
    """Equity [quote] of environment i marked at the close of bar `row`."""
    legs, book = store.legs, store.episode[i, BOOK]
    equity = store.account[i, CASH]
    for a in range(legs.shape[1]):
        if is_inverse(world, book, a):
            equity += (
                coins_of(store, i, a, world.bars[row, a, MARK_CLOSE])
                * world.bars[row, a, SPOT_CLOSE]
            )
            continue
        profit = legs[i, a, PERP] * (world.bars[row, a, MARK_CLOSE] - legs[i, a, ENTRY])
        equity += legs[i, a, SPOT] * world.bars[row, a, SPOT_CLOSE] + legs[i, a, MARGIN] + profit
    if world.contract >= PLACED:
        equity += money_sent(world, store, i)
    return equity


@jit
def _clear(store, out, i):
    for part in range(N_LEDGER):
        out.ledger[i, part] = 0.0
    for a in range(store.legs.shape[1]):
        store.legs[i, a, LIQUIDATED] = 0.0
        store.legs[i, a, REASON] = REASON_NONE
        for column in range(N_TRADE):
            out.trades[i, a, column] = 0.0


@jit
def _settle(world, store, out, p, i, row):
    for a in range(store.legs.shape[1]):
        if world.bars[row, a, SETTLE_PRICE] > 0.0:
            free = store.account[i, CASH] - locked_cash(world, store, i, row - 1, SPOT_CLOSE)
            return settle(world, store, out, p, i, row, free)
    return 0.0


@jit
def _book_prices(world, store, out, i, a, spot_from, spot_to, perp_from, perp_to):
    """Book the price profit of what leg a holds. Inverse: all its coins at the change of the spot
    price, the change of its coin profit at the new one.
    """
    held, worth = store.legs[i, a, SPOT], 1.0
    if world.contract == INVERSE:
        held, worth = coins_of(store, i, a, perp_from), spot_to
    out.ledger[i, SPOT_PNL] += held * (spot_to - spot_from)
    out.ledger[i, PERP_PNL] += (
        profit_of(world.contract, store.legs[i, a, PERP], perp_from, perp_to) * worth
    )


@jit
def _close_out(store, i, a, before):
    """Inverse: where an order closed the perpetual whole and the coins go too, sell exactly the
    coins that are left.
    """
    legs = store.legs
    if before != 0.0 and legs[i, a, PERP] == 0.0 and legs[i, a, WANT_SPOT] != 0.0:
        legs[i, a, SPOT] += legs[i, a, MARGIN]
        legs[i, a, MARGIN] = 0.0
        legs[i, a, WANT_SPOT] = -legs[i, a, SPOT]


@jit
def _fill_leg(world, store, out, p, i, a, row, book):
    """Fill the orders of leg a; of an inverse contract the perpetual first, because it leaves the
    coins that are sold.
    """
    legs = store.legs
    rule = rules_of(world.rules, world.symbols[book, a])
    if world.contract == INVERSE and legs[i, a, WANT_PERP] != 0.0:
        before = legs[i, a, PERP]
        fill_perp(world, store, out, p, rule, i, a, row)
        _close_out(store, i, a, before)
    if legs[i, a, WANT_SPOT] != 0.0:
        fill_spot(world, store, out, p, rule, i, a, row)
    if world.contract != INVERSE and legs[i, a, WANT_PERP] != 0.0:
        fill_perp(world, store, out, p, rule, i, a, row)


@jit_order
def _fill_orders(world, store, out, p, i, row, book):
    """Limit, fund and fill the orders of the bar, and bring the wallets to their margin."""
    limit_orders(world, store, p, i, row, book)
    shrink_to_funds(world, store, p, i, row, book)
    if world.contract == INVERSE or world.contract == MIXED:
        sell_within_coins(world, store, p, i, row, book)
    for a in range(store.legs.shape[1]):
        _fill_leg(of_leg(world, book, a), store, out, p, i, a, row, book)
    transfer(world, store, p, i, row, book)
    if world.contract >= PLACED and world.codes[TRANSFER_BARS] != 0:
        send(world, store, out, p, i, row, book)
    clear_flattened(world, store, i)


@jit
def _fill(world, store, out, p, i, row, book):
    """Book the price profit from the last close to the open of what was held before, and fill the
    orders if there are any.
    """
    legs, bars = store.legs, world.bars
    touched = False
    for a in range(legs.shape[1]):
        spot, mark = bars[row - 1, a, SPOT_CLOSE], bars[row - 1, a, MARK_CLOSE]
        spot_open, perp_open = bars[row, a, SPOT_OPEN], bars[row, a, PERP_OPEN]
        own = of_leg(world, book, a)
        _book_prices(own, store, out, i, a, spot, spot_open, mark, perp_open)
        touched = touched or legs[i, a, TOUCH] != TOUCH_NONE
    if touched:
        _fill_orders(world, store, out, p, i, row, book)


@jit
def _mark(world, store, out, i, row):
    bars = world.bars
    for a in range(store.legs.shape[1]):
        perp, mark = bars[row, a, PERP_OPEN], bars[row, a, MARK_CLOSE]
        spot_open, spot_close = bars[row, a, SPOT_OPEN], bars[row, a, SPOT_CLOSE]
        own = of_leg(world, store.episode[i, BOOK], a)
        _book_prices(own, store, out, i, a, spot_open, spot_close, perp, mark)
    return equity_of(world, store, i, row)


@jit
def step_bar(world, store, out, p, actions, i, row, path, book, first):
    """One bar: settlement, orders, fills, transfers, liquidation, interest, mark to close. Returns
    the equity at its close [quote].
    """
    legs = store.legs
    for a in range(legs.shape[1]):
        legs[i, a, TOUCH], legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = TOUCH_NONE, 0.0, 0.0
        legs[i, a, IDLE_BARS] += 1.0
    if world.codes[REMEMBERS] != 0:
        fade_impact(world, store, p, i)
    if world.contract >= PLACED:
        receive(world, store, p, i)
    equity = store.account[i, EQUITY]
    if world.contract >= PLACED and world.codes[FAILURES] != 0:
        equity -= fail_venues(world, store, out, p, i, row, book)
    # on what was held before any trade, at the mark of the settlement
    equity += _settle(world, store, out, p, i, row)
    liquidate(world, store, out, p, i, row, book, True)  # a gap comes before any order
    if first:
        decide(world, store, out, p, actions, i, row, equity)
    after_liquidation(world, store, p, i, row, equity)
    keep_margin(world, store, p, i, row, path, equity)
    call_loans(world, store, p, i, row)  # the lender's orders replace those of the agent
    limit_loans(world, store, p, i, row)
    if world.codes[LISTINGS] != 0:
        close_unlisted(world, store, out, p, i, row, first)
    stress_crashes(world, store, p, i, row)
    if world.codes[REWARD] == REWARD_EXPECTED:
        expect_to_open(world, store, out, i, row)
    _fill(world, store, out, p, i, row, book)  # at spot and perp open
    if world.codes[REWARD] == REWARD_EXPECTED:
        expect_to_close(world, store, out, p, i, row)
    liquidate(world, store, out, p, i, row, book, False)  # at the adverse extreme of mark
    if p.adl_sigma > 0.0:
        deleverage(world, store, out, p, i, row)  # at the favourable one
    accrue(world, store, out, p, i, row, book)
    if world.contract >= PLACED:
        earn_away(world, store, out, p, i, row, book)
    equity = _mark(world, store, out, i, row)  # at mark and spot close
    store.account[i, EQUITY] = equity
    return equity


@jit
def end_step(world, store, out, p, i, row, bars, before, after):
    """After the last of `bars` bars, `row`: reward and flags of the step that took the equity from
    `before` to `after` [quote].
    """
    episode = store.episode
    ruin = p.ruin_fraction * p.initial_equity
    episode[i, ROW] = row
    episode[i, DECISION] += 1
    store.account[i, EQUITY_PEAK] = max(store.account[i, EQUITY_PEAK], after)
    forced = after <= ruin
    for a in range(store.legs.shape[1]):
        forced = forced or store.legs[i, a, LIQUIDATED] > 0.0
    write_reward(world, store, out, p, i, before, after, bars * p.bar_years, forced)
    out.terminated[i] = after <= ruin
    ended = world.codes[EPISODE_STEPS] > 0 and episode[i, DECISION] >= world.codes[EPISODE_STEPS]
    out.truncated[i] = not out.terminated[i] and (
        ended or row + world.codes[DECISION_BARS] > episode[i, LAST_ROW]
    )


@jit
def step_one(world, store, out, actions, i):
    """Step environment i by one decision: writes ledger, trades, reward, terminated and truncated;
    moves its row to the last bar stepped.
    """
    if world.codes[FREE_DIALS] & KEEPER_DIAL:
        set_keeper(world, store, actions, i)
    p = params_of(store.params, i)
    episode = store.episode
    path, book, row = episode[i, PATH], episode[i, BOOK], episode[i, ROW]
    before = store.account[i, EQUITY]
    after = before
    ruin = p.ruin_fraction * p.initial_equity
    bars = 0
    _clear(store, out, i)
    while bars < world.codes[DECISION_BARS]:
        row += 1
        bars += 1
        after = step_bar(world, store, out, p, actions, i, row, path, book, bars == 1)
        if after <= ruin:
            break
    end_step(world, store, out, p, i, row, bars, before, after)
