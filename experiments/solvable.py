"""Trains PPO and SAC on the problems whose optimum is known and prints what share of it they reach.

The problems are A (linear cost), B (quadratic cost), C (leverage with liquidation) and D (lasting
impact). They use the same kernel and adapters as the real environment. The command evaluates the
greedy policy without reward noise, on paths that the training has not seen, against the optimal
rule on the same paths. With --json it keeps the rows and continues an interrupted run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.core.cli import Stopped, run
from experiments.core.run_folder import RunError, read_json, write_json
from experiments.speed.stopwatch import Stopwatch, stepping_of
from experiments.studies.solvable_tasks import OPTIONS, SETTINGS, TASKS, Task, make_agent
from fundenv.envs.solvable import SolvableVectorEnv

Row = dict[str, Any]
Array = NDArray[Any]
GOAL = 97.0  # per cent; the time to reach it is reported
CHECKS = 20  # evaluations during a training
EVALUATION = {"paths": 64, "decisions": 500, "seed": 987_654, "noise": 0.0}


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line."""

    tasks: tuple[str, ...] = ()
    """Which of `experiments.studies.solvable_tasks`: A-ppo, A-ppo-continuous, A-sac,
    B-ppo-continuous, C-ppo, D-ppo-continuous (none: all six), or some of `OPTIONS` and `SETTINGS`.
    """
    settings: bool = False
    """Train the table of settings instead: PPO, device_ppo and SAC on problem A with different
    numbers of environments and sizes of the update.
    """
    seeds: int = 5
    """Trainings of each, seeds 0 .. N - 1."""
    json: Path | None = None
    """File of the rows task, problem, agent, seed, percent_of_optimum, env_steps, seconds, ...; the
    command does not repeat the trainings whose rows the file holds.
    """


def main(args: Args) -> None:
    """Train what is missing, then print."""
    known = TASKS | OPTIONS | SETTINGS
    for name in args.tasks:
        if name not in known:
            raise RunError(f"--tasks {name}: expected some of {', '.join(known)}")
    if args.seeds < 1:
        raise RunError(f"--seeds {args.seeds}: must be at least 1")
    rows: list[Row] = read_json(args.json) if args.json is not None and args.json.exists() else []
    if any("task" not in row for row in rows):
        raise RunError(
            f"--json {args.json}: its rows name no task, an earlier version wrote them; give"
            " another file"
        )
    trained = {(row["task"], row["seed"]) for row in rows}
    names = args.tasks or tuple(SETTINGS if args.settings else TASKS)
    open_tasks = [
        (name, known[name], seed)
        for seed in range(args.seeds)
        for name in names
        if (name, seed) not in trained
    ]
    bar = tqdm(
        total=sum(task.steps for _, task, _ in open_tasks),
        unit="steps",
        unit_scale=True,
        mininterval=1.0,
    )
    try:
        for name, task, seed in open_tasks:
            bar.set_description_str(f"{name}, seed {seed}")
            rows.append({"task": name} | train(task, seed, progress=bar.update))
            if args.json is not None:
                write_json(args.json, rows)
    except KeyboardInterrupt:
        kept = (
            f"finished trainings are kept in {args.json}, the same command goes on"
            if args.json
            else "give --json to keep what is finished"
        )
        raise Stopped(f"interrupted; {kept}") from None
    finally:
        bar.close()
    print_table([row for row in rows if row["task"] in names])


def train(
    task: Task,
    seed: int,
    *,
    progress: Callable[[int], Any] = lambda done: None,
    clock: Callable[[], float] = time.thread_time,
    settle: Callable[[], Any] = lambda: None,
) -> Row:
    """One training and its row. Seconds are those of `clock` for the training alone, by default CPU
    time of one thread; evaluations on the way are not counted. `env_share` is the part of them that
    goes into the step of the environments, adapter included. `settle` waits for the device before
    the clock is read: a GPU may lag behind.
    """
    import torch
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    steps = task.steps
    agent, env = make_agent(task, seed)
    judge, stepping = Judge(task, agent), Stopwatch(clock)
    stepping.measure(*stepping_of(env))

    class Clock(BaseCallback):
        """Training callback that evaluates at intervals, with the clock stopped."""

        def __init__(self) -> None:
            super().__init__()
            self.spent, self.counted, self.begun = 0.0, 0, clock()
            self.reached: tuple[float, int] | None = None  # seconds and steps

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            if self.num_timesteps - self.counted >= steps / CHECKS:
                self.look()

        def look(self) -> float:
            settle()
            self.spent += clock() - self.begun
            share = judge.share()
            progress(min(self.num_timesteps, steps) - min(self.counted, steps))
            self.counted = self.num_timesteps
            if share < GOAL:
                self.reached = None
            elif self.reached is None:
                self.reached = self.spent, self.num_timesteps
            self.begun = clock()
            return share

    watch = Clock()
    agent.model.learn(steps, callback=watch)
    percent = watch.look()
    env.close()
    row: Row = {
        "problem": task.problem,
        "agent": task.agent,
        "seed": seed,
        "percent_of_optimum": percent,
        "env_steps": agent.model.num_timesteps,
    }
    reached = dict(
        zip(("seconds_to_97", "steps_to_97"), watch.reached or (None, None), strict=True)
    )
    row |= {"seconds": watch.spent, "env_share": stepping.seconds / watch.spent} | reached
    return row | ({"leverage": judge.leverage()} if task.problem == "leverage" else {})


