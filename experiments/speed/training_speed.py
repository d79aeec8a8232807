"""Measures what a training step of ppo, device_ppo, sac and device_sac costs, collecting and
learning apart, and the step of the environments; with --warm, a round of the warm start of ppo.

The learners take turns, so that a machine that slows down slows all of them. On the CPU the clock
counts the time of this one thread, so other processes hardly matter; on a GPU it is the wall clock.
Trainings run on the embedded market, without the warm start, after one round that warms up.
"""

from __future__ import annotations

import itertools
import statistics
import time
import warnings
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import agents
from agents.sb3.base import libraries
from experiments.core.cli import run
from experiments.core.run_folder import RunError
from experiments.speed.stopwatch import Stopwatch, stepping_of
from fundenv.market import synthetic_market


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    agents: tuple[str, ...] = ("ppo", "device_ppo", "sac", "device_sac")
    """Learners built on stable-baselines3."""
    envs: int = 256
    """Environments of each."""
    steps: int = 49_152
    """Environment steps of one training."""
    repeats: int = 5
    """Trainings of each, apart from the one that warms up."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where device_ppo and device_sac learn."""
    warm: int = 0
    """Rounds of the counterfactual training of ppo to time instead, with its usual 256 environments
    (the first also holds the imitation and is not counted); 0: none.
    """


class Spent(NamedTuple):
    """Seconds of one training: all of it, within `train`, and within the step of the
    environments.
    """

    whole: float
    learning: float
    stepping: float


def main(args: Args) -> None:
    """Train in turns; print medians with the lowest and the highest."""
    for name in args.agents:
        if not hasattr(agents.agent_class(name), "algorithm"):
            raise RunError(f"--agents {name}: choose some of ppo, device_ppo, sac, device_sac")
    for name, low in {"envs": 1, "steps": 1, "repeats": 1, "warm": 0}.items():
        if getattr(args, name) < low:
            raise RunError(f"--{name} {getattr(args, name)}: must be at least {low}")
    market = synthetic_market("btc", years=1, paths=2, seed=0)
    if args.warm:
        print(
            f"CPU time of one thread, a round of the counterfactual training of ppo, {args.warm}"
            f" rounds: milliseconds, median (lowest .. highest)\n"
            f"{_spread([1e3 * each for each in rounds_timed(market, args.warm)])}"
        )
        return
    spent: dict[str, list[tuple[Spent, int]]] = {name: [] for name in args.agents}
    for turn in range(args.repeats + 1):
        for name in args.agents:
            found = train_timed(
                name,
                market,
                envs=args.envs,
                steps=args.steps,
                device=args.device,
                seed=turn,
                wall=args.device != "cpu",
            )
            if turn:
                spent[name].append(found)
    unit = "CPU time of one thread" if args.device == "cpu" else "wall clock"
    print(
        f"{unit}, {args.envs:,} environments, {args.steps:,} steps, {args.repeats} trainings;"
        " microseconds per step, median (lowest .. highest)"
    )
    print(
        f"{'learner':<12}{'steps/s':>10}{'a step':>26}{'of that learning':>26}{'environments':>26}"
    )
    for name, runs in spent.items():
        spreads = (
            _spread([1e6 * getattr(each, part) / done for each, done in runs])
            for part in Spent._fields
        )
        print(
            f"{name:<12}{statistics.median(done / each.whole for each, done in runs):>10,.0f}"
            + "".join(f"{each:>26}" for each in spreads)
        )


def rounds_timed(market: Any, rounds: int, **params: Any) -> list[float]:
    """CPU seconds of each of the `rounds` of the counterfactual training of ppo after the first,
    then the training stops; `params` are further parameters.
    """
    ends: list[float] = []

    class Rounds:
        """Keeps when each round ended."""

        def step(self, steps: int, batch: Any) -> bool:
            """No step is wanted."""
            return False

        def update(self, steps: int, scalars: dict[str, float]) -> bool:
            """Another round has ended."""
            ends.append(time.thread_time())
            return len(ends) <= rounds

    agent: Any = agents.make("ppo", counterfactual_rounds=rounds + 1, **params)
    agent.learn(market, {}, steps=1, seed=0, callback=Rounds())
    return [after - before for before, after in itertools.pairwise(ends)]


def plain_learner(name: str, envs: int, device: str, **more: Any) -> Any:
    """A learner with `envs` environments, without the warm start; those that learn in tensors are
    on `device`. `more` are further parameters.
    """
    own: dict[str, Any] = (
        {"imitate": 0, "counterfactual_rounds": 0}
        if name.endswith("ppo")
        else {"learning_starts": 0}
    )
    place = {"device": device} if name.startswith("device") else {}
    return agents.make(name, n_envs=envs, **own, **place, **more)


def train_timed(
    name: str, market: Any, *, envs: int, steps: int, device: str, seed: int, wall: bool
) -> tuple[Spent, int]:
    """One training without the warm start; its seconds (of the wall clock, or of this thread) and
    its steps.
    """
    torch, _ = libraries()
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import Logger

    torch.set_num_threads(1)
    agent = plain_learner(name, envs, device)
    agent.steps_wanted = steps
    env = agent.training_env(market, {}, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a target network that is moved at every step of the batch
        model = agent.build(env, seed)
    model.set_logger(Logger(None, []))
    wait = torch.cuda.synchronize if agent.place() == "cuda" else lambda: None
    clock = time.thread_time if not wall else lambda: (wait(), time.perf_counter())[1]
    learning, stepping, begun = Stopwatch(clock), Stopwatch(clock), clock()
    learning.measure(model, "train")
    stepping.measure(*stepping_of(env))

    class Start(BaseCallback):
        """Begins the clock once everything is built."""

        def _on_training_start(self) -> None:
            nonlocal begun
            begun = clock()

        def _on_step(self) -> bool:
            return True

    model.learn(steps, callback=Start(), log_interval=agent.log_interval())
    spent = Spent(clock() - begun, learning.seconds, stepping.seconds)
    env.close()
    return spent, int(model.num_timesteps)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} .. {max(values):.1f})"


if __name__ == "__main__":
    run(Args, main, __doc__)
