"""Soft actor-critic with discrete actions: the best policy under an entropy bonus is softmax(Q /
temperature), so no actor has to be learned.

Built on stable-baselines3's DQN: its networks, replay buffer, exploration and files. Imported only
when SB3 is needed.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from agents.params import AgentError
from agents.rules.actions import targets

MOST = 4096  # actions: choices per asset to the power of the assets


class SoftQ(DQN):
    """Q-learning towards r + gamma x temperature x logsumexp(Q' / temperature), averaged over
    target networks that follow slowly.

    `predict` is greedy on Q; a share of the actions in training is uniform.
    """

    temperature = 0.002

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Mean squared error on replayed steps."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses, replay = [], self.replay_buffer
        assert replay is not None
        for _ in range(gradient_steps):
            data = replay.sample(batch_size, env=self._vec_normalize_env)
            with torch.no_grad():
                ahead = self.q_net_target(data.next_observations)
                value = self.temperature * torch.logsumexp(
                    ahead / self.temperature, dim=1, keepdim=True
                )
                wanted = data.rewards + (1 - data.dones) * self.gamma * value
            now = torch.gather(self.q_net(data.observations), 1, data.actions.long())
            loss = torch.nn.functional.mse_loss(now, wanted)
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
            losses.append(loss.item())
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))


def choices(assets: int, leverages: tuple[float, ...]) -> NDArray[np.int64]:
    """All joint actions (K, A): per asset 0 = hold, 1 = off, 2 + i = full carry at the i-th
    leverage.
    """
    each = 2 + len(leverages)
    if each**assets > MOST:
        raise AgentError(
            f"{each} choices for each of {assets} assets are {each**assets:,} actions; at most"
            f" {MOST:,}: use kind = 'zones'"
        )
    return np.array(list(itertools.product(range(each), repeat=assets)))


def choice_targets(
    actions: NDArray[Any], table: NDArray[np.int64], leverages: tuple[float, ...]
) -> NDArray[np.float64]:
    """Target actions (n, A * 4) from numbers of joint actions (n,)."""
    chosen = table[np.asarray(actions, np.int64).ravel()]
    on = chosen >= 2
    return targets(
        chosen == 0, on.astype(np.float64), leverage=np.array(leverages)[np.maximum(chosen - 2, 0)]
    )


class Choices(VecEnvWrapper):
    """Shows an env with `target` actions as one with a number for every joint action."""

    def __init__(self, venv: VecEnv, *, assets: int, leverages: tuple[float, ...]) -> None:
        self.table, self.leverages = choices(assets, leverages), leverages
        super().__init__(venv, action_space=spaces.Discrete(len(self.table)))

    def reset(self) -> VecEnvObs:
        """First observations."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Translate and pass on."""
        self.venv.step_async(choice_targets(actions, self.table, self.leverages))

    def step_wait(self) -> VecEnvStepReturn:
        """What the env answers."""
        return self.venv.step_wait()
