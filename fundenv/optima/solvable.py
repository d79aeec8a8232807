"""The solvable problems as markets and settings of the one environment: the same kernel, the same
adapters, nothing played by a copy.

Growth of equity is made so small that the log, the compounding and the drift of a held position
vanish (a unit of the problem is 1e-6 of the notional); the environment's reward over `unit` is then
the reward of the problem to a relative 1e-3 of its unit or better. Spot stands still at 1.

A, `linear`: a decision spans two bars. Orders fill at the open of the first (a fee of `cost` on the
perpetual); at the open of the second the signal
    seen at the decision is settled as funding. Reward noise is a random walk of the perpetual's
    price, which nobody can predict; with `reward="expected"` it is left out.
B, `quadratic`: the same with the reward `mean_variance`, which charges the square of the price
profit. The perpetual gaps by delta before the orders fill and
    comes back after, so that a price profit delta (x - x_before) charges the square of the trade; a
    move of +-sigma after that charges the square of the position. Funding returns both price
    profits, so that only their squares remain; the sign of sigma is random, so their product is
    noise.
C, `leverage`: a decision spans ten bars, in which the price may climb over rungs, each where one
more leverage is liquidated; it then falls back, and
    funding is settled. The spot leg of a liquidated account is sold at the open after, on its rung,
    at a stressed cost: the loss. Taking up the position again costs a hundredth of that.
D, `impact`: as A, without fee. Impact grows in proportion to the order, a share of it never fades
(`impact_half_life=None`), and the settled rate follows the premium that the account displaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from fundenv.config import ConfigError
from fundenv.market import Market, layout
from fundenv.optima import impact as d
from fundenv.optima import leverage as c
from fundenv.optima import linear as a
from fundenv.optima import quadratic as b
from fundenv.optima.solvable_market import (
    Array,
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


@dataclass(frozen=True, kw_only=True)
class Solvable:
    """A problem, how the environment plays it, and its optimum.

    Attributes:
        name: linear, quadratic, leverage or impact. problem: its numbers. market: its market; the
        observation `signal` is what the optimum decides on (constant in `leverage`). settings:
        `EnvConfig` fields. unit: reward of the environment for one unit of the problem's reward.
        cap: position of the problem at full carry. optimum: the highest average reward of a
        decision, in units of the problem.
    """

    name: str
    problem: Any
    market: Market
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    unit: float
    cap: float
    optimum: float

    def best(self, signal: Array, position: Array) -> Array:
        """The optimum's next position (n,) from the signal and the position before, or its
        leverage.
        """
        if self.name == "linear":
            rule = a.solve(self.problem)
            return np.where(
                signal >= rule.buy,
                self.problem.high,
                np.where(signal <= rule.sell, self.problem.low, position),
            )
        if self.name in ("quadratic", "impact"):
            square = self.problem if self.name == "quadratic" else self.problem.reduced
            share, slope = b.optimum(square)
            return np.clip((1.0 - share) * position + share * slope * signal, -self.cap, self.cap)
        return np.full(np.shape(signal), c.solve(self.problem)[0])


def solvable(
    name: str,
    *,
    paths: int = 64,
    decisions: int = 500,
    seed: int = 0,
    noise: float = 0.0,
    **numbers: Any,
) -> Solvable:
    """The problem `name` with `numbers` (fields of its problem class), on `paths` paths of
    `decisions` decisions drawn with `seed`.

    noise: standard deviation of the reward noise of full carry, in units of the problem (`linear`
    only). Raises `ConfigError` naming what is wrong.
    """
    if name not in _MAKERS:
        raise ConfigError(f"problem = {name!r} is not one of {', '.join(_MAKERS)}")
    kind, make = _MAKERS[name]
    known = [f.name for f in fields(kind)]
    for key in numbers:
        if key not in known:
            raise ConfigError(f"problem {name} has no number {key!r}; it has {', '.join(known)}")
    if noise and name != "linear":
        raise ConfigError(
            f"noise = {noise!r}: only the problem linear has reward noise; leave it at 0"
        )
    if paths < 1 or decisions < 2:
        raise ConfigError(f"paths = {paths}, decisions = {decisions}: expected at least 1 and 2")
    generator = np.random.default_rng(seed)
    made: Solvable = make(
        kind(**numbers), paths, decisions, generator, *([noise] if name == "linear" else [])
    )
    return made


def problem_numbers(name: str) -> tuple[str, ...]:
    """Names of the numbers that `solvable(name)` takes."""
    if name not in _MAKERS:
        raise ConfigError(f"problem = {name!r} is not one of {', '.join(_MAKERS)}")
    return ("paths", "decisions", "seed", "noise", *(f.name for f in fields(_MAKERS[name][0])))


def _linear(
    problem: a.LinearProblem,
    paths: int,
    decisions: int,
    generator: np.random.Generator,
    noise: float,
) -> Solvable:
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
    return Solvable(
        name="linear",
        problem=problem,
        market=market,
        settings=settings,
        unit=unit,
        cap=cap,
        optimum=a.solve(problem).value,
    )


def _quadratic(
    problem: b.QuadraticProblem, paths: int, decisions: int, generator: np.random.Generator
) -> Solvable:
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
    return Solvable(
        name="quadratic",
        problem=problem,
        market=market,
        settings=settings,
        unit=1000.0 * _WEIGHT * UNIT,
        cap=cap,
        optimum=value,
    )


def _leverage(
    problem: c.LeverageProblem, paths: int, decisions: int, generator: np.random.Generator
) -> Solvable:
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
    return Solvable(
        name="leverage",
        problem=problem,
        market=market,
        settings=settings,
        unit=1.0,
        cap=1.0,
        optimum=value,
    )


def _impact(
    problem: d.ImpactProblem, paths: int, decisions: int, generator: np.random.Generator
) -> Solvable:
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
    return Solvable(
        name="impact",
        problem=problem,
        market=signal_market(bars, f, 2, "IMPACT", problem.sd),
        settings=settings,
        unit=1000.0 * _WEIGHT * UNIT,
        cap=problem.cap,
        optimum=b.average_reward(problem.reduced, *b.optimum(problem.reduced)),
    )


_MAKERS: dict[str, tuple[Any, Any]] = {
    "linear": (a.LinearProblem, _linear),
    "quadratic": (b.QuadraticProblem, _quadratic),
    "leverage": (c.LeverageProblem, _leverage),
    "impact": (d.ImpactProblem, _impact),
}
