"""Measures what Ray adds to jobs of a run folder: memory of a worker with a market that is shared
and with one that is copied, that of one that trains, and seconds for jobs that do nothing.

Ray is started here with --workers CPUs, or found at --ray. Memory is that which belongs to one
process alone (Private_Clean + Private_Dirty of /proc/self/smaps_rollup).
"""

from __future__ import annotations

import pickle
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import agents
from experiments.core.cli import run
from experiments.core.ray_pool import RayPool
from experiments.core.run_folder import RunError
from fundenv.batch.cpu import Batch
from fundenv.market import load_market, synthetic_market


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    data: Path | None = None
    """Folder of market files; without it a synthetic market of three years."""
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT")
    """Symbols of --data."""
    ray: str = "local"
    """Address of a Ray cluster; local: Ray is started here."""
    workers: int = 2
    """CPUs of a Ray that is started here."""
    jobs: int = 500
    """Jobs that do nothing."""


SHORT: dict[str, dict[str, Any]] = {  # parameters of learners with a short start
    "ppo": {"imitate": 64, "counterfactual_rounds": 1},
    "rllib_ppo": {"runners": 0},
}


class Silent:
    """A bar that counts what it hears."""

    def __init__(self) -> None:
        self.heard = 0.0

    def at(self, title: str) -> None:
        """Nothing is shown."""

    def add(self, cost: float, note: str | None = None) -> None:
        """Count."""
        self.heard += cost


@dataclass(frozen=True)
class Empty:
    """A job that does nothing."""

    key: str


def main(args: Args) -> None:
    """Measure and print."""
    for name in ("workers", "jobs"):
        if getattr(args, name) < 1:
            raise RunError(f"--{name} {getattr(args, name)}: must be at least 1")
    market = (
        synthetic_market("btc", years=3, seed=0)
        if args.data is None
        else load_market(args.data, list(args.symbols))
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        RayPool(args.ray, Path(folder), args.workers) as pool,
    ):
        _memory(pool, market)
        _seconds(pool, args.jobs, market)


def _memory(pool: RayPool, market: Any) -> None:
    ray = pool.ray
    size = len(pickle.dumps(market))
    shared = ray.put(market)
    own = ray.remote(num_cpus=1, max_calls=1)(private_bytes)  # a new process each time
    kinds = ("none", "shared", "copied", "ppo", "rllib_ppo")
    found = {kind: ray.get(own.remote(shared, kind)) for kind in kinds}
    print(f"market {size / 1e6:.1f} MB")
    for kind, what in (
        ("none", "a worker with fundenv imported"),
        ("shared", "with the market mapped and 256 environments"),
        ("copied", "with the market copied and 256 environments"),
        ("ppo", "training ppo, market mapped"),
        ("rllib_ppo", "the same, rllib_ppo as in a population"),
    ):
        print(f"  {what:<46}{found[kind] / 1e6:>8.1f} MB of its own")


def private_bytes(market: Any, kind: str) -> int:
    """Runs in a worker: its private bytes, with 256 environments on the market; with the name of a
    learner those after its first rollout and update.
    """
    if kind in SHORT:
        agent: Any = agents.make(kind, n_envs=256, **SHORT[kind])
        agent.learn(market, {}, steps=1, seed=0)
        return _private()
    if kind == "copied":
        market = pickle.loads(pickle.dumps(market))
    batch = None if kind == "none" else Batch(256, market=market)
    if batch is not None:
        batch.reset(0)
        _touch(market)
    return _private()


def _private() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def _touch(market: Any) -> None:
    """Read every page of the market."""
    float(market.bars.sum() + market.features.sum())


def _seconds(pool: RayPool, count: int, market: Any) -> None:
    for turn in ("the first time, workers started", "again"):
        bar, begun = Silent(), time.perf_counter()
        jobs = [Empty(f"empty-{k}") for k in range(count)]
        pool.run(jobs, nothing, {"market": market}, bar, lambda job: 1.0)
        spent = time.perf_counter() - begun
        print(f"{count:,} empty jobs, {turn}: {spent:.2f} s, {1e3 * spent / count:.1f} ms a job")
        if bar.heard != count:
            raise RunError(f"{bar.heard:g} of {count} jobs were heard")


def nothing(job: Any, context: Any, reporter: Any) -> None:
    """Runs in a worker."""
    reporter.add(1.0)


if __name__ == "__main__":
    run(Args, main, __doc__)
