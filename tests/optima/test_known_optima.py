"""The reference solutions against published numbers and against solving the same problems by brute
force.
"""

from __future__ import annotations

import math
import os

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_are
from scipy.special import dawsn

from fundenv.config import ConfigError
from fundenv.optima import leverage as c
from fundenv.optima import linear as a
from fundenv.optima import quadratic as b

CARRY = a.LinearProblem(mean=0.66, sd=0.87, cost=8.0, low=0.0)


def test_published_thresholds_and_values() -> None:
    rule = a.solve(a.LinearProblem())
    assert (rule.buy, rule.sell, rule.value) == pytest.approx((0.575, -0.575, 0.631), abs=6e-4)
    assert a.solve(CARRY) == pytest.approx((0.475, -0.842, 0.702), abs=6e-4)
    assert a.average_reward(a.LinearProblem(), 1.0, -1.0) / rule.value == pytest.approx(
        0.92, abs=0.006
    )
    assert a.average_reward(a.LinearProblem(), 2.0, -2.0) / rule.value == pytest.approx(
        0.44, abs=0.01
    )


@pytest.mark.parametrize(("phi", "error"), [(0.98, 0.003), (0.95, 0.0105), (0.90, 0.0245)])
def test_closed_form_with_the_correction_for_steps(phi: float, error: float) -> None:
    problem = a.LinearProblem(phi=phi)
    off = a.closed_form(problem) / a.solve(problem).buy - 1.0
    assert 0.5 * error < off < error


def test_without_a_cost_the_sign_of_the_signal_decides() -> None:
    rule = a.solve(a.LinearProblem(cost=0.0))
    assert rule == pytest.approx((0.0, 0.0, math.sqrt(2 / math.pi)), abs=1e-3)
    with pytest.raises(ConfigError, match="phi"):
        a.LinearProblem(phi=1.0)


def test_small_cost_and_dawson() -> None:
    for y in (0.1, 0.9, 2.5, 6.0):
        assert a.dawson(y) == pytest.approx(float(dawsn(y)), abs=1e-12)
    problem = a.LinearProblem(phi=1 - 1e-5, cost=1.0)
    volatility = problem.sd * math.sqrt(-2.0 * math.log(problem.phi))
    assert a.closed_form(problem) + 0.5826 * problem.shock == pytest.approx(
        a.small_cost(1.0, volatility), rel=1e-3
    )


def brute_force(
    signal: NDArray[np.float64],
    chain: NDArray[np.float64],
    q: NDArray[np.float64],
    cost: float,
    risk: float,
) -> tuple[float, NDArray[np.int64]]:
    """(average reward, best position (Q, N)) of all positions q (Q,) by relative value
    iteration.
    """
    value = np.zeros((len(q), len(signal)))
    pay = q[:, None] * signal - 0.5 * risk * q[:, None] ** 2
    trade = cost * np.abs(q[:, None] - q[None, :])
    for _ in range(4000):
        after = pay + value @ chain.T
        options = after[None, :, :] - trade[:, :, None]  # from, to, signal
        fresh = options.max(axis=1)
        gain = fresh - value
        value = fresh - fresh[0, 0]
        if np.ptp(gain) < 1e-10:
            break
    return float(gain.mean()), np.argmax(options, axis=1)


@pytest.mark.parametrize(
    "problem", [a.LinearProblem(), CARRY, a.LinearProblem(phi=0.9, cost=2.0, low=-0.5)], ids=str
)
def test_thresholds_and_value_are_those_of_value_iteration(problem: a.LinearProblem) -> None:
    signal, chain = a.signal_grid(problem, 201)
    positions = np.linspace(problem.low, problem.high, 5)
    value, best = brute_force(signal, chain, positions, problem.cost, 0.0)
    rule = a.solve(problem, points=201)
    assert value == pytest.approx(rule.value, abs=2e-4)
    step = signal[1] - signal[0]
    lowest_to_buy, highest_to_sell = (
        signal[(best[0] == 4).argmax()],
        signal[len(signal) - 1 - (best[4] == 0)[::-1].argmax()],
    )
    assert lowest_to_buy == pytest.approx(rule.buy, abs=step)
    assert highest_to_sell == pytest.approx(rule.sell, abs=step)
    assert set(np.unique(best[0])) == {0, 4}  # bang-bang, whatever the cap


def test_the_marginal_fixed_point_is_the_optimum_under_risk_too() -> None:
    problem, risk = a.LinearProblem(phi=0.9, cost=2.0, low=-2.0, high=2.0), 0.4
    signal, chain = a.signal_grid(problem, 121)
    step = 0.1
    positions = np.arange(-2.0, 2.0 + 1e-9, step)
    _, best = brute_force(signal, chain, positions, problem.cost, risk)
    # what one more grid step is worth is the marginal value at its middle
    between = positions[:-1] + 0.5 * step
    inner = a.nested_values(signal, chain, between, problem.cost, risk, 1.0)
    buys, sells = inner >= problem.cost, inner <= -problem.cost  # (Q - 1, N)
    for i in range(len(positions)):
        up = i + np.cumprod(buys[i:], axis=0).sum(axis=0)
        down = i - np.cumprod(sells[:i][::-1], axis=0).sum(axis=0)
        assert np.abs(best[i] - np.where(up > i, up, down)).max() <= 1


