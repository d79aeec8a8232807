"""Measures how many environment steps a second RLlib collects and learns from with 1, 2, 4 ..
runners.

Every figure is a whole training of rllib_ppo on the embedded market after a first iteration that
warms up: collecting, shipping and learning.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import agents
from experiments.core.cli import run
from fundenv.market import synthetic_market


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    runners: tuple[int, ...] = (1, 2, 4)
    """Numbers of collecting processes."""
    envs: int = 256
    """Environments of each."""
    iterations: int = 6
    """Iterations of each training; the first warms up."""
    address: str = ""
    """Of a running Ray cluster; empty: Ray is started here."""


class Clock:
    """A callback that notes the steps done and the time after every iteration."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, float]] = []

    def step(self, steps: int, batch: Any) -> bool:
        """Note."""
        self.marks.append((steps, time.perf_counter()))
        return True

    def update(self, steps: int, scalars: dict[str, float]) -> bool:
        """Nothing to note."""
        return True


def main(args: Args) -> None:
    """Train with each number of runners; print median, lowest and highest steps per second over the
    iterations.
    """
    market = synthetic_market("btc", years=3, seed=0)
    print(f"{'runners':>8}{'envs':>8}{'steps/s, median':>18}{'lowest':>10}{'highest':>10}")
    for runners in args.runners:
        agent: Any = agents.make(
            "rllib_ppo", runners=runners, n_envs=args.envs, batch_size=4096, address=args.address
        )
        clock = Clock()
        agent.learn(
            market,
            {},
            steps=args.iterations * runners * args.envs * agent.params.n_steps,
            seed=0,
            callback=clock,
        )
        speeds = [
            (b[0] - a[0]) / (b[1] - a[1])
            for a, b in zip(clock.marks, clock.marks[1:], strict=False)
        ]
        print(
            f"{runners:>8}{runners * args.envs:>8,}{statistics.median(speeds):>18,.0f}"
            f"{min(speeds):>10,.0f}{max(speeds):>10,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    run(Args, main, __doc__)
