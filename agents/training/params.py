"""Parameters that learners of every library share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from agents.params import AgentError, Params, Range
from fundenv.settings.forms import Reward


@dataclass(frozen=True, kw_only=True)
class TrainingParams(Params):
    """Size and learning rate of a training, its reward, its episodes and their cash rates."""

    # fields of which the first may not be above the second
    spans: ClassVar[tuple[tuple[str, str], ...]] = (("cash_low", "cash_high"),)

    n_envs: Annotated[int, Range(1, 65536, "environments")]
    """Number of environments that the training steps together."""
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")]
    """Samples of one update of the networks."""
    learning_rate: Annotated[float, Range(1e-7, 1)]
    """Step size of the optimiser."""
    gamma: Annotated[float, Range(0, 1, "per decision")] = 0.995
    """Discount factor of future rewards."""
    hidden: Annotated[int, Range(1, 4096, "units")] = 64
    """Width of both hidden layers of each network."""
    reward: Annotated[str, Reward] = "log_growth"
    """Reward of the training, as in the env; the evaluation does not use it."""
    start_invested: Annotated[float, Range(0, 1, "of training episodes")] = 0.5
    """Share of the episodes that begin with full carry."""
    episode_days: Annotated[int, Range(1, 3650, "days")] = 90
    """Length of a training episode."""
    cash_low: Annotated[float, Range(-0.5, 1, "per year")] = -0.02
    """Lowest cash rate of the training; the environments have rates at equal steps from it to
    `cash_high`.
    """
    cash_high: Annotated[float, Range(-0.5, 1, "per year")] = 0.07
    """Highest cash rate of the training. A --cash-rate outside the range widens it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for low, high in self.spans:
            if getattr(self, low) > getattr(self, high):
                raise AgentError(
                    f"{low} = {getattr(self, low)!r} is above {high} = {getattr(self, high)!r};"
                    " lower it"
                )

    def env_fields(self) -> dict[str, Any]:
        """Fields of `EnvConfig`: random episodes with the training reward."""
        return {
            "reward": self.reward,
            "start_invested": self.start_invested,
            "episode": f"{self.episode_days}D",
            "random_start": True,
        }
