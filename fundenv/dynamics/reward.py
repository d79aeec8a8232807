"""Reward of one step, chosen by code. All are in thousandths of log growth per step."""

import math

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.types import (
    EXPECTED_PNL,
    N_PARTS,
    PERP_PNL,
    REWARD,
    REWARD_EXPECTED,
    REWARD_MEAN_VARIANCE,
    SPOT_PNL,
)
from fundenv.dynamics.vector_math import NEAR, log_of_ratio

SCALE = 1000.0
# equity below this fraction of the initial one is rewarded as if it stood there: ruin costs
# ln(0.01), not infinity
LOG_FLOOR = 0.01


@jit_rare
def _far_growth(world, store, out, i, before, after, cash_growth):
    """Write `_growth` of equities that are far from each other."""
    out.reward[i] = SCALE * (math.log(after / before) - cash_growth)


@jit
def _growth(world, store, out, i, before, after, floor, cash_growth):
    """Write 1000 (ln(max(after, floor) / max(before, floor)) - cash_growth); cash_growth: cash rate
    x years of the step.
    """
    before, after = max(before, floor), max(after, floor)
    out.reward[i] = SCALE * (log_of_ratio(after, before) - cash_growth)
    if not abs(after - before) <= NEAR * (after + before):
        _far_growth(world, store, out, i, before, after, cash_growth)


@jit
def write_reward(world, store, out, p, i, before, after, years, forced):
    """Write the reward of environment i from its equity before and after the step [quote] and the
    ledger of the step.

    mean_variance subtracts gamma/2 x (price profit / equity)^2. expected replaces the move of the
    basis by its conditional mean, so that training sees less noise; a step with a liquidation or
    ruin (`forced`) counts as it was realised, and so does every evaluation.
    """
    cash_growth = p.cash_rate * years
    if world.codes[REWARD] == REWARD_EXPECTED and not forced:
        total = out.ledger[i, EXPECTED_PNL] - out.ledger[i, SPOT_PNL] - out.ledger[i, PERP_PNL]
        for part in range(N_PARTS):
            total += out.ledger[i, part]
        out.reward[i] = SCALE * (math.log(max(1.0 + total / before, LOG_FLOOR)) - cash_growth)
        return
    _growth(world, store, out, i, before, after, LOG_FLOOR * p.initial_equity, cash_growth)
    if world.codes[REWARD] == REWARD_MEAN_VARIANCE:
        noise = (out.ledger[i, SPOT_PNL] + out.ledger[i, PERP_PNL]) / before
        out.reward[i] -= SCALE * 0.5 * p.risk_aversion * noise * noise
