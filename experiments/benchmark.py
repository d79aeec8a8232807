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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from fundenv.market import Market

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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A benchmark whose input was checked."""

    args: Args
    preset: Preset  # as the command line changes it
    params: dict[str, dict[str, Any]]
    markets: dict[str, Market]
    learners: tuple[Learner, ...]


def main(args: Args) -> None:
    """Run what is not done yet, then write and show the tables."""
    plan = prepare(args)
    out = open_run(args.out, "benchmark", plain(args), FIXED, resume=args.resume)
    begin_provenance(out, plan.markets)
    for name, market in plan.markets.items():
        print(f"{name:<18}{shown(market)}")
    print(f"out   {out}   (tensorboard --logdir {out / 'tensorboard'})", flush=True)
    say_settings(plan)
    shocks = stress.scenarios_or_note(plan.markets["test"], args.settings())
    context = context_of(plan, out, shocks)
    forget_agents(out)
    jobs: list[Job] = []
    for stage in stages(plan, context):
        _run(stage, context, args)
        jobs += stage
    report(plan, jobs, context)


def prepare(args: Args, spans: Callable[[Args, int], dict[str, Market]] | None = None) -> Plan:
    """Check everything that can be checked before anything is written.

    spans: makes the markets; default: `spans_of`.
    """
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
    settings = args.settings()
    if preset.folds and args.train_on != "history":
        raise RunError(
            f"--train-on {args.train_on}: synthetic markets have no order in time for folds;"
            " give --folds 0"
        )
    if not preset.folds and any(len(few) > 1 for few in preset.candidates.values()):
        raise RunError(
            f"preset {args.preset} has several candidates and no folds to choose on; give --folds"
        )
    markets = (spans or spans_of)(args, preset.folds)
    args.check({name: markets[name] for name in ("train", "test")})
    learned_on = [market for name, market in markets.items() if name.endswith("train")]
    made = [prepared(name, each.params) for name, few in preset.candidates.items() for each in few]
    learners = tuple(agent for agent in made if isinstance(agent, Learner))
    for agent in learners:
        check_training(agent, settings, *learned_on)
    return Plan(args=args, preset=preset, params=params, markets=markets, learners=learners)


def spans_of(args: Args, folds: int) -> dict[str, Market]:
    """train, test, and fold<k>-train, fold<k>-validation."""
    markets = args.spans()
    return markets | fold_markets(markets["train"], folds)


def say_settings(plan: Plan) -> None:
    """Print which settings the agents replace by their own."""
    args, settings = plan.args, plan.args.settings()
    for agent in {agent.name: agent for agent in plan.learners}.values():
        say_trained_otherwise(agent, settings)
    made = [agents.make(name, **plan.params.get(name, {})) for name in args.agents]
    say_overruled(settings, made)


def context_of(plan: Plan, out: Path, shocks: stress.Scenarios | None) -> JobContext:
    """What all jobs of the run folder `out` share."""
    return JobContext(
        markets=plan.markets,
        settings=plan.args.settings(),
        cash_rates=plan.args.cash_rates,
        out=out,
        stress=shocks,
    )


def stages(plan: Plan, context: JobContext) -> Iterator[list[Job]]:
    """All jobs, in lists: those of a list can begin once those of the lists before are done. Where
    a learner has several candidates, the folds choose one first; ensembles of what was trained come
    last.
    """
    args, preset = plan.args, plan.preset
    rules = [
        Job(agent=name, fold=fold, params=plan.params.get(name, {}))
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
    if all(len(candidates) == 1 for candidates in preset.candidates.values()):
        final = _final(preset, dict.fromkeys(preset.candidates, 0))
        yield [*rules, *final, *tried]
    else:
        yield [*rules, *tried]
        tidy = rows_of([read_json(context.out / PARTS / f"{job.key}.json") for job in tried])
        chosen = {
            name: choose(tidy, name) if len(candidates) > 1 else 0
            for name, candidates in preset.candidates.items()
        }
        final = _final(preset, chosen)
        yield final
    yield ensembles(args.agents, [*final, *tried])


def _final(preset: Preset, chosen: dict[str, int]) -> list[Job]:
    """The trainings on the whole training span, of the candidate chosen of each learner."""
    return [
        training(preset.candidates[name][number], number, FINAL, seed)
        for seed in range(preset.seeds)
        for name, number in chosen.items()
    ]


def _run(jobs: list[Job], context: JobContext, args: Args) -> None:
    """The jobs that are not done yet, with one bar."""
    waiting = [job for job in jobs if not context.done(job)]
    rules = [job for job in waiting if not job.steps]
    trained = [job for job in waiting if job.steps]
    progress = Progress(sum(map(context.left, waiting)))
    with said_where(context.out, progress):
        run_jobs(rules, do, context, progress, 1)  # seconds each: not worth a process
        if args.ray and trained:
            with RayPool(args.ray, context.out, args.workers) as pool:
                far = dataclasses.replace(context, out=pool.folder)
                pool.run(trained, do, far, progress, context.left)
        else:
            run_jobs(trained, do, context, progress, args.workers)


@contextmanager
def said_where(out: Path, progress: Progress) -> Iterator[None]:
    """Close the bar at the end; after Ctrl-C say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(
            f"interrupted; finished parts are kept in {out}, go on with --resume --out {out}"
        ) from None
    finally:
        progress.close()


def report(plan: Plan, jobs: list[Job], context: JobContext) -> None:
    """The comparison of all parts, and everything that prints it."""
    args, out, recorded = plan.args, context.out, plan.args.data is not None
    jobs = sorted(jobs, key=_order)
    record_agents(out)
    parts = [read_json(out / PARTS / f"{job.key}.json") for job in jobs]
    tidy = rows_of(parts)
    write_frame(out / "results.parquet", tidy)
    daily = pd.concat(
        [pd.read_parquet(out / DAILY / f"{job.key}.parquet") for job in jobs], ignore_index=True
    )
    picture(tidy[tidy["fold"] == FINAL], out / "results.png")
    final = [(job, part) for job, part in zip(jobs, parts, strict=True) if job.fold == FINAL]
    facts = _facts(plan, jobs, context)
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


def _order(job: Job) -> int:
    """Of the tables: rules, final trainings, those of folds, ensembles."""
    if job.members or not job.steps:
        return 3 if job.members else 0
    return 1 if job.fold == FINAL else 2


def _facts(plan: Plan, jobs: list[Job], context: JobContext) -> list[str]:
    """What was compared, one line each."""
    args, preset = plan.args, plan.preset
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


def plain(args: Args) -> dict[str, Any]:
    """The arguments as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(args), default=str))
    return values


if __name__ == "__main__":
    run(Args, main, __doc__)
