"""The training env of one capital: decisions as numbers, and a random subset of the coins in every
episode.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from agents.base import batch_of
from agents.margin.episodes import hidden
from agents.sb3.portfolio.choices import Choices
from agents.sb3.portfolio.params import OBSERVE
from fundenv.envs.portfolio import by_asset

Array = NDArray[np.float32]


class Subsets(VecEnvWrapper):
    """Shows an env with target actions as one with numbers of choices, and hides coins: a hidden
    coin looks like one that is not listed. The subset of each environment is drawn with its
    episode: first how many, evenly, then which.
    """

    def __init__(
        self,
        venv: VecEnv,
        choices: Choices,
        *,
        fewest: int,
        seed: int,
        action_space: spaces.Space[Any],
    ) -> None:
        super().__init__(venv, action_space=action_space)
        self.batch, self.choices = batch_of(venv), choices
        self.rng = np.random.default_rng([seed, 0x5B])
        self.fewest = fewest
        width = len(self.batch.observation_table)
        self.places, _ = by_asset(np.arange(width), choices.assets, OBSERVE)
        self.teacher: Any = None  # a rule whose memory follows the episodes
        self.hidden = np.zeros((venv.num_envs, choices.assets), bool)
        self.seen: Array = np.zeros((venv.num_envs, width), np.float32)

    def reset(self) -> VecEnvObs:
        """First observations."""
        obs: Any = self.venv.reset()
        self._draw(np.ones(self.num_envs, bool))
        self.seen = self._shown(obs, self.hidden)
        return self.seen

    def step_async(self, actions: NDArray[Any]) -> None:
        """Translate and pass on."""
        self.venv.step_async(self.choices.targets(self.seen, *self.parts(actions)))

    def parts(self, actions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(choices (n,), numbers of the bands (n,)) of actions; where the learner has no head for
        the band, the first one.
        """
        if isinstance(self.action_space, spaces.Discrete):
            return np.ravel(actions), np.zeros(len(actions), np.int64)
        return actions[:, 0], actions[:, 1]

    def step_wait(self) -> VecEnvStepReturn:
        """What the env answers."""
        obs: Any
        obs, rewards, dones, infos = self.venv.step_wait()
        for i in np.flatnonzero(dones):
            last = infos[i]["terminal_observation"][None]
            infos[i]["terminal_observation"] = self._shown(last, self.hidden[i : i + 1])[0]
        if dones.any():
            self._draw(dones)
            if self.teacher is not None:
                self.teacher.ended(dones)
        self.seen = self._shown(obs, self.hidden)
        return self.seen, rewards, dones, infos

    def state(self) -> dict[str, Any]:
        """Copies of what the next step depends on, that of the env within included."""
        inner: Any = self.venv
        return {
            "env": inner.state(),
            "hidden": self.hidden.copy(),
            "seen": self.seen.copy(),
            "rng": self.rng.bit_generator.state,
            "teacher": None if self.teacher is None else self.teacher.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.venv.restore(state["env"])  # type: ignore[attr-defined]
        self.hidden, self.seen = state["hidden"].copy(), state["seen"].copy()
        self.rng.bit_generator.state = state["rng"]
        if self.teacher is not None:
            self.teacher.restore(state["teacher"])

    def _draw(self, begun: NDArray[np.bool_]) -> None:
        count = int(begun.sum())
        self.hidden[begun] = hidden(count, self.fewest, self.choices.assets, self.rng)

    def _shown(self, obs: Array, hides: NDArray[np.bool_]) -> Array:
        """A copy without the hidden coins."""
        if not hides.any():
            return obs
        obs = obs.copy()
        rows, coins = np.nonzero(hides)
        obs[rows[:, None], self.places[coins]] = 0.0
        return obs
