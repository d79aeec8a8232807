"""Trains PPO and SAC and compares them with the rules, on synthetic or real markets.

Without --data everything runs on the embedded synthetic market. The folder --out receives
results.md, results.json, results.parquet (one row per agent, fold, symbol, seed, cash rate and
cost), stress.parquet and stress.png (what named shocks do to each agent), a checkpoint for each
learner and seed, the equity curves (Parquet), TensorBoard events and report.html. Ctrl-C keeps
finished parts; --resume continues.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import agents
from agents import Learner
from experiments.analysis.compare import FINAL, choose, compare
from experiments.analysis.comparison import cash_words
from experiments.analysis.pictures import picture
from experiments.benchmarking import stress
from experiments.benchmarking.jobs import (
    DAILY,
    PARTS,
    Job,
    JobContext,
    do,
    learns,
    rows_of,
    trains,
)
from experiments.benchmarking.plan import candidates_of, ensembles, params_of, training
from experiments.benchmarking.training import (
    Progress,
    check_training,
    cost_of,
    done_steps,
    prepared,
    say_trained_otherwise,
)
from experiments.benchmarking.trials import counted, others
from experiments.core.cli import Stopped, run
from experiments.core.market_args import MARKET_FIXED, MarketArgs, fold_markets, shown
from experiments.core.pool import run_jobs
from experiments.core.preset import Preset, read_preset
from experiments.core.provenance import begin_provenance, forget_agents, record_agents
from experiments.core.ray_pool import RayPool
from experiments.core.run_folder import RunError, open_run, read_json, write_frame
from experiments.report import conclude
from experiments.rollout.make import say_overruled

FIXED = (*MARKET_FIXED, "cash_rates", "preset", "steps", "folds", "params", "calibrated")


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the benchmark."""

    agents: tuple[str, ...] = (
        "flat",
        "carry",
        "zscore",
        "ewma",
        "dynamic_leverage",
        "clairvoyant",
        "ppo",
        "sac",
    )
    """Agents to compare. ppo_ensemble and sac_ensemble average all trained seeds."""
    preset: str = "standard"
    """Seeds, folds, length and parameters of the trainings: quick (minutes), standard, long, or a
    .toml file like those in agents/presets.
    """
    seeds: int | None = None
    """Trainings of each learner, seeds 0 .. N - 1; default: the preset's."""
    steps: int | None = None
    """Environment steps of every training. Default: the preset's, which differ between learners."""
    folds: int | None = None
    """Walk-forward folds within the training span, evaluated separately from the test span;
    default: the preset's.
    """
    cash_rates: tuple[float, ...] = (0.0, 0.02, 0.045)
    """Cash rates of the evaluation; the comparison averages over them."""
    params: tuple[str, ...] = ()
    """Parameters of agents, AGENT.NAME=VALUE, e.g. ppo.entropy=0.01 zscore.entry=2: another way to
    write --ppo.entropy 0.01. Precedence: --params > --calibrated > --preset.
    """
    calibrated: Path | None = None
    """File of calibrated parameters of rules (calibrated.toml of experiments.calibrate)."""
    workers: int = min(2, os.cpu_count() or 1)
    """Processes that train side by side."""
    ray: str = ""
    """Train on a Ray cluster instead: its address, "auto" for the one that this machine belongs to,
    "local" for one of --workers CPUs started here. All nodes must see --out.
    """
    out: Path | None = None
    """Folder of the run; default: runs/benchmark-<time>."""
    resume: bool = False
    """Continue the run in --out (default: the newest) and skip its finished parts. In a folder
    without a run, start one.
    """


def main(args: Args) -> None:
    """Run what is not done yet, then write and show the tables."""
    least = {"seeds": 1, "steps": 1, "folds": 0, "workers": 1}
    for name, low in least.items():
        if getattr(args, name) is not None and getattr(args, name) < low:
            raise RunError(f"--{name} {getattr(args, name)}: must be at least {low}")
    if not args.cash_rates:
        raise RunError("--cash-rates is empty; give at least one yearly rate, such as 0.02")
    preset = read_preset(args.preset)
    params = params_of(args.agents, preset, args.params, args.calibrated)
    preset = dataclasses.replace(
        preset,
        seeds=args.seeds or preset.seeds,
        folds=preset.folds if args.folds is None else args.folds,
        candidates={
            name: candidates_of(name, preset, params.get(name, {}), args.steps)
            for name in args.agents
            if trains(name)
        },
    )
    settings, markets = args.settings(), args.markets()
    if preset.folds and args.train_on != "history":
        raise RunError(
            f"--train-on {args.train_on}: synthetic markets have no order in time for folds;"
            " give --folds 0"
        )
    markets |= fold_markets(markets["train"], preset.folds)
    learned_on = [market for name, market in markets.items() if name.endswith("train")]
    made = [prepared(name, each.params) for name, few in preset.candidates.items() for each in few]
    learners = [agent for agent in made if isinstance(agent, Learner)]
    for agent in learners:
        check_training(agent, settings, *learned_on)
    out = open_run(args.out, "benchmark", _plain(args), FIXED, resume=args.resume)
    begin_provenance(out, markets)
    for name, market in markets.items():
        print(f"{name:<18}{shown(market)}")
    print(f"out   {out}   (tensorboard --logdir {out / 'tensorboard'})", flush=True)
    for agent in {agent.name: agent for agent in learners}.values():
        say_trained_otherwise(agent, settings)
    say_overruled(settings, [agents.make(name, **params.get(name, {})) for name in args.agents])
    shocks = stress.scenarios_or_note(markets["test"], settings)
    context = JobContext(
        markets=markets, settings=settings, cash_rates=args.cash_rates, out=out, stress=shocks
    )
    forget_agents(out)
    jobs = _jobs(args, preset, params, context)
    record_agents(out)
    _report(args, preset, jobs, context)


