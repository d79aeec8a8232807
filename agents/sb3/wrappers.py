"""Adapters between stable-baselines3 and the agents: callbacks, diagnostics, shaped rewards,
selected columns, and a Box of zones.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from agents.base import TrainingCallback, batch_of, goes_on, observed
from agents.sb3.snapshot import Snapshot
from agents.sb3.zones import zone_space, zone_targets
from agents.training.hindsight_potential import Hindsight


class ScalarWriter(KVWriter):
    """Passes SB3's scalars (losses, entropy, rates) to the training callback and keeps its answer
    in `going`, because SB3's logger cannot stop a training.
    """

    def __init__(self, callback: TrainingCallback | None) -> None:
        self.callback, self.going = callback, True

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Called by SB3's logger at every dump; `step` counts environment steps."""
        if self.callback is not None:
            numbers = {
                key: float(value)
                for key, value in key_values.items()
                if isinstance(value, int | float | np.number)
            }
            self.going = (
                goes_on(self.callback, "update", self.callback.update(step, numbers)) and self.going
            )

    def close(self) -> None:
        """Nothing is open."""


class StepCallback(BaseCallback):
    """Passes every step of the batch to the training callback (from a GPU a copy, now and then) and
    stops the training where the callback said so, here or to `writer`. Before each rollout it takes
    a snapshot.
    """

    def __init__(self, writer: ScalarWriter, agent: Any) -> None:
        super().__init__()
        self.callback, self.writer, self.agent, self.stopped = (
            writer.callback,
            writer,
            agent,
            False,
        )

    def _on_rollout_start(self) -> None:
        if self.model.use_sde and self.n_calls == 0 and self.agent.snapshot is not None:
            # SB3 has drawn noise for this rollout before it calls
            self.agent.snapshot.restore(self.model)
        self.agent.before_rollout(self.model)
        self.agent.snapshot = Snapshot.take(self.model) if self.agent.place() == "cpu" else None
        self.agent.steps_done = self.model.num_timesteps

    def _on_step(self) -> bool:
        if self.callback is None:
            return True
        if not self.writer.going:
            self.stopped = True
            return False
        batch = batch_of(self.training_env)
        if self.agent.place() != "cpu":
            from agents.sb3.device.env import LOOK_EVERY, on_host

            if self.n_calls % getattr(self.model, "look_every", LOOK_EVERY):
                return True
            batch = on_host(batch)
        self.stopped = not goes_on(
            self.callback, "step", self.callback.step(self.num_timesteps, batch)
        )
        return not self.stopped


class Shaped(VecEnvWrapper):
    """The env with its rewards scaled, so that returns are of order one, and shaped by a potential:
    scale x (r + 1000 (gamma Phi' - Phi)).

    Phi' is that of the state in which the step ended, also where the episode was cut off there (the
    value of that state then follows from the critic), and 0 after ruin. Without a potential,
    rewards are scaled only. `clip` > 0 limits what one step can count: a liquidation outweighs a
    thousand ordinary decisions, and one in a minibatch would drown what the others say. `charge` is
    taken beyond that for every leg that is liquidated (or deleveraged), a share of the equity of an
    asset: a price of risk.
    """

    def __init__(
        self,
        venv: VecEnv,
        scale: float,
        gamma: float,
        potential: Hindsight | None,
        clip: float = 0.0,
        charge: float = 0.0,
    ) -> None:
        super().__init__(venv)
        self.scale, self.gamma, self.potential = scale, gamma, potential
        self.clip = clip if clip > 0 else np.inf
        self.batch = batch_of(venv)
        self.weight, self.liquidated = (
            observed(self.batch.observation_table, name) for name in ("perp_weight", "liquidated")
        )
        self.charge = 1e3 * scale * charge / len(self.liquidated.at)
        self.phi = np.zeros(venv.num_envs)
        self.path, self.row = self.batch.where

    def state(self) -> dict[str, Any]:
        """Copies of what the next step depends on."""
        return {"phi": self.phi.copy(), "path": self.path.copy(), "row": self.row.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.phi, self.path, self.row = (state[name].copy() for name in ("phi", "path", "row"))

    def reset(self) -> VecEnvObs:
        """First observations."""
        obs = self.venv.reset()
        self.begin(obs)
        return obs

    def step_wait(self) -> VecEnvStepReturn:
        """What the env answers, with the training reward."""
        answer = self.venv.step_wait()
        obs: Any = answer[0]
        _, rewards, dones, infos = answer
        ends = obs
        if dones.any():
            ends = obs.copy()
            ends[dones] = self.batch.final_obs[dones]
        if self.potential is None:
            return obs, self._limited(rewards * self.scale, ends), dones, infos
        path, row = self.batch.where
        row = np.where(dones, self.row + self.potential.bars, row)
        phi = np.where(
            self.batch.terminated,
            0.0,
            self.potential(np.where(dones, self.path, path), row, -self.weight.of(ends)),
        )
        shaped = self.scale * (rewards + 1e3 * (self.gamma * phi - self.phi))
        self.phi, self.path, self.row = phi, path, self.batch.where[1]
        if dones.any():
            self.begin(obs)
        return obs, self._limited(shaped, ends), dones, infos

    def _limited(self, rewards: NDArray[Any], ends: Any) -> NDArray[np.float32]:
        limited = np.clip(rewards, -self.clip, self.clip) - self.charge * (
            self.liquidated.of(ends) > 0
        ).sum(axis=1)
        return np.asarray(limited, np.float32)

    def begin(self, obs: Any) -> None:
        """Set the potentials to those of the first observations `obs` (n, D), after a reset."""
        self.path, self.row = self.batch.where
        if self.potential is not None:
            self.phi = self.potential(self.path, self.row, -self.weight.of(obs))


class SelectedColumns(BaseFeaturesExtractor):
    """Selects the columns of the observations that a policy sees."""

    def __init__(self, observation_space: Any, columns: list[int]) -> None:
        super().__init__(observation_space, len(columns))
        self.register_buffer("columns", torch.as_tensor(columns))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(n, D) to (n, chosen)."""
        return observations.index_select(1, self.columns)  # type: ignore[arg-type]


class ExploringSAC(SAC):
    """SAC that replaces a share `explore` of its actions in training by uniform ones: the policy's
    own noise soon stays inside one zone.
    """

    explore = 0.0

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> Any:
        actions, kept = super()._sample_action(learning_starts, action_noise, n_envs)
        drawn = np.random.random(n_envs)  # noqa: NPY002  (the stream that SB3 seeds)
        for i in np.flatnonzero(drawn < self.explore):
            actions[i] = self.action_space.sample()
            kept[i] = self.policy.scale_action(actions[i])
        return actions, kept


class Zones(VecEnvWrapper):
    """Shows an env with `target` actions as one with a Box of zones; see `agents.sb3.zones`."""

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
