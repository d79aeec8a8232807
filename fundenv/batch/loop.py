"""Loops over environments: starts, the time limit, autoreset and final observations, written once
for every backend.
"""

import math

from fundenv.compiler.jit import jit, jit_rare
from fundenv.compiler.prefetch import prefetch_row
from fundenv.dynamics.access import params_of, rules_of
from fundenv.dynamics.capital import capital_parts, gross_of
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.observation import observe
from fundenv.dynamics.rng import below, uniform
from fundenv.dynamics.step import step_one
from fundenv.dynamics.types import (
    AUTORESET,
    AUTORESET_NEXT_STEP,
    AUTORESET_SAME_STEP,
    BOOK,
    CASH,
    DECISION,
    DECISION_BARS,
    ENTRY,
    EPISODE,
    EPISODE_REWARD,
    EPISODE_STEPS,
    EQUITY,
    EQUITY_PEAK,
    FIRST_PATH,
    LAST_ROW,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    MUST_RESET,
    N_DISPLACED,
    N_LEDGER,
    N_LEG,
    N_TRADE,
    OPEN_PATHS,
    PATH,
    PERP,
    RANDOM_START,
    RANGE_LOG,
    RANGE_NONE,
    ROW,
    SEED,
    SPOT,
    TARGET_CARRY,
    TARGET_HEDGE,
    TARGET_LEVERAGE,
)
from fundenv.dynamics.wallets import wallet_of
from fundenv.market.layout import HALTED, MARK_CLOSE, SPOT_CLOSE, UNLISTED

_AHEAD = (
    8  # environments between the hint and the step that reads the row; 4 to 16 are equally fast
)
_DRAW_PATH, _DRAW_ROW, _DRAW_INVESTED = 0, 1, 2
# and the following: field k of Params is draw 16 + k, so that it does not depend on what else is
# drawn
_DRAW_PARAM = 16


@jit
def _draw_start(world, store, i):
    """(path, row) at whose close the next episode of environment i begins."""
    codes, episode = world.codes, store.episode
    seed, number = episode[i, SEED], episode[i, EPISODE]
    first, paths = codes[FIRST_PATH], codes[OPEN_PATHS]
    if not codes[RANDOM_START]:
        path = first + (i + number) % paths
        return path, world.starts[path, 0]
    path = first + below(seed, number, _DRAW_PATH, paths)
    count = max(world.starts[path, 1] - max(codes[EPISODE_STEPS] - 1, 0), 1)
    return path, world.starts[path, 0] + codes[DECISION_BARS] * below(
        seed, number, _DRAW_ROW, count
    )


@jit
def _draw_params(world, store, i):
    """Draw the fields of Params that have a range for the episode that begins."""
    ranges = world.ranges
    for k in range(ranges.shape[0]):
        if ranges[k, 0] != RANGE_NONE:
            low, high = ranges[k, 1], ranges[k, 2]
            share = uniform(store.episode[i, SEED], store.episode[i, EPISODE], _DRAW_PARAM + k)
            value = (
                low * math.exp(share * math.log(high / low))
                if ranges[k, 0] == RANGE_LOG
                else low + share * (high - low)
            )
            store.params[i, k] = min(max(value, low), high)


@jit
def _book(world, path, row):
    """Row of `World.symbols` with the rules in force at the close of `row` of `path`."""
    closed = world.starts[path, 2] + row - world.paths[path, 0] + 1
    era = 0
    while era + 1 < world.eras.shape[0] and closed >= world.eras[era + 1]:
        era += 1
    return era * world.paths.shape[0] + path


@jit
def _open_coins_at_start(world, store, p, i, a, row, symbol):
    """Full carry of an inverse leg: contracts, the coins that hedge them, and of these the margin
    in the wallet (cross: all that are owned).
    """
    legs, mode = store.legs, world.codes[MARGIN_MODE]
    mark, leverage = world.bars[row, a, MARK_CLOSE], p.frozen_leverage
    size = p.initial_equity / legs.shape[1] / gross_of(world, symbol, leverage)
    coins, wallet = (
        p.frozen_hedge * size / mark,
        0.0 if mode == MARGIN_PORTFOLIO else size / mark / leverage,
    )
    if mode == MARGIN_CROSS:
        wallet = max(wallet, coins)
    legs[i, a, PERP], legs[i, a, ENTRY], legs[i, a, SPOT], legs[i, a, MARGIN] = (
        -size,
        mark,
        coins - wallet,
        wallet,
    )
    legs[i, a, TARGET_CARRY] = capital_parts(world, legs.shape[1]) / legs.shape[1]
    store.account[i, CASH] -= coins * world.bars[row, a, SPOT_CLOSE]


