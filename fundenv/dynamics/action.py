"""From an action row to (hold, carry, hedge, leverage) of one asset."""

import math

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.types import (
    ACTION_CONTINUOUS,
    ACTION_DECODED,
    ACTION_MODE,
    ACTION_TARGET,
    ACTION_WIDTH,
    FREE_DIALS,
    GRID_CARRY,
    GRID_KEEPER,
    KEEPER_DOWN,
    KEEPER_UP,
)
from fundenv.dynamics.vector_math import exp_of

# the keeper's dial spans these factors of the target, on a log scale
KEEPER_LEAST, KEEPER_MOST = 1.05, 5.0
_KEEPER_SPAN = math.log(KEEPER_MOST / KEEPER_LEAST)


@jit
def dial_of(x):
    """A number of the action, clipped to [-1, 1]."""
    return min(max(float(x), -1.0), 1.0)


@jit
def hedge_of(x):
    """Hedge dial in [-1, 1] to hedge ratio: -1 -> 0, 0 -> 1 (delta-neutral), +1 -> 1.5, linear
    between.
    """
    return 1.0 + (x if x < 0.0 else 0.5 * x)


@jit
def leverage_of(x, max_leverage):
    """Leverage dial in [-1, 1] to leverage on a log scale: -1 -> 1, +1 -> max_leverage."""
    return leverage_at(x, math.log(max_leverage))


@jit
def leverage_at(x, log_max):
    """`leverage_of` where the logarithm of the maximum is known."""
    return exp_of(0.5 * (1.0 + x) * log_max)


@jit
def dial_value(world, dial, x, max_leverage):
    """Physical value of one free dial (0 carry, 1 hedge, 2 leverage) from its action entry: a grid
    index or a number in [-1, 1].
    """
    if world.codes[ACTION_MODE] != ACTION_CONTINUOUS:
        last = world.codes[GRID_CARRY + dial] - 1
        return world.grids[dial, min(max(int(x), 0), last)]
    x = dial_of(x)
    if dial == 0:
        return x
    return hedge_of(x) if dial == 1 else leverage_of(x, max_leverage)


@jit
def decode(world, p, actions, i, a):
    """(hold, carry, hedge, leverage) that action row i asks of asset a.

    actions: (n, A x entries per asset) float32; `target` has four entries (hold flag > 0.5, carry,
    hedge, leverage), clipped to their limits; `discrete` starts with the gate (0 = hold, then the
    carry grid; {hold, trade} where carry is frozen), then one entry per other free dial;
    `continuous` has one entry per free dial.
    """
    codes = world.codes
    mode, free = codes[ACTION_MODE], codes[FREE_DIALS]
    at = a * codes[ACTION_WIDTH]
    if mode == ACTION_TARGET:
        carry = min(max(float(actions[i, at + 1]), -1.0), 1.0)
        hedge = min(max(float(actions[i, at + 2]), 0.0), 1.5)
        leverage = min(max(float(actions[i, at + 3]), 1.0), p.max_leverage)
        return actions[i, at] > 0.5, carry, hedge, leverage
    if mode == ACTION_DECODED:
        return actions[i, 0] > 0.5, 1.0 * actions[i, 1], 1.0 * actions[i, 2], 1.0 * actions[i, 3]
    carry, hedge, leverage = p.frozen_carry, p.frozen_hedge, p.frozen_leverage
    gate = 0.0
    hold = False
    if mode != ACTION_CONTINUOUS:
        hold = actions[i, at] < 0.5
        gate = 1.0
    if free & 1:
        carry = dial_value(world, 0, actions[i, at] - gate, p.max_leverage)
    if mode != ACTION_CONTINUOUS or free & 1:
        at += 1
    if free & 2:
        hedge = dial_value(world, 1, actions[i, at], p.max_leverage)
        at += 1
    if free & 4:
        leverage = dial_value(world, 2, actions[i, at], p.max_leverage)
    return hold, carry, hedge, leverage


@jit_rare
def set_keeper(world, store, actions, i):
    """Let the last entry of action row i set the keeper of environment i, from this step on.

    `keeper_up` is that entry (target actions, 1 .. 100), a value of its grid, or 1.05 .. 5 on a log
    scale; `keeper_down` is 1 / keeper_up^2, as the two defaults are.
    """
    mode, x = world.codes[ACTION_MODE], float(actions[i, actions.shape[1] - 1])
    if mode == ACTION_TARGET:
        up = min(max(x, 1.0), 100.0)
    elif mode == ACTION_CONTINUOUS:
        up = KEEPER_LEAST * exp_of(0.5 * (1.0 + min(max(x, -1.0), 1.0)) * _KEEPER_SPAN)
    else:
        up = world.grids[3, min(max(int(x), 0), world.codes[GRID_KEEPER] - 1)]
    store.params[i, KEEPER_UP], store.params[i, KEEPER_DOWN] = up, 1.0 / (up * up)
