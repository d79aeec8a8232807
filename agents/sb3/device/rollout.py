"""PPO's collecting side in tensors: rollout and advantages on the device of the environments.
Imported only when SB3 is needed.

SB3 hands every step to numpy and back and keeps the rollout there; here nothing leaves the device
but the numbers for the log. What is learned from a rollout, `train`, is SB3's own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch import Tensor
from torch.distributions import Distribution

from agents.sb3.device.advantages import advantages


class TensorRollouts(RolloutBuffer):
    """SB3's rollout buffer on the device: the same arrays (T, n, ...), advantages and minibatches,
    as tensors.

    `values` and `returns` are numpy after a rollout, for the explained variance that `train` logs.
    """

    def reset(self) -> None:
        """Room for the next rollout; allocated once."""
        shape = (self.buffer_size, self.n_envs)
        if not hasattr(self, "held"):
            sizes = {"observations": self.obs_shape, "actions": (self.action_dim,)}
            sizes |= dict.fromkeys(
                ("rewards", "starts", "values", "log_probs", "advantages", "returns"), ()
            )
            self.held = {
                name: torch.zeros((*shape, *size), device=self.device)
                for name, size in sizes.items()
            }
        self.pos, self.full, self.generator_ready = 0, False, False

    def put(self, **row: Tensor) -> None:
        """One step of all environments: observations (n, D), actions (n, W), rewards, starts,
        values, log_probs (n,).
        """
        for name, value in row.items():
            self.held[name][self.pos].copy_(value)
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def finish(self, last_values: Tensor, ended: Tensor) -> None:
        """Advantages by GAE(lambda), backwards in time, as
        `RolloutBuffer.compute_returns_and_advantage`; both (n,).
        """
        held = self.held
        advantages(held, last_values, ended.float(), self.gamma, self.gae_lambda)
        self.values, self.returns = held["values"].cpu().numpy(), held["returns"].cpu().numpy()

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Minibatches in random order, drawn on the device."""
        assert self.full
        total = self.buffer_size * self.n_envs
        flat = {name: value.view(total, *value.shape[2:]) for name, value in self.held.items()}
        names = ("observations", "actions", "values", "log_probs", "advantages", "returns")
        order: Any = torch.randperm(total, device=self.device)
        for index in order.split(batch_size or total):
            yield RolloutBufferSamples(*(flat[name].index_select(0, index) for name in names))


@contextmanager
def unchecked() -> Iterator[None]:
    """Distributions inside do not check their arguments: to ask whether all are valid would wait
    for a GPU at every step.
    """
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


class TensorPPO(PPO):
    """PPO on a `DeviceEnv`; its files open in plain `stable_baselines3.PPO`."""

    rollout_buffer: Any

    def __init__(self, policy: Any, env: Any, **settings: Any) -> None:
        super().__init__(policy, env, **settings | {"rollout_buffer_class": TensorRollouts})

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "rollout_buffer_class", "rollout_buffer_kwargs"]

    @unchecked()
    def collect_rollouts(
        self, env: Any, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int
    ) -> bool:
        """SB3's loop in tensors. An environment cut off by the time limit is credited the value of
        the state in which it was cut, V(final_obs).
        """
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        if self.use_sde:
            self.policy.reset_noise(env.num_envs)
        callback.on_rollout_start()
        starts = torch.as_tensor(self._last_episode_starts, device=self.device).float()
        box = self.action_space if isinstance(self.action_space, spaces.Box) else None
        obs = env.obs
        for step in range(n_rollout_steps):
            if self.use_sde and self.sde_sample_freq > 0 and step % self.sde_sample_freq == 0:
                self.policy.reset_noise(env.num_envs)
            with torch.no_grad():
                actions, values, log_probs = self.policy(obs)
                played = (
                    actions
                    if box is None
                    else actions.clamp(
                        torch.as_tensor(box.low).to(actions), torch.as_tensor(box.high).to(actions)
                    )
                )
                following, rewards, terminated, truncated, final = env.advance(played)
                # all are valued: to ask which were cut off would wait for the device
                if env.device.type == "cuda":
                    rewards = rewards + self.gamma * torch.where(
                        truncated, self.policy.predict_values(final)[:, 0], 0.0
                    )
                elif len(cut := truncated.nonzero()[:, 0]):
                    rewards[cut] += self.gamma * self.policy.predict_values(final[cut])[:, 0]
            row = {
                "observations": obs,
                "actions": actions.reshape(len(obs), -1),
                "rewards": rewards,
                "starts": starts,
            }
            rollout_buffer.put(**row, values=values[:, 0], log_probs=log_probs)
            obs, starts = following, (terminated | truncated).float()
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
        with torch.no_grad():
            rollout_buffer.finish(self.policy.predict_values(obs)[:, 0], starts)
        self._last_episode_starts = starts.cpu().numpy().astype(bool)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True
