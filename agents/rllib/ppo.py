"""PPO by RLlib on Ray (the extra `rllib`): the same environment, run folder and checkpoint as the
other learners, on one machine or many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.params import Range
from agents.rllib.base import POLICY, RLlibAgent, RLlibParams, libraries
from agents.sb3.gates import gate_settings, hold_logits


@dataclass(frozen=True, kw_only=True)
class RLlibPPOParams(RLlibParams):
    """Parameters of PPO; as those of the agent ppo."""

    n_steps: Annotated[int, Range(1, 4096, "decisions")] = 64
    """Decisions of each environment in one rollout."""
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 2048
    epochs: Annotated[int, Range(1, 100, "passes")] = 4
    """Passes over each rollout."""
    learning_rate: Annotated[float, Range(1e-7, 1)] = 3e-3
    gae_lambda: Annotated[float, Range(0, 1)] = 0.95
    """Weight of long returns in the generalised advantage estimate."""
    entropy: Annotated[float, Range(0, 1)] = 0.003
    """Entropy bonus."""
    hold_bias: Annotated[float, Range(-10, 10, "logit")] = 3.0
    """Head start of `hold`; greedy actions take it back."""
    carry_grid: Annotated[tuple[float, ...], Range(-1, 1, "of full carry")] = (0.0, 1.0)
    """Carries to choose from."""
    leverage_grid: Annotated[tuple[float, ...], Range(1, 125, "times")] = (2.0, 3.0)
    """Leverages to choose from."""


class RLlibPPO(RLlibAgent):
    """RLlib's PPO with one head for {hold, each carry} and one for the leverage, as the agent
    ppo.
    """

    name = "rllib_ppo"
    parameters = RLlibPPOParams
    params: RLlibPPOParams

    def env_settings(self) -> dict[str, Any]:
        """Hold or one of the carries, and a leverage; the hedge ratio stays at 1."""
        return gate_settings(self.params)

    def config(self) -> Any:
        """PPO without the KL penalty and with an unclipped value loss."""
        from ray.rllib.algorithms.ppo import PPOConfig

        p = self.params
        size = p.n_envs * p.n_steps * max(1, p.runners)
        return PPOConfig().training(
            lr=[
                [0, p.learning_rate],
                [p.decay_steps or max(1, self.steps_wanted), p.learning_rate / 100],
            ],
            gamma=p.gamma,
            lambda_=p.gae_lambda,
            train_batch_size_per_learner=size,
            minibatch_size=min(p.batch_size, size),
            num_epochs=p.epochs,
            entropy_coeff=p.entropy,
            use_kl_loss=False,
            vf_clip_param=float("inf"),
            vf_loss_coeff=0.5,
            clip_param=0.2,
            grad_clip=0.5,
        )

    def prepare(self, algorithm: Any) -> None:
        """Set the initial bias of `hold` and send it to the runners."""
        torch, _ = libraries()
        module = algorithm.learner_group._learner.module[POLICY]
        with torch.no_grad():
            module.pi.net.mlp[-1].bias[torch.as_tensor(hold_logits(module.action_space))] += (
                self.params.hold_bias
            )
        algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=algorithm.learner_group, inference_only=True
        )

    def choose(self, inputs: Any, deterministic: bool) -> NDArray[Any]:
        """Entries of the gate and of the leverage grid, per asset."""
        torch, _ = libraries()
        space = self.module.action_space
        if deterministic:
            inputs = inputs.clone()
            inputs[:, hold_logits(space)] -= self.params.hold_bias
        heads = torch.split(inputs, [int(n) for n in space.nvec], dim=1)
        picks = (
            (
                head.argmax(dim=1)
                if deterministic
                else torch.distributions.Categorical(logits=head).sample()
            )
            for head in heads
        )
        return np.stack([pick.numpy() for pick in picks], axis=1)
