"""Measures asset-steps per second of one account of many coins against as many accounts of one
coin.

Both have the settings of `fundenv/FundingPortfolio-v0` and the same coins; their repetitions take
turns, so that a machine that slows down slows both, and a ratio is that of two neighbours. One
asset-step is one decision on one coin. Without --wall the clock counts the time of this one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from rich.console import Console
from rich.table import Table

import fundenv  # noqa: F401  registers the environments
from experiments.core.cli import run
from experiments.core.run_folder import RunError
from fundenv.checks import check_accounting
from fundenv.envs.portfolio import PORTFOLIO
from fundenv.market import Market, synthetic_portfolio
from fundenv.market.join import singles

BURST = 20  # steps of all environments between two looks at the clock


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    coins: int = 10
    """Coins of the portfolio."""
    batch: int = 256
    """Portfolios of the vector environment."""
    interval: str = "1h"
    """Decision interval."""
    seconds: float = 1.0
    """Length of one repetition."""
    repeats: int = 7
    """Pairs of repetitions."""
    wall: bool = False
    """Take the wall clock."""


def main(args: Args) -> None:
    """Check, measure in turns, show."""
    for name, low in {"coins": 2, "batch": 1, "repeats": 1}.items():
        if getattr(args, name) < low:
            raise RunError(f"--{name} {getattr(args, name)}: must be at least {low}")
    market = synthetic_portfolio(args.coins, years=0.5, late=0.0, gone=0.0)
    settings = {**PORTFOLIO, "decision_interval": args.interval}
    error = check_accounting(market=market, num_envs=8, steps=100, **settings)
    console = Console(width=100)
    console.print(f"checked: parts add up to {error:.0e}")
    table = Table("form", "portfolio", "one coin each", "ratio (lowest to highest)")
    for form, pair in (("single", _single), ("vector", _vector)):
        speeds = _in_turns(pair(market, settings, args), args)
        ratios = [many / one for many, one in zip(*speeds, strict=True)]
        table.add_row(
            form,
            *(f"{statistics.median(each):,.0f}" for each in speeds),
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        )
    console.print(
        f"asset-steps per second of {args.coins} coins, decisions every {args.interval}; vector:"
        f" {args.batch} portfolios, {args.batch * args.coins} accounts of one coin"
    )
    console.print(table)


Steps = tuple[Callable[[], None], int]  # steps everything a few times; asset-steps of one call


def _single(market: Market, settings: dict[str, Any], args: Args) -> tuple[Steps, Steps]:
    """One environment of all coins; one environment for each coin, stepped one after another."""
    name = "fundenv/FundingPortfolio-v0"
    many = [gymnasium.make(name, market=market, **settings)]
    each = [gymnasium.make(name, market=own, **settings) for own in singles(market)]
    return _walked(many, args.coins), _walked(each, args.coins)


def _walked(envs: Sequence[Any], coins: int) -> Steps:
    rng = np.random.default_rng(0)
    given = [rng.uniform(-1, 1, (64, *env.action_space.shape)).astype(np.float32) for env in envs]
    for env in envs:
        env.unwrapped.batch.use_compiled()
        env.reset(seed=0)
    state = {"k": 0}

    def steps() -> None:
        for _ in range(BURST):
            state["k"] = (state["k"] + 1) % 64
            for env, actions in zip(envs, given, strict=True):
                _, _, terminated, truncated, _ = env.step(actions[state["k"]])
                if terminated or truncated:
                    env.reset()

    return steps, BURST * coins


def _vector(market: Market, settings: dict[str, Any], args: Args) -> tuple[Steps, Steps]:
    """A vector environment of portfolios; one of as many accounts of one coin for each coin."""
    name = "fundenv/FundingPortfolio-v0"
    many: Any = gymnasium.make_vec(name, num_envs=args.batch, market=market, **settings)
    one: Any = gymnasium.make_vec(
        name, num_envs=args.batch * args.coins, market=singles(market)[0], **settings
    )
    return _stepped(many, args), _stepped(one, args)


def _stepped(env: Any, args: Args) -> Steps:
    shape = (env.num_envs, *env.single_action_space.shape)
    actions = np.random.default_rng(0).uniform(-1, 1, (8, *shape)).astype(np.float32)
    env.reset(seed=0)

    def steps() -> None:
        for k in range(BURST):
            env.step(actions[k % 8])

    return steps, BURST * args.batch * args.coins


def _in_turns(pair: tuple[Steps, Steps], args: Args) -> tuple[list[float], list[float]]:
    """Asset-steps per second of both, one repetition of each after the other."""
    now = time.perf_counter if args.wall else time.thread_time
    for steps, _ in pair:
        steps()
    speeds: tuple[list[float], list[float]] = [], []
    for _ in range(args.repeats):
        for kept, (steps, amount) in zip(speeds, pair, strict=True):
            begun, done = now(), 0
            while now() - begun < args.seconds:
                steps()
                done += amount
            kept.append(done / (now() - begun))
    return speeds


if __name__ == "__main__":
    run(Args, main, __doc__)
