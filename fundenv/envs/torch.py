"""Torch tensors over a batch: for learners whose rollouts stay on one device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.envs.spaces import action_space, observation_space
from fundenv.market import Market


class FundingHedgeTorchEnv:
    """`num_envs` environments that speak tensors; n = num_envs, D = observations, A = assets, W = entries of an action row.

        env = FundingHedgeTorchEnv(4096, device="cpu", actions="continuous")
        obs, info = env.reset(seed=0)
        obs, reward, terminated, truncated, final_obs, info = env.step(actions)

    All tensors live on `device` and are views of the buffers that the simulation writes: nothing is copied but the reward's cast.

    - `actions` (n, W), any number type, in the action space of the config (`action_space` is one environment's; continuous: W numbers in [-1, 1];
      discrete: W indices). They are copied before `step` returns.
    - `obs` (n, D) float32: the state to act on next; a new episode's first observation where one has just ended (SAME_STEP). It alternates
      between two buffers: the observation handed out before stays as it is during one step and is overwritten by the second. Clone to keep it longer.
    - `reward` (n,) float32; `terminated`, `truncated` (n,) bool, never both. Overwritten by the next step.
    - `final_obs` (n, D) float32: the last observation of the episode in the rows where `terminated | truncated`; the other rows are stale.
      So the value of the next state of a truncated environment is V(final_obs), of a terminated one 0, of any other V(obs).
    - `info`: one dict of views, the same at every step. `parts` (n, 9) float64: the parts of the change of equity during the step [quote], in the
      order of `fundenv.dynamics.types.PARTS`; `turnover` (n, A) float64 [quote]; `equity` (n,) float64 [quote], of the new episode where
      one has ended; `liquidated` (n, A) float64: liquidations during the step, 0 where an episode has ended; of the last
      finished episode `episode_return`, `episode_length` and `episode_equity` (n,) float64.

    Environment i seeded with s draws what every other face of fundenv draws from seed s + i. Settings are those of `FundingHedgeEnv`, and `per_env` as
    for `fundenv.batch.cpu.Batch`; `threads` is the number of CPU threads.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        device: str | torch.device = "cpu",
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        threads: int = 1,
        **settings: Any,
    ) -> None:
        """See the class docstring; raises `ConfigError` with one line that names the setting, also where `device` cannot be had."""
        self.device = torch.device(device)
        if self.device.type != "cpu":
            raise ConfigError(f"device = {str(device)!r} is not available; use device='cpu'")
        self.batch = Batch(num_envs, market=market, symbols=symbols, autoreset="same_step", threads=threads, **settings)
        self.num_envs = num_envs
        self.observation_space = observation_space(self.batch)
        self.action_space = action_space(self.batch)
        self._obs = {id(buffer): torch.from_numpy(buffer) for buffer in self.batch.obs_buffers}
        self._final_obs, self._reward64 = torch.from_numpy(self.batch.final_obs), torch.from_numpy(self.batch.reward)
        self._reward = torch.zeros(num_envs, dtype=torch.float32, device=self.device)
        self._terminated, self._truncated = torch.from_numpy(self.batch.terminated), torch.from_numpy(self.batch.truncated)
        self.info = self._views()

    @property
    def observation_table(self) -> tuple[Any, ...]:
        """The D observations: name, meaning, unit, low, high, scale."""
        return self.batch.observation_table

    def reset(self, seed: int | Sequence[int] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Begin new episodes everywhere; seed: environment i gets seed + i, or seed[i]; None goes on with the streams. Returns (obs, info)."""
        return self._obs[id(self.batch.reset(seed))], self.info

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Step every environment by one decision. Returns (obs, reward, terminated, truncated, final_obs, info): see the class docstring."""
        batch = self.batch
        batch.step(actions.detach().cpu().numpy())
        self._reward.copy_(self._reward64)
        return self._obs[id(batch.obs)], self._reward, self._terminated, self._truncated, self._final_obs, self.info

    def close(self) -> None:
        """Stop the threads."""
        self.batch.close()

    def _views(self) -> dict[str, Tensor]:
        store, batch = self.batch.store, self.batch
        account, legs, ledger, trades, final = map(
            torch.from_numpy, (store.account, store.legs, batch.ledger, batch.trades, batch.final_stats)
        )
        return {
            "parts": ledger[:, : t.N_PARTS],
            "turnover": trades[:, :, t.TURNOVER],
            "equity": account[:, t.EQUITY],
            "liquidated": legs[:, :, t.LIQUIDATED],
            "episode_return": final[:, 0],
            "episode_length": final[:, 1],
            "episode_equity": final[:, 2],
        }
