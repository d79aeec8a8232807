"""PPO whose rollouts stay in torch tensors on the environments' device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from agents.params import AgentError
from agents.sb3.base import libraries
from agents.sb3.device.base import OnDevice
from agents.sb3.ppo import PPO, PPOParams


@dataclass(frozen=True, kw_only=True)
class DevicePPOParams(PPOParams):
    """Parameters of PPO, and where it learns."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where it steps and learns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("residual", "critic"):
            if getattr(self, option) not in ("", "plain"):
                raise AgentError(
                    f"{option} = {getattr(self, option)!r} needs columns beside the observations,"
                    " which tensors do not have; use ppo"
                )


class DevicePPO(OnDevice, PPO):
    """The recipe of `ppo` without a round trip through numpy: observations, actions, rewards and
    the rollout lie on one device.

    Same policies, losses and files as stable-baselines3: its `PPO.load` opens the checkpoint. On a
    GPU an interrupted training goes on with new episodes (on the CPU bit by bit, as `ppo` does).
    """

    name = "device_ppo"
    parameters = DevicePPOParams
    params: DevicePPOParams

    def algorithm(self) -> Any:
        """SB3's class with another way to collect."""
        libraries()
        from agents.sb3.device.rollout import TensorPPO

        return TensorPPO
