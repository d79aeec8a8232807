"""Says which form of the step each real workload takes, and what both forms cost it: trainings of
PPO and SAC and their warm start, the calibration of 1,000 settings, the evaluation of one agent,
and the environments that a user makes.

Instructions are those of one step of one environment in the compiled loop; the ratio of times sets
the scalar loop against the vector form, in turns, in processor time of this thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import agents
from agents.base import batch_of
from agents.training.counterfactual_accounts import CounterfactualAccounts
from experiments.core.cli import run
from experiments.core.run_folder import RunError
from experiments.rollout.make import JUDGED
from experiments.speed import instructions
from experiments.speed.stepping import drawn
from fundenv.batch.cpu import Batch
from fundenv.compiler.memory import LANES
from fundenv.dynamics import types as t
from fundenv.market import synthetic_market, synthetic_portfolio

HOLDING = (0.58, 0.9, 1.0)  # shares of decisions that hold, the first: PPO after its first rollout
GATES = 3  # choices of the gate: hold, and the two carries of PPO's grid


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the table."""

    count: bool = False
    """Also count the instructions of a step (Linux; minutes on a busy machine)."""
    times: int = 0
    """Also compare the times of both forms, in so many turns."""
    seconds: float = 0.2
    """Length of a measurement."""
    only: str = ""
    """Only workloads whose name contains this text."""


class Workload(NamedTuple):
    """A batch as a command builds it; `act` gives the actions of all its environments."""

    name: str
    batch: Batch
    act: Callable[[], Any]


def main(args: Args) -> None:
    """Build each workload, say its path, measure it."""
    table = Table("workload", "envs", "bars", "actions", "path", "instructions", "times")
    console = Console(width=150)
    found = [each for each in workloads() if args.only in each.name]
    if not found:
        raise RunError(f"--only {args.only}: no workload has this text in its name")
    for name, batch, act in found:
        counted = compared = ""
        if args.count:
            if batch.fits_vectors:
                batch.use_vectors()
            plain, vector = (_count(batch, act, form) for form in (False, True))
            counted = f"{plain:,.0f}" + (f", {vector:,.0f} in vectors" if vector else "")
        if args.times and batch.fits_vectors:
            compared = ratio(batch, act, args.times, args.seconds)
        table.add_row(
            name,
            f"{batch.num_envs:,}",
            str(int(batch.world.codes[t.DECISION_BARS])),
            batch.config.actions,
            "vector form" if batch.fits_vectors else f"scalar loop: {why_not(batch)}",
            counted,
            compared,
        )
        batch.close()
    console.print(table)


def why_not(batch: Batch) -> str:
    """Why the vector form does not step a batch, in a few words."""
    config = batch.config
    reasons = {
        f"fewer than {LANES} environments": batch.num_envs < LANES,
        "several assets": batch.n_assets > 1,
        f"{config.margin_mode} margin": config.margin_mode != "isolated",
        f"reward {config.reward}": config.reward != "log_growth",
    }
    return next((reason for reason, holds in reasons.items() if holds), "its settings")


def workloads() -> Iterator[Workload]:
    """All of them, on embedded markets."""
    market = synthetic_market("btc", years=2, paths=2, seed=0)
    coins = synthetic_portfolio(4, years=2, seed=0)
    for name in ("ppo", "sac"):
        agent: Any = agents.make(name)
        env = agent.training_env(market, {}, 0)
        batch = batch_of(env)
        yield Workload(f"training of {name}", batch, _random(batch))
        if name == "ppo":
            for share in HOLDING:
                batch = batch_of(agent.training_env(market, {}, 0))
                shown = f"training of ppo, {share:.0%} hold"
                yield Workload(shown, batch, _holding(batch, share))
            accounts = CounterfactualAccounts(
                *agent.training_inputs,
                leverages=agent.params.leverage_grid,
                liquidation=agent.params.counterfactual_liquidation,
            )
            own = accounts.envs[-1].batch
            yield Workload("counterfactual training, an account", own, _random(own))
    yield _rule("calibration of 1,000 settings, in chunks of 500", market, 500)
    yield _rule("evaluation of one agent", market, 1)
    made: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("gymnasium.make", 1, {}),
        ("make_vec", 1024, {}),
        ("make_vec, discrete", 1024, {"actions": "discrete"}),
        ("make_vec, hourly decisions", 4096, {"decision_interval": "1h"}),
    )
    for name, count, settings in made:
        batch = Batch(count, market=market, autoreset="same_step", **settings)
        yield Workload(name, batch, _random(batch))
    several = Batch(256, market=coins, autoreset="same_step")
    yield Workload("make_vec, portfolio of four coins", several, _random(several))


def _rule(name: str, market: Any, count: int) -> Workload:
    """`count` settings of a rule on every path, as `experiments.rollout.sweep` walks them."""
    agent: Any = agents.make("ewma")
    paths = market.n_paths
    if count > 1:
        agent.vary({"span": np.tile(np.linspace(3, 200, count).round(), paths)})
    batch = Batch(count * paths, market=market, **agent.env_settings() | JUDGED)
    agent.bind(batch)
    agent.reset()
    return Workload(name, batch, lambda: agent.act(batch.obs))


def _random(batch: Batch) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    return lambda: drawn(batch, rng)


def _holding(batch: Batch, share: float) -> Callable[[], Any]:
    """Random choices, of which this share holds."""
    rng = np.random.default_rng(0)

    def act() -> Any:
        actions = drawn(batch, rng)
        held = rng.random(len(actions)) < share
        actions[:, 0] = np.where(held, 0, rng.integers(1, GATES, len(actions)))
        return actions

    return act


def _count(batch: Batch, act: Callable[[], Any], in_vectors: bool) -> float:
    """Instructions of a step of one environment; 0 for a form that does not step the batch."""
    if in_vectors and not batch.fits_vectors:
        return 0.0
    several = min(batch.num_envs, 4 * LANES if in_vectors else LANES - 1)
    return instructions.of_first(batch, several, act)


def ratio(batch: Batch, act: Callable[[], Any], turns: int, seconds: float) -> str:
    """How many times longer the scalar loop takes: median, lowest and highest of the turns."""
    batch.use_vectors()
    batch.reset(0)
    whole, short = batch.num_envs, LANES - 1  # so few are left to the scalar loop
    parts = [(first, min(first + short, whole)) for first in range(0, whole, short)]
    found = []
    for _ in range(turns):
        vectors, scalar = (_seconds(batch, act, each, seconds) for each in ([(0, whole)], parts))
        found.append(scalar / vectors)
    return f"{statistics.median(found):.2f} x ({min(found):.2f} .. {max(found):.2f})"


def _seconds(
    batch: Batch, act: Callable[[], Any], parts: list[tuple[int, int]], seconds: float
) -> float:
    """Processor time of a step of all environments, the compiled loop alone, called for each of
    the parts.
    """
    spent, steps = 0.0, 0
    while spent < seconds or steps < 3:
        if (batch.terminated | batch.truncated).all():  # a walk to the end of the data
            batch.reset(0)
        batch.gate.take(act())
        begun = time.thread_time()
        for first, last in parts:
            batch.calls.step(first, last)
        spent, steps = spent + time.thread_time() - begun, steps + 1
    return spent / steps


if __name__ == "__main__":
    run(Args, main, __doc__)
