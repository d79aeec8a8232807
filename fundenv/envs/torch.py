"""Torch tensors over a batch: for learners whose rollouts stay on one device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
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
    """`num_envs` environments with tensors as input and output; n = num_envs, D = observations, A =
    assets, W = entries of an action row.

        env = FundingHedgeTorchEnv(4096, device="cpu", actions="continuous")
        obs, info = env.reset(seed=0)
        obs, reward, terminated, truncated, final_obs, info = env.step(actions)

    All tensors live on `device` ("cpu", "cuda", "cuda:1", ...) and are views of the buffers that
    the simulation writes: nothing is copied but the actions and the reward's cast. On a GPU the
    environment is their fastest axis: `obs.stride()` is (1, n), which matrix products take as it
    is.

    - `actions` (n, W), any number type, in the action space of the config (`action_space` is one
      environment's; continuous: W numbers in [-1, 1]; discrete: W indices; indexed: (n,) whole
      numbers). They are copied before `step` returns.
    - `obs` (n, D) float32: the state to act on next; a new episode's first observation where one
      has just ended (SAME_STEP). It alternates between two buffers: the observation handed out
      before stays as it is during one step and is overwritten by the second. Clone to keep it
      longer.
    - `reward` (n,) float32; `terminated`, `truncated` (n,) bool, never both. Overwritten by the
      next step.
    - `final_obs` (n, D) float32: the last observation of the episode in the rows where `terminated
      | truncated`; the other rows are stale. So the value of the next state of a truncated
      environment is V(final_obs), of a terminated one 0, of any other V(obs).
    - `info`: one dict of views, the same at every step. `parts` (n, 9) float64: the parts of the
      change of equity during the step [quote], in the order of `fundenv.dynamics.types.PARTS`;
      `turnover` (n, A) float64 [quote]; `equity` (n,) float64 [quote], of the new episode where one
      has ended; `liquidated` (n, A) float64: liquidations and auto-deleveragings during the step, 0
      where an episode has ended; `path` and `row` (n,) int64: the path of the market and the row at
      whose close the environment stands; of the last finished episode `episode_return`,
      `episode_length` and `episode_equity` (n,) float64.

    On a GPU `step` queues its work on torch's current stream and returns at once. It can be
    captured in a CUDA graph: run one `reset` and two `step`s first (they compile the kernels), then
    capture an even number of steps inside `recorded`, since the observation alternates between two
    buffers.

    Environment i seeded with s draws the same random numbers as every other interface of fundenv
    with seed s + i. Settings are those of `FundingHedgeEnv`, and `per_env` as for
    `fundenv.batch.cpu.Batch`; `threads` is the number of CPU threads.
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
        """See the class docstring; raises `ConfigError` with one line that names the setting, also
        where `device` cannot be had.
        """
        self.device = usable_device(device)
        given: dict[str, Any] = {
            "market": market,
            "symbols": symbols,
            "autoreset": "same_step",
            **settings,
        }
        self.batch: Batch = (
            _cuda_batch(num_envs, self.device, given)
            if self.device.type == "cuda"
            else Batch(num_envs, threads=threads, **given)
        )
        self.num_envs = num_envs
        self.observation_space = observation_space(self.batch)
        self.action_space = action_space(self.batch)
        self._obs = {id(buffer): self._view(buffer) for buffer in self.batch.obs_buffers}
        self._actions, self._final_obs, self._reward64, self._terminated, self._truncated = map(
            self._view,
            (
                self.batch.actions,
                self.batch.final_obs,
                self.batch.reward,
                self.batch.terminated,
                self.batch.truncated,
            ),
        )
        table = self.batch.decisions
        self._decisions = None if table is None else torch.from_numpy(table).to(self.device)
        self._reward = torch.zeros(num_envs, dtype=torch.float32, device=self.device)
        self.info = self._views()

    @property
    def observation_table(self) -> tuple[Any, ...]:
        """The D observations: name, meaning, unit, low, high, scale."""
        return self.batch.observation_table

    @property
    def obs(self) -> Tensor:
        """The observations (n, D) to act on next: what `reset` or the last `step` returned."""
        return self._obs[id(self.batch.obs)]

    def reset(self, seed: int | Sequence[int] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Begin new episodes everywhere; seed: environment i gets seed + i, or seed[i]; None goes
        on with the streams. Returns (obs, info).
        """
        return self._obs[id(self.batch.reset(seed))], self.info

    def step(
        self, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Step every environment by one decision. Returns (obs, reward, terminated, truncated,
        final_obs, info): see the class docstring.

        Numbers beyond a Box are clipped to it. Raises `ValueError` for actions of another shape or
        type, that are not finite or that no grid has; on a GPU the numbers are not checked, because
        that would wait for the device.
        """
        if not isinstance(actions, Tensor):
            raise ValueError(self.batch.gate.expects(actions))
        self._take(actions.detach())
        self.batch.advance(
            torch.cuda.current_stream(self.device).cuda_stream if self.device.type == "cuda" else 0
        )
        self._reward.copy_(self._reward64)
        return (
            self._obs[id(self.batch.obs)],
            self._reward,
            self._terminated,
            self._truncated,
            self._final_obs,
            self.info,
        )

    def recorded(self) -> AbstractContextManager[None]:
        """Enter it around steps that a CUDA graph records: recording does no step, and afterwards
        the env stands where it stood, also where the recording failed. Raises `RuntimeError` for an
        odd number of steps.
        """
        return getattr(self.batch, "recorded", nullcontext)()

    def close(self) -> None:
        """Stop the threads."""
        self.batch.close()

    def _take(self, actions: Tensor) -> None:
        """Put the actions where the simulation reads them. On a GPU an `indexed` number that names
        no decision counts as the nearest one that does, because a check would wait for the device.
        """
        gate = self.batch.gate
        if self.device.type == "cpu":
            host = actions.cpu()
            gate.take((host.float() if host.is_floating_point() else host).numpy())
            return
        if actions.dtype is torch.bool or actions.dtype.is_complex:
            raise ValueError(gate.expects(actions))
        if self._decisions is not None and actions.shape == (self.num_envs,):
            actions = self._decisions[actions.long().clamp(0, len(self._decisions) - 1)]
        if actions.shape != self._actions.shape:
            raise ValueError(gate.expects(actions))
        self._actions.copy_(actions)

    def _view(self, array: Any) -> Tensor:
        """A tensor on the memory of a numpy or numba device array."""
        return (
            torch.from_numpy(array)
            if self.device.type == "cpu"
            else torch.as_tensor(array, device=self.device)
        )

    def _views(self) -> dict[str, Tensor]:
        store, batch = self.batch.store, self.batch
        account, legs, ledger, trades, final, episode = map(
            self._view,
            (
                store.account,
                store.legs,
                batch.ledger,
                batch.trades,
                batch.final_stats,
                store.episode,
            ),
        )
        return {
            "parts": ledger[:, : t.N_PARTS],
            "turnover": trades[:, :, t.TURNOVER],
            "equity": account[:, t.EQUITY],
            "liquidated": legs[:, :, t.LIQUIDATED],
            "path": episode[:, t.PATH],
            "row": episode[:, t.ROW],
            "episode_return": final[:, 0],
            "episode_length": final[:, 1],
            "episode_equity": final[:, 2],
        }


def usable_device(device: str | torch.device) -> torch.device:
    """The device, a CUDA device with its number; raises `ConfigError` where it cannot be had."""
    try:
        wished = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device = {device!r} is no torch device; use 'cpu' or 'cuda'") from None
    if wished.type == "cpu":
        return wished
    if wished.type != "cuda":
        raise ConfigError(f"device = {str(device)!r}: the simulation runs on 'cpu' and 'cuda' only")
    if not torch.cuda.is_available():
        raise ConfigError(
            f"device = {str(device)!r}: this torch ({torch.__version__}) sees no CUDA device; use"
            " device='cpu'"
        )
    if find_spec("numba_cuda") is None:
        raise ConfigError(
            f"device = {str(device)!r} needs numba-cuda: pip install 'fundenv[cuda]', or use"
            " device='cpu'"
        )
    return torch.device(
        "cuda", torch.cuda.current_device() if wished.index is None else wished.index
    )


def _cuda_batch(num_envs: int, device: torch.device, given: dict[str, Any]) -> Batch:
    from fundenv.batch.cuda import CudaBatch  # needs the extra `cuda`

    torch.zeros(1, device=device)  # torch makes the context that both share
    return CudaBatch(num_envs, device=device.index, **given)
