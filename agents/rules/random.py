"""Uniformly random actions, for tests and as a lower baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.base import Agent
from agents.params import Params, Range
from fundenv.choices import Actions
from fundenv.envs.spaces import action_space


@dataclass(frozen=True, kw_only=True)
class RandomParams(Params):
    """Parameters of the random agent."""

    seed: Annotated[int, Range(0, 2**31)] = 0
    """Seed of the agent's own stream of random numbers."""
    actions: Actions = "continuous"
    """Form of the actions that it draws."""


class Random(Agent):
    """Draws every action at random from the env's action space."""

    name = "random"
    parameters = RandomParams
    params: RandomParams

    def env_settings(self) -> dict[str, Any]:
        """The kind of actions that it draws."""
        return {"actions": self.params.actions}

    def look_up(self, batch: Any) -> None:
        """Learn the action space; the stream starts afresh."""
        self.space = action_space(batch)
        self.generator = np.random.default_rng(self.params.seed)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Uniform draws."""
        if isinstance(self.space, spaces.Box):
            low, high = self.space.low, self.space.high
            return self.generator.uniform(low, high, (len(obs), *low.shape)).astype(
                self.space.dtype
            )
        if isinstance(self.space, spaces.Discrete):
            return self.generator.integers(int(self.space.n), size=len(obs))
        return self.generator.integers(self.space.nvec, size=(len(obs), len(self.space.nvec)))
