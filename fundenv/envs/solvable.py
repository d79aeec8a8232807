"""Environments with a known optimum, over the same batch as `FundingHedgeEnv`: if an agent does not
reach the optimum here, the cause is the agent and not the env.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fundenv.dynamics import types as t
from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.optima.solvable import Solvable, problem_numbers, solvable


def split_settings(problem: str, settings: dict[str, Any]) -> tuple[Solvable, dict[str, Any]]:
    """(the problem, the settings of its environment) from keyword arguments of both kinds."""
    names = problem_numbers(problem)
    made = solvable(problem, **{name: value for name, value in settings.items() if name in names})
    return made, {
        **made.settings,
        **{name: value for name, value in settings.items() if name not in names},
    }


class SolvableEnv(FundingHedgeEnv):
    """One of the solvable problems: `fundenv/SolvableCarry-v0` (A, linear cost), `-Quadratic-v0`
    (B), `-Leverage-v0` (C), `-Impact-v0` (D).

    Observations, actions, account and info are those of `FundingHedgeEnv`; the market feature
    `signal` is what the optimum decides on. Rewards are in units of the problem: A: q x - c |q -
    q_before|, with q = cap x carry and x the signal; B: x f - g x^2 / 2 - K dx^2 / 2; C: 1000 x log
    growth; D: x (f - r m x) - K dx^2 / 2 - m (x^2 - x_before^2) / 2.

    Keyword arguments: the numbers of the problem (`fundenv.optima.solvable.problem_numbers`),
    `paths`, `decisions` and `seed` of its market, `noise` (A), and every field of `EnvConfig`. An
    episode ends with its path, unless `episode` says otherwise. `solvable.optimum` is the highest
    average reward of a decision, `solvable.best(signal, position)` the optimal next position.
    """

    def __init__(
        self, problem: str = "linear", *, render_mode: str | None = None, **settings: Any
    ) -> None:
        """See the class docstring; raises `ConfigError` with one line that names the setting."""
        self.solvable, own = split_settings(problem, settings)
        super().__init__(
            market=self.solvable.market, render_mode=render_mode, **({"episode": None} | own)
        )

    def step(self, action: Any) -> tuple[t.Float32, float, bool, bool, dict[str, Any]]:
        """Step one decision, with the reward of the problem."""
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward / self.solvable.unit, terminated, truncated, info


class SolvableVectorEnv(FundingHedgeVectorEnv):
    """`num_envs` copies of `SolvableEnv` in one compiled loop; further arguments as for
    `FundingHedgeVectorEnv`.
    """

    def __init__(self, num_envs: int = 1, problem: str = "linear", **settings: Any) -> None:
        """See the class docstring."""
        self.solvable, own = split_settings(problem, settings)
        super().__init__(num_envs, market=self.solvable.market, **({"episode": None} | own))

    def step(self, actions: Any) -> tuple[t.Float32, t.Float64, t.Bool, t.Bool, dict[str, Any]]:
        """Step all environments, with the reward of the problem."""
        obs, reward, terminated, truncated, info = super().step(actions)
        if "episode_stats" in info:
            info["episode_stats"]["r"] = np.asarray(info["episode_stats"]["r"]) / self.solvable.unit
        return obs, reward / self.solvable.unit, terminated, truncated, info