class Judge:
    """Measures an agent against the optimum on the same unseen paths."""

    def __init__(self, task: Task, agent: Any) -> None:
        self.agent = agent
        numbers = EVALUATION | task.numbers
        self.env = SolvableVectorEnv(
            numbers["paths"],
            task.problem,
            autoreset_mode="disabled",
            **numbers | agent.env_settings(),
        )
        best = SolvableVectorEnv(
            numbers["paths"],
            task.problem,
            autoreset_mode="disabled",
            **numbers | {"actions": "target"},
        )
        self.best = float(play(best, optimal_rule(best)).mean())

    def share(self) -> float:
        """Per cent of the optimum's reward."""
        self.agent.reset()
        return 100.0 * float(play(self.env, self.greedy).mean()) / self.best

    def greedy(self, obs: Array) -> Array:
        """The most likely action."""
        actions: Array = self.agent.act(obs)
        return actions

    def leverage(self) -> float:
        """The leverage asked for most often, of the last decisions."""
        asked = [column.name for column in self.env.observation_table].index("target_leverage")
        values, counts = np.unique(
            np.round(10.0 * self.env.batch.obs[:, asked]), return_counts=True
        )
        return float(values[counts.argmax()])


def play(env: SolvableVectorEnv, act: Callable[[Array], Array]) -> Array:
    """Rewards (T, P) of one walk of every path."""
    paths = env.solvable.market.n_paths
    obs, _ = env.reset(seed=0, options={"path": np.arange(paths)})
    rewards = []
    ended = np.zeros(paths, dtype=bool)
    while not ended.any():
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        rewards.append(reward)
        ended = terminated | truncated
    return np.array(rewards)


def optimal_rule(env: SolvableVectorEnv) -> Callable[[Array], Array]:
    """The optimum as target actions on the observations."""
    made, names = env.solvable, [column.name for column in env.observation_table]
    signal, held = names.index("signal"), names.index("target_carry")
    scale = env.observation_table[signal].scale

    def act(obs: Array) -> Array:
        best = made.best(
            obs[:, signal].astype(float) * scale, obs[:, held].astype(float) * made.cap
        )
        carry, leverage = (
            (np.ones(len(obs)), best)
            if made.name == "leverage"
            else (best / made.cap, np.ones(len(obs)))
        )
        return np.stack([np.zeros(len(obs)), carry, np.ones(len(obs)), leverage], axis=1)

    return act


def with_interval(values: Array) -> str:
    """The mean and half of its 95 % interval, by Student's t; one value has none."""
    n = len(values)
    if n < 2:
        return f"{values.mean():.2f}"
    from scipy.stats import t

    half = t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return f"{values.mean():.2f} ± {half:5.2f}"


def print_table(rows: list[Row]) -> None:
    """One line per task: mean and 95 % interval over the seeds, medians of the rest."""
    print(
        f"{'task':<22} {'seeds':>5} {'% of optimum':>18} {'worst':>7} {'steps':>10} {'CPU s':>7}"
        f" {'steps/s':>9} {'env %':>6} {'steps to 97 %':>14} {'s to 97 %':>12}  leverage"
    )
    for name in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == name]
        shares = np.array([row["percent_of_optimum"] for row in own])
        reached = [row for row in own if row["seconds_to_97"] is not None]
        steps, seconds = (
            f"{np.median([row[key] for row in reached]):,.0f}" if reached else "never"
            for key in ("steps_to_97", "seconds_to_97")
        )
        asked = " ".join(f"{row['leverage']:g}" for row in own if "leverage" in row)
        print(
            f"{name:<22} {len(own):>5} {with_interval(shares):>18} {shares.min():>7.2f}"
            f" {own[0]['env_steps']:>10,} {np.median([row['seconds'] for row in own]):>7.0f}"
            f" {np.median([row['env_steps'] / row['seconds'] for row in own]):>9,.0f}"
            f" {100 * np.median([row['env_share'] for row in own]):>6.1f} {steps:>14}"
            f" {f'{seconds} ({len(reached)}/{len(own)})':>12}  {asked}"
        )


if __name__ == "__main__":
    run(Args, main, __doc__)
