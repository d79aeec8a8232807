"""A warm start: a new policy first imitates a rule, and the learning continues from there.

The rule is the threshold with hysteresis that is near the optimum where funding reverts slowly:
full carry when the long mean of funding exceeds the cost of the capital by `enter`, flat when the
difference falls below `exit`. From a random start PPO explores by trading, pays the costs, and
mostly learns not to trade. Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.base import batch_of, observed
from agents.rules.actions import HELD

HOLD, OFF, ON = 0, 1, 2  # entries of the gate with the carry grid (0, 1)
ENTER, EXIT = 0.2, -0.2  # bp per 8 h
_PER_8H = 1e4 / (3 * 365)  # an annual rate in bp per 8 h
# share of random gates in the rollouts of the rule, so that these contain entries and exits
_EXPLORE = 0.05


class Threshold:
    """The rule on observations."""

    def __init__(self, table: Any, leverage: float) -> None:
        names = ("funding_ewma_90", "cash_rate", "carry", "pending")
        self.funding, self.cash, self.carry, self.pending = (
            observed(table, name) for name in names
        )
        self.gross = (1 + leverage) / leverage

    def gates(self, obs: NDArray[np.float32]) -> NDArray[np.int64]:
        """HOLD, OFF or ON per asset, (n, A)."""
        signal = self.funding.of(obs) - self.cash.of(obs) * _PER_8H * self.gross
        inside = np.abs(self.carry.of(obs)) > HELD
        wanted = np.where(inside, signal >= EXIT, signal > ENTER)
        return np.where(
            (wanted == inside) | (self.pending.of(obs) != 0), HOLD, np.where(wanted, ON, OFF)
        )


def imitate(
    model: Any,
    leverages: tuple[float, ...],
    leverage: float,
    *,
    samples: int,
    seed: int,
    epochs: int = 15,
    batch_size: int = 2048,
) -> float:
    """Fit the policy of a new PPO model to the rule on `samples` observations of its own env;
    returns the share of gates that then agree.

    Trades are rare, so each gate's samples weigh as much as the square root of their number.
    """
    env = model.get_env()
    rule = Threshold(batch_of(env).observation_table, leverage)
    rng = np.random.default_rng([seed, 0xBC])
    entry = int(np.argmin(np.abs(np.array(leverages) - leverage)))
    seen, asked, obs = [], [], env.reset()
    for _ in range(-(-samples // env.num_envs)):
        gates = rule.gates(obs)
        seen.append(obs)
        asked.append(gates)
        played = np.where(
            rng.random(gates.shape) < _EXPLORE, rng.integers(0, 3, gates.shape), gates
        )
        obs, _, _, _ = env.step(
            np.stack([played, np.full_like(played, entry)], axis=-1).reshape(len(obs), -1)
        )
    inputs, labels = (
        torch.as_tensor(np.concatenate(each), device=model.device) for each in (seen, asked)
    )
    counts = torch.bincount(labels.ravel(), minlength=3).clamp(min=1).float()
    loss_of = torch.nn.CrossEntropyLoss(weight=counts.rsqrt() / counts.rsqrt().mean())
    policy = model.policy
    parts = [p for name, p in policy.named_parameters() if "value" not in name]
    optimiser = torch.optim.Adam(parts, lr=2e-3)
    order = torch.Generator().manual_seed(seed)
    inputs = policy_features(model, inputs)
    for _ in range(epochs):
        mixed: Any = torch.randperm(len(inputs), generator=order).to(inputs.device)
        for index in mixed.split(batch_size):
            heads = heads_of(model, inputs[index])[::2]
            loss = sum(loss_of(head, labels[index, asset]) for asset, head in enumerate(heads))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        agree = [
            (head.argmax(dim=1) == labels[:, asset]).float().mean()
            for asset, head in enumerate(heads_of(model, inputs)[::2])
        ]
    return float(torch.stack(agree).mean())


def policy_logits(model: Any, obs: Any) -> list[Any]:
    """Logits of every head (n, K): gate and leverage of the first asset, of the second ..."""
    return heads_of(model, policy_features(model, obs))


def policy_features(model: Any, obs: Any) -> Any:
    """What the actor's network reads of the observations (n, D); no weight changes it."""
    return model.policy.extract_features(obs, model.policy.pi_features_extractor)


def heads_of(model: Any, features: Any) -> list[Any]:
    """`policy_logits` of what `policy_features` returns."""
    nvec = model.action_space.nvec
    return list(torch.split(logits_of(model, features), [int(n) for n in nvec], dim=1))


def logits_of(model: Any, features: Any) -> Any:
    """Logits (n, all heads) of what `policy_features` returns."""
    policy = model.policy
    return policy.action_net(policy.mlp_extractor.forward_actor(features))
