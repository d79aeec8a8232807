"""PPO with counted choices on one capital over any number of coins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.base import TrainingCallback
from agents.params import Params, Range
from agents.sb3.base import libraries
from agents.sb3.portfolio.choice_learner import ChoiceLearner
from agents.sb3.portfolio.params import ChoiceParams, rising
from agents.sb3.portfolio.teacher import Teacher, read_teacher


@dataclass(frozen=True, kw_only=True)
class ChoicePPOParams(ChoiceParams):
    """Parameters of PPO on one capital."""

    n_steps: Annotated[int, Range(1, 4096, "decisions")] = 64
    """Decisions of each environment in one rollout."""
    epochs: Annotated[int, Range(1, 100, "passes")] = 4
    """Passes over each rollout."""
    learning_rate: Annotated[float, Range(1e-7, 1)] = 1e-4
    gae_lambda: Annotated[float, Range(0, 1)] = 0.97
    """Weight of long returns in the generalised advantage estimate."""
    entropy: Annotated[float, Range(0, 1)] = 0.0002
    """Entropy bonus at the start of the training, falling linearly to 0."""
    max_grad_norm: Annotated[float, Range(1e-6, 1e6)] = 0.5
    """Largest norm of a gradient."""
    clip_range: Annotated[float, Range(1e-6, 10)] = 0.2
    """Largest change of the ratio of new to old probability that an update gains from."""
    bands: Annotated[tuple[float, ...], Range(1, 100, "of the target")] = (1.6, 4.0)
    """Values of `keeper_up` to choose from, rising; beyond the chosen value the keeper trades the
    account back to its target.
    """
    imitate: Annotated[int, Range(0, 100_000_000, "observations")] = 30_000
    """Observations on which the policy first imitates `teacher`; 0: it starts at random."""
    counterfactual_rounds: Annotated[int, Range(0, 100_000, "rounds")] = 0
    """Rounds of counterfactual training: the env steps one account for each coin and level, always
    invested in it, and the policy follows the exact gradient of its expected growth over these
    accounts (agents/training/portfolio_counterfactual.py); 0: none.
    """
    counterfactual_envs: Annotated[int, Range(1, 65536, "environments")] = 8
    """Environments of one such round."""
    counterfactual_days: Annotated[int, Range(1, 3650, "days")] = 240
    """Length of such a round; the training does not use its last quarter."""
    counterfactual_rate: Annotated[float, Range(1e-7, 1)] = 1e-3
    """Learning rate of counterfactual training, falling linearly to 0."""
    counterfactual_entropy: Annotated[float, Range(0, 1)] = 0.001
    """Entropy bonus of counterfactual training, falling linearly to 0."""
    counterfactual_liquidation: Annotated[float, Range(0, 1, "of equity")] = 0.1
    """Charge for a liquidation in counterfactual training, in addition to its cost."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rising("bands", self.bands)
        if self.teacher:
            read_teacher(self.teacher)


class ChoicePPO(ChoiceLearner):
    """PPO on one capital over any number of coins. One head chooses: stay, all to cash, or the
    whole capital in one coin at one of the levels (which is also how it rebalances); another sets
    the band of the keeper. The network treats every coin alike.
    """

    name = "choice_ppo"
    parameters = ChoicePPOParams
    params: ChoicePPOParams
    step_cost = 1.5

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.bands = self.params.bands

    def algorithm(self) -> Any:
        """SB3's class."""
        return libraries()[1].PPO

    def space(self) -> spaces.Space[Any]:
        """A choice, and a band of the keeper."""
        return spaces.MultiDiscrete([self.choices.count, len(self.bands)])

    def fit(self) -> None:
        """See `ChoiceLearner.fit`."""
        seen = spaces.Box(-np.inf, np.inf, (self.choices.width,), np.float32)
        self.model.policy.fit(seen, self.space())

    def build(self, env: Any, seed: int) -> Any:
        """A new model."""
        libraries()
        from agents.sb3.models import ppo_model
        from agents.sb3.portfolio.policies import PortfolioPolicy

        p = self.params
        return ppo_model(
            self,
            PortfolioPolicy,
            env,
            seed,
            ent_coef=p.entropy,
            policy_kwargs=self.shape(env) | {"bands": len(p.bands)},
        )

    def warm_start(self) -> tuple[int, float]:
        """Rounds of counterfactual training; one costs 0.4 steps for each state that (1 + 2 levels)
        accounts of each environment visit (measured with five coins, three shown on average).
        """
        p = self.params
        accounts = p.counterfactual_envs * (1 + 2 * len(p.levels))
        return p.counterfactual_rounds, 0.4 * accounts * 3 * p.counterfactual_days

    def prepare(self, model: Any, seed: int, callback: TrainingCallback | None) -> bool:
        """Imitate the rule, then counterfactual training."""
        p = self.params
        if p.imitate and p.teacher:
            from agents.training.portfolio_imitation import imitate

            teacher = Teacher(p.teacher, model.get_env().batch, self.choices)
            imitate(model, teacher, samples=p.imitate, seed=seed)
        if not p.counterfactual_rounds:
            return True
        from agents.training.portfolio_accounts import PortfolioAccounts
        from agents.training.portfolio_counterfactual import train_policy

        accounts = PortfolioAccounts(
            *self.training_inputs,
            choice=(p.levels, p.bands),
            envs=p.counterfactual_envs,
            days=p.counterfactual_days,
            fewest=p.fewest_coins,
        )
        return train_policy(
            model,
            accounts,
            rounds=p.counterfactual_rounds,
            seed=seed,
            learning_rate=p.counterfactual_rate,
            entropy=p.counterfactual_entropy,
            charge=p.counterfactual_liquidation,
            gamma=p.gamma,
            scale=p.reward_scale,
            callback=callback,
        )

    def before_rollout(self, model: Any) -> None:
        """The entropy bonus follows the progress of the training."""
        left = 1 - min(1.0, model.num_timesteps / self.steps_wanted)
        model.ent_coef = self.params.entropy * left

    def decide(self, seen: Any, deterministic: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `ChoiceLearner.decide`."""
        both = self.model.policy.get_distribution(seen).get_actions(deterministic=deterministic)
        choice, band = both.cpu().numpy().T
        return choice, band
