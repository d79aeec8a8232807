"""PPO on one capital over any number of coins: it steers margin carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.params import Range
from agents.sb3.base import libraries
from agents.sb3.portfolio.learner import DialLearner
from agents.sb3.portfolio.params import DialParams


@dataclass(frozen=True, kw_only=True)
class PortfolioPPOParams(DialParams):
    """Parameters of PPO on one capital."""

    n_envs: Annotated[int, Range(1, 65536, "environments")] = 256
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 4096
    n_steps: Annotated[int, Range(1, 4096, "decisions")] = 60
    """Decisions of each environment in one rollout, in which it keeps its noise."""
    epochs: Annotated[int, Range(1, 100, "passes")] = 4
    """Passes over each rollout."""
    learning_rate: Annotated[float, Range(1e-7, 1)] = 1e-3
    gae_lambda: Annotated[float, Range(0, 1)] = 0.97
    """Weight of long returns in the generalised advantage estimate."""
    max_grad_norm: Annotated[float, Range(1e-6, 1e6)] = 0.5
    """Largest norm of a gradient."""
    clip_range: Annotated[float, Range(1e-6, 10)] = 0.2
    """Largest change of the ratio of new to old probability that an update gains from."""
    target_kl: Annotated[float, Range(1e-6, 10)] = 0.03
    """Divergence from the policy of the rollout at which the passes over it stop."""


class PortfolioPPO(DialLearner):
    """PPO on one capital: a network that treats every coin alike moves the parameters of margin
    carry at every decision. Its reward is the growth beyond what the rule earns on the same path.
    """

    name = "portfolio_ppo"
    parameters = PortfolioPPOParams
    params: PortfolioPPOParams
    step_cost = 1.5

    def algorithm(self) -> Any:
        """SB3's class."""
        return libraries()[1].PPO

    def build(self, env: Any, seed: int) -> Any:
        """A new model, which is the rule."""
        torch, _ = libraries()
        from agents.sb3.models import ppo_model

        p = self.params
        own = {"net_arch": {"pi": [p.hidden], "vf": [p.hidden]}, "ortho_init": False}
        self.model = ppo_model(
            self,
            "MlpPolicy",
            env,
            seed,
            ent_coef=0.0,
            target_kl=p.target_kl,
            use_sde=True,
            policy_kwargs=self.shape(env) | own,
        )
        self.scale(0.0)
        with torch.no_grad():
            self.model.policy.value_net.weight.mul_(0.01)
        return self.model

    def last_layer(self) -> Any:
        """See `DialLearner.last_layer`."""
        return self.model.policy.action_net

    def last(self, seen: Any) -> Any:
        """See `DialLearner.last`."""
        policy = self.model.policy
        features = policy.pi_features_extractor(seen)
        return policy.action_net(policy.mlp_extractor.forward_actor(features))

    def squashed(self, said: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `DialLearner.squashed`."""
        return np.asarray(np.clip(said, -1.0, 1.0))

    def drawn(self, seen: Any) -> NDArray[np.float64]:
        """See `DialLearner.drawn`."""
        actions = self.model.policy.get_distribution(seen).sample()
        return self.squashed(actions.cpu().numpy().astype(np.float64))
