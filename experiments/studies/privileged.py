"""Measures how much more of the returns a critic explains if it knows the future, with shaped
rewards and without.

An asymmetric critic has inputs in training that the policy never has. A trained PPO acts in its own
training environments. Two critics of the policy's size are fitted to the discounted returns of the
next 64 decisions on half of the environments, and judged on the other half. One gets the
observations; the other also gets the values with hindsight of the path from here, off and on (the
values of the potential).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import agents
from experiments.core.cli import run
from experiments.core.market_args import MarketArgs, shown
from experiments.core.run_folder import RunError

Array = NDArray[np.float32]
HORIZON = 64  # decisions that a return covers


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the measurement."""

    agent: Path
    """Folder of a trained ppo."""
    decisions: int = 256
    """Number of decisions of each environment."""
    seed: int = 0
    """Seed of the episodes and the critics."""


class Played(NamedTuple):
    """T decisions of n environments."""

    obs: Array  # (T, n, D)
    future: Array  # (T, n, 2 A): value of hindsight off and on, in training rewards
    rewards: dict[str, Array]  # (T, n), "shaped" and "as it is"
    ended: NDArray[np.bool_]  # (T, n)


def main(args: Args) -> None:
    """Run the agent, fit the critics, print."""
    agent: Any = agents.load(args.agent)
    if agent.name != "ppo" or not agent.params.shaping:
        raise RunError(
            f"--agent {args.agent}: expected a ppo trained with shaping, this is {agent.name}; give"
            " another folder"
        )
    if agent.params.residual or agent.params.critic != "plain":
        raise RunError(
            f"--agent {args.agent}: this ppo has a rule or a privileged critic already; give one"
            " trained without"
        )
    if args.decisions <= HORIZON:
        raise RunError(
            f"--decisions {args.decisions}: must be more than {HORIZON}, the length of a return"
        )
    market = args.markets()["train"]
    print(f"train {shown(market)}", flush=True)
    played = play(agent, market, args.settings(), args.decisions, args.seed)
    print(f"{'rewards':<12}{'sd of returns':>14}{'R2, observations':>18}{'R2, and hindsight':>19}")
    for name, rewards in played.rewards.items():
        kept, target = returns(rewards, played.ended, agent.params.gamma)
        seen = played.obs[:-HORIZON]
        knowing = np.concatenate([seen, played.future[:-HORIZON]], axis=-1)
        found = [explained(inputs, target, kept, args.seed) for inputs in (seen, knowing)]
        print(
            f"{name:<12}{target[kept].std():>14.3f}{found[0]:>18.3f}{found[1]:>19.3f}", flush=True
        )


def play(agent: Any, market: Any, settings: dict[str, Any], decisions: int, seed: int) -> Played:
    """Run the agent's training environments under its own policy; actions are sampled."""
    env = agent.training_env(market, settings, seed)
    env.seed(seed)
    obs, scale = env.reset(), env.scale
    seen, future, shaped, raw, ended = [], [], [], [], []
    for _ in range(decisions):
        seen.append(obs)
        future.append(_hindsight(env) * 1e3 * scale)
        obs, reward, dones, _ = env.step(agent.act(obs, deterministic=False))
        shaped.append(reward)
        raw.append(scale * env.batch.reward)
        ended.append(dones)
    env.close()
    rewards = {"shaped": np.array(shaped, np.float32), "as it is": np.array(raw, np.float32)}
    return Played(
        np.array(seen, np.float32), np.array(future, np.float32), rewards, np.array(ended)
    )


def _hindsight(env: Any) -> Any:
    """(n, 2 A) growth from here with hindsight, off and on."""
    potential, (path, row) = env.potential, env.batch.where
    flat, full = np.zeros((2, env.num_envs, env.batch.market.n_assets))
    off = potential(path, row, flat)
    columns = [off]
    for asset in range(full.shape[1]):
        one = full.copy()
        one[:, asset] = potential.weight
        columns.append(potential(path, row, one))
    return np.stack(columns, axis=1)


def returns(
    rewards: Array, ended: NDArray[np.bool_], gamma: float
) -> tuple[NDArray[np.bool_], Array]:
    """((T - HORIZON, n) whether no episode ends within, discounted sums of the next HORIZON
    rewards).
    """
    steps = len(rewards) - HORIZON
    total = sum(gamma**k * rewards[k : k + steps] for k in range(HORIZON))
    open_ = ~np.any([ended[k : k + steps] for k in range(HORIZON)], axis=0)
    return open_, np.asarray(total, np.float32)


def explained(
    inputs: Array, target: Array, kept: NDArray[np.bool_], seed: int, epochs: int = 30
) -> float:
    """R2 on the odd environments of a critic (64 x 64 tanh) fitted on the even ones to `target` (T,
    n) from `inputs` (T, n, D), where `kept`.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y = torch.as_tensor(inputs), torch.as_tensor(target)
    even, odd = (torch.as_tensor(kept & (np.arange(kept.shape[1]) % 2 == half)) for half in (0, 1))
    mean, sd = x[even].mean(dim=0), x[even].std(dim=0) + 1e-6
    level, width = y[even].mean(), y[even].std() + 1e-6
    net = torch.nn.Sequential(
        torch.nn.Linear(x.shape[-1], 64),
        torch.nn.Tanh(),
        torch.nn.Linear(64, 64),
        torch.nn.Tanh(),
        torch.nn.Linear(64, 1),
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
    inside, wanted = (x[even] - mean) / sd, (y[even] - level) / width
    for _ in range(epochs):
        for index in torch.randperm(len(inside)).split(512):  # type: ignore[no-untyped-call]
            loss = torch.nn.functional.mse_loss(net(inside[index])[:, 0], wanted[index])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        left = y[odd] - (level + width * net((x[odd] - mean) / sd)[:, 0])
    return float(1 - left.var() / y[odd].var())


if __name__ == "__main__":
    run(Args, main, __doc__)
