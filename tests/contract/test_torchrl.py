"""TorchRL."""

from __future__ import annotations

import gymnasium as gym
import pytest

from tests.contract.world import DISCRETE_ID, EPISODE, LENGTH, MODULE_ID, check_ends

pytest.importorskip("torchrl", reason="no torchrl: pip install torchrl")
from torchrl.envs import GymEnv, GymWrapper, SerialEnv
from torchrl.envs.utils import check_env_specs


@pytest.mark.parametrize("name", [MODULE_ID, DISCRETE_ID])
def test_an_id_makes_an_environment_whose_end_is_truncated(name: str) -> None:
    env = GymEnv(name, **EPISODE)
    check_env_specs(env)
    rollout = env.rollout(2 * LENGTH, break_when_any_done=False)
    check_ends(rollout["next", "terminated"], rollout["next", "truncated"])


def test_several_environments_in_series() -> None:
    envs = SerialEnv(2, lambda: GymEnv(MODULE_ID, **EPISODE))
    rollout = envs.rollout(2 * LENGTH, break_when_any_done=False)
    for i in range(2):
        check_ends(rollout["next", "terminated"][i], rollout["next", "truncated"][i])
    envs.close()


def test_gymnasiums_async_vector_environment() -> None:
    envs = GymEnv(MODULE_ID, num_envs=2, **EPISODE)
    rollout = envs.rollout(2 * LENGTH, break_when_any_done=False)
    for i in range(2):
        check_ends(rollout["next", "terminated"][i], rollout["next", "truncated"][i])
    envs.close()


def test_the_native_vector_environment() -> None:
    envs = GymWrapper(gym.make_vec(MODULE_ID, 2, autoreset_mode="same_step", **EPISODE))
    rollout = envs.rollout(2 * LENGTH, break_when_any_done=False)
    for i in range(2):
        check_ends(rollout["next", "terminated"][i], rollout["next", "truncated"][i])
