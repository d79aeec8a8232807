"""The environments of the solvable problems pay what the problem pays, and their optimum earns what
the reference says.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

import fundenv  # noqa: F401  registers the environments
from fundenv.config import ConfigError
from fundenv.envs.solvable import SolvableVectorEnv
from fundenv.optima import leverage, linear, quadratic
from fundenv.optima.impact import ImpactProblem
from fundenv.optima.solvable import Solvable, solvable

IDS = {
    "linear": "fundenv/SolvableCarry-v0",
    "quadratic": "fundenv/SolvableCarry-Quadratic-v0",
    "leverage": "fundenv/SolvableCarry-Leverage-v0",
    "impact": "fundenv/SolvableCarry-Impact-v0",
}


def signals(env: SolvableVectorEnv) -> NDArray[np.float64]:
    """The signal of every path at every decision, (P, T)."""
    market, batch = env.solvable.market, env.batch
    rows = np.stack(
        [np.arange(first, last - 1, batch.world.codes[0]) for first, last in market.paths]
    )
    return market.features[rows, 0, 0].astype(float) * market.table[0].scale


def play(env: SolvableVectorEnv, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rewards (P, T) of the environments, one a path, whose positions are given (P, T)."""
    env.reset(seed=0, options={"path": np.arange(env.num_envs)})
    rewards = []
    for k in range(positions.shape[1]):
        carry = positions[:, k] / env.solvable.cap
        rewards.append(
            env.step(
                np.stack(
                    [np.zeros_like(carry), carry, np.ones_like(carry), np.ones_like(carry)], axis=1
                )
            )[1]
        )
    return np.stack(rewards, axis=1)


def make(name: str, paths: int = 4, decisions: int = 200, **numbers: Any) -> SolvableVectorEnv:
    return SolvableVectorEnv(
        paths,
        name,
        paths=paths,
        decisions=decisions,
        actions="target",
        autoreset_mode="disabled",
        **numbers,
    )


@pytest.mark.parametrize(
    "numbers",
    [{}, {"mean": 0.66, "sd": 0.87, "cost": 8.0, "low": 0.0}, {"low": -2.0, "high": 3.0}],
    ids=str,
)
def test_linear_rewards_are_those_of_the_problem(numbers: dict[str, float]) -> None:
    env = make("linear", **numbers)
    p, x = env.solvable.problem, signals(env)
    q = np.random.default_rng(1).uniform(p.low, p.high, x.shape) * (
        np.random.default_rng(2).random(x.shape) < 0.5
    )
    expected = q * x - p.cost * np.abs(np.diff(q, axis=1, prepend=0.0))
    # rewards are of order 1 to 10; compounding makes the difference
    assert np.abs(play(env, q) - expected).max() < 2e-3


def test_linear_noise_is_white_and_the_expected_reward_leaves_it_out() -> None:
    q = np.tile([1.0, 1.0, -1.0, 0.5], (4, 250))
    still, noisy, expected = (
        play(make("linear", decisions=1000, **more), q)
        for more in ({}, {"noise": 20.0}, {"noise": 20.0, "reward": "expected"})
    )
    noise = ((noisy - still) / q)[:, 1:]
    assert noise.std() == pytest.approx(20.0, rel=0.05)
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 400 * 4 / np.sqrt(noise.size)
    # a thousand steps of noise move the price a little
    assert np.abs(expected - still).max() < 2e-2


def test_quadratic_rewards_are_those_of_the_problem_but_for_noise_that_averages_out() -> None:
    env = make("quadratic")
    p, f = env.solvable.problem, signals(env)
    x = np.random.default_rng(1).uniform(-2.0, 2.0, f.shape)
    change = np.diff(x, axis=1, prepend=0.0)
    expected = x * f - 0.5 * p.aversion * x**2 - 0.5 * p.cost * change**2
    rest = play(env, x) - expected
    # the sign of the move that charges risk is random
    product = np.sqrt(p.cost * p.aversion) * x * change
    assert np.abs(np.abs(rest) - np.abs(product)).max() < 0.02
    assert abs((rest / product)[np.abs(product) > 0.5].mean()) < 0.15


@pytest.mark.parametrize(
    "numbers", [{}, {"permanent": 30.0, "temporary": 2.0, "response": 0.3}], ids=str
)
def test_impact_rewards_are_those_of_the_problem(numbers: dict[str, float]) -> None:
    """What is paid for a displacement comes back step by step. Random positions cost so much that
    compounding shows after two hundred of them.
    """
    env = make("impact", **numbers)
    p, f = env.solvable.problem, signals(env)
    x = np.random.default_rng(1).uniform(-3.0, 3.0, f.shape)
    before = np.concatenate([np.zeros((len(x), 1)), x[:, :-1]], axis=1)
    displaced = 0.5 * p.permanent * (x**2 - before**2)
    expected = (
        x * (f - p.response * p.permanent * x) - 0.5 * p.temporary * (x - before) ** 2 - displaced
    )
    apart = np.abs(play(env, x) - expected) / np.abs(expected).max()
    assert apart[:, :20].max() < 5e-4
    assert apart.max() < 5e-3
    assert abs(displaced.sum(axis=1)).max() <= 0.5 * p.permanent * 9.0 + 1e-9


