"""The collecting side of off-policy learners in tensors: environments, actions and replay on one
device. Imported only when SB3 is needed.

`train` is the method of the other base class; the files open in plain stable-baselines3
(`DQN.load`, `SAC.load`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import BaseBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import ReplayBufferSamples, RolloutReturn, TrainFreq
from torch import Tensor

from agents.sb3.device.env import LOOK_EVERY
from agents.sb3.discrete_sac import SoftQ
from agents.sb3.wrappers import ExploringSAC

_ROW = ("observations", "next_observations", "actions", "rewards", "dones")


class TensorReplay(ReplayBuffer):
    """SB3's replay buffer on the device. `next_observations` hold the last observation of an
    episode that has ended and `dones` is 1 only where it was terminated, so that an episode that
    was cut off is credited the value of the state in which it was cut.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        **unused: Any,
    ) -> None:
        """`buffer_size` steps of single environments; `unused` are the options of SB3's buffer,
        which it is asked with.
        """
        BaseBuffer.__init__(self, buffer_size, observation_space, action_space, device, n_envs)
        self.buffer_size, self.optimize_memory_usage = max(buffer_size // n_envs, 1), False
        self.handle_timeout_termination = True
        shape = (self.buffer_size, n_envs)
        kind = torch.int64 if isinstance(action_space, spaces.Discrete) else torch.float32
        sizes: dict[str, tuple[int, ...]] = {
            "observations": self.obs_shape,
            "next_observations": self.obs_shape,
        }
        sizes |= {"actions": (self.action_dim,), "rewards": (1,), "dones": (1,)}
        self.held = {
            name: torch.zeros(
                (*shape, *size),
                dtype=kind if name == "actions" else torch.float32,
                device=self.device,
            )
            for name, size in sizes.items()
        }

    def put(self, **row: Tensor) -> None:
        """One step of all environments: observations, next_observations (n, D), actions (n, W),
        rewards, dones (n, 1).
        """
        for name in _ROW:
            self.held[name][self.pos].copy_(row[name])
        self.pos += 1
        if self.pos == self.buffer_size:
            self.full, self.pos = True, 0

    def sample(self, batch_size: int, env: Any = None) -> ReplayBufferSamples:
        """Steps drawn evenly, with replacement, on the device."""
        index = torch.randint(self.size() * self.n_envs, (batch_size,), device=self.device)
        flat = {name: value.view(-1, value.shape[-1]) for name, value in self.held.items()}
        names = ("observations", "actions", "next_observations", "dones", "rewards")
        return ReplayBufferSamples(*(flat[name].index_select(0, index) for name in names))


class Collecting(OffPolicyAlgorithm):
    """An off-policy algorithm of SB3 that collects from a `DeviceEnv` in tensors."""

    replay_buffer: Any
    actor: Any
    explore: float

    def __init__(self, policy: Any, env: Any, **settings: Any) -> None:
        super().__init__(policy, env, **settings | {"replay_buffer_class": TensorReplay})

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "replay_buffer_class", "replay_buffer_kwargs"]

    @abstractmethod
    def greedy_or_drawn(self, obs: Tensor) -> Tensor:
        """What the policy does in training, before exploration, (n, W)."""

    def uniform(self, n: int) -> Tensor:
        """Uniform actions, (n, W)."""
        space = self.action_space
        if isinstance(space, spaces.Discrete):
            return torch.randint(int(space.n), (n, 1), device=self.device)
        return 2 * torch.rand((n, *space.shape), device=self.device) - 1  # type: ignore[misc]

    def collect_rollouts(
        self,
        env: Any,
        callback: BaseCallback,
        train_freq: TrainFreq,
        replay_buffer: Any,
        action_noise: Any = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """SB3's loop in tensors. A share `explore` of the environments acts at random, each by a
        draw of its own; until `learning_starts` all do.
        """
        self.policy.set_training_mode(False)
        if self.use_sde:
            self.actor.reset_noise(env.num_envs)
        callback.on_rollout_start()
        for collected in range(1, train_freq.frequency + 1):
            obs, n = env.obs, env.num_envs
            with torch.no_grad():
                actions = self.uniform(n)
                if self.num_timesteps >= learning_starts:
                    actions = torch.where(
                        torch.rand((n, 1), device=self.device) < self.explore,
                        actions,
                        self.greedy_or_drawn(obs),
                    )
                following, rewards, terminated, truncated, final = env.advance(actions)
            self.num_timesteps += n
            callback.update_locals(locals())
            if not callback.on_step():
                return RolloutReturn(collected * n, 0, continue_training=False)
            ended = terminated | truncated
            replay_buffer.put(
                observations=obs,
                next_observations=torch.where(ended[:, None], final, following),
                actions=actions,
                rewards=rewards[:, None],
                dones=terminated[:, None],
            )
            self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
            self._on_step()
            self._count(ended, log_interval)
        callback.on_rollout_end()
        return RolloutReturn(train_freq.frequency * env.num_envs, 0, continue_training=True)

    def _count(self, ended: Tensor, log_interval: int | None) -> None:
        """Count episodes, and hand out diagnostics every `log_interval` of them; a GPU is asked now
        and then only.
        """
        self._unread: Any = getattr(self, "_unread", 0) + ended.sum()
        if self.device.type == "cuda" and self.num_timesteps // self.n_envs % LOOK_EVERY:
            return
        before, self._unread, newly = self._episode_num, 0, int(self._unread)
        self._episode_num += newly
        if log_interval is not None and self._episode_num // log_interval > before // log_interval:
            self.dump_logs()


class TensorSoftQ(Collecting, SoftQ):
    """`SoftQ` on a `DeviceEnv`."""

    def greedy_or_drawn(self, obs: Tensor) -> Tensor:
        """Greedy on Q, (n, 1)."""
        return self.q_net(obs).argmax(dim=1, keepdim=True)  # type: ignore[no-any-return]


class TensorSAC(Collecting, ExploringSAC):
    """SB3's SAC on a `DeviceEnv` whose actions lie in [-1, 1]."""

    def greedy_or_drawn(self, obs: Tensor) -> Tensor:
        """Drawn by the actor, (n, W)."""
        return self.actor(obs)  # type: ignore[no-any-return]
