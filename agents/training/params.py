"""Parameters that learners of every library share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from agents.params import AgentError, Params, Range


@dataclass(frozen=True, kw_only=True)
class TrainingParams(Params):
    """Size and pace of a training, its reward, its episodes and their cash rates."""

    # fields of which the first may not be above the second
    spans: ClassVar[tuple[tuple[str, str], ...]] = (("cash_low", "cash_high"),)

    n_envs: Annotated[int, Range(1, 65536)]
    batch_size: Annotated[int, Range(1, 1_000_000)]
    learning_rate: Annotated[float, Range(1e-7, 1)]
    gamma: Annotated[float, Range(0, 1)] = 0.995  # discount per decision
    hidden: Annotated[int, Range(1, 4096)] = 64  # width of both hidden layers
    reward: Literal["log_growth", "mean_variance", "expected"] = "log_growth"  # of training only
    start_invested: Annotated[float, Range(0, 1)] = (
        0.5  # share of training episodes that begin with full carry
    )
    episode_days: Annotated[int, Range(1, 3650)] = 90  # length of a training episode
    cash_low: Annotated[
        float, Range(-0.5, 1)
    ] = -0.02  # the envs' cash rates lie evenly from here ...
    cash_high: Annotated[float, Range(-0.5, 1)] = (
        0.07  # ... to here, and further where the rate asked for lies outside
    )

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
