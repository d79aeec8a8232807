"""PPO's collecting side in tensors: environments, rollout and advantages on one device. Imported only when SB3 is needed.

SB3 hands every step to numpy and back and keeps the rollout there; here nothing leaves the device but the numbers for the log. What is learned from a
rollout, `train`, is SB3's own.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch import Tensor

from agents._potential import Hindsight
from agents.base import observed
from fundenv.envs.sb3 import OneBatchVecEnv
from fundenv.envs.torch import FundingHedgeTorchEnv


class DeviceEnv(OneBatchVecEnv):
    """The face that SB3 asks for its spaces and resets, and `advance`, which steps in tensors with the training reward of `agents._sb3_bridge.Shaped`."""

    def __init__(self, env: FundingHedgeTorchEnv, *, scale: float, gamma: float, clip: float, potential: Hindsight | None) -> None:
        self.env, self.batch = env, env.batch
        self.scale, self.gamma, self.clip, self.potential = scale, gamma, clip if clip > 0 else float("inf"), potential
        self.weight = int(observed(env.observation_table, "perp_weight").at[0])
        self.render_mode = None
        super().__init__(env.num_envs, env.observation_space, env.action_space)
        self.phi = np.zeros(env.num_envs)
        self.path, self.row = self.batch.where

    @property
    def obs(self) -> Tensor:
        """The observations to act on next, (n, D): a view that the second step from now overwrites."""
        return self.env._obs[id(self.batch.obs)]

    def reset(self) -> Any:
        """Begin episodes with the seed given to `seed`; observations as numpy, which SB3 keeps and nothing here reads."""
        seeds = [seed for seed in self._seeds if seed is not None] or None
        obs, _ = self.env.reset(seeds)
        self._reset_seeds()
        self.reset_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._begin(obs)
        return obs.cpu().numpy().copy()

    def advance(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Step; returns (obs, training reward, terminated, truncated, final_obs), views as of `FundingHedgeTorchEnv.step` but for the reward."""
        obs, reward, terminated, truncated, final, _ = self.env.step(actions)
        if self.potential is not None:
            reward = reward + torch.as_tensor(self._shape(obs, terminated, truncated, final), device=reward.device)
        return obs, (self.scale * reward).clamp(-self.clip, self.clip), terminated, truncated, final

    def _shape(self, obs: Tensor, terminated: Tensor, truncated: Tensor, final: Tensor) -> Any:
        """1000 (gamma Phi' - Phi), (n,) float32."""
        assert self.potential is not None
        ruined = terminated.cpu().numpy()
        ended = ruined | truncated.cpu().numpy()
        path, row = self.batch.where
        short = -obs[:, self.weight].cpu().numpy()
        if ended.any():
            short[ended] = -final[:, self.weight].cpu().numpy()[ended]
        last = np.where(ended, self.row + self.potential.bars, row)
        phi = np.where(ruined, 0.0, self.potential(np.where(ended, self.path, path), last, short[:, None]))
        shaped = 1e3 * (self.gamma * phi - self.phi)
        self.phi, self.path, self.row = phi, path, row
        if ended.any():
            self._begin(obs)
        return shaped.astype(np.float32)

    def _begin(self, obs: Tensor) -> None:
        self.path, self.row = self.batch.where
        if self.potential is not None:
            self.phi = self.potential(self.path, self.row, -obs[:, [self.weight]].cpu().numpy())

    def state(self) -> dict[str, Any]:
        """Copies of what the next step depends on."""
        return {"phi": self.phi.copy(), "path": self.path.copy(), "row": self.row.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.phi, self.path, self.row = (state[name].copy() for name in ("phi", "path", "row"))

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._pending = actions

    def step_wait(self) -> Any:
        """SB3's answer in numpy, for whatever steps this env the usual way."""
        obs, reward, terminated, truncated, final = self.advance(torch.as_tensor(self._pending, device=self.env.device))
        cut, dones = truncated.cpu().numpy(), (terminated | truncated).cpu().numpy()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            infos[i] = {"terminal_observation": final[i].cpu().numpy().copy(), "TimeLimit.truncated": bool(cut[i])}
        return obs.cpu().numpy().copy(), reward.cpu().numpy().copy(), dones.copy(), infos

    def close(self) -> None:
        """Stop the threads."""
        self.env.close()


class TensorRollouts(RolloutBuffer):
    """SB3's rollout buffer on the device: the same arrays (T, n, ...), advantages and minibatches, as tensors.

    `values` and `returns` are numpy after a rollout, for the explained variance that `train` logs.
    """

    def reset(self) -> None:
        """Room for the next rollout; allocated once."""
        shape = (self.buffer_size, self.n_envs)
        if not hasattr(self, "held"):
            sizes = {"observations": self.obs_shape, "actions": (self.action_dim,)}
            sizes |= dict.fromkeys(("rewards", "starts", "values", "log_probs", "advantages", "returns"), ())
            self.held = {name: torch.zeros((*shape, *size), device=self.device) for name, size in sizes.items()}
        self.pos, self.full, self.generator_ready = 0, False, False

    def put(self, **row: Tensor) -> None:
        """One step of all environments: observations (n, D), actions (n, W), rewards, starts, values, log_probs (n,)."""
        for name, value in row.items():
            self.held[name][self.pos].copy_(value)
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def finish(self, last_values: Tensor, ended: Tensor) -> None:
        """Advantages by GAE(lambda), backwards in time, as `RolloutBuffer.compute_returns_and_advantage`; both (n,)."""
        held, carried = self.held, torch.zeros_like(last_values)
        following, going = last_values, 1.0 - ended.float()
        for step in range(self.buffer_size - 1, -1, -1):
            delta = held["rewards"][step] + self.gamma * following * going - held["values"][step]
            carried = delta + self.gamma * self.gae_lambda * going * carried
            held["advantages"][step] = carried
            following, going = held["values"][step], 1.0 - held["starts"][step]
        held["returns"] = held["advantages"] + held["values"]
        self.values, self.returns = held["values"].cpu().numpy(), held["returns"].cpu().numpy()

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Minibatches in random order, drawn on the device."""
        assert self.full
        total = self.buffer_size * self.n_envs
        flat = {name: value.transpose(0, 1).reshape(total, *value.shape[2:]) for name, value in self.held.items()}
        names = ("observations", "actions", "values", "log_probs", "advantages", "returns")
        for index in torch.randperm(total, device=self.device).split(batch_size or total):  # type: ignore[no-untyped-call]
            yield RolloutBufferSamples(*(flat[name][index] for name in names))


class TensorPPO(PPO):
    """PPO on a `DeviceEnv`; its files open in plain `stable_baselines3.PPO`."""

    rollout_buffer: Any

    def __init__(self, policy: Any, env: Any, **settings: Any) -> None:
        super().__init__(policy, env, **settings | {"rollout_buffer_class": TensorRollouts})

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "rollout_buffer_class", "rollout_buffer_kwargs"]

    def collect_rollouts(self, env: Any, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """SB3's loop in tensors. An environment cut off by the time limit is credited the value of the state in which it was cut, V(final_obs)."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        starts = torch.as_tensor(self._last_episode_starts, device=self.device).float()
        box = self.action_space if isinstance(self.action_space, spaces.Box) else None
        obs = env.obs
        for _ in range(n_rollout_steps):
            with torch.no_grad():
                actions, values, log_probs = self.policy(obs)
                played = (
                    actions if box is None else actions.clamp(torch.as_tensor(box.low).to(actions), torch.as_tensor(box.high).to(actions))
                )
                following, rewards, terminated, truncated, final = env.advance(played)
                cut = truncated.nonzero()[:, 0]
                if len(cut):
                    rewards[cut] += self.gamma * self.policy.predict_values(final[cut])[:, 0]
            row = {"observations": obs, "actions": actions.reshape(len(obs), -1), "rewards": rewards, "starts": starts}
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
