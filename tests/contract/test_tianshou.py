"""Tianshou."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from tests.contract.world import DISCRETE_ID, EPISODE, LENGTH, MODULE_ID

pytest.importorskip("tianshou", reason="no tianshou: pip install tianshou")
from tianshou.data import Batch, ReplayBuffer
from tianshou.env import DummyVectorEnv, SubprocVectorEnv


@pytest.mark.parametrize("kind", [DummyVectorEnv, SubprocVectorEnv], ids=["dummy", "subproc"])
@pytest.mark.parametrize("name", [MODULE_ID, DISCRETE_ID])
def test_a_buffer_keeps_steps_infos_and_the_end(kind: type, name: str) -> None:
    envs = kind([lambda: gym.make(name, **EPISODE)] * 2)
    buffer = ReplayBuffer(100)
    obs, _ = envs.reset(seed=0)
    space = gym.make(name).action_space
    space.seed(0)
    for _ in range(LENGTH):
        action = np.stack([space.sample() for _ in range(2)])
        new, reward, terminated, truncated, info = envs.step(action)
        for i in range(2):
            buffer.add(
                Batch(
                    obs=obs[i],
                    act=action[i],
                    rew=reward[i],
                    terminated=terminated[i],
                    truncated=truncated[i],
                    obs_next=new[i],
                    info=info[i],
                )
            )
        obs = new
    assert not buffer.terminated[: 2 * LENGTH].any()
    assert buffer.truncated[: 2 * LENGTH].tolist() == [False] * (2 * LENGTH - 2) + [True] * 2
    assert (buffer.info.equity[: 2 * LENGTH] > 0).all()
    envs.close()
