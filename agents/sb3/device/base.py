"""What learners share whose environments and memory lie on one device; torch is imported when a
training begins, not before.
"""

from __future__ import annotations

from typing import Any

from agents.sb3.base import SB3Agent


class OnDevice(SB3Agent):
    """The training environments in tensors on `params.device`; what is learned is what the learner
    beside it in the bases learns.
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

    def spoken(self, env: Any) -> Any:
        """(space, function from the model's actions to the env's, both tensors) where they differ
        from the env's own, else None.
        """
        return None

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """The envs of the training, as tensors: the same terms, potential and scale of the reward
        as on the usual way.
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
            spoken=self.spoken(env),
        )
