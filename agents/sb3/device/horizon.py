"""A whole rollout of PPO as one function without arguments, fit for a CUDA graph. Imported only
when SB3 is needed.

Nothing in it waits for the device, takes memory of the host or depends on a number of Python that
changes: what a later call reads stands in tensors that stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    MultiCategoricalDistribution,
)
from torch import Tensor

from agents.sb3.device.advantages import advantages


class Horizon:
    """Plays T steps of all environments with the policy and writes them into `held`, the tensors
    (T, n, ...) of a `TensorRollouts`, with advantages and returns.

    Args:
        policy: an actor-critic policy of SB3 without gSDE.
        env: a `DeviceEnv`, which must not look at what happens (`looks` = False).
        gamma, gae_lambda: of the advantages; `gamma` also credits V(final_obs) to an environment
        that the time limit has cut off.
    """

    def __init__(
        self, policy: Any, env: Any, held: dict[str, Tensor], *, gamma: float, gae_lambda: float
    ) -> None:
        self.policy, self.env, self.held = policy, env, held
        self.gamma, self.gae_lambda = gamma, gae_lambda
        self.steps, count = held["rewards"].shape
        device = held["rewards"].device
        self.began = torch.ones(count, device=device)  # 1 where the next step begins an episode
        self.last = torch.zeros(count, device=device)  # values of the states after the rollout
        space = policy.action_space
        self.bounds = (
            [torch.as_tensor(edge).to(device) for edge in (space.low, space.high)]
            if isinstance(space, spaces.Box)
            else None
        )
        # judges the rollout in place of the loop, where it is set
        self.judge: Callable[[], None] = self._judge

    @torch.no_grad()
    def collect(self) -> None:
        """Play, store, and judge."""
        for step in range(self.steps):
            self._step(step)
        self.last.copy_(self.policy.predict_values(self.env.obs)[:, 0])
        self.judge()

    def use_kernel(self) -> None:
        """Judge by one kernel on the stream that is current then."""
        from agents.sb3.device.advantages_kernel import Advantages

        kernel = Advantages(self.held, self.last, self.began)

        def judge() -> None:
            stream = torch.cuda.current_stream(self.last.device).cuda_stream
            kernel(self.gamma, self.gae_lambda, stream)

        self.judge = judge

    def _judge(self) -> None:
        advantages(self.held, self.last, self.began, self.gamma, self.gae_lambda)

    def _step(self, step: int) -> None:
        obs = self.env.obs
        chances = self.policy.get_distribution(obs)
        actions = drawn(chances)
        row = {
            "observations": obs,
            "actions": actions.reshape(len(obs), -1),
            "starts": self.began,
            "values": self.policy.predict_values(obs)[:, 0],
            "log_probs": chances.log_prob(actions),
        }
        for name, value in row.items():
            self.held[name][step].copy_(value)
        played = actions if self.bounds is None else actions.clamp(*self.bounds)
        _, rewards, terminated, truncated, final = self.env.advance(played)
        # all are valued: to ask which were cut off would wait for the device
        beyond = self.policy.predict_values(final)[:, 0]
        credit = torch.where(truncated, beyond, torch.zeros_like(beyond))
        self.held["rewards"][step].copy_(rewards + self.gamma * credit)
        self.began.copy_((terminated | truncated).float())


def drawn(chances: Any) -> Tensor:
    """Actions drawn from a distribution of SB3: the numbers that its `sample` draws on the CPU,
    without asking whether the probabilities are valid, for which `torch.multinomial` waits.
    """
    if isinstance(chances, MultiCategoricalDistribution):
        return torch.stack([_pick(each.probs) for each in chances.distribution], dim=1)
    if isinstance(chances, CategoricalDistribution):
        return _pick(chances.distribution.probs)
    actions: Tensor = chances.get_actions()
    return actions


def _pick(probs: Tensor) -> Tensor:
    """An entry of each row (n, K) by its probability: the first of K exponential clocks, (n,)."""
    return (probs / torch.empty_like(probs).exponential_()).argmax(dim=-1)
