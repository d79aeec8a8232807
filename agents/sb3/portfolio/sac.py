"""SAC on one capital over any number of coins: it steers margin carry."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.params import Range
from agents.sb3.base import libraries
from agents.sb3.portfolio.learner import DialLearner
from agents.sb3.portfolio.params import DialParams
from agents.sb3.replay_file import KeepsReplay


@dataclass(frozen=True, kw_only=True)
class PortfolioSACParams(DialParams):
    """Parameters of SAC on one capital."""

    n_envs: Annotated[int, Range(1, 65536, "environments")] = 128
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 512
    learning_rate: Annotated[float, Range(1e-7, 1)] = 3e-4
    n_steps: Annotated[int, Range(1, 4096, "decisions")] = 60
    """Decisions between two series of updates, in which each environment keeps its noise."""
    gradient_steps: Annotated[int, Range(1, 10_000, "updates")] = 30
    """Updates after these decisions."""
    buffer_size: Annotated[int, Range(1, 100_000_000, "steps")] = 200_000
    """Environment steps that the replay buffer keeps."""
    entropy: Annotated[float, Range(1e-6, 100, "scaled reward")] = 0.0005
    """Temperature."""
    tau: Annotated[float, Range(0, 1, "per update")] = 0.01
    """How fast the target networks follow."""


class PortfolioSAC(KeepsReplay, DialLearner):
    """SAC on one capital: a squashed Gaussian around margin carry, whose parameters it moves at
    every decision. Its reward is the growth beyond what the rule earns on the same path.
    """

    name = "portfolio_sac"
    parameters = PortfolioSACParams
    params: PortfolioSACParams
    step_cost = 2.0

    def algorithm(self) -> Any:
        """SB3's class."""
        return libraries()[1].SAC

    def build(self, env: Any, seed: int) -> Any:
        """A new model, which is the rule."""
        libraries()
        from agents.sb3.models import replay_model

        p = self.params
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # several updates after several steps, as it is meant
            self.model = replay_model(
                self,
                "MlpPolicy",
                env,
                seed,
                learning_starts=0,
                train_freq=p.n_steps,
                gradient_steps=p.gradient_steps,
                ent_coef=p.entropy,
                use_sde=True,
                policy_kwargs=self.shape(env) | {"net_arch": [p.hidden]},
            )
        self.scale(0.0)
        return self.model

    def log_interval(self) -> int:
        """SB3 counts finished episodes here."""
        return self.params.n_envs

    def last_layer(self) -> Any:
        """See `DialLearner.last_layer`."""
        return self.model.policy.actor.mu

    def last(self, seen: Any) -> Any:
        """See `DialLearner.last`."""
        actor = self.model.policy.actor  # without the limit of gSDE, so that `scale` is exact
        features = actor.extract_features(seen, actor.features_extractor)
        return actor.mu[0](actor.latent_pi(features))

    def squashed(self, said: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `DialLearner.squashed`."""
        limit = self.model.policy.actor.clip_mean
        return np.asarray(np.tanh(np.clip(said, -limit, limit)))

    def drawn(self, seen: Any) -> NDArray[np.float64]:
        """See `DialLearner.drawn`."""
        actions = self.model.policy.actor(seen).cpu().numpy()
        return np.asarray(actions, np.float64)
