"""Gymnasium's vector environment over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError
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
    resets, with reward 0), "same_step" (the final observation stands in `info["final_obs"]`) or
    "disabled" (reset with `options={"reset_mask": mask}`). `threads` steps chunks in parallel with
    the same numbers. `info=True` fills the audit trail of `fundenv.batch.audit` at every step; by
    default only ended episodes report, in `info["episode_stats"]` {"r": return, "l": decisions,
    "equity": final equity}. `copy=False` hands out one of two alternating buffers instead of
    observations that stay as they are. Rewards are float64 (num_envs,).
    """

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
        if mode not in _MODES:
            raise ConfigError(
                f"autoreset_mode = {autoreset_mode!r} is not one of {', '.join(_MODES)}"
            )
        if render_mode is not None:
            raise ConfigError(
                f"render_mode = {render_mode!r}: a vector environment draws nothing; render a"
                " single FundingHedgeEnv"
            )
        self.batch = Batch(
            num_envs,
            market=market,
            symbols=symbols,
            autoreset=mode,  # type: ignore[arg-type]
            threads=threads,
            **settings,
        )
        self.num_envs = num_envs
        self.render_mode = None
        self.metadata = {"autoreset_mode": _MODES[mode], "render_modes": []}
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
        return obs.copy() if self._copy else obs, self.batch.audit() if self._want_info else {}

    def step(self, actions: Any) -> tuple[t.Float32, t.Float64, t.Bool, t.Bool, dict[str, Any]]:
        """Step all environments; actions (num_envs, ...). Returns (obs (num_envs, D), reward,
        terminated, truncated (num_envs,), info).
        """
        batch = self.batch
        batch.step(actions)
        info: dict[str, Any] = batch.audit() if self._want_info else {}
        ended = batch.terminated | batch.truncated
        if np.count_nonzero(ended):
            info.update(self._ended(ended))
        obs = batch.obs.copy() if self._copy else batch.obs
        return obs, batch.reward.copy(), batch.terminated.copy(), batch.truncated.copy(), info

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads."""
        self.batch.close()

    def _ended(self, ended: t.Bool) -> dict[str, Any]:
        places = ended.nonzero()[0]
        episode = {
            "r": np.zeros(self.num_envs),
            "l": np.zeros(self.num_envs, int),
            "equity": np.zeros(self.num_envs),
        }
        for values, column in zip(
            episode.values(), self.batch.final_stats.take(places, 0).T, strict=True
        ):
            values[places] = column
        info: dict[str, Any] = {"episode_stats": episode, "_episode_stats": ended}
        if self.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP:
            observations = np.full(self.num_envs, None, dtype=object)
            for i in places:
                observations[i] = self.batch.final_obs[i].copy()
            info |= {
                "final_obs": observations,
                "_final_obs": ended.copy(),
                "final_info": {"episode_stats": episode, "_episode_stats": ended.copy()},
                "_final_info": ended.copy(),
            }
        return info