@pytest.mark.parametrize("g", [1.0, 5.0])
@pytest.mark.parametrize("k", [1.0, 20.0])
@pytest.mark.parametrize("decay", [0.02, 0.3])
@pytest.mark.parametrize("r", [0.0, 0.02])
def test_garleanu_and_pedersen_is_the_riccati_solution(
    g: float, k: float, decay: float, r: float
) -> None:
    problem = b.QuadraticProblem(aversion=g, cost=k, decay=decay, discount_rate=r)
    root = math.sqrt(1.0 - r if r else 1.0 - 1e-12)
    dynamics, control = (
        root * np.array([[1.0, 0.0], [0.0, 1.0 - decay]]),
        root * np.array([[1.0], [0.0]]),
    )
    # the reward of the position after the trade u: (x + u) f - g/2 (x + u)^2 - k/2 u^2, as a cost
    state, cross, own = (
        np.array([[g, -1.0], [-1.0, 0.0]]) / 2,
        np.array([[g], [-1.0]]) / 2,
        np.array([[g + k]]) / 2,
    )
    p = solve_discrete_are(dynamics, control, state, own, s=cross)
    gain = np.linalg.solve(own + control.T @ p @ control, control.T @ p @ dynamics + cross.T)[0]
    share, slope = b.optimum(problem)
    assert (share, share * slope) == pytest.approx((gain[0], -gain[1]), rel=1e-6)


def test_no_linear_rule_earns_more_than_the_quadratic_optimum_and_a_simulation_earns_the_same() -> (
    None
):
    problem = b.QuadraticProblem()
    share, slope = b.optimum(problem)
    best = b.average_reward(problem, share, slope)
    for ds, dk in ((0.02, 0.0), (-0.02, 0.0), (0.0, 0.05), (0.0, -0.05)):
        assert b.average_reward(problem, share + ds, slope + dk) < best
    rng = np.random.default_rng(0)
    f, x, total = rng.standard_normal(20_000), np.zeros(20_000), 0.0
    for step in range(400):
        new = (1 - share) * x + share * slope * f
        if step >= 100:
            total += (
                float((new * f - 0.5 * new**2 - 0.5 * problem.cost * (new - x) ** 2).mean()) / 300
            )
        x, f = (
            new,
            (1 - problem.decay) * f
            + math.sqrt(1 - (1 - problem.decay) ** 2) * rng.standard_normal(20_000),
        )
    assert total == pytest.approx(best, rel=0.01)
    assert x.std() == pytest.approx(b.position_sd(problem), rel=0.02)


def rises(marks: pd.DataFrame, hours: int) -> NDArray[np.float64]:
    """Highest mark of every window of `hours` hours over its open, less 1."""
    high = marks["high"].rolling(hours).max().to_numpy()[hours - 1 :]
    return np.asarray(high / marks["open"].to_numpy()[: len(high)] - 1.0)


@pytest.mark.skipif(
    "FUNDENV_DATA" not in os.environ, reason="FUNDENV_DATA names no folder of real data"
)
def test_best_leverage_on_the_history_of_bitcoin() -> None:
    marks = pd.read_parquet(f"{os.environ['FUNDENV_DATA']}/binance_BTCUSDT_mark_1h.parquet")
    marks = marks[(marks["time"] >= "2020-01-01") & (marks["time"] < "2025-01-01")].reset_index(
        drop=True
    )
    leverages = list(range(1, 16))
    yearly = {}
    for hours, best in ((8, (5,)), (24, (4,)), (168, (2, 3))):
        found, values = c.best_leverage(
            leverages, rises(marks, hours), c.BTC_FUNDING * hours / 8, c.BTC_LOSS, 0.005
        )
        yearly[hours] = 100.0 * values * 8760 / hours
        assert found in best
    # leverage 5, 3 and 10, per cent a year
    assert yearly[8][[4, 2, 9]] == pytest.approx([5.9, 5.4, -1.3], abs=0.1)
    limits = c.distance(np.arange(1.0, 11.0), 0.005)
    assert (rises(marks, 8)[:, None] > limits).mean(axis=0) == pytest.approx(c.BTC_SHARES, abs=5e-7)


def test_the_environment_of_problem_c_has_the_best_leverage_of_history() -> None:
    best, values = c.solve(c.LeverageProblem())
    assert best == 5.0
    assert values.argmax() == 4
    assert values[9] < 0
