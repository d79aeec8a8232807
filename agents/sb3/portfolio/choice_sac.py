"""SAC with counted choices on one capital over any number of coins."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.params import Params, Range
from agents.sb3.base import libraries
from agents.sb3.portfolio.choice_learner import ChoiceLearner
from agents.sb3.portfolio.params import ChoiceParams
from agents.sb3.portfolio.teacher import Teacher, read_teacher
from agents.sb3.replay_file import KeepsReplay


@dataclass(frozen=True, kw_only=True)
class ChoiceSACParams(ChoiceParams):
    """Parameters of SAC on one capital."""

    learning_rate: Annotated[float, Range(1e-7, 1)] = 1e-3
    gradient_steps: Annotated[int, Range(1, 1000, "updates")] = 2
    """Updates for each step of all environments."""
    buffer_size: Annotated[int, Range(1, 100_000_000, "steps")] = 100_000
    """Environment steps that the replay buffer keeps."""
    learning_starts: Annotated[int, Range(0, 10_000_000, "steps")] = 10_000
    """Environment steps in which the rule `teacher` acts, at most a fifth of the training; without
    a rule, steps of uniform exploration.
    """
    entropy: Annotated[float, Range(1e-6, 100, "scaled reward")] = 0.002
    """Temperature."""
    explore: Annotated[float, Range(0, 1, "of actions")] = 0.05
    """Share of uniform choices in training."""
    tau: Annotated[float, Range(0, 1, "per update")] = 0.02
    """How fast the target network follows."""
    band: Annotated[float, Range(1, 100, "of the target")] = 4.0
    """Value of `keeper_up`: beyond it the keeper trades the account back to its target."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher:
            read_teacher(self.teacher)


class ChoiceSAC(KeepsReplay, ChoiceLearner):
    """SAC with discrete actions on one capital: the critic gives a value to staying, to cash, and
    to every coin at every level. The policy is the softmax of these values, and a greedy action has
    the highest. The network treats every coin alike. The replay begins with rollouts of a rule.
    """

    name = "choice_sac"
    parameters = ChoiceSACParams
    params: ChoiceSACParams
    step_cost = 4.0

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.bands = (self.params.band,)

    def algorithm(self) -> Any:
        """The class of the model."""
        libraries()
        from agents.sb3.portfolio.taught import TaughtQ

        return TaughtQ

    def space(self) -> spaces.Space[Any]:
        """A choice."""
        return spaces.Discrete(self.choices.count)

    def build(self, env: Any, seed: int) -> Any:
        """A new model."""
        libraries()
        from agents.sb3.models import replay_model
        from agents.sb3.portfolio.policies import PortfolioQPolicy

        p = self.params
        with warnings.catch_warnings():
            # the target network follows after every step of all environments, as it is meant to
            warnings.simplefilter("ignore")
            model = replay_model(
                self,
                PortfolioQPolicy,
                env,
                seed,
                learning_starts=min(p.learning_starts, self.steps_wanted // 5),
                train_freq=1,
                gradient_steps=p.gradient_steps,
                target_update_interval=1,
                exploration_initial_eps=p.explore,
                exploration_final_eps=p.explore,
                max_grad_norm=10.0,
                policy_kwargs=self.shape(env),
            )
        model.temperature = p.entropy
        return model

    def add_columns(self, env: Any) -> Any:
        """The training env, which knows the rule that plays until the learning starts."""
        env = super().add_columns(env)
        if self.params.teacher:
            env.teacher = Teacher(self.params.teacher, env.batch, self.choices)
        return env

    def log_interval(self) -> int:
        """SB3 counts finished episodes here."""
        return self.params.n_envs

    def decide(self, seen: Any, deterministic: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `ChoiceLearner.decide`."""
        torch, _ = libraries()
        values = self.model.q_net(seen)
        if deterministic:
            choice = values.argmax(dim=1)
        else:
            chances = torch.softmax(values / self.model.temperature, dim=1)
            choice = torch.multinomial(chances, 1)[:, 0]
        return choice.cpu().numpy(), np.zeros(len(choice), np.int64)
