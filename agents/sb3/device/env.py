"""The environments as tensors for SB3's algorithms on a device: the training reward, the potential
and the translation of actions stay on the device.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agents.base import observed
from agents.training.hindsight_potential import Hindsight
from fundenv.envs.sb3 import OneBatchVecEnv
from fundenv.envs.torch import FundingHedgeTorchEnv

LOOK_EVERY = 16  # steps of a batch on a GPU between two that are copied to the host to be looked at


class DevicePotential:
    """`agents.training.hindsight_potential.Hindsight` with its tables on a device: the same
    numbers, looked up there.
    """

    def __init__(self, potential: Hindsight, device: torch.device) -> None:
        self.bars, self.share = potential.bars, potential.weight
        self.values, self.first, self.count, self.kind, self.of = (
            torch.as_tensor(table, device=device)
            for table in (
                potential.values,
                potential.first,
                potential.count,
                potential.kind,
                potential.of,
            )
        )

    def __call__(self, path: Tensor, row: Tensor, short: Tensor) -> Tensor:
        """Phi (n,) float64 at the close of `row` of `path` (n,), with `short` (n, A) the perpetual
        notional sold over equity.
        """
        path = self.of[path]
        at = torch.minimum(
            (row - self.first[path]).div(self.bars, rounding_mode="floor"), self.count[path]
        )
        value = self.values[at, path, :, self.kind].double()  # (n, A, 2)
        return (self.share * value[..., 0] + short * (value[..., 1] - value[..., 0])).sum(dim=1)


class DeviceEnv(OneBatchVecEnv):
    """SB3's `VecEnv` interface for spaces and resets, and `advance`, which steps in tensors with
    the training reward of `agents.sb3.wrappers.Shaped`.
    """

    def __init__(
        self,
        env: FundingHedgeTorchEnv,
        *,
        scale: float,
        gamma: float,
        clip: float,
        charge: float,
        potential: Hindsight | None,
        translation: tuple[spaces.Space[Any], Callable[[Tensor], Tensor]] | None = None,
    ) -> None:
        self.env, self.batch, self.device = env, env.batch, env.device
        # whether a step may ask the device what happened; on a GPU it would wait
        self.looks = env.device.type == "cpu"
        self.scale, self.gamma, self.clip = scale, gamma, clip if clip > 0 else float("inf")
        self.potential = None if potential is None else DevicePotential(potential, self.device)
        weight, liquidated = (
            observed(env.observation_table, name) for name in ("perp_weight", "liquidated")
        )
        self.charge, self._struck = (
            1e3 * scale * charge / len(liquidated.at),
            torch.as_tensor(liquidated.at, device=self.device),
        )
        self._at, self._sold = (
            torch.as_tensor(weight.at, device=self.device),
            -torch.as_tensor(weight.scale, device=self.device),
        )
        space, translate = translation or (env.action_space, lambda actions: actions)
        self.translate: Callable[[Tensor], Tensor] = translate
        self.render_mode = None
        super().__init__(env.num_envs, env.observation_space, space)
        self.phi = torch.zeros(env.num_envs, dtype=torch.float64, device=self.device)
        self.path, self.row = env.info["path"].clone(), env.info["row"].clone()

    @property
    def obs(self) -> Tensor:
        """The observations to act on next, (n, D): a view that the second step from now
        overwrites.
        """
        return self.env.obs

    def reset(self) -> Any:
        """Begin episodes with the seed given to `seed`; observations as numpy, which SB3 keeps and
        nothing here reads.
        """
        seeds = [seed for seed in self._seeds if seed is not None] or None
        obs, _ = self.env.reset(seeds)
        self._reset_seeds()
        self.reset_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._stand()
        if self.potential is not None:
            self.phi.copy_(self.potential(self.path, self.row, self._short(obs)))
        return obs.cpu().numpy().copy()

    def advance(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Step; returns (obs, training reward, terminated, truncated, final_obs), views as of
        `FundingHedgeTorchEnv.step` but for the reward.
        """
        obs, reward, terminated, truncated, final, _ = self.env.step(self.translate(actions))
        if self.potential is not None:
            reward = reward + self._shape(self.potential, obs, terminated, truncated, final)
        ends = torch.where(
            (terminated | truncated)[:, None], final[:, self._struck], obs[:, self._struck]
        )
        reward = (self.scale * reward).clamp(-self.clip, self.clip) - self.charge * (ends > 0).sum(
            dim=1
        )
        return obs, reward, terminated, truncated, final

    def _shape(
        self,
        potential: DevicePotential,
        obs: Tensor,
        terminated: Tensor,
        truncated: Tensor,
        final: Tensor,
    ) -> Tensor:
        """1000 (gamma Phi' - Phi), (n,) float32. Nothing waits for the device: whether an episode
        has ended is asked only where `looks` says so, because that saves work on the CPU.
        """
        path, row = self.env.info["path"], self.env.info["row"]
        ended = terminated | truncated
        begun = potential(path, row, self._short(obs))
        after = begun
        if not self.looks or bool(ended.any()):
            left = potential(
                torch.where(ended, self.path, path),
                torch.where(ended, self.row + potential.bars, row),
                self._short(torch.where(ended[:, None], final, obs)),
            )
            after = torch.where(terminated, torch.zeros_like(left), left)
        shaped = (1e3 * (self.gamma * after - self.phi)).float()
        self.phi.copy_(begun)
        self._stand()
        return shaped

    def _short(self, obs: Tensor) -> Tensor:
        """Perpetual notional sold over equity, (n, A)."""
        return obs[:, self._at] * self._sold

    def _stand(self) -> None:
        """Keep path and row of every environment, where the next step finds them: these tensors and
        `phi` stay where they are, as a recorded step needs.
        """
        self.path.copy_(self.env.info["path"])
        self.row.copy_(self.env.info["row"])

    def state(self) -> dict[str, Any]:
        """Copies of what the next step depends on."""
        return {"phi": self.phi.clone(), "path": self.path.clone(), "row": self.row.clone()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        for name, held in (("phi", self.phi), ("path", self.path), ("row", self.row)):
            held.copy_(state[name])

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._pending = actions

    def step_wait(self) -> Any:
        """SB3's answer in numpy, for whatever steps this env the usual way."""
        obs, reward, terminated, truncated, final = self.advance(
            torch.as_tensor(self._pending, device=self.device)
        )
        cut, dones = truncated.cpu().numpy(), (terminated | truncated).cpu().numpy()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            infos[i] = {
                "terminal_observation": final[i].cpu().numpy().copy(),
                "TimeLimit.truncated": bool(cut[i]),
            }
        return obs.cpu().numpy().copy(), reward.cpu().numpy().copy(), dones.copy(), infos

    def close(self) -> None:
        """Stop the threads."""
        self.env.close()


def on_host(batch: Any) -> Any:
    """A copy of a batch on a GPU with its arrays in the host's memory, for the callback; a batch in
    the host's memory as it is.
    """
    if not hasattr(batch.ledger, "copy_to_host"):
        return batch
    copied = {
        name: getattr(batch, name).copy_to_host()
        for name in ("ledger", "trades", "reward", "obs", "actions")
    }
    store = SimpleNamespace(
        params=batch.store.params.copy_to_host(), legs=batch.store.legs.copy_to_host()
    )
    return SimpleNamespace(
        **copied, store=store, observation_table=batch.observation_table, config=batch.config
    )
