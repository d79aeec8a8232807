"""PPO by stable-baselines3 (the extra `sb3`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import TrainingCallback
from agents.params import AgentError, Range
from agents.sb3.base import libraries
from agents.sb3.continuous import ContinuousParams, dial_settings
from agents.sb3.extra_columns import WithColumns
from agents.sb3.gates import gate_settings, hold_logits
from agents.sb3.params import LearningParams
from agents.training.privileged_critic import PrivilegedParams
from agents.training.residual import ResidualParams


@dataclass(frozen=True, kw_only=True)
class PPOParams(ContinuousParams, ResidualParams, PrivilegedParams, LearningParams):
    """Parameters of PPO: few, large batches (SB3's defaults spend 99 % of the time in the
    optimiser).
    """

    n_envs: Annotated[int, Range(1, 65536, "environments")] = 256
    n_steps: Annotated[int, Range(1, 4096, "decisions")] = 64
    """Decisions of each environment in one rollout."""
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 4096
    epochs: Annotated[int, Range(1, 100, "passes")] = 4
    """Passes over each rollout."""
    learning_rate: Annotated[float, Range(1e-7, 1)] = 5e-5
    """Step size of the optimiser, falling linearly to 0. It is small because counterfactual
    training comes before PPO.
    """
    gamma: Annotated[float, Range(0, 1, "per decision")] = 0.999
    """Discount factor of future rewards. A trade needs months to pay its costs; at 0.995 PPO learns
    not to enter.
    """
    gae_lambda: Annotated[float, Range(0, 1)] = 0.99
    """Weight of long returns in the generalised advantage estimate."""
    entropy: Annotated[float, Range(0, 1)] = 0.0002
    """Entropy bonus at the start of the training."""
    entropy_end: Annotated[float, Range(0, 1)] = 0.0
    """Entropy bonus at the end of the training; linear in between."""
    max_grad_norm: Annotated[float, Range(1e-6, 1e6)] = 0.5
    """Largest norm of a gradient."""
    clip_range: Annotated[float, Range(1e-6, 10)] = 0.2
    """Largest change of the ratio of new to old probability that an update gains from."""
    hold_bias: Annotated[float, Range(-10, 10, "logit")] = 1.0
    """Added to the logit of `hold` of a new policy."""
    hold_back: bool = False
    """Greedy actions subtract `hold_bias` from the logit of `hold`."""
    imitate: Annotated[int, Range(0, 100_000_000, "observations")] = 60_000
    """Observations on which the policy first imitates a threshold rule; 0: it starts at random."""
    imitate_leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Leverage of that rule."""
    leverage_bias: Annotated[float, Range(-10, 10, "logit")] = 2.0
    """Added to the logit of that leverage in a new policy."""
    counterfactual_rounds: Annotated[int, Range(0, 100_000, "rounds")] = 16
    """Rounds of counterfactual training, each with one episode in every environment: it trains
    gates and leverages by the exact gradient of expected growth
    (agents/training/counterfactual_training.py); 0: none.
    """
    counterfactual_rate: Annotated[float, Range(1e-7, 1)] = 1e-3
    """Learning rate of counterfactual training, falling linearly to 0."""
    counterfactual_entropy: Annotated[float, Range(0, 1)] = 0.002
    """Entropy bonus of counterfactual training, falling linearly to 0."""
    counterfactual_liquidation: Annotated[float, Range(0, 1, "of notional")] = 0.12
    """Charge for a liquidation in counterfactual training: a price of risk, above the mean cost."""
    carry_grid: Annotated[tuple[float, ...], Range(-1, 1, "of full carry")] = (0.0, 1.0)
    """Carries to choose from."""
    leverage_grid: Annotated[tuple[float, ...], Range(1, 125, "times")] = (2.0, 3.0, 5.0)
    """Leverages to choose from."""


