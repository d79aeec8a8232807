"""Measures environment steps per second on this machine, after checking that the numbers are right.

Parity and accounting are checked on the very market that is timed; every mode is warmed up and repeated, and the median and the spread are shown.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from rich.console import Console
from rich.table import Table

import fundenv  # noqa: F401  registers the environment
from experiments.cli import run
from experiments.run_folder import RunError, write_json
from fundenv.checks import check_accounting, check_parity
from fundenv.config import hours
from fundenv.market import Market, load_market, synthetic_market

ID = "fundenv/FundingHedge-v0"
MODES = ("single", "vector", "sb3", "ppo")
MIN_SECONDS = 0.5  # of one repetition


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the speed measurement."""

    data: Path | None = None
    """Folder of Parquet or CSV files; without it the embedded synthetic market."""
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names; none: all that the folder has."""
    modes: tuple[str, ...] = ("single", "vector", "sb3")
    """Of single (gymnasium.make), vector (gymnasium.make_vec), sb3 (the native VecEnv), ppo (training end to end)."""
    batches: tuple[int, ...] = (1024, 4096)
    """Numbers of environments for vector and sb3; ppo takes the first."""
    intervals: tuple[str, ...] = ("1h", "8h")
    """Decision intervals."""
    threads: int = 1
    """Threads of a batch."""
    repeats: int = 7
    """Timed repetitions of each mode."""
    json: Path | None = None
    """Also write the rows to this file."""


def main(args: Args) -> None:
    """Check, measure, show."""
    unknown = sorted(set(args.modes) - set(MODES))
    if unknown:
        raise RunError(f"--modes {unknown[0]}: expected some of {', '.join(MODES)}")
    market = load_market(args.data, list(args.symbols) or None) if args.data else synthetic_market("btc", years=3, seed=0)
    console = Console()
    error = check_accounting(market=market, decision_interval=args.intervals[0])
    check_parity(market=market, decision_interval=args.intervals[0], episode="30D")
    console.print(f"checked: accounting to {error:.0e}, single = serial = threaded bit for bit")
    rows = []
    for interval in args.intervals:
        for mode in args.modes:
            for count in {"single": (1,), "ppo": args.batches[:1]}.get(mode, args.batches):
                rows.append(_measure(mode, count, interval, market, args))
                console.print(_shown(rows[-1]))
    table = Table(
        "mode", "envs", "bars per decision", "observations", "steps/s (median)", "lowest", "highest", "bars/s", title=_machine(args)
    )
    for row in rows:
        speeds = (f"{row[key]:,.0f}" for key in ("steps_per_s", "lowest", "highest", "bars_per_s"))
        table.add_row(row["mode"], f"{row['batch']:,}", str(row["decision_bars"]), *speeds)
    console.print(table)
    if args.json:
        write_json(args.json, rows)


def _measure(mode: str, count: int, interval: str, market: Market, args: Args) -> dict[str, Any]:
    """One row: median, lowest and highest steps per second over the repetitions."""
    settings = {"market": market, "decision_interval": interval}
    steps, width = {"single": _single, "vector": _vector, "sb3": _sb3, "ppo": _ppo}[mode](count, settings, args.threads)
    steps()
    amount = 1
    while _timed(steps, amount)[1] < MIN_SECONDS and mode != "ppo":
        amount *= 2
    speeds = [done / seconds for done, seconds in (_timed(steps, amount) for _ in range(1 if mode == "ppo" else args.repeats))]
    bars = round(hours(interval, "--intervals") / market.bar_hours)
    return {
        "mode": mode,
        "device": "cpu",
        "batch": count,
        "threads": args.threads,
        "decision_bars": bars,
        "obs_size": width,
        "steps_per_s": statistics.median(speeds),
        "lowest": min(speeds),
        "highest": max(speeds),
        "bars_per_s": statistics.median(speeds) * bars,
    }


def _timed(steps: Callable[[], int], amount: int) -> tuple[int, float]:
    begun = time.perf_counter()
    done = sum(steps() for _ in range(amount))
    return done, time.perf_counter() - begun


def _single(count: int, settings: dict[str, Any], threads: int) -> tuple[Callable[[], int], int]:
    env = gymnasium.make(ID, **settings)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (2_000, *(env.action_space.shape or ()))).astype(np.float32)

    def steps() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return steps, (env.observation_space.shape or (0,))[0]


def _vector(count: int, settings: dict[str, Any], threads: int) -> tuple[Callable[[], int], int]:
    env = gymnasium.make_vec(ID, num_envs=count, threads=threads, **settings)
    env.reset(seed=0)
    return _stepper(env, env.single_action_space, count), (env.single_observation_space.shape or (0,))[0]


def _sb3(count: int, settings: dict[str, Any], threads: int) -> tuple[Callable[[], int], int]:
    from fundenv.envs.sb3 import FundingHedgeVecEnv

    env = FundingHedgeVecEnv(count, threads=threads, **settings)
    env.seed(0)
    env.reset()
    return _stepper(env, env.action_space, count), (env.observation_space.shape or (0,))[0]


def _stepper(env: Any, space: Any, count: int) -> Callable[[], int]:
    """Twenty steps of `count` environments with random actions of `space` (one environment's); returns the environment steps done."""
    actions = np.random.default_rng(0).uniform(-1, 1, (20, count, *space.shape)).astype(np.float32)

    def steps() -> int:
        for action in actions:
            env.step(action)
        return len(actions) * count

    return steps


def _ppo(count: int, settings: dict[str, Any], threads: int) -> tuple[Callable[[], int], int]:
    import agents

    def steps() -> int:
        agent: Any = agents.make("ppo", n_envs=count)
        done = 8 * count * agent.params.n_steps
        agent.learn(settings["market"], {"decision_interval": settings["decision_interval"]}, steps=done, seed=0)
        return int(done)

    return steps, 0


def _shown(row: dict[str, Any]) -> str:
    return f"{row['mode']:<7} {row['batch']:>6,} envs, {row['decision_bars']} bar(s) per decision: {row['steps_per_s']:>12,.0f} steps/s"


def _machine(args: Args) -> str:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {args.threads} thread(s), Python {platform.python_version()}"


if __name__ == "__main__":
    run(Args, main, __doc__)
