"""What learners share whose environments and memory lie on one device; torch is imported when a training begins, not before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agents._augment import with_smooth_basis
from agents._sb3_model import SB3Agent
from agents._sb3_terms import draw_terms, hindsight
from fundenv.config import EnvConfig


class OnDevice(SB3Agent):
    """The training environments in tensors on `params.device`; what is learned is what the learner beside it in the bases learns."""

    params: Any

    def place(self) -> str:
        """The device."""
        return str(self.params.device)

    def spoken(self, env: Any) -> Any:
        """(space, function from the model's actions to the env's, both tensors) where they differ from the env's own, else None."""
        return None

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """The envs of the training, as tensors: the same terms, potential and scale of the reward as on the usual way."""
        from agents._device_env import DeviceEnv
        from fundenv.envs.torch import FundingHedgeTorchEnv

        p = self.params
        settings = settings | self.training_settings() | self.env_settings()
        config = EnvConfig.from_dict(settings)
        terms = draw_terms(p, config, seed)
        played = with_smooth_basis(market, p.basis_span) if p.basis_span else market
        walked, of = self.oversampled(played)
        self.course = played, settings, terms
        env = FundingHedgeTorchEnv(p.n_envs, device=p.device, market=walked, threads=p.threads, **settings, per_env=terms._asdict())
        self.bind(env.batch)
        self.provenance = replace(self.provenance, market=market.hash)
        potential = hindsight(played, config, env.batch.venue, terms, p.gamma, of=of) if p.shaping else None
        return DeviceEnv(env, scale=p.reward_scale, gamma=p.gamma, clip=p.reward_clip, potential=potential, spoken=self.spoken(env))
