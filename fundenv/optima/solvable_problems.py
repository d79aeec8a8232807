"""The four solvable problems, each as a market and settings of the environment;
`fundenv.optima.solvable` describes their bars.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fundenv.config import ConfigError
from fundenv.market import Market, layout
from fundenv.optima import impact as d
from fundenv.optima import leverage as c
from fundenv.optima import linear as a
from fundenv.optima import quadratic as b
from fundenv.optima.solvable_market import (
    move_perpetual,
    move_together,
    settle,
    signal_market,
    stationary_signal,
    still_bars,
)

VENUE = str(Path(__file__).with_name("solvable.toml"))
UNIT = 1e-6  # of the notional: growth that one unit of the problem's reward stands for
_WEIGHT = 0.5  # notional over equity of full carry, at leverage 1
_AVERSION = (
    1e6  # gamma of mean_variance: the largest, so that the moves that are charged are smallest
)
_STRESS = 100.0
_LOSS_BP = 2.16  # half-spread of the venue on spot, times the stress: 2.16 %

_FREE: dict[str, Any] = {
    "venue": VENUE,
    "initial_equity": 10_000.0,
    "cash_rate": 0.0,
    "quote_borrow_rate": 0.0,
    "base_borrow_rate": 0.0,
    "base_supply": 0.0,
    "spot_fee": 0.0,
    "perp_fee": 0.0,
    "keeper_interval": None,
    "rebalance_band": 0.0,
    "max_participation": 0.0,
    "ruin_fraction": 0.0,
    "hedge": 1.0,
}


class Made(NamedTuple):
    """A problem in the environment; the fields are those of `fundenv.optima.solvable.Solvable`."""

    market: Market
    settings: dict[str, Any]
    unit: float
    cap: float
    optimum: float


def linear(
    problem: a.LinearProblem,
    paths: int,
    decisions: int,
    generator: np.random.Generator,
    noise: float,
) -> Made:
    """A: a fee in proportion to the trade; `noise`: of the reward of full carry."""
    x = stationary_signal(generator, paths, decisions, problem.phi, problem.mean, problem.sd)
    cap = max(abs(problem.low), abs(problem.high))
    moves = noise / cap * UNIT * generator.standard_normal(x.shape)
    bars = still_bars(paths, decisions, 2)
    move_perpetual(bars, np.zeros_like(x), moves)
    settle(bars[:, 2::2], UNIT * x)
    settings = _FREE | {
        "decision_interval": "2h",
        "dials": ("carry",),
        "leverage": 1.0,
        "perp_fee": problem.cost * UNIT,
        "carry_grid": tuple(sorted({problem.low / cap, 0.0, problem.high / cap})),
    }
    market = signal_market(bars, x, 2, "LINEAR", problem.sd)
    unit = 1000.0 * _WEIGHT * UNIT / cap
    return Made(
        market=market,
        settings=settings,
        unit=unit,
        cap=cap,
        optimum=a.solve(problem).value,
    )


def quadratic(
    problem: b.QuadraticProblem, paths: int, decisions: int, generator: np.random.Generator
) -> Made:
    """B: the squares of trade and position are charged."""
    f = stationary_signal(generator, paths, decisions, 1.0 - problem.decay, 0.0, problem.sd)
    cap = problem.cap
    per_square = UNIT * cap**2 / (_AVERSION * _WEIGHT)  # gamma/2 (w/cap move)^2 = w UNIT/2 K
    delta = np.full(f.shape, np.sqrt(per_square * problem.cost))
    sigma = np.sqrt(per_square * problem.aversion) * generator.choice([-1.0, 1.0], f.shape)
    bars = still_bars(paths, decisions, 2)
    move_perpetual(bars, delta, sigma)
    settle(bars[:, 1::2], delta)
    settle(bars[:, 2::2], UNIT * cap * f - delta + sigma)
    settings = _FREE | {
        "decision_interval": "2h",
        "dials": ("carry",),
        "leverage": 1.0,
        "reward": "mean_variance",
        "risk_aversion": _AVERSION,
        "carry_grid": tuple(np.linspace(-1.0, 1.0, 21).tolist()),
    }
    market = signal_market(bars, f, 2, "QUADRATIC", problem.sd)
    value = b.average_reward(problem, *b.optimum(problem))
    return Made(
        market=market,
        settings=settings,
        unit=1000.0 * _WEIGHT * UNIT,
        cap=cap,
        optimum=value,
    )


def leverage(
    problem: c.LeverageProblem, paths: int, decisions: int, generator: np.random.Generator
) -> Made:
    """C: leverages that a rise of the price liquidates."""
    if (
        any(
            later < earlier
            for earlier, later in zip(problem.shares, problem.shares[1:], strict=False)
        )
        or problem.loss > 0.1
    ):
        raise ConfigError(
            f"shares = {problem.shares}, loss = {problem.loss}: expected shares that do not fall,"
            " and a loss up to 0.1"
        )
    # the highest leverage fails first
    rungs = c.distance(problem.leverages, problem.maintenance)[::-1] + 1e-9
    climbed = (
        generator.random((paths, decisions))[..., None] < np.array(problem.shares)[::-1]
    ).sum(axis=-1)
    stride = len(rungs) + 2
    bars = still_bars(paths, decisions, stride)
    levels = np.r_[1.0, 1.0 + rungs]
    for k in range(len(rungs)):
        bar = bars[:, 1 + k :: stride]
        opened, closed = levels[np.minimum(climbed, k)], levels[np.minimum(climbed, k + 1)]
        move_together(bar, opened, closed)
    move_together(bars[:, 1 + len(rungs) :: stride], levels[climbed], np.ones(climbed.shape))
    settle(bars[:, stride::stride], np.full(climbed.shape, problem.funding))
    settings = _FREE | {
        "decision_interval": f"{stride}h",
        "dials": ("leverage",),
        "actions": "discrete",
        "max_leverage": float(problem.leverages[-1]),
        "leverage": 1.0,
        "leverage_grid": tuple(problem.leverages.tolist()),
        "stress_multiplier": _STRESS,
        "cost_scale": problem.loss / (1e-4 * _LOSS_BP * _STRESS),
    }
    market = signal_market(bars, np.zeros(climbed.shape), stride, "LEVERAGE", 1.0)
    value = float(c.solve(problem)[1].max()) * 1000.0
    return Made(
        market=market,
        settings=settings,
        unit=1.0,
        cap=1.0,
        optimum=value,
    )


def impact(
    problem: d.ImpactProblem, paths: int, decisions: int, generator: np.random.Generator
) -> Made:
    """D: an impact that never fades, and funding that follows it."""
    if min(problem.permanent, problem.temporary, problem.response) <= 0:
        raise ConfigError(
            f"permanent = {problem.permanent}, temporary = {problem.temporary}, response ="
            f" {problem.response}: expected numbers above 0"
        )
    f = stationary_signal(generator, paths, decisions, 1.0 - problem.decay, 0.0, problem.sd)
    bars, size = still_bars(paths, decisions, 2), _WEIGHT * _FREE["initial_equity"] / problem.cap
    # k of the specification, 8.7: the square of a trade on both legs is 2 k (size dx)^2
    per_volume = (problem.temporary + problem.permanent) * UNIT * problem.cap / (4.0 * size)
    sigma = float(bars[0, 0, layout.SIGMA_DAY])
    bars[..., [layout.SPOT_DAY_VOLUME, layout.PERP_DAY_VOLUME]] = sigma / per_volume
    settle(bars[:, 2::2], UNIT * problem.cap * f)
    settings = _FREE | {
        "decision_interval": "2h",
        "dials": ("carry",),
        "leverage": 1.0,
        "impact_exponent": 1.0,
        "impact_lasting": problem.lasting,
        "impact_half_life": None,
        "funding_response": problem.response,
        "carry_grid": tuple(np.linspace(-1.0, 1.0, 21).tolist()),
    }
    return Made(
        market=signal_market(bars, f, 2, "IMPACT", problem.sd),
        settings=settings,
        unit=1000.0 * _WEIGHT * UNIT,
        cap=problem.cap,
        optimum=b.average_reward(problem.reduced, *b.optimum(problem.reduced)),
    )