def test_the_optimum_under_permanent_impact_is_that_of_dynamic_programming() -> None:
    """Backwards over the quadratic value V = (x, f) P (x, f)' of the reward with its last term, far
    from the end: the rule is the closed form, and the term changes nothing.
    """
    p = ImpactProblem(temporary=4.0, permanent=7.0, response=0.11, decay=0.2)
    phi, gamma, k, m = 1.0 - p.decay, 2.0 * p.response * p.permanent, p.temporary, p.permanent
    value, theta, pull = np.zeros((2, 2)), 0.0, 0.0  # over the position before and the signal
    for _ in range(2000):
        # of the new position: curvature, and slopes on position before and signal
        curve = -gamma - k - m + 2.0 * value[0, 0]
        on_before, on_signal = k, 1.0 + 2.0 * phi * value[0, 1]
        keep, pull = -on_before / curve, -on_signal / curve
        theta = 1.0 - keep
        square = -0.5 * k + 0.5 * m - 0.5 * on_before**2 / curve
        cross = -0.5 * on_before * on_signal / curve
        value = np.array([[square, cross], [cross, 0.0]])
    share, slope = quadratic.optimum(p.reduced)
    assert theta == pytest.approx(share)
    assert pull == pytest.approx(share * slope)
    made = solvable("impact", paths=1, decisions=2)
    best = made.best(np.array([1.0]), np.array([0.5]))
    share, slope = quadratic.optimum(ImpactProblem().reduced)
    assert best == pytest.approx((1.0 - share) * 0.5 + share * slope)


def test_leverage_growth_is_that_of_the_formula_at_the_frequencies_of_the_paths() -> None:
    for asked in range(1, 11):
        env = SolvableVectorEnv(
            4, "leverage", paths=4, decisions=500, autoreset_mode="disabled", info=True
        )
        env.reset(seed=0, options={"path": np.arange(4)})
        p, rewards, liquidated = env.solvable.problem, [], []
        for _ in range(500):
            _, reward, _, _, info = env.step(np.tile([1, asked - 1], (4, 1)))
            rewards.append(reward)
            liquidated.append(info["liquidated"][:, 0])
        chance = float(np.mean(liquidated))
        assert chance == pytest.approx(
            p.shares[asked - 1], abs=4 * np.sqrt(p.shares[asked - 1] / 2000) + 1e-9
        )
        # a hundredth to take the position up again
        loss = p.loss * (1.0 + leverage.distance(asked, p.maintenance) + 0.01)
        expected = 1000.0 * leverage.growth(asked, chance, p.funding, loss)
        assert np.mean(rewards) == pytest.approx(float(expected), abs=3e-3 + 5e-3 * chance)


def optimum_earns(made: Solvable, env: SolvableVectorEnv) -> NDArray[np.float64]:
    """Average reward of a decision on each path under the optimal rule, without the first
    hundred.
    """
    x = signals(env)
    q = np.zeros_like(x)
    for k in range(x.shape[1]):
        q[:, k] = made.best(x[:, k], q[:, k - 1] if k else np.zeros(len(x)))
    return play(env, q)[:, 100:].mean(axis=1)


@pytest.mark.parametrize("name", ["linear", "quadratic", "impact"])
def test_the_optimal_rule_earns_the_optimum_in_the_environment(name: str) -> None:
    env = make(name, paths=100, decisions=1600)
    earned = optimum_earns(env.solvable, env)
    assert earned.mean() == pytest.approx(env.solvable.optimum, abs=3 * earned.std() / 10)
    assert earned.std() / 10 < 0.03 * env.solvable.optimum


@pytest.mark.parametrize("name", IDS)
def test_every_face_pays_the_same(name: str) -> None:
    pytest.importorskip("stable_baselines3")
    from fundenv.envs.sb3_solvable import SolvableVecEnv

    numbers = {"paths": 2, "decisions": 30, "seed": 3}
    single, vector, sb3 = (
        gym.make(IDS[name], **numbers),
        gym.make_vec(IDS[name], num_envs=2, **numbers),
        SolvableVecEnv(2, name, **numbers),
    )
    single.reset(seed=6)
    vector.reset(seed=5)
    sb3.seed(5)
    sb3.reset()
    vector.action_space.seed(0)
    total = 0.0
    for _ in range(30):
        action = vector.action_space.sample()
        _, alone, _, truncated, _ = single.step(action[1])
        _, rewards, _, ended, infos = vector.step(action)
        _, others, dones, sb3_infos = sb3.step(action)
        assert alone == rewards[1]
        total += alone
        assert others[1] == pytest.approx(rewards[1], rel=1e-6)
        if dones[1]:
            assert truncated
            assert ended[1]
            assert infos["episode_stats"]["r"][1] == pytest.approx(total)
            assert sb3_infos[1]["episode"]["r"] == pytest.approx(total)
            return
    raise AssertionError("no episode ended")


def test_bad_numbers_are_named() -> None:
    for arguments, text in (
        (("cubic",), "problem = 'cubic'"),
        (("quadratic",), "noise"),
        (("linear",), "no number 'decay'"),
        (("leverage",), "shares"),
        (("impact",), "response"),
    ):
        numbers = {
            "quadratic": {"noise": 1.0},
            "linear": {"decay": 0.1},
            "leverage": {"shares": (0.2, 0.1)},
            "impact": {"response": 0.0},
        }.get(arguments[0], {})
        with pytest.raises(ConfigError, match=text):
            solvable(*arguments, **numbers)
    with pytest.raises(ConfigError, match="did you mean"):
        gym.make(IDS["linear"], costs=3.0)


def test_problem_classes_have_the_published_defaults() -> None:
    assert linear.LinearProblem().cost == 5.0
    assert (
        quadratic.position_sd(quadratic.QuadraticProblem()) * 4 < quadratic.QuadraticProblem().cap
    )
