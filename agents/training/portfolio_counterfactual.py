"""Counterfactual training on one capital: the policy follows the exact gradient of its expected
growth over the results of all accounts (`agents.training.portfolio_accounts`).

On a recorded path the choices are states: in cash, or in a coin at a level. For the probabilities
of a policy, the values are computed backwards in time and the probabilities of the states forwards.
The gradient is the sum over decisions, states and choices of (probability of the state) x (gradient
of the probability of the choice) x (value of the choice less that of the state). Only the paths and
the terms are sampled.
Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents.base import TrainingCallback, goes_on
from agents.training.portfolio_accounts import Answers, PortfolioAccounts
from agents.training.portfolio_imitation import choice_logits

Array = NDArray[np.float32]
TAIL = 0.25  # last share of a round, not used: a position entered there is cut off by the end
BATCH = 8192  # states in one minibatch of the critic


class Merit(NamedTuple):
    """The values of a policy's choices on recorded paths, in thousandths of equity."""

    value: Array  # (T, n, S) of being in a state
    better: Array  # (T, n, S, 1 + S) of a choice above that: stay, cash, each coin and level
    chance: Array  # (T, n, S) of being in a state
    growth: float  # expected, per decision


def merit(chances: Array, record: Answers, gamma: float, charge: float, start: Array) -> Merit:
    """chances (T, n, S, 1 + S) of the choices in every state; start (n, S) of the first states;
    charge: for a liquidation, in thousandths of equity.
    """
    length, n, states = record.gain.shape
    cost = change_costs(record)
    after = record.gain - charge * record.liquidated
    value = np.zeros((length + 1, n, states), np.float32)
    better = np.empty_like(chances)
    for k in range(length - 1, -1, -1):
        then = np.where(record.liquidated[k], value[k + 1, :, :1], value[k + 1])
        worth = after[k] + gamma * then  # (n, S) value of each state after the orders
        better[k, ..., 0] = worth
        better[k, ..., 1:] = worth[:, None, :] - cost[k]
        value[k] = (chances[k] * better[k]).sum(axis=-1)
        better[k] -= value[k][..., None]
    chance = np.empty((length, n, states), np.float32)
    now, growth = start.astype(np.float32), 0.0
    for k in range(length):
        chance[k] = now
        moved = now[..., None] * chances[k]
        paid = (moved[..., 1:] * cost[k]).sum()
        stood = moved[..., 0] + moved[..., 1:].sum(axis=1)
        growth += float((stood * after[k]).sum() - paid)
        lost = np.where(record.liquidated[k], stood, 0.0)
        now = stood - lost
        now[:, 0] += lost.sum(axis=1)
    return Merit(value[:-1], better, chance, growth / (length * n))


def change_costs(record: Answers) -> Array:
    """Cost (T, n, S, S) of going from one state to another by an order, in thousandths of
    equity.
    """
    same = record.coin[:, None] == record.coin[None, :]
    left, then = record.held[..., :, None], record.asked[None, :, None, :]
    moved = np.where(same, np.abs(then - left), left + then)
    return np.asarray(moved * record.cost[None, :, None, None], np.float32)


def train_policy(
    model: Any,
    accounts: PortfolioAccounts,
    *,
    rounds: int,
    seed: int,
    learning_rate: float,
    entropy: float,
    charge: float,
    gamma: float,
    scale: float,
    epochs: int = 2,
    callback: TrainingCallback | None = None,
) -> bool:
    """Train the choices of a PPO model, and fit its critic to the values times `scale`.

    Learning rate and entropy bonus fall linearly to 0. charge: for a liquidation, of equity. The
    callback gets the expected growth per decision of every round. Returns False where it stopped
    the training.
    """
    parts = [p for name, p in model.policy.named_parameters() if ".critic." not in name]
    critic = [p for name, p in model.policy.named_parameters() if ".critic." in name]
    actor_steps = torch.optim.Adam(parts, lr=learning_rate)
    critic_steps = torch.optim.Adam(critic, lr=learning_rate)
    rng = np.random.default_rng([seed, 0xCF])
    for number in range(rounds):
        record, left = accounts.play(rng), 1 - number / rounds
        actor_steps.param_groups[0]["lr"] = learning_rate * left
        grown = []
        for _ in range(epochs):
            for index in np.array_split(rng.permutation(accounts.envs), min(4, accounts.envs)):
                own = record.part(np.sort(index))
                found, loss = _loss(model, own, rng, entropy * left, 1e3 * charge, gamma)
                grown.append(found.growth)
                actor_steps.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parts, 0.5)
                actor_steps.step()
                _fit_critic(model, own, found, critic_steps, scale, rng)
        told = {"counterfactual/expected_growth": float(np.mean(grown))}
        if callback is not None and not goes_on(callback, "update", callback.update(0, told)):
            return False
    return True


def _loss(
    model: Any, record: Answers, rng: np.random.Generator, entropy: float, charge: float, gamma: Any
) -> tuple[Merit, Any]:
    """(merit under the present policy, loss whose gradient is that of its expected growth)."""
    shape = record.gain.shape
    obs = torch.as_tensor(record.obs.reshape(-1, record.obs.shape[-1]), device=model.device)
    logs = torch.log_softmax(choice_logits(model, obs, model.policy.shape["bands"]), dim=1)
    logs = logs.reshape(*shape, -1)
    chances = logs.exp()
    start = np.zeros(shape[1:], np.float32)
    first = rng.integers(shape[2], size=shape[1])
    start[np.arange(shape[1]), np.where(rng.random(shape[1]) < 0.5, 0, first)] = 1.0
    found = merit(chances.detach().cpu().numpy(), record, gamma, charge, start)
    counted = max(1, round(shape[0] * (1 - TAIL)))
    push = torch.as_tensor(found.chance[:counted, ..., None] * found.better[:counted])
    gained = (chances[:counted] * push.to(model.device)).sum() / (counted * shape[1])
    spread = -(chances[:counted] * logs[:counted].clamp(min=-30.0)).sum(dim=-1).mean()
    return found, -gained - entropy * spread


def _fit_critic(
    model: Any, record: Answers, found: Merit, optimiser: Any, scale: float, rng: Any
) -> None:
    """One pass over the values of the states, except those near the end."""
    counted = max(1, round(len(found.value) * (1 - TAIL)))
    seen = record.obs[:counted].reshape(-1, record.obs.shape[-1])
    told = (scale * found.value[:counted]).ravel()
    for index in np.array_split(rng.permutation(len(seen)), max(1, len(seen) // BATCH)):
        inputs, wanted = (torch.as_tensor(each[index]).to(model.device) for each in (seen, told))
        loss = torch.nn.functional.mse_loss(model.policy.predict_values(inputs).flatten(), wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
