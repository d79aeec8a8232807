"""PPO whose rollouts stay in torch tensors on the environments' device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from agents._sb3_model import libraries
from agents._sb3_terms import draw_terms, hindsight
from agents.params import AgentError
from agents.sb3 import PPO, PPOParams
from fundenv.config import EnvConfig


@dataclass(frozen=True, kw_only=True)
class DevicePPOParams(PPOParams):
    """Parameters of PPO, and where it learns."""

    device: Literal["cpu", "cuda"] = "cpu"


class DevicePPO(PPO):
    """The recipe of `ppo` without a round trip through numpy: observations, actions, rewards and the rollout lie on one device.

    Same policies, losses and files as stable-baselines3: its `PPO.load` opens the checkpoint. One asset per path; on a GPU an interrupted training goes on
    with new episodes (on the CPU bit by bit, as `ppo` does).
    """

    name = "device_ppo"
    parameters = DevicePPOParams
    params: DevicePPOParams

    def algorithm(self) -> Any:
        """SB3's class with another way to collect."""
        libraries()
        from agents._device_rollout import TensorPPO

        return TensorPPO

    def place(self) -> str:
        """The device."""
        return self.params.device

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """The envs of the training, as tensors."""
        from agents._device_rollout import DeviceEnv
        from fundenv.envs.torch import FundingHedgeTorchEnv

        p = self.params
        if market.n_assets != 1:
            raise AgentError(f"agent {self.name} takes one asset per path, this market has {market.n_assets}; use agent ppo")
        settings = settings | self.training_settings() | self.env_settings()
        config = EnvConfig.from_dict(settings)
        terms = draw_terms(p, config, seed)
        settings["per_env"] = terms._asdict()
        env = FundingHedgeTorchEnv(p.n_envs, device=p.device, market=market, threads=p.threads, **settings)
        self.bind(env.batch)
        self.provenance = replace(self.provenance, market=market.hash)
        potential = hindsight(market, config, env.batch.venue, terms, p.gamma) if p.shaping else None
        return DeviceEnv(env, scale=p.reward_scale, gamma=p.gamma, clip=p.reward_clip, potential=potential)
