"""Measures what a step costs in the loops of other people's code: Gymnasium's synchronous and
asynchronous vector environments over the single env, beside Pendulum in the same; infos and
pictures; and the check of the actions at the entry of a batch.

All rows are timed in turns, so a ratio is of the same seconds. Read ratios, not levels.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium

from experiments.core.cli import run
from experiments.speed.stepping import ID, step_as_long_runs_do

PENDULUM = "Pendulum-v1"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    envs: tuple[int, ...] = (1, 4, 8)
    """Environments of the synchronous vectors."""
    workers: int = 4
    """Processes of the asynchronous vectors."""
    batch: int = 1024
    """Environments of the batch whose check is timed."""
    repeats: int = 7
    """Turns; the table has their medians, lowest and highest."""
    seconds: float = 0.3
    """Length of each measurement."""


class Case(NamedTuple):
    """One row: `step` makes one step of all environments; `beside` names the row that it is set
    against; `clock` measures it.
    """

    name: str
    step: Callable[[], object]
    beside: str = ""
    clock: Callable[[], float] = time.perf_counter


def main(args: Args) -> None:
    """Build all rows, time them in turns, print the table."""
    with ExitStack() as closing:
        rows = list(cases(args, closing))
        for row in rows:  # compiled, and through the first episode
            cost(row, args.seconds)
        turns = [{row.name: cost(row, args.seconds) for row in rows} for _ in range(args.repeats)]
    print(f"microseconds a step of all environments, {args.repeats} turns of {args.seconds:g} s\n")
    print(f"{'':<44}{'median':>10}{'lowest':>10}{'highest':>10}   ratio in the same turn")
    for row in rows:
        own = [1e6 * turn[row.name] for turn in turns]
        shown = f"{statistics.median(own):>10.1f}{min(own):>10.1f}{max(own):>10.1f}"
        print(f"{row.name:<44}{shown}{ratio(row, turns)}".rstrip())


def ratio(row: Case, turns: list[dict[str, float]]) -> str:
    """How a row compares with the one beside it, turn by turn: median, lowest and highest."""
    if not row.beside:
        return ""
    ratios = [turn[row.name] / turn[row.beside] for turn in turns]
    ends = f"{min(ratios):.3g} .. {max(ratios):.3g}"
    return f"   {statistics.median(ratios):.3g} x ({ends}) of: {row.beside}"


def cost(row: Case, seconds: float) -> float:
    """Seconds a step by the clock of the row."""
    steps, last = 0, time.perf_counter() + seconds
    begun = row.clock()
    while time.perf_counter() < last or steps == 0:
        for _ in range(10):
            row.step()
        steps += 10
    return (row.clock() - begun) / steps


def cases(args: Args, closing: ExitStack) -> Iterator[Case]:
    """All rows; what they open is closed by `closing`."""
    for count in args.envs:
        yield from _vectors("sync", count, closing, time.perf_counter)
    # the parent alone: what the workers do is their own time
    yield from _vectors("async", args.workers, closing, time.process_time)
    plain = "single, no info"
    yield _single(plain, closing, info=False)
    yield _single("single, brief info", closing, beside=plain)
    yield _single("single, audit as info", closing, beside=plain, info=True)
    yield _single("single, rgb_array, not drawn", closing, plain, render_mode="rgb_array")
    yield from _check(args.batch, closing)


def _compile() -> None:
    """Wait until the compiled step is kept, so that no environment steps in plain Python."""
    env: Any = gymnasium.make(ID)
    env.unwrapped.batch.use_compiled()
    env.close()


def _vectors(
    kind: str, count: int, closing: ExitStack, clock: Callable[[], float]
) -> Iterator[Case]:
    _compile()
    parent = ", parent's time" if kind == "async" else ""
    names = {name: f"{kind} {count}, {name.rpartition('/')[2]}{parent}" for name in (PENDULUM, ID)}
    for name, shown in names.items():
        env = gymnasium.make_vec(name, num_envs=count, vectorization_mode=kind)
        closing.callback(env.close)
        env.reset(seed=0)
        step = _stepping(env, env.action_space)
        yield Case(shown, step, names[PENDULUM] if name == ID else "", clock)


def _single(name: str, closing: ExitStack, beside: str = "", **settings: Any) -> Case:
    """A single env, reset where an episode ends."""
    _compile()
    env = gymnasium.make(ID, **settings)
    closing.callback(env.close)
    env.reset(seed=0)
    stepped = _stepping(env, env.action_space)

    def step() -> None:
        _, _, terminated, truncated, _ = stepped()
        if terminated or truncated:
            env.reset()

    return Case(name, step, beside)


def _stepping(env: Any, space: Any) -> Callable[[], Any]:
    space.seed(0)
    actions = [space.sample() for _ in range(64)]
    count = 0

    def step() -> Any:
        nonlocal count
        count += 1
        return env.step(actions[count % 64])

    return step


def _check(count: int, closing: ExitStack) -> Iterator[Case]:
    """A step of the native vector, and the check of its actions alone."""
    env: Any = gymnasium.make_vec(ID, num_envs=count)
    closing.callback(env.close)
    env.reset(seed=0)
    step_as_long_runs_do(env.unwrapped.batch)
    whole = f"vector of {count:,}"
    yield Case(whole, _stepping(env, env.action_space))
    actions, take = env.action_space.sample(), env.unwrapped.batch.gate.take
    yield Case(f"{whole}, check of the actions", lambda: take(actions), whole)


if __name__ == "__main__":
    run(Args, main, __doc__)
