"""Loops as single-file implementations (CleanRL and the like) write them, without their library."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tests.contract.world import DISCRETE_ID, EPISODE, LENGTH, MODULE_ID

torch = pytest.importorskip("torch", reason="no torch: pip install 'fundenv[sb3]'")


def make(name: str) -> Any:
    """One environment in the wrappers of CleanRL's continuous scripts."""

    def thunk() -> Any:
        env = gym.make(name, **EPISODE)
        env = gym.wrappers.FlattenObservation(env)
        env = gym.wrappers.RecordEpisodeStatistics(env)
        if isinstance(env.action_space, gym.spaces.Discrete):
            return env
        env = gym.wrappers.ClipAction(env)
        env = gym.wrappers.NormalizeObservation(env)
        env = gym.wrappers.TransformObservation(
            env, lambda obs: np.clip(obs, -10, 10), env.observation_space
        )
        return gym.wrappers.NormalizeReward(env)

    return thunk


@pytest.mark.parametrize("name", [MODULE_ID, DISCRETE_ID])
def test_ppo_in_one_file(name: str) -> None:
    torch.manual_seed(0)
    envs = SyncVectorEnv([make(name)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    space = envs.single_action_space
    discrete = isinstance(space, gym.spaces.Discrete)
    width = space.n if discrete else space.shape[0]
    net = torch.nn.Linear(envs.single_observation_space.shape[0], width + 1)
    optimiser = torch.optim.Adam(net.parameters())
    obs, _ = envs.reset(seed=0)
    lengths, losses = [], []
    for _ in range(3 * LENGTH):
        out = net(torch.as_tensor(obs, dtype=torch.float32))
        policy = (
            torch.distributions.Categorical(logits=out[:, :-1])
            if discrete
            else torch.distributions.Normal(out[:, :-1], 1.0)
        )
        action = policy.sample()
        new, reward, terminated, truncated, infos = envs.step(action.numpy())
        after = np.array(new, copy=True)
        for i in np.flatnonzero(truncated):  # bootstrap from the observation before the reset
            after[i] = infos["final_obs"][i]
            lengths.append(int(infos["final_info"]["episode"]["l"][i]))
        with torch.no_grad():
            value = net(torch.as_tensor(after, dtype=torch.float32))[:, -1]
        target = torch.as_tensor(reward, dtype=torch.float32) + 0.99 * value * torch.as_tensor(
            ~terminated
        )
        chance = policy.log_prob(action)
        chance = chance if discrete else chance.sum(1)
        advantage = (target - out[:, -1]).detach()
        loss = -(chance * advantage).mean() + (target - out[:, -1]).pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        obs = new
    assert lengths == [LENGTH] * 6
    assert np.isfinite(losses).all()
