"""Gymnasium's vector environment over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fundenv.batch.audit import with_masks
from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError, EnvConfig, hours
from fundenv.dynamics import types as t
from fundenv.envs.spaces import action_space, observation_space
from fundenv.market import Market

_MODES = {
    "next_step": AutoresetMode.NEXT_STEP,
    "same_step": AutoresetMode.SAME_STEP,
    "disabled": AutoresetMode.DISABLED,
}


class FundingHedgeVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` copies of `FundingHedgeEnv` in one compiled loop.

    Environment i seeded with s draws what a single environment seeded with s + i draws, whatever
    the batch size. `autoreset_mode` is "next_step" (Gymnasium's default: the step after the end
    resets, with reward 0), "same_step" (the final observation is in `info["final_obs"]`) or
    "disabled" (reset with `options={"reset_mask": mask}`; a step of an environment whose episode
    has ended is refused). `threads` steps chunks in parallel with the same numbers.
    `max_episode_steps` ends an episode after so many decisions, where `episode` does not end it
    before. `copy=False` returns one of two alternating buffers instead of observations that later
    steps do not change. Rewards are float64 (num_envs,).

    Infos are arrays over the environments, with a mask `_key` beside each key as in Gymnasium's own
    vector environments. By default only ended episodes report, in `info["episode_stats"]` {"r":
    return, "l": decisions, "equity": final equity}. `info=True` adds the audit of
    `fundenv.batch.audit` at every step; in "same_step", where an episode has just ended, the audit
    is that of the new episode, and `info["final_info"]` has that of the last step.
    """

    closed = True  # until it is built: a half-built environment has nothing to close

    def __init__(
        self,
        num_envs: int = 1,
        *,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        autoreset_mode: str | AutoresetMode = "next_step",
        threads: int = 1,
        info: bool = False,
        copy: bool = True,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **settings: Any,
    ) -> None:
        """See the class docstring; `settings` as for `FundingHedgeEnv`, and `per_env` as for
        `fundenv.batch.cpu.Batch`.
        """
        mode = (
            autoreset_mode.name.lower()
            if isinstance(autoreset_mode, AutoresetMode)
            else autoreset_mode
        )
        if not isinstance(mode, str) or mode not in _MODES:
            raise ConfigError(
                f"autoreset_mode = {autoreset_mode!r} is not one of {', '.join(_MODES)}"
            )
        if render_mode is not None:
            raise ConfigError(
                f"render_mode = {render_mode!r}: a vector environment draws nothing; render a"
                " single FundingHedgeEnv"
            )
        if not isinstance(info, bool):
            raise ConfigError(
                f"info = {info!r} is not one of False, True; a vector environment has no brief info"
            )
        # The kernel resets an ended environment at once in SAME_STEP; to tell of its last step,
        # this env resets it itself.
        self._resets = info and mode == "same_step"
        self._refuses = mode == "disabled"
        self.batch = Batch(
            num_envs,
            market=market,
            symbols=symbols,
            autoreset="disabled" if self._resets else mode,  # type: ignore[arg-type]
            threads=threads,
            **_limited(settings, max_episode_steps),
        )
        self.num_envs = num_envs
        self.render_mode = None
        self.autoreset_mode = _MODES[mode]
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": []}
        self.single_observation_space = observation_space(self.batch)
        self.single_action_space = action_space(self.batch)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._want_info = info
        # there a masked reset hands out the rows of the others again, as they were
        self._copy = copy and mode == "disabled"
        if copy and not self._copy:
            self.batch.give_away()

    @property
    def observation_table(self) -> tuple[Any, ...]:
        """The D observations: name, meaning, unit, low, high, scale."""
        return self.batch.observation_table

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[t.Float32, dict[str, Any]]:
        """Begin episodes; options: `path` and `start` (one or num_envs integers), `reset_mask`
        (num_envs,) bool. Returns (obs (num_envs, D), info).
        """
        where = options or {}
        unknown = set(where) - {"path", "start", "reset_mask"}
        if unknown:
            raise ConfigError(
                f"reset option {sorted(unknown)[0]!r} is unknown; the options are path, start and"
                " reset_mask"
            )
        if isinstance(seed, int):
            self._np_random, self._np_random_seed = gym.utils.seeding.np_random(seed)
        obs = self.batch.reset(seed, where.get("path"), where.get("start"), where.get("reset_mask"))
        return obs.copy() if self._copy else obs, self._audit() if self._want_info else {}

    def step(self, actions: Any) -> tuple[t.Float32, t.Float64, t.Bool, t.Bool, dict[str, Any]]:
        """Step all environments; actions (num_envs, ...). Returns (obs (num_envs, D), reward,
        terminated, truncated (num_envs,), info).
        """
        batch = self.batch
        if self._refuses and batch.begun:
            self._refuse_ended()
        batch.step(actions)
        reward, terminated, truncated = (
            batch.reward.copy(),
            batch.terminated.copy(),
            batch.truncated.copy(),
        )
        ended = terminated | truncated
        info = self._ended(ended) if np.count_nonzero(ended) else {}
        if self._want_info:
            info |= self._audit()
        obs = batch.obs.copy() if self._copy else batch.obs
        return obs, reward, terminated, truncated, info

    def action_masks(self) -> t.Bool:
        """(num_envs, K) bool: the choices of discrete actions that are allowed now; see
        `FundingHedgeEnv.action_masks`.
        """
        return self.batch.action_masks()

    def render(self) -> None:
        """None: a vector environment draws nothing."""

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of this object or its batch, once per environment: all share it."""
        value = getattr(self, name) if hasattr(self, name) else getattr(self.batch, name)
        return (value,) * self.num_envs

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method once and return its result for every environment, or its attribute: what
        clients ask of Gymnasium's own vector environments.
        """
        value = self.get_attr(name)[0]
        return (value(*args, **kwargs) if callable(value) else value,) * self.num_envs

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads."""
        self.batch.close()

    def _refuse_ended(self) -> None:
        over = self.batch.store.episode[:, t.MUST_RESET].nonzero()[0]
        if over.size:
            raise gym.error.ResetNeeded(
                f"the episode of environment {over[0]} has ended ({over.size} in all); reset with"
                " options={'reset_mask': terminated | truncated} before step()"
            )

    def _audit(self) -> dict[str, Any]:
        return with_masks(self.batch.audit(), np.ones(self.num_envs, bool))

    def _ended(self, ended: t.Bool) -> dict[str, Any]:
        """What the environments whose episode has `ended` tell beside their audit."""
        batch, places = self.batch, ended.nonzero()[0]
        episode = {
            "r": np.zeros(self.num_envs),
            "l": np.zeros(self.num_envs, int),
            "equity": np.zeros(self.num_envs),
        }
        for values, column in zip(
            episode.values(), batch.final_stats.take(places, 0).T, strict=True
        ):
            values[places] = column
        info: dict[str, Any] = {"episode_stats": episode, "_episode_stats": ended}
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            return info
        final_info: dict[str, Any] = {"episode_stats": episode, "_episode_stats": ended.copy()}
        if self._resets:
            final_info |= with_masks(batch.audit(), ended)
            batch.final_obs[places] = batch.obs[places]
            batch.reset(mask=ended)
        observations = np.full(self.num_envs, None, dtype=object)
        for i in places:
            observations[i] = batch.final_obs[i].copy()
        return info | {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": final_info,
            "_final_info": ended.copy(),
        }


def _limited(settings: dict[str, Any], steps: int | None) -> dict[str, Any]:
    """The settings with `episode` shortened to `steps` decisions; None and Gymnasium's -1 leave it.
    Raises `ConfigError` for other numbers below 1.
    """
    if steps is None or steps == -1:
        return settings
    whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool)
    if not whole or steps < 1:
        raise ConfigError(
            f"max_episode_steps = {steps!r} is not a whole number of at least 1; None sets no limit"
        )
    per_env = {key: settings[key] for key in ("per_env",) if key in settings}
    own = {key: settings[key] for key in settings if key not in ("config", "per_env")}
    config = EnvConfig.resolve(settings.get("config"), own)
    limit = int(steps) * hours(config.decision_interval, "decision_interval")
    if config.episode is None or hours(config.episode, "episode") > limit:
        config = replace(config, episode=f"{limit:.9g}h")
    return {"config": config, **per_env}