@jit
def _open_at_start(world, store, p, i, path, row):
    """Give the account a full carry at the prices of the start, without cost: what a desk that was
    already invested would hold.
    """
    legs = store.legs
    assets = legs.shape[1]
    portfolio = world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO
    for a in range(assets):
        if world.bars[row, a, HALTED] >= UNLISTED:
            continue  # its share stays cash
        book = _book(world, path, row)
        symbol = world.symbols[book, a]
        if is_inverse(world, book, a):
            _open_coins_at_start(of_leg(world, book, a), store, p, i, a, row, symbol)
            continue
        mark, spot_price = world.bars[row, a, MARK_CLOSE], world.bars[row, a, SPOT_CLOSE]
        leverage, hedge = p.frozen_leverage, p.frozen_hedge
        unbacked = 1.0 - rules_of(world.rules, symbol).collateral_rate if portfolio else 1.0
        size = p.initial_equity / assets / (hedge * spot_price * unbacked + mark / leverage)
        legs[i, a, PERP], legs[i, a, ENTRY], legs[i, a, SPOT] = -size, mark, hedge * size
        wallet = 0.0 if portfolio else size * mark / leverage
        legs[i, wallet_of(world, book, a), MARGIN] += wallet
        legs[i, a, TARGET_CARRY] = capital_parts(world, assets) / assets
        store.account[i, CASH] -= hedge * size * spot_price + wallet


@jit_rare
def begin_episode(world, store, i, path, row):
    """Start an episode of environment i at the close of `row` of `path`; a negative path draws
    both.
    """
    _draw_params(world, store, i)
    p = params_of(store.params, i)
    account, legs, episode = store.account, store.legs, store.episode
    drawn = path < 0
    if drawn:
        path, row = _draw_start(world, store, i)
    account[i, CASH], account[i, EPISODE_REWARD] = p.initial_equity, 0.0
    account[i, EQUITY], account[i, EQUITY_PEAK] = p.initial_equity, p.initial_equity
    for a in range(legs.shape[1]):
        for column in range(N_LEG):
            legs[i, a, column] = 0.0
        for column in range(N_DISPLACED):
            store.displaced[i, a, column] = 0.0
        legs[i, a, TARGET_HEDGE], legs[i, a, TARGET_LEVERAGE] = p.frozen_hedge, p.frozen_leverage
    if (
        drawn
        and world.codes[RANDOM_START]
        and uniform(episode[i, SEED], episode[i, EPISODE], _DRAW_INVESTED) < p.start_invested
    ):
        _open_at_start(world, store, p, i, path, row)
    episode[i, BOOK] = _book(world, path, row)
    episode[i, PATH], episode[i, ROW], episode[i, LAST_ROW] = path, row, world.paths[path, 1] - 1
    episode[i, DECISION], episode[i, MUST_RESET] = 0, 0
    episode[i, EPISODE] += 1


@jit
def _idle_step(store, out, i):
    """A step that moves no account: nothing booked, reward 0."""
    out.reward[i] = 0.0
    for part in range(N_LEDGER):
        out.ledger[i, part] = 0.0
    for a in range(store.legs.shape[1]):
        for column in range(N_TRADE):
            out.trades[i, a, column] = 0.0


@jit
def _finish(world, store, out, i):
    """The episode of environment i has ended: keep its statistics, then reset as the autoreset mode
    says.
    """
    out.final[i, 0] = store.account[i, EPISODE_REWARD]
    out.final[i, 1] = store.episode[i, DECISION]
    out.final[i, 2] = store.account[i, EQUITY]
    if world.codes[AUTORESET] != AUTORESET_SAME_STEP:
        store.episode[i, MUST_RESET] = 1
        return
    for column in range(out.obs.shape[1]):
        out.final_obs[i, column] = out.obs[i, column]
    begin_episode(world, store, i, -1, -1)
    observe(world, store, out.obs, i)


@jit
def step_env(world, store, out, actions, i):
    """Step environment i by one decision; actions (n, ...) float32."""
    if store.episode[i, MUST_RESET]:
        _idle_step(store, out, i)
        if world.codes[AUTORESET] == AUTORESET_NEXT_STEP:
            out.terminated[i], out.truncated[i] = False, False
            begin_episode(world, store, i, -1, -1)
        observe(world, store, out.obs, i)
        return
    step_one(world, store, out, actions, i)
    store.account[i, EPISODE_REWARD] += out.reward[i]
    observe(world, store, out.obs, i)
    if out.terminated[i] or out.truncated[i]:
        _finish(world, store, out, i)


@jit
def reset_env(world, store, out, paths, rows, i):
    """Begin an episode of environment i at (paths[i], rows[i]), drawn where paths[i] is
    negative.
    """
    _idle_step(store, out, i)
    out.terminated[i], out.truncated[i] = False, False
    begin_episode(world, store, i, paths[i], rows[i])
    observe(world, store, out.obs, i)


@jit
def step_range(world, store, out, actions, first, last):
    """Step the environments first..last-1 by one decision each; actions (n, ...) float32."""
    for i in range(first, last):
        ahead = min(i + _AHEAD, last - 1)
        prefetch_row(world.bars, store.episode[ahead, ROW] + 1)
        prefetch_row(world.features, store.episode[ahead, ROW] + world.codes[DECISION_BARS])
        step_env(world, store, out, actions, i)


@jit
def reset_range(world, store, out, paths, rows, first, last):
    """Begin episodes of the environments first..last-1 at (paths, rows), drawn where paths is
    negative.
    """
    for i in range(first, last):
        reset_env(world, store, out, paths, rows, i)
