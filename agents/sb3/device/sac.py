"""SAC whose replay stays in torch tensors on the environments' device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agents.sb3.base import libraries
from agents.sb3.device.base import OnDevice
from agents.sb3.sac import SAC, SACParams
from agents.sb3.zones import EDGE, zone_space


@dataclass(frozen=True, kw_only=True)
class DeviceSACParams(SACParams):
    """Parameters of SAC, and where it learns."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where it steps and learns."""


class DeviceSAC(OnDevice, SAC):
    """The recipe of `sac` without a round trip through numpy: observations, actions, rewards and
    the replay lie on one device.

    Same networks, losses and files: `DQN.load` of stable-baselines3 opens the checkpoint of counted
    actions, `SAC.load` that of zones. Every environment explores by a draw of its own, where SB3
    draws once for all. On a GPU an interrupted training goes on with new episodes and an empty
    replay.
    """

    name = "device_sac"
    parameters = DeviceSACParams
    params: DeviceSACParams

    def algorithm(self) -> Any:
        """The class of the model."""
        libraries()
        from agents.sb3.device.replay import TensorSAC, TensorSoftQ

        return TensorSoftQ if self._discrete else TensorSAC

    def translation(self, env: Any) -> Any:
        """The model's actions as target actions: a row of a table, or the zone."""
        torch, _ = libraries()
        assets = env.batch.market.n_assets
        if self._discrete:
            from gymnasium import spaces

            from agents.sb3.discrete_sac import choices

            count = len(choices(assets, self.params.leverage_grid))
            table = torch.as_tensor(
                self.translated(np.arange(count)), dtype=torch.float32, device=env.device
            )
            return spaces.Discrete(count), lambda actions: table[actions.reshape(-1)]
        low, high = self._leverage

        def read(actions: Any) -> Any:
            gate, dial = actions.double().reshape(len(actions), assets, 2).unbind(dim=-1)
            parts = (
                (gate.abs() <= EDGE).double(),
                (gate > EDGE).double(),
                torch.ones_like(gate),
                low * (high / low) ** ((dial + 1) / 2),
            )
            return torch.stack(parts, dim=-1).reshape(len(actions), -1)

        return zone_space(assets), read
