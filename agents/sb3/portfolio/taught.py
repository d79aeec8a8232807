"""SAC with discrete actions whose replay begins with the rollouts of a rule.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.noise import ActionNoise

from agents.sb3.discrete_sac import SoftQ


class TaughtQ(SoftQ):
    """`SoftQ` that lets the rule of the env choose until the learning starts, and every environment
    explore by a draw of its own.
    """

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> Any:
        seen: Any = self._last_obs
        env: Any = self.env
        space: Any = self.action_space
        if self.num_timesteps >= learning_starts:
            chosen = self.policy.predict(seen, deterministic=True)[0]
        elif env.teacher is not None:
            chosen = env.teacher.choose(seen)
        else:
            chosen = np.array([self.action_space.sample() for _ in range(n_envs)])
        free = np.random.random(n_envs) < self.exploration_rate  # noqa: NPY002  (SB3's stream)
        drawn = np.random.randint(0, int(space.n), n_envs)  # noqa: NPY002
        actions = np.where(free, drawn, chosen)
        return actions, actions