def _jobs(
    args: Args, preset: Preset, params: dict[str, dict[str, Any]], context: JobContext
) -> list[Job]:
    """Do all jobs, the ensembles of what was trained last. Returns every job."""
    done = _singles(args, preset, params, context)
    joined = ensembles(args.agents, done)
    _run(joined, context, args)
    return [*done, *joined]


def _singles(
    args: Args, preset: Preset, params: dict[str, dict[str, Any]], context: JobContext
) -> list[Job]:
    """Rules and trainings. Where a learner has several candidates, the folds choose one first."""
    rules = [
        Job(agent=name, fold=fold, params=params.get(name, {}))
        for fold in (FINAL, *range(preset.folds))
        for name in args.agents
        if not learns(name)
    ]
    tried = [
        training(candidate, number, fold, seed)
        for fold in range(preset.folds)
        for candidates in preset.candidates.values()
        for number, candidate in enumerate(candidates)
        for seed in range(preset.fold_seeds)
    ]
    single = all(len(candidates) == 1 for candidates in preset.candidates.values())
    final = [
        training(candidates[0], 0, FINAL, seed)
        for seed in range(preset.seeds)
        for candidates in preset.candidates.values()
    ]
    if single:
        _run([*rules, *final, *tried], context, args)
        return [*rules, *final, *tried]
    if not preset.folds:
        raise RunError(
            f"preset {args.preset} has several candidates and no folds to choose on; give --folds"
        )
    _run([*rules, *tried], context, args)
    tidy = rows_of([read_json(context.out / PARTS / f"{job.key}.json") for job in tried])
    chosen = {
        name: choose(tidy, name) if len(candidates) > 1 else 0
        for name, candidates in preset.candidates.items()
    }
    final = [
        training(preset.candidates[name][number], number, FINAL, seed)
        for seed in range(preset.seeds)
        for name, number in chosen.items()
    ]
    _run(final, context, args)
    return [*rules, *final, *tried]


def _run(jobs: list[Job], context: JobContext, args: Args) -> None:
    """The jobs that are not done yet, with one bar."""
    waiting = [job for job in jobs if not context.done(job)]
    rules = [job for job in waiting if not job.steps]
    trained = [job for job in waiting if job.steps]

    def left(job: Job) -> float:
        done = done_steps(context.out / "agents" / job.key)
        learned = cost_of(agents.make(job.agent, **job.params), job.steps, done)
        return learned + context.judging_cost(job)

    progress = Progress(sum(map(context.judging_cost, rules)) + sum(map(left, trained)))
    try:
        run_jobs(rules, do, context, progress, 1)  # seconds each: not worth a process
        if args.ray and trained:
            with RayPool(args.ray, context.out, args.workers) as pool:
                far = dataclasses.replace(context, out=pool.folder)
                pool.run(trained, do, far, progress, left)
        else:
            run_jobs(trained, do, context, progress, args.workers)
    except KeyboardInterrupt:
        raise Stopped(
            f"interrupted; finished parts are kept in {context.out}, go on with --resume --out"
            f" {context.out}"
        ) from None
    finally:
        progress.close()


def _report(args: Args, preset: Preset, jobs: list[Job], context: JobContext) -> None:
    """The comparison of all parts, and everything that prints it."""
    out, recorded = context.out, args.data is not None
    parts = [read_json(out / PARTS / f"{job.key}.json") for job in jobs]
    tidy = rows_of(parts)
    write_frame(out / "results.parquet", tidy)
    daily = pd.concat(
        [pd.read_parquet(out / DAILY / f"{job.key}.parquet") for job in jobs], ignore_index=True
    )
    picture(tidy[tidy["fold"] == FINAL], out / "results.png")
    final = [(job, part) for job, part in zip(jobs, parts, strict=True) if job.fold == FINAL]
    facts = _facts(args, preset, jobs, context)
    found = compare(
        tidy, daily, args.cash_rates, span="test", others=others(out, recorded=recorded)
    )
    more = []
    if under := stress.conclude(out, [job.key for job, _ in final]):
        more.append(("Under stress", under))
        facts.append(f"under stress: {stress.LEGEND}")
    conclude(
        out,
        found,
        [row for _, part in final for row in part["rows"]],
        title="Benchmark",
        facts=facts,
        params={job.agent: part["params"] for job, part in final},
        more=more,
    )


def _facts(args: Args, preset: Preset, jobs: list[Job], context: JobContext) -> list[str]:
    """What was compared, one line each."""
    final = [job for job in jobs if job.fold == FINAL]
    facts = [
        f"{name}: {shown(market)} (market {market.hash})"
        for name, market in context.markets.items()
    ]
    facts.append(
        f"venue {args.venue}; growth is net of {cash_words(args.cash_rates)}, figures by split of"
        f" {cash_words([args.cash_rate])}"
    )
    facts += [
        f"{job.agent}: {preset.candidates[job.agent][job.candidate].label}, {preset.seeds} seed(s)"
        for job in final
        if job.steps and job.seed == 0
    ]
    facts += [f"{job.agent}: {', '.join(job.members)} as one" for job in final if job.members]
    if any(job.steps for job in jobs):
        facts.append(counted(context.out, recorded=args.data is not None))
    return facts


def _plain(args: Args) -> dict[str, Any]:
    """The arguments as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(args), default=str))
    return values


if __name__ == "__main__":
    run(Args, main, __doc__)
