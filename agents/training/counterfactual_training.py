"""Counterfactual training, a warm start of PPO: the policy follows the exact gradient of its
expected growth over all accounts (`agents.training.counterfactual_accounts`).

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.base import TrainingCallback, goes_on
from agents.training.counterfactual import (
    FLAT,
    Chances,
    Counterfactuals,
    derivatives,
    filled,
    state_values,
    values,
)
from agents.training.counterfactual_accounts import CounterfactualAccounts
from agents.training.imitation import HOLD, OFF, ON, logits_of, policy_features
from agents.training.quick_linear import QuickLinear

CRITIC_ROUNDS = 0.25  # share of the rounds, the last ones, in which the critic learns
BATCH = 4096  # states in one minibatch of the critic


def train_policy(
    model: Any,
    training: CounterfactualAccounts,
    *,
    episodes: int,
    seed: int,
    learning_rate: float,
    entropy: float,
    scale: float | None,
    shaped: bool,
    epochs: int = 4,
    callback: TrainingCallback | None = None,
) -> bool:
    """Train the gates and leverages of a PPO model by the exact gradient, in `episodes` rounds of
    one episode in every environment.

    The learning rate and the entropy bonus fall linearly to 0. In the last quarter of the rounds
    the critic is fitted to the values of the formula times `scale`; where the training rewards are
    `shaped`, less the value with hindsight. These values are only a start: the formula ends with
    the episode and is not discounted, and its hindsight includes leverages and liquidations, which
    the potential does not. `scale` None leaves the critic as it is.

    The callback gets the expected growth per decision of every round, in thousandths, with
    liquidations as charged. Returns False where the callback stopped the training.
    """
    parts = [p for name, p in model.policy.named_parameters() if "value" not in name]
    critic = [p for name, p in model.policy.named_parameters() if "value" in name]
    optimiser, critic_optimiser = (
        torch.optim.Adam(parts, lr=learning_rate),
        torch.optim.Adam(critic, lr=learning_rate),
    )
    rng = np.random.default_rng([seed, 0xCF])
    for episode in range(episodes):
        record = seen_by(model, training.play(int(rng.integers(2**31))))
        left, n, grown = 1 - episode / episodes, len(record.cost), []
        optimiser.param_groups[0]["lr"] = learning_rate * left
        for _ in range(epochs):
            grown += [
                _update(
                    model,
                    record.part(index),
                    starts(record, index, rng),
                    optimiser,
                    parts,
                    entropy * left,
                )
                for index in np.array_split(rng.permutation(n), 4)
            ]
        if left <= CRITIC_ROUNDS and scale is not None:
            _fit_critic(model, record, critic_optimiser, scale, shaped, rng)
        if callback is not None and not goes_on(
            callback,
            "update",
            callback.update(0, {"counterfactual/expected_growth": float(np.mean(grown))}),
        ):
            return False
    return True


def starts(
    record: Counterfactuals, index: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """First states of the accounts `index`, one-hot (n, S): half of them flat, the others invested
    at a leverage drawn at random.
    """
    begun = np.eye(len(record.obs))
    return begun[
        np.where(rng.random(len(index)) < 0.5, FLAT, rng.integers(1, len(begun), len(index)))
    ]


def seen_by(model: Any, record: Counterfactuals) -> Counterfactuals:
    """The record with what the policy's network reads in place of the observations."""
    with torch.no_grad():
        obs = torch.as_tensor(record.obs.reshape(-1, record.obs.shape[-1]), device=model.device)
        features = policy_features(model, obs).cpu().numpy()
    return record._replace(obs=features.reshape(*record.obs.shape[:3], -1))


def _answers(model: Any, record: Counterfactuals) -> tuple[Chances, Any]:
    """(chances of the policy in the recorded states, mean entropy of a gate and of a leverage),
    both tensors.
    """
    shape, nvec = record.obs.shape, [int(n) for n in model.action_space.nvec]
    features = torch.as_tensor(record.obs.reshape(-1, shape[-1]), device=model.device)
    with QuickLinear():
        # the choices first: the softmax of a few is quicker over whole rows of states
        heads = torch.split(logits_of(model, features).t().contiguous(), nvec)
    log_gates, log_leverages = (  # (3, A, S, T, n), (L, A, S, T, n)
        torch.stack([torch.log_softmax(head, dim=0) for head in each], dim=1).reshape(
            -1, len(each), *shape[:3]
        )
        for each in (heads[::2], heads[1::2])
    )
    gates, leverages = log_gates.exp(), log_leverages.exp()
    entropy = -(gates * log_gates).sum(dim=0).mean() - (leverages * log_leverages).sum(dim=0).mean()
    inside = gates[:, :, 1:].permute(0, 3, 4, 1, 2)
    return (
        Chances(
            gates[ON, :, FLAT].permute(1, 2, 0),
            leverages[:, :, FLAT].permute(2, 3, 1, 0),
            inside[HOLD],
            inside[OFF],
            inside[ON],
            leverages[:, :, 1:].permute(3, 4, 1, 2, 0),
        ),
        entropy,
    )


def _update(
    model: Any,
    record: Counterfactuals,
    start: NDArray[np.float64],
    optimiser: Any,
    parts: list[Any],
    entropy: float,
) -> float:
    """One step of the optimiser; returns the expected growth per decision before it."""
    chances, bonus = _answers(model, record)
    worth, growth = derivatives(
        Chances(*(each.detach().cpu().numpy() for each in chances)), record, start
    )
    optimiser.zero_grad()
    # of the loss: less the growth per decision, less the bonus for entropy
    share = -torch.ones(()) / record.tradable[..., 0].size
    torch.autograd.backward(
        [*chances, bonus],
        [
            *((share * torch.as_tensor(merit).float()).to(model.device) for merit in worth),
            torch.tensor(-entropy, device=model.device),
        ],
    )
    torch.nn.utils.clip_grad_norm_(parts, 0.1)
    optimiser.step()
    return growth


def _fit_critic(
    model: Any,
    record: Counterfactuals,
    optimiser: Any,
    scale: float,
    shaped: bool,
    rng: np.random.Generator,
    epochs: int = 2,
) -> None:
    """Fit the critic to the values of all recorded states."""
    with torch.no_grad():
        chances = Chances(*(each.cpu().numpy() for each in _answers(model, record)[0]))
    worth, policy = values(filled(chances, record), record), model.policy
    counted = np.flatnonzero(record.inside)
    seen, told = (
        record.obs.reshape(-1, record.obs.shape[-1])[counted],
        (scale * state_values(record, worth, shaped)).reshape(-1)[counted],
    )
    inputs, targets_ = (
        torch.as_tensor(np.asarray(part, np.float32), device=model.device) for part in (seen, told)
    )
    for _ in range(epochs):
        for index in torch.split(
            torch.as_tensor(rng.permutation(len(counted)), device=model.device), BATCH
        ):
            with QuickLinear():
                said = policy.value_net(policy.mlp_extractor.forward_critic(inputs[index]))
            loss = torch.nn.functional.mse_loss(said.flatten(), targets_[index])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
