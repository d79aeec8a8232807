"""Runs one benchmark for each combination of coins and settings, all trainings as jobs of one pool.

--vary names what differs: --vary symbols=BTCUSDT,ETHUSDT ppo.entropy=0.005,0.02 makes four cells.
Each has an ordinary run folder in --out, with all --seeds; results.md there has one table of all
cells and counts every configuration. Ctrl-C keeps finished parts; --resume continues, also with
further values or seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments import benchmark
from experiments.benchmarking.training import Progress
from experiments.benchmarking.trials import SWEEP
from experiments.core.cli import run
from experiments.core.pool import run_jobs
from experiments.core.provenance import begin_provenance, forget_agents
from experiments.core.ray_pool import RayPool
from experiments.core.run_folder import RunError, open_run, read_json, write_json
from experiments.sweeping import table
from experiments.sweeping.cells import Cell, CellJob, Report, Shared, conclude, do
from experiments.sweeping.grid import Values, args_of, grid
from fundenv.market import DataError, SplitError
from fundenv.settings import SettingsError

MANY = 50  # cells whose check takes seconds
Run = Callable[[Sequence[Any], Callable[..., None], Any, Progress, Callable[[Any], float]], None]


@dataclass(frozen=True, kw_only=True)
class Args(benchmark.Args):
    """Command line of a sweep."""

    vary: tuple[str, ...] = ()
    """What differs between the cells, KEY=A,B,..: an option of the benchmark (symbols=BTCUSDT,
    ETHUSDT without the space; BTCUSDT+ETHUSDT is one cell of both), a setting of the environment
    (env.episode=30D,60D) or a parameter of an agent (ppo.entropy=0.005,0.02).
    """


def main(args: Args) -> None:
    """Check every cell, run what is not done yet, write the cells and their table."""
    grown = grid(args.vary)
    shared = Shared()
    plans = {name: _checked(args, name, grown[name], shared) for name in _shown(grown, "check")}
    own = benchmark.plain(args)
    out = open_run(args.out, "sweep", own, benchmark.FIXED, resume=args.resume).resolve()
    _keep(out / SWEEP, grown)
    cells = {name: _begun(out / name, plans[name], shared) for name in _shown(plans, "open")}
    print(f"{len(cells)} cells in {out}   (tensorboard --logdir {out})", flush=True)
    with _pool(args, out) as run_all:
        _train(cells, out, run_all)
        reports = [Report(cell=name) for name in cells]
        progress = Progress(len(reports))
        with benchmark.said_where(out, progress):
            run_all(reports, conclude, cells, progress, lambda _: 1.0)
    table.conclude(out, grown)


def _shown(names: Collection[str], what: str) -> Iterable[str]:
    """The names, with a bar where they are many."""
    shown: Iterable[str] = tqdm(names, what, leave=False, disable=len(names) < MANY)
    return shown


def _checked(args: Args, name: str, values: Values, shared: Shared) -> benchmark.Plan:
    """The plan of a cell; an error names the cell."""
    names = [each.name for each in dataclasses.fields(benchmark.Args)]
    base = benchmark.Args(**{name: getattr(args, name) for name in names})
    try:
        return benchmark.prepare(args_of(base, values), shared.spans)
    except (DataError, RunError, SettingsError, SplitError) as error:
        raise RunError(f"cell {name}: {error}") from None


def _keep(file: Path, grown: dict[str, Values]) -> None:
    """Note the cells of the sweep; one that was begun can not leave it, because it was tried."""
    begun = read_json(file)["cells"] if file.exists() else {}
    missing = [name for name in begun if name not in grown]
    if missing:
        raise RunError(
            f"{file.parent} has {len(missing)} cell(s) that --vary does not name, such as"
            f" {missing[0]}; name them all, in the same order of keys, or choose another --out"
        )
    write_json(file, {"cells": grown})


def _begun(out: Path, plan: benchmark.Plan, shared: Shared) -> Cell:
    """A cell with its run folder, new or continued."""
    args = dataclasses.replace(plan.args, out=out)
    open_run(out, "benchmark", benchmark.plain(args), benchmark.FIXED, resume=True)
    begin_provenance(out, plan.markets)
    forget_agents(out)
    plan = dataclasses.replace(plan, args=args, learners=())
    return Cell(plan=plan, context=benchmark.context_of(plan, out, shared.shocks(plan)))


@contextmanager
def _pool(args: Args, out: Path) -> Iterator[Run]:
    """A function that does jobs side by side, on this machine or on the cluster."""
    if args.ray:
        with RayPool(args.ray, out, args.workers) as pool:
            yield pool.run
    else:
        yield lambda jobs, work, context, progress, left: run_jobs(
            jobs, work, context, progress, args.workers
        )


def _train(cells: dict[str, Cell], out: Path, run_all: Run) -> None:
    """All jobs of all cells, stage by stage, each stage with one bar."""
    contexts = {name: cell.context for name, cell in cells.items()}
    running = {name: benchmark.stages(cell.plan, cell.context) for name, cell in cells.items()}

    def left(job: CellJob) -> float:
        return contexts[job.cell].left(job.job)

    while running:
        stage: list[CellJob] = []
        for name in list(running):
            jobs = next(running[name], None)
            if jobs is None:
                del running[name]
                continue
            cells[name].jobs.extend(jobs)
            stage += [CellJob(cell=name, job=job) for job in jobs]
        waiting = [each for each in stage if not contexts[each.cell].done(each.job)]
        waiting = [
            dataclasses.replace(each, place=f"{number}/{len(waiting)}")
            for number, each in enumerate(waiting, start=1)
        ]
        if not waiting:
            continue
        progress = Progress(sum(map(left, waiting)))
        with benchmark.said_where(out, progress):
            run_all(waiting, do, contexts, progress, left)


if __name__ == "__main__":
    run(Args, main, __doc__)
