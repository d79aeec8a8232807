"""The solvable problems as markets and settings of the one environment: the same kernel and the
same adapters; nothing is computed by a copy.

Growth of equity is so small that the log, the compounding and the drift of a held position vanish
(a unit of the problem is 1e-6 of the notional). The environment's reward over `unit` is then the
reward of the problem, to a relative 1e-3 of its unit or better. Except in C the spot price is
always 1.

A, `linear`: a decision spans two bars. Orders fill at the open of the first bar (a fee of `cost` on
the perpetual). At the open of the second the signal of the decision is settled as funding. Reward
noise is a random walk of the perpetual's price, which no policy can predict; with
`reward="expected"` it is left out.
B, `quadratic`: the same with the reward `mean_variance`, which charges the square of the price
profit. The perpetual's price changes by delta before the orders fill and returns after. So a price
profit delta (x - x_before) charges the square of the trade; a change by +-sigma after that charges
the square of the position. Funding returns both price profits, so that only their squares remain.
The sign of sigma is random, so their product is noise.
C, `leverage`: a decision spans ten bars, in which the price may rise in steps; at each step one
more leverage is liquidated. Then the price falls back, and funding is settled. The spot leg of a
liquidated account is sold at the next open, at the price of its step and at a stressed cost: the
loss. To open the position again costs a hundredth of that.
D, `impact`: as A, without fee. Impact grows in proportion to the order, a share of it never fades
(`impact_half_life=None`), and the settled rate follows the premium that the account displaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from fundenv.config import ConfigError
from fundenv.market import Market
from fundenv.optima import impact as d
from fundenv.optima import leverage as c
from fundenv.optima import linear as a
from fundenv.optima import quadratic as b
from fundenv.optima import solvable_problems as problems
from fundenv.optima.solvable_market import Array


@dataclass(frozen=True, kw_only=True)
class Solvable:
    """A problem, its market and settings in the environment, and its optimum.

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
    problem = kind(**numbers)
    made: problems.Made = make(
        problem, paths, decisions, generator, *([noise] if name == "linear" else [])
    )
    return Solvable(name=name, problem=problem, **made._asdict())


def problem_numbers(name: str) -> tuple[str, ...]:
    """Names of the numbers that `solvable(name)` takes."""
    if name not in _MAKERS:
        raise ConfigError(f"problem = {name!r} is not one of {', '.join(_MAKERS)}")
    return ("paths", "decisions", "seed", "noise", *(f.name for f in fields(_MAKERS[name][0])))


_MAKERS: dict[str, tuple[Any, Any]] = {
    "linear": (a.LinearProblem, problems.linear),
    "quadratic": (b.QuadraticProblem, problems.quadratic),
    "leverage": (c.LeverageProblem, problems.leverage),
    "impact": (d.ImpactProblem, problems.impact),
}
