"""The order of events within a step. Every other file says what an event does; this one alone says when."""

from fundenv.dynamics.access import params_of, rules_of
from fundenv.dynamics.borrowing import accrue, locked_cash
from fundenv.dynamics.execution import fill_perp, fill_spot, limit_orders
from fundenv.dynamics.forced import liquidate
from fundenv.dynamics.funding import settle
from fundenv.dynamics.funds import shrink_to_funds, transfer
from fundenv.dynamics.jit import jit, jit_outer
from fundenv.dynamics.orders import after_liquidation, clear_flattened, decide, keep_margin
from fundenv.dynamics.reward import reward_of
from fundenv.dynamics.types import (
    BASIS_FEATURE,
    BOOK,
    CASH,
    DECISION,
    DECISION_BARS,
    ENTRY,
    EPISODE_STEPS,
    EQUITY,
    EQUITY_PEAK,
    EXPECTED_PNL,
    IDLE_BARS,
    LAST_ROW,
    LIQUIDATED,
    MARGIN,
    N_LEDGER,
    N_TRADE,
    PATH,
    PERP,
    PERP_PNL,
    REASON,
    REASON_NONE,
    REWARD,
    REWARD_EXPECTED,
    ROW,
    SPOT,
    SPOT_PNL,
    TOUCH,
    TOUCH_NONE,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.market.layout import MARK_CLOSE, PERP_OPEN, SETTLE_PRICE, SPOT_CLOSE, SPOT_OPEN


@jit
def equity_of(world, store, i, row):
    """Equity [quote] of environment i marked at the close of bar `row`."""
    legs = store.legs
    equity = store.account[i, CASH]
    for a in range(legs.shape[1]):
        profit = legs[i, a, PERP] * (world.bars[row, a, MARK_CLOSE] - legs[i, a, ENTRY])
        equity += legs[i, a, SPOT] * world.bars[row, a, SPOT_CLOSE] + legs[i, a, MARGIN] + profit
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
def _fill(world, store, out, p, i, row, book):
    """Limit, fund and fill the orders of the bar; book the price profit from the last close to the open of what was held before."""
    legs, bars = store.legs, world.bars
    touched = False
    for a in range(legs.shape[1]):
        out.ledger[i, SPOT_PNL] += legs[i, a, SPOT] * (bars[row, a, SPOT_OPEN] - bars[row - 1, a, SPOT_CLOSE])
        out.ledger[i, PERP_PNL] += legs[i, a, PERP] * (bars[row, a, PERP_OPEN] - bars[row - 1, a, MARK_CLOSE])
        touched = touched or legs[i, a, TOUCH] != TOUCH_NONE
    if not touched:
        return
    limit_orders(world, store, p, i, row, book)
    shrink_to_funds(world, store, p, i, row, book)
    for a in range(legs.shape[1]):
        rule = rules_of(world.rules, world.symbols[book, a])
        if legs[i, a, WANT_SPOT] != 0.0:
            fill_spot(world, store, out, p, rule, i, a, row)
        if legs[i, a, WANT_PERP] != 0.0:
            fill_perp(world, store, out, p, rule, i, a, row)
    transfer(world, store, i, row)
    clear_flattened(store, i)


@jit
def _expect_to_open(world, store, out, i, row):
    """`expected` reward: what spot does to both legs from the last close to the open, on what is held before the orders."""
    for a in range(store.legs.shape[1]):
        net = store.legs[i, a, SPOT] + store.legs[i, a, PERP]
        out.ledger[i, EXPECTED_PNL] += net * (world.bars[row, a, SPOT_OPEN] - world.bars[row - 1, a, SPOT_CLOSE])


@jit
def _expect_to_close(world, store, out, p, i, row):
    """`expected` reward: what spot does from the open to the close on what is held now, and the reversion of the last basis deviation."""
    feature = world.codes[BASIS_FEATURE]
    for a in range(store.legs.shape[1]):
        perp = store.legs[i, a, PERP]
        deviation = world.features[row - 1, a, feature] * world.scales[feature] * 1e-4
        spot_move = world.bars[row, a, SPOT_CLOSE] - world.bars[row, a, SPOT_OPEN]
        out.ledger[i, EXPECTED_PNL] += (store.legs[i, a, SPOT] + perp) * spot_move
        out.ledger[i, EXPECTED_PNL] -= perp * world.bars[row - 1, a, SPOT_CLOSE] * p.basis_reversion * deviation


@jit
def _mark(world, store, out, i, row):
    legs, bars = store.legs, world.bars
    for a in range(legs.shape[1]):
        out.ledger[i, SPOT_PNL] += legs[i, a, SPOT] * (bars[row, a, SPOT_CLOSE] - bars[row, a, SPOT_OPEN])
        out.ledger[i, PERP_PNL] += legs[i, a, PERP] * (bars[row, a, MARK_CLOSE] - bars[row, a, PERP_OPEN])
    return equity_of(world, store, i, row)


@jit_outer
def step_bar(world, store, out, p, actions, i, row, path, book, first):
    """One bar: settlement, orders, fills, transfers, liquidation, interest, mark to close. Returns the equity at its close [quote]."""
    legs = store.legs
    for a in range(legs.shape[1]):
        legs[i, a, TOUCH], legs[i, a, WANT_SPOT], legs[i, a, WANT_PERP] = TOUCH_NONE, 0.0, 0.0
        legs[i, a, IDLE_BARS] += 1.0
    equity = store.account[i, EQUITY]
    equity += _settle(world, store, out, p, i, row)  # on what was held before any trade, at the mark of the settlement
    liquidate(world, store, out, p, i, row, book, True)  # a gap comes before any order
    if first:
        decide(world, store, out, p, actions, i, row, equity)
    after_liquidation(world, store, p, i, row, equity)
    keep_margin(world, store, p, i, row, path)
    if world.codes[REWARD] == REWARD_EXPECTED:
        _expect_to_open(world, store, out, i, row)
    _fill(world, store, out, p, i, row, book)  # at spot and perp open
    if world.codes[REWARD] == REWARD_EXPECTED:
        _expect_to_close(world, store, out, p, i, row)
    liquidate(world, store, out, p, i, row, book, False)  # at the adverse extreme of mark
    accrue(world, store, out, p, i, row, book)
    equity = _mark(world, store, out, i, row)  # at mark and spot close
    store.account[i, EQUITY] = equity
    return equity


@jit_outer
def step_one(world, store, out, actions, i):
    """Step environment i by one decision: writes ledger, trades, reward, terminated and truncated; moves its row to the last bar stepped."""
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
    episode[i, ROW] = row
    episode[i, DECISION] += 1
    store.account[i, EQUITY_PEAK] = max(store.account[i, EQUITY_PEAK], after)
    forced = after <= ruin
    for a in range(store.legs.shape[1]):
        forced = forced or store.legs[i, a, LIQUIDATED] > 0.0
    out.reward[i] = reward_of(world, out, p, i, before, after, bars * p.bar_years, forced)
    out.terminated[i] = after <= ruin
    ended = world.codes[EPISODE_STEPS] > 0 and episode[i, DECISION] >= world.codes[EPISODE_STEPS]
    out.truncated[i] = not out.terminated[i] and (ended or row + world.codes[DECISION_BARS] > episode[i, LAST_ROW])
