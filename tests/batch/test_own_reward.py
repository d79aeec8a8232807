"""A reward function of the user's own, in every face and every autoreset mode."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest

import fundenv  # noqa: F401  # registers the env
from fundenv.batch.cpu import Batch
from fundenv.batch.own_reward import RewardStep
from fundenv.config import ConfigError

EPISODE = {"episode": "3D", "decision_interval": "8h"}


def same(step: RewardStep) -> Any:
    return step.log_growth


def money(step: RewardStep) -> Any:
    assert np.allclose(step.parts.sum(axis=1), step.equity - step.equity_before)
    return step.parts.sum(axis=1) / step.equity_before


@pytest.fixture(autouse=True)
def module() -> Iterator[types.ModuleType]:
    made = types.ModuleType("my_rewards")
    made.same, made.money, made.number = same, money, 3.0  # type: ignore[attr-defined]
    made.nan = lambda step: np.full(len(step.equity), np.nan)  # type: ignore[attr-defined]
    made.flat = lambda step: 1.0  # type: ignore[attr-defined]
    sys.modules["my_rewards"] = made
    yield made
    del sys.modules["my_rewards"]


def played(autoreset: Any, reward: str, n: int = 5) -> tuple[list[Any], list[Any]]:
    batch = Batch(n, autoreset=autoreset, reward=reward, **EPISODE)
    batch.reset(7)
    rewards, finals = [], []
    rng = np.random.default_rng(0)
    for _ in range(30):
        if autoreset == "disabled":
            ended = batch.terminated | batch.truncated
            if ended.any():
                batch.reset(mask=ended)
        batch.step(rng.uniform(-1, 1, batch.actions.shape))
        rewards.append(batch.reward.copy())
        finals.append(batch.final_stats.copy())
    return rewards, finals


@pytest.mark.parametrize("autoreset", ["disabled", "next_step", "same_step"])
def test_the_env_s_reward_by_a_function_of_one_s_own_is_the_same(autoreset: str) -> None:
    for own, given in zip(
        played(autoreset, "my_rewards:same"), played(autoreset, "log_growth"), strict=True
    ):
        np.testing.assert_allclose(own, given, rtol=0, atol=1e-12)


@pytest.mark.parametrize("autoreset", ["disabled", "next_step", "same_step"])
def test_the_return_of_an_episode_sums_the_function_s_rewards(autoreset: str) -> None:
    rewards, finals = played(autoreset, "my_rewards:money")
    steps = np.array(rewards)
    length = 9  # 3 days of 8 hours
    np.testing.assert_allclose(finals[length - 1][:, 0], steps[:length].sum(axis=0), atol=1e-12)
    pause = autoreset == "next_step"  # the step that only resets has reward 0
    second = slice(length + pause, 2 * length + pause)
    assert not pause or (steps[length] == 0).all()
    np.testing.assert_allclose(
        finals[2 * length + pause - 1][:, 0], steps[second].sum(axis=0), atol=1e-12
    )


def test_the_single_env_pays_it() -> None:
    env = gymnasium.make("fundenv/FundingHedge-v0", reward="my_rewards:money")
    env.reset(seed=1)
    before = env.unwrapped.batch.audit()["equity"][0]  # type: ignore[attr-defined]
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert reward == pytest.approx(info["equity"] / before - 1, abs=1e-12)


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("my_rewards:absent", "module my_rewards has no 'absent'"),
        ("no_such_module:f", "no module 'no_such_module'"),
        ("my_rewards:number", "no function"),
        ("growth", "not one of log_growth"),
        (":f", "not one of log_growth"),
    ],
)
def test_a_reward_that_cannot_be_used_is_refused_in_one_line(reward: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        Batch(1, reward=reward)
    assert "\n" not in str(refused.value)


def test_a_result_that_is_no_reward_is_refused() -> None:
    for reward, message in (("my_rewards:nan", "finite"), ("my_rewards:flat", r"shape \(2,\)")):
        batch = Batch(2, reward=reward)
        batch.reset(0)
        with pytest.raises(ValueError, match=message):
            batch.step(np.zeros(batch.actions.shape))
