"""Between stable-baselines3 and the agents: who looks on, where diagnostics go, and how a Box becomes zones.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from agents._sb3_zones import zone_space, zone_targets
from agents.base import Watcher


class Looker(BaseCallback):
    """Shows every step of the batch to the watcher, and stops the learning when it says so."""

    def __init__(self, watcher: Watcher | None, batch: Any) -> None:
        super().__init__()
        self.watcher, self.batch = watcher, batch

    def _on_step(self) -> bool:
        return self.watcher is None or self.watcher.step(self.num_timesteps, self.batch)


class Forward(KVWriter):
    """Hands SB3's scalars (losses, entropy, rates) to the watcher."""

    def __init__(self, watcher: Watcher | None) -> None:
        self.watcher = watcher

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Called by SB3's logger at every dump; `step` counts environment steps."""
        if self.watcher is not None:
            numbers = {key: float(value) for key, value in key_values.items() if isinstance(value, int | float | np.number)}
            self.watcher.update(step, numbers)

    def close(self) -> None:
        """Nothing is open."""


class Scaled(VecEnvWrapper):
    """Multiplies rewards, so that returns are of order one and the value loss does not drown the policy's gradient when both are clipped."""

    def __init__(self, venv: VecEnv, scale: float) -> None:
        super().__init__(venv)
        self.scale = np.float32(scale)

    def reset(self) -> VecEnvObs:
        """First observations."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """What the env answers, the rewards scaled."""
        obs, rewards, dones, infos = self.venv.step_wait()
        return obs, rewards * self.scale, dones, infos


class ExploringSAC(SAC):
    """SAC that replaces a share `explore` of its actions in training by uniform ones: the policy's own noise soon stays inside one zone."""

    explore = 0.0

    def _sample_action(self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1) -> Any:
        actions, kept = super()._sample_action(learning_starts, action_noise, n_envs)
        for i in np.flatnonzero(np.random.random(n_envs) < self.explore):  # noqa: NPY002  (the stream that SB3 seeds)
            actions[i] = self.action_space.sample()
            kept[i] = self.policy.scale_action(actions[i])
        return actions, kept


class Zones(VecEnvWrapper):
    """Shows an env with `target` actions as one with a Box of zones; see `agents._sb3_zones`."""

    def __init__(self, venv: VecEnv, *, assets: int, leverage: tuple[float, float]) -> None:
        super().__init__(venv, action_space=zone_space(assets))
        self.leverage = leverage

    def reset(self) -> VecEnvObs:
        """First observations."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Translate and pass on."""
        self.venv.step_async(zone_targets(actions, self.leverage))

    def step_wait(self) -> VecEnvStepReturn:
        """What the env answers."""
        return self.venv.step_wait()
