"""stable-baselines3's VecEnv over a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from fundenv.batch.cpu import Batch
from fundenv.envs.curriculum import ranges_at
from fundenv.envs.spaces import action_space, observation_space
from fundenv.market import Market


class OneBatchVecEnv(VecEnv):
    """What VecEnvs over one `batch` share. There is no Python object for each environment, so an
    attribute or a call concerns all environments.
    """

    batch: Any

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of this object or its batch, once per environment asked for."""
        value = (
            getattr(self, attr_name) if hasattr(self, attr_name) else getattr(self.batch, attr_name)
        )
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Environments share their settings; build a new VecEnv, or use `per_env`."""
        raise AttributeError(
            f"{attr_name!r} cannot be set: the environments share one batch; pass per_env when it"
            " is built"
        )

    def env_method(
        self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the batch once and return its result for every environment asked for;
        of `action_masks` each its own row.
        """
        result = getattr(self.batch, method_name)(*args, **kwargs)
        if method_name == "action_masks":
            return [result[i] for i in self._get_indices(indices)]
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """False for every environment: there are no wrappers inside."""
        return [False for _ in self._get_indices(indices)]


class FundingHedgeVecEnv(OneBatchVecEnv):
    """`num_envs` environments for stable-baselines3, without a Python object per environment.

    Rewards are float32 (num_envs,). Infos are fresh dicts, filled only where an episode ended:
    `terminal_observation`, `TimeLimit.truncated` and `episode` {"r", "l", "equity"}. No later step
    changes observations that were returned, so a buffer may keep them. `batch` is the
    `fundenv.batch.cpu.Batch` behind it.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        threads: int = 1,
        **settings: Any,
    ) -> None:
        """`settings` as for `FundingHedgeEnv`, and `per_env` as for `fundenv.batch.cpu.Batch`."""
        self.batch = Batch(
            num_envs,
            market=market,
            symbols=symbols,
            autoreset="same_step",
            threads=threads,
            **settings,
        )
        self.batch.give_away()
        self.render_mode = None
        super().__init__(num_envs, observation_space(self.batch), action_space(self.batch))
        self._pending: Any = None

    def reset(self) -> Any:
        """Begin episodes with the seed given to `seed`, or go on with the streams; returns
        observations (num_envs, D).
        """
        seeds = [seed for seed in self._seeds if seed is not None] or None
        obs = self.batch.reset(seeds)
        self._reset_seeds()
        self.reset_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        return obs

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._pending = actions

    def step_wait(self) -> Any:
        """Returns (observations, rewards, dones, infos)."""
        batch = self.batch
        batch.step(self._pending)
        dones = batch.terminated | batch.truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            returned, length, equity = batch.final_stats[i].tolist()
            infos[i] = {
                "terminal_observation": batch.final_obs[i].copy(),
                "TimeLimit.truncated": bool(batch.truncated[i]),
                "episode": {"r": returned, "l": int(length), "equity": equity},
            }
        return batch.obs, batch.reward.astype(np.float32), dones, infos

    def close(self) -> None:
        """Stop the threads."""
        self.batch.close()


class Curriculum(BaseCallback):
    """Moves the ranges of `randomize` with the progress of the training, before every rollout;
    `stages` as `fundenv.envs.curriculum.ranges_at`.
    """

    def __init__(self, stages: Mapping[float, Mapping[str, Sequence[Any]]]) -> None:
        """Raises `ConfigError` for stages that do not fit together."""
        super().__init__()
        ranges_at(stages, 0.0)
        self.stages = stages

    def _on_rollout_start(self) -> None:
        progress = 1.0 - self.model._current_progress_remaining
        self.training_env.env_method("randomize", ranges_at(self.stages, progress), indices=0)

    def _on_step(self) -> bool:
        return True


class FreshMarket(BaseCallback):
    """Gives the environments a new market every `every` environment steps: the market is `make(k)`
    with k = steps done // every, so that a resumed training gets the same markets. The environments
    begin on `make(0)`; see `Batch.refresh`.
    """

    def __init__(self, make: Callable[[int], Market], every: int) -> None:
        super().__init__()
        self.make, self.every, self.number = make, every, 0

    def _on_rollout_start(self) -> None:
        number = self.num_timesteps // self.every
        if number != self.number:
            self.number = number
            self.training_env.env_method("refresh", self.make(number), indices=0)

    def _on_step(self) -> bool:
        return True
