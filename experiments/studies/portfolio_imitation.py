"""How well `choice_ppo` imitates its rule. On the rule's path and on the policy's own path the
table shows which orders both give, and the growth of both.

Two trainings: the agent's own imitation, with 0 to 4 added to the logit of `stay` afterwards; and
DAgger (S. Ross et al., AISTATS 2011), where the rule labels the states that the policy reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import agents
from agents.sb3.portfolio.choices import STAY
from agents.sb3.portfolio.teacher import Teacher
from agents.training.portfolio_imitation import choice_logits, imitate
from experiments.core.cli import run
from experiments.core.market_args import span_edges
from experiments.rollout.make import JUDGED
from experiments.studies.margin_markets import COINS, load
from experiments.studies.portfolio_walks import PORTFOLIO, half_years
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, between

_RANDOM = 0.05  # share of random choices in the first pass of DAgger


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the study."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    trained: str = "2020-02:2023-05"
    """Span START:END of the training."""
    judged: str = "2023-07:2024-06"
    """Span START:END of the half-years of the evaluation."""
    samples: int = 30_000
    """Number of observations of the agent's own imitation."""
    rounds: int = 4
    """Number of rounds of DAgger."""
    decisions: int = 120
    """Number of decisions of each environment in a round."""
    days: int = 240
    """Length of the episodes of DAgger."""
    cash_rates: tuple[float, ...] = (0.0, 0.02, 0.045)
    """Cash rates of the evaluation."""


class Agreement(NamedTuple):
    """On one path: the orders of the rule; those of them that the policy gives, too, and with the
    same choice; the other orders of the policy; decisions; growth a year above cash per half-year.
    """

    orders: int
    both: int
    equal: int
    others: int
    decisions: int
    growth: NDArray[np.float64]


def main(args: Args) -> None:
    """Train, evaluate, print."""
    coins = load(args.data, args.symbols).together
    market = between(coins, *span_edges(args.trained, "--trained"))
    _, halves = half_years(coins, args.judged)
    agent, teacher = _new(market, {})
    imitate(agent.model, teacher, samples=args.samples, seed=0)
    for added in range(5):
        show(f"imitation, {added} added to stay", agent, halves, args.cash_rates)
        with torch.no_grad():
            agent.model.policy.mlp_extractor.actor.whole.bias[STAY] += 1.0
    agent, teacher = _new(market, {"episode_days": args.days})
    seen: list[NDArray[np.float32]] = []
    told: list[NDArray[np.int64]] = []
    for number in range(args.rounds + 1):
        gather(agent, teacher, args.decisions, number > 0, seen, told)
        fit(agent.model, np.concatenate(seen), np.concatenate(told))
        show(f"DAgger, round {number}", agent, halves, args.cash_rates)


def _new(market: Market, params: dict[str, Any]) -> tuple[Any, Teacher]:
    agent: Any = agents.make("choice_ppo", **params)
    env = agent.training_env(market, PORTFOLIO | {"cash_rate": 0.02}, 0)
    agent.model = agent.build(env, 0)
    agent.model.set_random_seed(0)
    teacher = Teacher(agent.params.teacher, env.batch, agent.choices)
    env.teacher = teacher
    return agent, teacher


def gather(
    agent: Any, teacher: Teacher, decisions: int, own: bool, seen: list[Any], told: list[Any]
) -> None:
    """Add observations and the rule's answers: on the policy's own path, or on the rule's with some
    random choices.
    """
    env, rng = agent.model.get_env(), np.random.default_rng(len(seen))
    obs = env.reset()
    teacher.rule.reset()
    for _ in range(decisions):
        wanted = teacher.choose(obs)
        seen.append(obs.copy())
        told.append(wanted)
        played = wanted
        if own:
            played, _ = agent.decide(torch.as_tensor(obs), True)
        else:
            free = rng.random(len(obs)) < _RANDOM
            drawn = rng.integers(0, agent.choices.count, len(obs))
            played = np.where(free, drawn, wanted)
        obs, *_ = env.step(np.stack([played, np.ones_like(played)], axis=1))


def fit(model: Any, seen: Any, told: Any, epochs: int = 8) -> None:
    """Cross-entropy, orders weighted by the square root of their rarity."""
    inputs, labels = torch.as_tensor(seen), torch.as_tensor(told)
    share = (labels != STAY).float().mean().clamp(1e-3, 1 - 1e-3)
    weights = torch.where(labels == STAY, (1 / (1 - share)).sqrt(), (1 / share).sqrt())
    weights = weights / weights.mean()
    parts = [p for name, p in model.policy.named_parameters() if ".critic." not in name]
    optimiser = torch.optim.Adam(parts, lr=3e-3)
    bands = model.policy.shape["bands"]
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - epoch / epochs)
        mixed: Any = torch.randperm(len(inputs))
        for index in mixed.split(256):
            loss: Any = torch.nn.functional.cross_entropy(
                choice_logits(model, inputs[index], bands), labels[index], reduction="none"
            )
            optimiser.zero_grad()
            (loss * weights[index]).mean().backward()
            optimiser.step()


def show(label: str, agent: Any, halves: Market, rates: Any) -> None:
    """Evaluate on both paths and print the results."""
    print(label)
    for who, name in ((True, "rule"), (False, "policy")):
        found = compare(agent, halves, rates, follow_rule=who)
        grown = ", ".join(f"{100 * value:.2f}" for value in found.growth)
        print(
            f"  path of the {name}: {found.decisions} decisions, {found.orders} orders of the rule;"
            f" the policy gives {found.both} of them ({found.equal} with the same choice) and"
            f" {found.others} others; growth {grown} %",
            flush=True,
        )


def compare(agent: Any, halves: Market, rates: Any, *, follow_rule: bool) -> Agreement:
    """Run every half-year from cash at every cash rate, by the choices of the rule or policy."""
    paths, count = halves.n_paths, len(rates)
    cash = np.tile(rates, paths)
    batch = Batch(
        paths * count,
        market=halves,
        per_env={"cash_rate": cash},
        **PORTFOLIO | agent.env_settings() | JUDGED,
    )
    agent.bind(batch)
    agent.reset()
    batch.reset(0, paths=np.repeat(np.arange(paths), count))
    teacher = Teacher(agent.params.teacher, batch, agent.choices)
    equity = batch.store.account[:, t.EQUITY]
    first, last, active = equity.copy(), equity.copy(), np.ones(len(equity), bool)
    days, tally = np.zeros(len(equity)), np.zeros(5, int)
    while active.any():
        rule = teacher.choose(batch.obs)
        policy, band = agent.decide(torch.as_tensor(batch.obs.copy()), True)
        ordered, gives = (rule != STAY) & active, (policy != STAY) & active
        same = ordered & (rule == policy)
        parts = (ordered, ordered & gives, same, gives & ~ordered, active)
        tally += [int(part.sum()) for part in parts]
        chosen, bands = (rule, np.ones_like(rule)) if follow_rule else (policy, band)
        batch.step(agent.choices.targets(batch.obs, chosen, bands))
        days += active / 3
        last = np.where(active, equity, last)
        active &= ~(batch.terminated | batch.truncated)
    growth = 365 / days * np.log(last / first) - cash
    orders, both, equal, others, decisions = (int(number) for number in tally)
    mean = growth.reshape(paths, count).mean(axis=1)
    return Agreement(orders, both, equal, others, decisions, mean)


if __name__ == "__main__":
    run(Args, main, __doc__)
