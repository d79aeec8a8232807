"""Trains PPO and SAC and compares them with the rules, on synthetic or real markets.

Without --data everything runs on the embedded synthetic market. The folder --out receives results.md, results.json, a checkpoint for each
learner and seed, the equity curves (Parquet) and TensorBoard events. Ctrl-C keeps what is done; --resume goes on.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import agents
from agents import Learner
from experiments import calibrated
from experiments.assess import assess
from experiments.cli import Stopped, run
from experiments.learning import Progress, done_steps, train
from experiments.market_args import MarketArgs, pairs, shown
from experiments.results import Row, show, write_results
from experiments.run_folder import RunError, open_run, provenance, read_json, write_json

FIXED = ("data", "symbols", "train", "test", "venue", "cash_rate", "env", "steps", "params", "calibrated")


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the benchmark."""

    agents: tuple[str, ...] = ("flat", "carry", "zscore", "ppo", "sac")
    """Who takes part."""
    seeds: int = 1
    """Trainings of each learner, seeds 0 .. N - 1."""
    steps: int = 3_000_000
    """Environment steps of one training of PPO; learners that use a step more than once take fewer (SAC an eighth)."""
    params: tuple[str, ...] = ()
    """Parameters of agents, AGENT.NAME=VALUE, e.g. ppo.entropy=0.01 zscore.entry=2."""
    calibrated: Path | None = None
    """File of calibrated parameters (calibrated.toml of experiments.calibrate); --params goes before it."""
    out: Path | None = None
    """Folder of the run; default: runs/benchmark-<time>."""
    resume: bool = False
    """Continue the run in --out (default: the newest); finished parts are not done again. A folder without a run is begun."""


@dataclass(frozen=True)
class Job:
    """One agent with one seed."""

    name: str
    seed: int
    steps: int = 0  # of training; 0 for rules
    cost: float = 0.0  # relative time of a step

    @property
    def key(self) -> str:
        """Name of its files."""
        return f"{self.name}-{self.seed}"


def main(args: Args) -> None:
    """Run what is not done yet, then write and show the tables."""
    params, jobs = _params(args), _jobs(args)
    settings = args.settings()
    markets = args.markets()
    out = open_run(args.out, "benchmark", _plain(args), FIXED, resume=args.resume)
    _same_markets(out, markets)
    for name, market in markets.items():
        print(f"{name:<6}{shown(market)}")
    print(f"out   {out}   (tensorboard --logdir {out / 'tensorboard'})", flush=True)
    open_jobs = [job for job in jobs if not (out / "parts" / f"{job.key}.json").exists()]
    progress = Progress(sum(job.cost * max(0, job.steps - done_steps(out / "agents" / job.key)) for job in open_jobs))
    try:
        for job in open_jobs:
            _do(job, params.get(job.name, {}), markets, settings, out, progress)
    except KeyboardInterrupt:
        raise Stopped(f"interrupted; finished parts are kept in {out}, go on with --resume --out {out}") from None
    finally:
        progress.close()
    rows = [row for job in jobs for row in read_json(out / "parts" / f"{job.key}.json")]
    facts = [f"{name}: {shown(market)} (market {market.hash})" for name, market in markets.items()]
    facts.append(f"cash rate {100 * args.cash_rate:g} %, venue {args.venue}, {args.seeds} seed(s), {args.steps:,} steps (PPO)")
    write_results(out, rows, title="Benchmark", facts=facts)
    show(rows, title="Benchmark")
    print(f"results: {out / 'results.md'}")


def _do(job: Job, params: dict[str, Any], markets: dict[str, Any], settings: dict[str, Any], out: Path, progress: Progress) -> None:
    """Train where needed, assess on both splits, keep the rows."""
    if job.steps:
        folder, events = out / "agents" / job.key, out / "tensorboard" / "learning" / job.key
        agent: Any = train(
            job.name, params, markets["train"], settings, steps=job.steps, seed=job.seed, folder=folder, events=events, progress=progress
        )
    else:
        agent = agents.make(job.name, **params)
    progress.at(f"{job.key}, evaluation")
    rows: list[Row] = []
    for split in ("train", "test"):
        rows += assess(agent, markets[split], settings, seed=job.seed, split=split, out=out, events=split == "test")
    write_json(out / "parts" / f"{job.key}.json", rows)


def _jobs(args: Args) -> list[Job]:
    """Rules once, learners once per seed; rules first."""
    if args.seeds < 1 or args.steps < 1:
        raise RunError(f"--seeds {args.seeds} --steps {args.steps}: both must be at least 1")
    jobs = []
    for name in args.agents:
        kind = agents.agent_class(name)
        if issubclass(kind, Learner):
            jobs += [Job(name, seed, max(1, round(args.steps / kind.reuse)), kind.step_cost) for seed in range(args.seeds)]
        else:
            jobs.append(Job(name, 0))
    return sorted(jobs, key=lambda job: (job.steps > 0, job.seed))


def _params(args: Args) -> dict[str, dict[str, Any]]:
    """Parameters by agent; every agent is made once, so that a wrong one is reported before anything runs."""
    by_agent: dict[str, dict[str, Any]] = calibrated.read(args.calibrated) if args.calibrated else {}
    for name, value in pairs(args.params, "--params").items():
        agent, dot, field = name.partition(".")
        if not dot or agent not in args.agents:
            raise RunError(f"--params {name}: expected AGENT.NAME=VALUE with an agent of this run ({', '.join(args.agents)})")
        by_agent.setdefault(agent, {})[field] = value
    for name in args.agents:
        agents.make(name, **by_agent.get(name, {}))
    return by_agent


def _same_markets(out: Path, markets: dict[str, Any]) -> None:
    """Write the provenance of a new run; refuse to continue one on other data."""
    path = out / "provenance.json"
    if path.exists():
        before = read_json(path)["markets"]
        for name, market in markets.items():
            if before[name]["hash"] != market.hash:
                raise RunError(
                    f"the {name} market has changed since {out} was begun ({before[name]['hash']} -> {market.hash}); choose another --out"
                )
    else:
        write_json(path, provenance(markets))


def _plain(args: Args) -> dict[str, Any]:
    """The arguments as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(args), default=str))
    return values


if __name__ == "__main__":
    run(Args, main, __doc__)
