"""Trains PPO and SAC on the problems whose optimum is known and prints what share of it they reach.

A (linear cost), B (quadratic cost) and C (leverage with liquidation) are played by the same kernel and adapters as the real environment. Shares are
measured greedily, without reward noise, on paths that the training has not seen, against the optimal rule on the same paths. --json keeps the rows and
goes on where an interrupted run stopped.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import agents
from experiments.cli import Stopped, run
from experiments.run_folder import RunError, read_json, write_json
from fundenv.envs.solvable import SolvableVectorEnv

Row = dict[str, Any]
Array = NDArray[Any]
GOAL = 97.0  # per cent; the time to reach it is reported
CHECKS = 20  # evaluations during a training
EVALUATION = {"paths": 64, "decisions": 500, "seed": 987_654, "noise": 0.0}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One learner on one problem: environment steps, what the environment gets in training, and the learner's parameters."""

    problem: str
    agent: str  # ppo (discrete), ppo-continuous, sac
    steps: int
    env: dict[str, Any]
    params: dict[str, Any]
    numbers: dict[str, Any] = field(default_factory=dict)  # of the problem, where they are not the default


_PPO = {"n_envs": 256, "n_steps": 32, "batch_size": 2048, "epochs": 4, "gamma": 0.99, "hold_bias": 3.0, "imitate": 0, "observations": "all"}
_NOISY = {"noise": 20.0, "reward": "expected", "reward_scale": 0.1, "episode": "10D"}
TASKS: dict[str, Task] = {
    "A-ppo": Task(problem="linear", agent="ppo", steps=700_000, env=_NOISY, params=_PPO | {"learning_rate": 1e-3, "entropy": 0.003}),
    "A-ppo-continuous": Task(
        problem="linear",
        agent="ppo-continuous",
        steps=1_500_000,
        env={"reward_scale": 0.1, "episode": "10D"},
        params=_PPO | {"learning_rate": 1e-3, "entropy": 0.0},
    ),
    "A-sac": Task(
        problem="linear",
        agent="sac",
        steps=200_000,
        env=_NOISY,
        params={
            "n_envs": 64,
            "batch_size": 512,
            "gradient_steps": 2,
            "gamma": 0.99,
            "learning_rate": 1e-3,
            "entropy": 0.01,
            "learning_starts": 5_000,
            "kind": "zones",
            "observations": "all",
            "tau": 0.05,
        },
    ),
    "B-ppo-continuous": Task(
        problem="quadratic",
        agent="ppo-continuous",
        steps=1_500_000,
        env={"reward_scale": 0.3, "episode": "10D"},
        params=_PPO | {"learning_rate": 1e-3, "entropy": 0.0, "gamma": 0.98},
    ),
    "C-ppo": Task(
        problem="leverage",
        agent="ppo",
        steps=300_000,
        env={"reward_scale": 0.1, "episode": "50D"},
        params=_PPO | {"learning_rate": 1e-3, "entropy": 0.003, "gamma": 0.5},
    ),
}


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line."""

    tasks: tuple[str, ...] = tuple(TASKS)
    """Which of A-ppo, A-ppo-continuous, A-sac, B-ppo-continuous, C-ppo."""
    seeds: int = 5
    """Trainings of each, seeds 0 .. N - 1."""
    json: Path | None = None
    """File of the rows problem, agent, seed, percent_of_optimum, env_steps, seconds, ...; rows that it holds are not trained again."""


def main(args: Args) -> None:
    """Train what is missing, then print."""
    for name in args.tasks:
        if name not in TASKS:
            raise RunError(f"--tasks {name}: expected some of {', '.join(TASKS)}")
    if args.seeds < 1:
        raise RunError(f"--seeds {args.seeds}: must be at least 1")
    rows: list[Row] = read_json(args.json) if args.json is not None and args.json.exists() else []
    known = {(row["problem"], row["agent"], row["seed"]) for row in rows}
    tasks = [TASKS[name] for name in args.tasks]
    open_tasks = [(task, seed) for seed in range(args.seeds) for task in tasks if (task.problem, task.agent, seed) not in known]
    bar = tqdm(total=sum(task.steps for task, _ in open_tasks), unit="steps", unit_scale=True, mininterval=1.0)
    try:
        for task, seed in open_tasks:
            bar.set_description_str(f"{task.problem}, {task.agent}, seed {seed}")
            rows.append(train(task, seed, progress=bar.update))
            if args.json is not None:
                write_json(args.json, rows)
    except KeyboardInterrupt:
        kept = (
            f"finished trainings are kept in {args.json}, the same command goes on" if args.json else "give --json to keep what is finished"
        )
        raise Stopped(f"interrupted; {kept}") from None
    finally:
        bar.close()
    print_table([row for row in rows if any((row["problem"], row["agent"]) == (task.problem, task.agent) for task in tasks)])


def train(task: Task, seed: int, *, progress: Callable[[int], Any] = lambda done: None) -> Row:
    """One training and its row. Seconds are CPU time of the training alone, on one thread; evaluations on the way are not counted."""
    import torch
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    steps = task.steps
    agent, env = make_agent(task, seed)
    judge = Judge(task, agent)

    class Clock(BaseCallback):
        """Evaluates now and then, with the clock stopped."""

        def __init__(self) -> None:
            super().__init__()
            self.spent, self.counted, self.begun = 0.0, 0, time.thread_time()
            self.reached: float | None = None

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            if self.num_timesteps - self.counted >= steps / CHECKS:
                self.look()

        def look(self) -> float:
            self.spent += time.thread_time() - self.begun
            share = judge.share()
            progress(min(self.num_timesteps, steps) - min(self.counted, steps))
            self.counted = self.num_timesteps
            if share < GOAL:
                self.reached = None
            elif self.reached is None:
                self.reached = self.spent
            self.begun = time.thread_time()
            return share

    clock = Clock()
    agent.model.learn(steps, callback=clock)
    percent = clock.look()
    env.close()
    row: Row = {
        "problem": task.problem,
        "agent": task.agent,
        "seed": seed,
        "percent_of_optimum": percent,
        "env_steps": agent.model.num_timesteps,
    }
    row |= {"seconds": clock.spent, "seconds_to_97": clock.reached}
    return row | ({"leverage": judge.leverage()} if task.problem == "leverage" else {})


class Continuous:
    """SB3's PPO or SAC on the plain Box of the carry dial, with the parameters of our agents."""

    def __init__(self, kind: str, params: dict[str, Any]) -> None:
        self.agent: Any = agents.make(kind, **params)
        self.model: Any = None

    def env_settings(self) -> dict[str, Any]:
        """The carry dial alone."""
        return {"actions": "continuous", "dials": ("carry",)}

    def build(self, env: Any, seed: int) -> Any:
        """A new model."""
        import torch
        from stable_baselines3 import PPO
        from stable_baselines3.common.utils import LinearSchedule

        p = self.agent.params
        if self.agent.name == "sac":
            return self.agent.build(env, seed)
        return PPO(
            "MlpPolicy",
            env,
            learning_rate=LinearSchedule(p.learning_rate, 0.0, 1.0),
            n_steps=p.n_steps,
            batch_size=p.batch_size,
            n_epochs=p.epochs,
            gamma=p.gamma,
            gae_lambda=p.gae_lambda,
            ent_coef=p.entropy,
            policy_kwargs={"net_arch": [p.hidden, p.hidden], "activation_fn": torch.nn.Tanh, "log_std_init": -1.0},
            seed=seed,
            device="cpu",
        )


