"""Measures how many environment steps a second RLlib collects and learns from with 1, 2, 4 ..
runners, and what a step costs in processor time.

Every figure is a whole training of rllib_ppo on the embedded market after a first iteration that
warms up: collecting, shipping and learning. The numbers of runners take turns, so that their ratios
hold on a machine with other work. Processor time is that of all processes of the training, Ray's
included (Linux).
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import agents
from experiments.core.cli import run
from experiments.core.run_folder import RunError
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
    repeats: int = 3
    """Trainings with each number of runners, in turns."""
    address: str = ""
    """Of a running Ray cluster; empty: Ray is started here."""


class Mark(NamedTuple):
    """The end of an iteration."""

    steps: int
    wall: float  # seconds
    cpu: float  # seconds of all processes


class Clock:
    """A callback that notes the steps done and the times after every iteration."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []

    def step(self, steps: int, batch: Any) -> bool:
        """Note."""
        self.marks.append(Mark(steps, time.perf_counter(), processor_time()))
        return True

    def update(self, steps: int, scalars: dict[str, float]) -> bool:
        """Nothing to note."""
        return True


class Figures(NamedTuple):
    """Of one training, its first iteration left out."""

    speed: float  # steps a second
    cost: float  # microseconds of processor time a step


def main(args: Args) -> None:
    """Train with each number of runners in turns; print medians, lowest and highest of the
    trainings.
    """
    for name, least in (("iterations", 2), ("repeats", 1)):
        if getattr(args, name) < least:
            raise RunError(f"--{name} {getattr(args, name)}: must be at least {least}")
    market = synthetic_market("btc", years=3, seed=0)
    turns = []
    for turn in range(args.repeats):
        turns.append([measured(market, runners, args) for runners in args.runners])
        print(f"turn {turn + 1} of {args.repeats}", flush=True)
    first = args.runners[0]
    print(f"{'runners':>8}{'envs':>8}{'steps/s':>32}{f'times {first} runner(s)':>26}{'CPU us':>26}")
    for k, runners in enumerate(args.runners):
        speeds = [turn[k].speed for turn in turns]
        ratios = [turn[k].speed / turn[0].speed for turn in turns]
        costs = [turn[k].cost for turn in turns]
        print(
            f"{runners:>8}{runners * args.envs:>8,}{_span(speeds, ',.0f'):>32}"
            f"{_span(ratios, '.2f'):>26}{_span(costs, '.1f'):>26}"
        )


def measured(market: Any, runners: int, args: Args) -> Figures:
    """One training."""
    agent: Any = agents.make(
        "rllib_ppo", runners=runners, n_envs=args.envs, batch_size=4096, address=args.address
    )
    clock = Clock()
    steps = args.iterations * runners * args.envs * agent.params.n_steps
    agent.learn(market, {}, steps=steps, seed=0, callback=clock)
    begin, end = clock.marks[0], clock.marks[-1]
    done = end.steps - begin.steps
    return Figures(done / (end.wall - begin.wall), 1e6 * (end.cpu - begin.cpu) / done)


def processor_time() -> float:
    """Seconds that this process and its living descendants have used."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            parents[int(folder.name)] = int(fields[1])
            used[int(folder.name)] = int(fields[11]) + int(fields[12])  # user and system, ticks
    mine = {os.getpid()}
    while more := {each for each, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(used[each] for each in mine) / os.sysconf("SC_CLK_TCK")


def _span(values: list[float], form: str) -> str:
    middle = statistics.median(values)
    return f"{middle:{form}} ({min(values):{form}} .. {max(values):{form}})"


if __name__ == "__main__":
    run(Args, main, __doc__)
