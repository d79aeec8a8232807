"""PPO with extra columns in the observations: what a rule would do (`residual`) and what only the
critic knows (`critic`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.params import AgentError
from agents.sb3.base import SB3Agent, libraries
from agents.training.privileged_critic import COLUMNS, Future
from agents.training.residual import Advice, AdvisedAccounts, read_rule


class WithColumns(SB3Agent):
    """Adds the columns to the training env and to the observations on which the agent acts, and
    chooses the policy that reads them. Without the two options nothing changes.
    """

    params: Any
    advice: Advice | None = (
        None  # of the rule that is asked when the agent acts; the training env asks one of its own
    )

    @property
    def _widened(self) -> bool:
        return bool(self.params.residual) or self.params.critic == "privileged"

    def look_up(self, batch: Any) -> None:
        """Bind the rule."""
        self.advice = self._advice(batch) if self.params.residual else None

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """The rule forgets the episodes of the environments in `mask` (n,), or all."""
        if self.advice is not None:
            self.advice.rule.reset(mask)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The model's actions, greedy or drawn."""
        return super().act(
            obs if self.model is None else self.seen(obs), deterministic=deterministic
        )

    def seen(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Observations (n, D) with the columns that the model expects; zeros for what only the
        critic knows. Call it once per decision: the rule's memory moves on.
        """
        if not self._widened:
            return obs
        if self.params.residual and self.advice is None:
            raise AgentError(
                f"agent {self.name} asks a rule that is bound to no env yet; call bind(env) first"
            )
        parts = [obs] if self.advice is None else [obs, self.advice.of(obs)]
        return np.concatenate(
            [*parts, np.zeros((len(obs), self.model.policy.known), np.float32)], axis=1
        )

    def add_columns(self, env: Any) -> Any:
        """The training env with the extra columns."""
        if not self._widened:
            return env
        from agents.sb3.extra_columns_policy import ExtraColumns

        p = self.params
        sources: list[Any] = []
        if p.residual:
            sources.append(self._advice(env.batch))
        if p.critic == "privileged":
            sources.append(
                Future(
                    env.batch,
                    inputs=self.training_inputs,
                    of=self.source_paths,
                    gamma=p.gamma,
                    scale=p.reward_scale,
                )
            )
        return ExtraColumns(env, sources)

    def policy(self) -> Any:
        """SB3's policy, or ours that reads the columns."""
        libraries()
        if not self._widened:
            return "MlpPolicy"
        from agents.sb3.extra_columns_policy import ExtraColumnsPolicy

        return ExtraColumnsPolicy

    def policy_settings(self, env: Any) -> dict[str, Any]:
        """Arguments of the policy: which columns it looks at, and how many of them are the rule's
        and the critic's.
        """
        settings = super().policy_settings(env)
        if not self._widened:
            return settings
        from agents.sb3.extra_columns_policy import PaddedColumns

        own, width = len(env.batch.observation_table), int(env.observation_space.shape[0])
        chosen = settings.get("features_extractor_kwargs", {"columns": list(range(own))})["columns"]
        known = COLUMNS * env.batch.market.n_assets if self.params.critic == "privileged" else 0
        columns = {
            "features_extractor_class": PaddedColumns,
            "features_extractor_kwargs": {"columns": [*chosen, *range(own, width)]},
        }
        return settings | columns | {"rule": width - own - known, "known": known}

    def advised(self, training: Any) -> Any:
        """The accounts of the counterfactual training, with the rule's answers in their
        observations.
        """
        p = self.params
        return (
            AdvisedAccounts(training, p.residual, p.carry_grid, p.leverage_grid)
            if p.residual
            else training
        )

    def start_from_rule(self, model: Any) -> None:
        """Set the bias of the rule's action, and all other weights to 0, so that the new policy,
        taken greedily, is the rule.
        """
        torch, _ = libraries()
        layer, rule = model.policy.action_net, model.policy.rule
        with torch.no_grad():
            layer.bias.zero_()
            layer.weight.zero_()
            layer.weight[:, -rule:] = self.params.residual_bias * torch.eye(
                rule, device=layer.weight.device
            )

    def _advice(self, batch: Any) -> Advice:
        return Advice(
            read_rule(self.params.residual),
            batch,
            self.params.carry_grid,
            self.params.leverage_grid,
        )
