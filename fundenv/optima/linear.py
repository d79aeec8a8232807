"""Problem A: a mean-reverting signal, a linear cost, a capped position. Reward of a step: q x - c
|q - q_before| - lambda q^2 / 2.

For any Markov signal and each q the marginal value p of holding one unit more solves

    p(x, q) = clip( x - lambda q + delta E[p(x', q) | x], -c, +c ),

and the optimum buys from q where x - lambda q + delta E[p] >= c and sells where it is <= -c. With
lambda = 0 there is one pair of thresholds, whatever the cap (de Lataillade et al., arXiv
1203.5957). Signals and costs in one unit; all per step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv.config import ConfigError

Array = NDArray[np.float64]
_DEVIATIONS, _POINTS = 6.0, 801
# -zeta(1/2) / sqrt(2 pi): a threshold watched at instants lies this many steps of the signal beyond
# that of a watched path
_CONTINUITY = 0.5826


@dataclass(frozen=True, kw_only=True)
class LinearProblem:
    """x' = mean + phi (x - mean) + sd sqrt(1 - phi^2) eps; position between low and high; cost per
    unit traded. Default: the published case.
    """

    phi: float = 0.98
    mean: float = 0.0
    sd: float = 1.0  # of the signal, stationary
    cost: float = 5.0
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (
            0.0 < self.phi < 1.0 and self.sd > 0.0 and self.cost >= 0.0 and self.low < self.high
        ):
            raise ConfigError(
                f"{self}: expected phi between 0 and 1, sd > 0, cost >= 0 and low < high"
            )

    @property
    def shock(self) -> float:
        """Standard deviation of one step's shock."""
        return self.sd * math.sqrt(1.0 - self.phi**2)


class Thresholds(NamedTuple):
    """Buy at signals from `buy` on, sell at signals up to `sell`, else keep; `value` is the average
    reward of a step.
    """

    buy: float
    sell: float
    value: float


def transition(grid: Array, mean: Array, sd: float) -> Array:
    """(N, N) probabilities of an ascending grid's cells for a normal variable with means (N,) and
    deviation sd; row: from.
    """
    edges = np.r_[-np.inf, 0.5 * (grid[1:] + grid[:-1]), np.inf]
    below = _normal_cdf((edges[None, :] - mean[:, None]) / sd)
    return np.diff(below, axis=1)


_erf = np.vectorize(math.erf, otypes=[float])


def _normal_cdf(z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + _erf(z / math.sqrt(2.0))))


def signal_grid(problem: LinearProblem, points: int = _POINTS) -> tuple[Array, Array]:
    """(grid (N,), transition (N, N)) of the signal, over six deviations to either side."""
    grid = problem.mean + problem.sd * np.linspace(-_DEVIATIONS, _DEVIATIONS, points)
    return grid, transition(grid, problem.mean + problem.phi * (grid - problem.mean), problem.shock)


def marginal_value(
    signal: Array,
    chain: Array,
    buy: float,
    sell: float,
    discount: float = 1.0,
    tolerance: float = 1e-11,
) -> Array:
    """x + delta E[p] (N,): what one unit more is worth where it is held, by the fixed point, for
    the reward `signal` (N,) of a Markov chain (N, N).

    buy, sell: cost of one unit bought and sold, not negative and not both 0 (with discount 1); buy
    where the result >= buy, sell where <= -sell.
    """
    value = np.clip(signal, -sell, buy)
    while True:
        inner = signal + discount * (chain @ value)
        after = np.clip(inner, -sell, buy)
        change = float(np.abs(after - value).max())
        value = after
        if change <= tolerance * max(buy, sell):
            return np.asarray(signal + discount * (chain @ value))


def crossing(signal: Array, inner: Array, level: float) -> float:
    """Signal at which an increasing `inner` reaches the level, linear between points; -inf or inf
    where it always or never does.
    """
    if inner[0] >= level:
        return -math.inf
    if inner[-1] < level:
        return math.inf
    return float(np.interp(level, inner, signal))


@cache
def solve(problem: LinearProblem, discount: float = 1.0, points: int = _POINTS) -> Thresholds:
    """Thresholds and average reward of the optimum; delta = 1 maximises the average reward
    itself.
    """
    grid, chain = signal_grid(problem, points)
    inner = marginal_value(grid, chain, problem.cost, problem.cost, discount)
    buy, sell = crossing(grid, inner, problem.cost), crossing(grid, inner, -problem.cost)
    return Thresholds(buy, sell, average_reward(problem, buy, sell, points))


def average_reward(problem: LinearProblem, buy: float, sell: float, points: int = _POINTS) -> float:
    """Average reward a step of the rule: `high` from `buy` on, `low` up to `sell`, else as before
    (any rule of this form, optimal or not).
    """
    grid, chain = signal_grid(problem, points)
    half = 0.5 * (grid[1] - grid[0])
    # share of each cell in which the rule buys
    up = np.clip((grid + half - buy) / (2 * half), 0.0, 1.0)
    down = np.clip((sell - grid + half) / (2 * half), 0.0, 1.0)
    # joint probability of the cell and of holding `high` before the decision
    is_high = np.full(points, 0.5 / points)
    is_low = is_high.copy()
    for _ in range(100_000):
        bought, sold = is_low * up, is_high * down
        high, low = is_high + bought - sold, is_low - bought + sold
        next_high, next_low = high @ chain, low @ chain
        change = float(np.abs(next_high - is_high).sum() + np.abs(next_low - is_low).sum())
        is_high, is_low = next_high, next_low
        if change < 1e-12:
            break
    traded = (problem.high - problem.low) * float(bought.sum() + sold.sum())
    return float(problem.high * (high @ grid) + problem.low * (low @ grid)) - problem.cost * traded


def dawson(y: float) -> float:
    """Dawson's integral exp(-y^2) int_0^y exp(t^2) dt, by Gauss-Legendre (64 points)."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    t = 0.5 * y * (nodes + 1.0)
    return float(0.5 * y * (weights * np.exp(t**2 - y**2)).sum())


def closed_form(problem: LinearProblem) -> float:
    """The threshold for mean 0 and a symmetric cap: y - Dawson(y) = kappa c / (s sqrt 2), kappa =
    -ln phi; q0 = y s sqrt 2 less 0.5826 shocks.

    Exact for a path watched without pause; the correction for steps leaves 0.3 % at phi .98, 1 % at
    .95, 2.4 % at .90.
    """
    level = -math.log(problem.phi) * problem.cost / (problem.sd * math.sqrt(2.0))
    low, high = 0.0, 10.0 + level
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if middle - dawson(middle) < level else (low, middle)
    return low * problem.sd * math.sqrt(2.0) - _CONTINUITY * problem.shock


def small_cost(cost: float, volatility: float) -> float:
    """Threshold for a small cost: (1.5 c sigma^2)^(1/3), sigma the volatility of the signal (Martin
    and Schoeneborn, arXiv 1103.4934).
    """
    return float((1.5 * cost * volatility**2) ** (1.0 / 3.0))


def nested_values(
    signal: Array, chain: Array, positions: Array, cost: float, risk: float, discount: float
) -> Array:
    """x - lambda q + delta E[p(x', q)] (Q, N) for every position (Q,): the optimum buys from q
    where it is >= c and sells where it is <= -c.
    """
    return np.stack(
        [marginal_value(signal - risk * q, chain, cost, cost, discount) for q in positions]
    )