def make_agent(task: Task, seed: int) -> tuple[Any, Any]:
    """(the agent with a new model, its training environment)."""
    from fundenv.envs.sb3_solvable import SolvableVecEnv

    agent: Any
    if task.agent == "ppo":
        grids = {
            "linear": {"carry_grid": (-1.0, 1.0), "leverage_grid": (1.0,)},
            "leverage": {"carry_grid": (1.0,), "leverage_grid": tuple(range(1, 11))},
        }
        agent = agents.make("ppo", **task.params | grids[task.problem])
    else:
        agent = Continuous("sac" if task.agent == "sac" else "ppo", task.params)
        agent.agent.steps_wanted = task.steps
    numbers = {"paths": 400, "decisions": 500, "seed": seed, "start_invested": 0.5 if task.problem == "linear" else 0.0}
    n = agent.params.n_envs if task.agent == "ppo" else agent.agent.params.n_envs
    env = SolvableVecEnv(n, task.problem, **numbers | task.numbers | task.env | agent.env_settings())
    if task.agent == "ppo":
        agent.steps_wanted = task.steps
        agent.bind(env.batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a batch size that does not divide the rollout: the last minibatch is smaller
        agent.model = agent.build(env, seed)
    return agent, env


class Judge:
    """Measures an agent against the optimum on the same unseen paths."""

    def __init__(self, task: Task, agent: Any) -> None:
        self.agent = agent
        numbers = EVALUATION | task.numbers
        self.env = SolvableVectorEnv(numbers["paths"], task.problem, autoreset_mode="disabled", **numbers | agent.env_settings())
        best = SolvableVectorEnv(numbers["paths"], task.problem, autoreset_mode="disabled", **numbers | {"actions": "target"})
        self.best = float(play(best, optimal_rule(best)).mean())

    def share(self) -> float:
        """Per cent of the optimum's reward."""
        return 100.0 * float(play(self.env, self.greedy).mean()) / self.best

    def greedy(self, obs: Array) -> Array:
        """The most likely action."""
        actions: Array = self.agent.model.predict(obs, deterministic=True)[0]
        return actions

    def leverage(self) -> float:
        """The leverage asked for most often, of the last decisions."""
        asked = [column.name for column in self.env.observation_table].index("target_leverage")
        values, counts = np.unique(np.round(10.0 * self.env.batch.obs[:, asked]), return_counts=True)
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
        best = made.best(obs[:, signal].astype(float) * scale, obs[:, held].astype(float) * made.cap)
        carry, leverage = (np.ones(len(obs)), best) if made.name == "leverage" else (best / made.cap, np.ones(len(obs)))
        return np.stack([np.zeros(len(obs)), carry, np.ones(len(obs)), leverage], axis=1)

    return act


def interval(values: Array) -> float:
    """Half of the 95 % interval of a mean, by Student's t; NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return float("nan")
    from scipy.stats import t

    return float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))


def print_table(rows: list[Row]) -> None:
    """One line per problem and learner: mean and 95 % interval over the seeds."""
    print(
        f"{'problem':<10} {'agent':<15} {'seeds':>5} {'% of optimum':>18} {'worst':>7} {'steps':>10} {'CPU s':>7} {'s to 97 %':>10}  leverage"
    )
    for problem, name in dict.fromkeys((row["problem"], row["agent"]) for row in rows):
        own = [row for row in rows if (row["problem"], row["agent"]) == (problem, name)]
        shares = np.array([row["percent_of_optimum"] for row in own])
        reached = [row["seconds_to_97"] for row in own if row["seconds_to_97"] is not None]
        until = f"{np.median(reached):.0f} ({len(reached)}/{len(own)})" if reached else "never"
        asked = " ".join(f"{row['leverage']:g}" for row in own if "leverage" in row)
        print(
            f"{problem:<10} {name:<15} {len(own):>5} {shares.mean():>9.2f} ± {interval(shares):>5.2f} {shares.min():>8.2f} {own[0]['env_steps']:>10,} "
            f"{np.median([row['seconds'] for row in own]):>7.0f} {until:>10}  {asked}"
        )


if __name__ == "__main__":
    run(Args, main, __doc__)
