"""The solvable problems for stable-baselines3."""

from __future__ import annotations

from typing import Any

import numpy as np

from fundenv.envs.sb3 import FundingHedgeVecEnv
from fundenv.envs.solvable import split_settings


class SolvableVecEnv(FundingHedgeVecEnv):
    """`num_envs` copies of `fundenv.envs.solvable.SolvableEnv` as a `VecEnv`, with the reward of
    the problem times `reward_scale`.
    """

    def __init__(
        self, num_envs: int, problem: str = "linear", *, reward_scale: float = 1.0, **settings: Any
    ) -> None:
        """`settings` as for `SolvableEnv`, and `threads` and `per_env` as for
        `FundingHedgeVecEnv`.
        """
        self.solvable, own = split_settings(problem, settings)
        self.reward_scale = reward_scale
        super().__init__(num_envs, market=self.solvable.market, **({"episode": None} | own))

    def step_wait(self) -> Any:
        """Returns (observations, rewards, dones, infos)."""
        obs, _, dones, infos = super().step_wait()
        for i in np.flatnonzero(dones):
            infos[i]["episode"]["r"] /= self.solvable.unit
        return (
            obs,
            (self.batch.reward * (self.reward_scale / self.solvable.unit)).astype(np.float32),
            dones,
            infos,
        )
