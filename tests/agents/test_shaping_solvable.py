"""The hindsight potential on SolvableCarry, whose optimal policy is known: shaped, the same policy
is optimal.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.sb3.wrappers import Shaped
from agents.training.randomisation import EnvTerms, hindsight
from fundenv.envs.sb3_solvable import SolvableVecEnv
from fundenv.optima import linear

Array = NDArray[np.float64]
SETTINGS: dict[str, Any] = {"paths": 24, "decisions": 400, "seed": 5, "actions": "discrete"}
HOLD, SELL, BUY = 0, 1, 3  # gates: hold, then the carries -1, 0, 1


def shaped_env(n: int, gamma: float) -> Shaped:
    """n environments whose rewards are 1000 x log growth, as the potential wants them."""
    unit = SolvableVecEnv(1, **SETTINGS).solvable.unit
    env = SolvableVecEnv(n, reward_scale=unit, **SETTINGS)
    terms = EnvTerms(np.zeros(n), np.ones(n), np.ones(n), np.zeros(n))
    potential = hindsight(env.batch.market, env.batch.config, env.batch.rulebook, terms, gamma)
    return Shaped(env, 1.0 / unit, gamma, potential)


def begin(env: Shaped, path: int) -> Any:
    """All environments at the first decision of one path; observations."""
    env.venv.env_method("reset", None, np.full(env.num_envs, path), np.zeros(env.num_envs, int))
    env.begin(env.batch.obs)
    return env.batch.obs.copy()


def test_every_sequence_of_trades_keeps_its_rank() -> None:
    """All 4^5 sequences of hold, -1, 0 and 1, once the potential left at the end (which the
    critic's value of that state holds) is counted.
    """
    gamma, sequences = 0.97, np.array(list(itertools.product(range(4), repeat=5))).T
    env = shaped_env(sequences.shape[1], gamma)
    unit, raw, shaped = env.venv.solvable.unit, np.zeros(env.num_envs), np.zeros(env.num_envs)
    begin(env, 3)
    first = env.phi.copy()
    for step, gates in enumerate(sequences):
        _, reward, _, _ = env.step(gates[:, None])
        raw += gamma**step * env.batch.reward / unit
        shaped += gamma**step * reward
    left = gamma ** len(sequences) * env.phi
    np.testing.assert_allclose(
        shaped, raw + 1e3 / unit * (left - first), rtol=0, atol=1e-4 * np.ptp(raw)
    )
    assert np.ptp(shaped - raw) > 0.1 * np.ptp(raw)  # shaping does change the rewards


def returns(bands: Array) -> tuple[Array, Array]:
    """Mean raw and shaped reward (B,) per decision of threshold policies, rows (sell, buy), over
    whole paths, undiscounted.
    """
    env = shaped_env(len(bands), 1.0)
    unit, paths = env.venv.solvable.unit, env.batch.market.n_paths
    names = [column.name for column in env.batch.observation_table]
    signal, scale = names.index("signal"), env.batch.observation_table[names.index("signal")].scale
    raw, shaped, steps = np.zeros(len(bands)), np.zeros(len(bands)), 0
    for path in range(paths):
        obs, done = begin(env, path), False
        while not done:
            x = obs[:, signal] * scale
            gates = np.where(x >= bands[:, 1], BUY, np.where(x <= bands[:, 0], SELL, HOLD))
            obs, reward, dones, _ = env.step(gates[:, None])
            raw += env.batch.reward / unit
            shaped += reward
            done, steps = bool(dones.all()), steps + 1
    return raw / steps, shaped / steps


def test_the_optimal_policy_is_optimal_under_the_shaped_reward_too() -> None:
    """Bands around the exact optimum: shaping takes the same number from all of them, so the order,
    and the best one, stay what they are.
    """
    rule = linear.solve(linear.LinearProblem())
    steps = np.array([-0.6, -0.3, 0.0, 0.3, 0.6]) * (rule.buy - rule.sell)
    bands = np.array(
        [
            (rule.sell - low, rule.buy + high)
            for low, high in itertools.product(steps, steps)
            if rule.sell - low < rule.buy + high
        ]
    )
    raw, shaped = returns(bands)
    best = int(np.flatnonzero((bands == (rule.sell, rule.buy)).all(axis=1))[0])
    assert raw.argmax() == best
    assert shaped.argmax() == best
    np.testing.assert_array_equal(np.argsort(shaped), np.argsort(raw))
    np.testing.assert_allclose(shaped - raw, shaped[best] - raw[best], atol=1e-3 * np.ptp(raw))
    assert raw[best] == pytest.approx(rule.value, rel=0.1)  # the paths are a sample of the problem
    assert abs(shaped[best]) < 0.7 * raw[best]  # what is left is regret against hindsight
