"""Reward of one step, chosen by code. All are in thousandths of log growth per step."""

import math

from fundenv.dynamics.jit import jit
from fundenv.dynamics.types import (
    EXPECTED_PNL,
    N_PARTS,
    PERP_PNL,
    REWARD,
    REWARD_EXPECTED,
    REWARD_MEAN_VARIANCE,
    SPOT_PNL,
)

SCALE = 1000.0
LOG_FLOOR = 0.01  # equity below this fraction of the initial one is rewarded as if it stood there: ruin costs ln(0.01), not infinity


@jit
def log_growth(before, after, floor, cash_growth):
    """1000 (ln(max(after, floor) / max(before, floor)) - cash_growth); cash_growth: cash rate x years of the step."""
    return SCALE * (math.log(max(after, floor) / max(before, floor)) - cash_growth)


@jit
def reward_of(world, out, p, i, before, after, years, forced):
    """Reward of environment i from its equity before and after the step [quote] and the ledger of the step.

    mean_variance subtracts gamma/2 x (price profit / equity)^2. expected replaces the move of the basis by its conditional mean, so that training
    sees less noise; a step with a liquidation or ruin (`forced`) counts as it was realised, and so does every evaluation.
    """
    cash_growth = p.cash_rate * years
    if world.codes[REWARD] == REWARD_EXPECTED and not forced:
        total = out.ledger[i, EXPECTED_PNL] - out.ledger[i, SPOT_PNL] - out.ledger[i, PERP_PNL]
        for part in range(N_PARTS):
            total += out.ledger[i, part]
        return SCALE * (math.log(max(1.0 + total / before, LOG_FLOOR)) - cash_growth)
    growth = log_growth(before, after, LOG_FLOOR * p.initial_equity, cash_growth)
    if world.codes[REWARD] == REWARD_MEAN_VARIANCE:
        noise = (out.ledger[i, SPOT_PNL] + out.ledger[i, PERP_PNL]) / before
        return growth - SCALE * 0.5 * p.risk_aversion * noise * noise
    return growth
