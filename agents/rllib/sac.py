"""SAC by RLlib on Ray (the extra `rllib`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from numpy.typing import NDArray

from agents.params import Range
from agents.rllib.base import RLlibAgent, RLlibParams
from agents.sb3.zones import zone_targets


@dataclass(frozen=True, kw_only=True)
class RLlibSACParams(RLlibParams):
    """Parameters of SAC on a Box of zones (`agents.sb3.zones`)."""

    n_envs: Annotated[int, Range(1, 65536, "environments")] = 16
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 512
    learning_rate: Annotated[float, Range(1e-7, 1)] = 1e-3
    gamma: Annotated[float, Range(0, 1, "per decision")] = 0.99
    buffer_size: Annotated[int, Range(1, 100_000_000, "steps")] = 500_000
    """Environment steps that the replay buffer keeps."""
    learning_starts: Annotated[int, Range(0, 10_000_000, "steps")] = 2_000
    """Environment steps of uniform exploration."""
    training_intensity: Annotated[float, Range(0.01, 10_000, "samples")] = 8.0
    """Samples replayed for each environment step."""
    entropy: Annotated[float, Range(0, 100)] = 0.01
    """Temperature at the start; it is tuned towards a low target entropy."""
    tau: Annotated[float, Range(0, 1, "per update")] = 0.05
    """How fast the target networks follow."""
    leverage_low: Annotated[float, Range(1, 125, "times")] = 2.0
    """Lowest leverage of the zones."""
    leverage_high: Annotated[float, Range(1, 125, "times")] = 4.0
    """Highest leverage of the zones."""


class RLlibSAC(RLlibAgent):
    """RLlib's SAC on zones {off, hold, on} x leverage, as the agent sac."""

    name = "rllib_sac"
    parameters = RLlibSACParams
    params: RLlibSACParams
    step_cost = 20.0

    def zones(self) -> tuple[float, float]:
        """The ends of the leverage dial."""
        return self.params.leverage_low, self.params.leverage_high

    def config(self) -> Any:
        """SAC with a replay of episodes."""
        from ray.rllib.algorithms.sac import SACConfig

        p = self.params
        return SACConfig().training(
            actor_lr=p.learning_rate,
            critic_lr=p.learning_rate,
            alpha_lr=p.learning_rate,
            gamma=p.gamma,
            tau=p.tau,
            initial_alpha=max(p.entropy, 1e-6),
            target_entropy=-6.0,
            train_batch_size_per_learner=p.batch_size,
            training_intensity=p.training_intensity,
            num_steps_sampled_before_learning_starts=p.learning_starts,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": p.buffer_size},
        )

    def choose(self, inputs: Any, deterministic: bool) -> NDArray[Any]:
        """Target actions."""
        chance = self.module.get_inference_action_dist_cls().from_logits(inputs)
        drawn = (chance.to_deterministic() if deterministic else chance).sample()
        return zone_targets(drawn.numpy(), self.zones())
