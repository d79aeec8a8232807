"""What the learners share that keep environments, rollout and replay on one device; torch is
imported when a training begins.
"""

from __future__ import annotations

from typing import Any

from agents.sb3.base import SB3Agent


class OnDevice(SB3Agent):
    """Mixin: puts the training environments on `params.device` as tensors. The other base class is
    the learner, which is otherwise unchanged.
    """

    params: Any

    def require(self) -> None:
        """The libraries, and the device."""
        super().require()
        from fundenv.envs.torch import usable_device

        usable_device(self.params.device)

    def place(self) -> str:
        """The device."""
        return str(self.params.device)

    def translation(self, env: Any) -> Any:
        """(space, function from the model's actions to the env's, both tensors) where they differ
        from the env's own, else None.
        """
        return None

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """The envs of the training as tensors, with the same terms, potential and reward scale as
        in the agents ppo and sac.
        """
        from agents.sb3.device.env import DeviceEnv
        from fundenv.envs.torch import FundingHedgeTorchEnv

        p = self.params
        walked, settings, bound = self.lay_out(market, settings, seed)
        env = FundingHedgeTorchEnv(
            p.n_envs, device=p.device, market=walked, threads=p.threads, **settings
        )
        potential = bound(env.batch)
        return DeviceEnv(
            env,
            scale=p.reward_scale,
            gamma=p.gamma,
            clip=p.reward_clip,
            charge=p.liquidation_charge,
            potential=potential,
            translation=self.translation(env),
        )