class PPO(WithColumns):
    """PPO of stable-baselines3: one head chooses to hold or one of the carries, another one the
    leverage; with `kind=continuous` a Gaussian on the env's own dials.

    A greedy action is the argmax of each head. Without shaping, a policy may learn to enter with
    probability 0.2 at every decision; its argmax then always holds. `hold_back` subtracts the head
    start of `hold` from greedy actions.
    """

    name = "ppo"
    parameters = PPOParams
    params: PPOParams

    def env_settings(self) -> dict[str, Any]:
        """Hold or one of the carries, and a leverage; the hedge ratio stays at 1. Continuous: both
        as dials.
        """
        return dial_settings(self.params) if self.continuous else gate_settings(self.params)

    @property
    def continuous(self) -> bool:
        """Whether it learns on the env's dials."""
        return self.params.kind == "continuous"

    def action_meaning(self) -> dict[str, Any]:
        """The kind of actions, and the settings of the env."""
        return {"kind": self.params.kind} | super().action_meaning()

    def algorithm(self) -> Any:
        """SB3's class."""
        return libraries()[1].PPO

    def build(self, env: Any, seed: int) -> Any:
        """A new model with the initial biases of its gates and leverages."""
        torch, _ = libraries()
        if self.continuous:
            return self.network(env, seed, log_std_init=self.params.log_std_init)
        p, model = self.params, self.network(env, seed)
        if p.residual:
            self.start_from_rule(model)
            return model
        with torch.no_grad():
            model.policy.action_net.bias[torch.as_tensor(hold_logits(model.action_space))] += (
                p.hold_bias
            )
            model.policy.action_net.bias[torch.as_tensor(self._leverages(model))] += p.leverage_bias
        return model

    def network(self, env: Any, seed: int, **policy: Any) -> Any:
        """The algorithm with the settings of the parameters, on any action space; `policy` are
        further arguments of the policy.
        """
        libraries()
        from agents.sb3.models import ppo_model

        p = self.params
        return ppo_model(
            self,
            self.policy(),
            env,
            seed,
            ent_coef=p.entropy,
            use_sde=p.sde,
            sde_sample_freq=p.sde_sample_freq,
            policy_kwargs=self.policy_settings(env) | policy,
        )

    def warm_start(self) -> tuple[int, float]:
        """Rounds of counterfactual training; one costs 0.4 steps for each state that its accounts
        visit (measured with 64 and with 256 envs: 0.37).
        """
        p = self.params
        accounts = p.n_envs * (1 + len(p.leverage_grid))
        return p.counterfactual_rounds, 0.4 * accounts * 3 * p.episode_days  # decisions every 8 h

    def prepare(self, model: Any, seed: int, callback: TrainingCallback | None) -> bool:
        """The warm start: imitate a rule, then counterfactual training."""
        p = self.params
        if (p.imitate or p.counterfactual_rounds) and p.carry_grid != (0.0, 1.0):
            raise AgentError(
                f"carry_grid = {p.carry_grid!r}: the warm start knows off and full carry, (0.0,"
                " 1.0); set imitate = 0 and counterfactual_rounds = 0 for another"
            )
        if p.imitate:
            from agents.training.imitation import imitate

            imitate(model, p.leverage_grid, p.imitate_leverage, samples=p.imitate, seed=seed)
        if p.counterfactual_rounds:
            from agents.training.counterfactual_accounts import CounterfactualAccounts
            from agents.training.counterfactual_training import train_policy

            training = CounterfactualAccounts(
                *self.training_inputs,
                leverages=p.leverage_grid,
                liquidation=p.counterfactual_liquidation,
            )
            try:
                return train_policy(
                    model,
                    self.advised(training),
                    episodes=p.counterfactual_rounds,
                    seed=seed,
                    learning_rate=p.counterfactual_rate,
                    entropy=p.counterfactual_entropy,
                    scale=None if p.critic == "privileged" else p.reward_scale,
                    shaped=p.shaping,
                    callback=callback,
                )
            finally:
                training.close()
        return True

    def _leverages(self, model: Any) -> list[int]:
        """Number of the logit of the leverage nearest to `imitate_leverage`, of each asset."""
        p = self.params
        entry = int(np.argmin(np.abs(np.array(p.leverage_grid) - p.imitate_leverage)))
        return [gate + 1 + len(p.carry_grid) + entry for gate in hold_logits(model.action_space)]

    def before_rollout(self, model: Any) -> None:
        """The entropy bonus follows the progress of the training."""
        left = 1 - min(1.0, model.num_timesteps / self.steps_wanted)
        model.ent_coef = (
            self.params.entropy_end + (self.params.entropy - self.params.entropy_end) * left
        )

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Entries of the gate and of the leverage grid, per asset; continuous: the dials."""
        if not deterministic or self.model is None or self.continuous:
            return super().act(obs, deterministic=deterministic)
        torch, _ = libraries()
        with torch.no_grad():
            return np.stack([head.argmax(dim=1).cpu().numpy() for head in self.heads(obs)], axis=1)

    def heads(self, obs: NDArray[np.float32]) -> list[Any]:
        """Logits of every head (n, K): gate and leverage of the first asset, of the second ..."""
        torch, _ = libraries()
        policy = self.model.policy
        seen = policy.pi_features_extractor(
            torch.as_tensor(self.seen(obs), device=self.model.device)
        )
        logits = policy.action_net(policy.mlp_extractor.forward_actor(seen))
        if self.params.hold_back:
            logits[:, hold_logits(self.model.action_space)] -= self.params.hold_bias
        return list(torch.split(logits, [int(n) for n in self.model.action_space.nvec], dim=1))
