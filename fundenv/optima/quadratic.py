"""Problem B: quadratic risk and quadratic cost (Garleanu and Pedersen, Journal of Finance 2013),
one asset.

Reward of a step: x f - g S x^2 / 2 - K dx^2 / 2, f' = (1 - decay) f + shock, discounted at rate r
(r = 0: the average reward). The optimum trades a fixed share towards an aim:  x_new = (1 - a/K) x +
(a/K) aim,  aim = B f / (g S) / (1 + decay a / g).

Their convention discounts gain and risk of a step once more than its cost: with the cost K' of the
reward above, K = (1 - r) K'. S is 1 here (K in units of S).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class QuadraticProblem:
    """Risk aversion g, cost K of the reward above, decay and stationary deviation of the signal,
    discount rate r, and the cap of the position.
    """

    aversion: float = 1.0
    cost: float = 10.0
    decay: float = 0.1
    sd: float = 1.0
    discount_rate: float = 0.0
    # largest |x| that the environment offers: beyond four deviations of the optimum's position
    cap: float = 3.0


def trade_rate(aversion: float, cost: float, discount_rate: float = 0.0) -> float:
    """a = [-(g (1-r) + K r) + sqrt((g (1-r) + K r)^2 + 4 g K (1-r)^2)] / (2 (1-r)); a / K is the
    share of the way to the aim that is traded.
    """
    g, k, r = aversion, cost, discount_rate
    b = g * (1.0 - r) + k * r
    return (-b + math.sqrt(b * b + 4.0 * g * k * (1.0 - r) ** 2)) / (2.0 * (1.0 - r))


def aim_slope(aversion: float, decay: float, rate: float) -> float:
    """aim / f = 1 / g / (1 + decay a / g) for B = S = 1; rate: a."""
    return 1.0 / aversion / (1.0 + decay * rate / aversion)


def optimum(problem: QuadraticProblem) -> tuple[float, float]:
    """(share theta, slope k) of the optimum x_new = (1 - theta) x + theta k f for the reward
    above.
    """
    cost = problem.cost * (1.0 - problem.discount_rate)
    rate = trade_rate(problem.aversion, cost, problem.discount_rate)
    return rate / cost, aim_slope(problem.aversion, problem.decay, rate)


def average_reward(problem: QuadraticProblem, share: float, slope: float) -> float:
    """Average reward of a step under x_new = (1 - share) x + share slope f, from the stationary
    moments; without the cap.
    """
    phi, keep, pull = 1.0 - problem.decay, 1.0 - share, share * slope
    var_f = problem.sd**2
    # of f and the position chosen on it: cov = pull var + keep phi cov
    cov = pull * var_f / (1.0 - keep * phi)
    var_x = (pull**2 * var_f + 2.0 * keep * pull * phi * cov) / (1.0 - keep**2)
    lagged = keep * var_x + pull * phi * cov  # of two positions in a row
    return cov - 0.5 * problem.aversion * var_x - 0.5 * problem.cost * 2.0 * (var_x - lagged)


def position_sd(problem: QuadraticProblem) -> float:
    """Stationary deviation of the optimum's position."""
    share, slope = optimum(problem)
    phi, keep, pull = 1.0 - problem.decay, 1.0 - share, share * slope
    cov = pull * problem.sd**2 / (1.0 - keep * phi)
    return float(
        np.sqrt((pull**2 * problem.sd**2 + 2.0 * keep * pull * phi * cov) / (1.0 - keep**2))
    )
