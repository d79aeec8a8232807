"""The cells of a sweep and their jobs, as workers do them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from typing import Any

from experiments import benchmark
from experiments.benchmarking import jobs, stress
from experiments.benchmarking.jobs import Job, JobContext
from experiments.core.market_args import MarketArgs
from experiments.core.pool import Reporter
from fundenv.market import Market


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A benchmark of a sweep."""

    plan: benchmark.Plan
    context: JobContext
    jobs: list[Job] = field(default_factory=list)  # those of the stages that were begun


@dataclass(frozen=True, kw_only=True)
class CellJob:
    """A job of one cell."""

    cell: str
    job: Job
    place: str = ""  # among all jobs, as 3/120

    @property
    def key(self) -> str:
        """How messages name it."""
        return f"{self.cell}/{self.job.key}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report of one cell, once all its jobs are done."""

    cell: str

    @property
    def key(self) -> str:
        """How messages name it."""
        return f"{self.cell}/report"


class _Placed:
    """A reporter that says which job of the sweep speaks."""

    def __init__(self, reporter: Reporter, head: str) -> None:
        self.reporter, self.head, self.add = reporter, head, reporter.add

    def at(self, title: str) -> None:
        self.reporter.at(f"{self.head} {title}")


def do(job: CellJob, contexts: dict[str, JobContext], reporter: Reporter) -> None:
    """The job in the run folder of its cell."""
    jobs.do(job.job, contexts[job.cell], _Placed(reporter, f"{job.place} {job.cell}:"))


def conclude(job: Report, cells: dict[str, Cell], reporter: Reporter) -> None:
    """All tables and the page of a cell; nothing is printed."""
    cell = cells[job.cell]
    reporter.at(job.key)
    with contextlib.redirect_stdout(io.StringIO()):
        benchmark.report(cell.plan, cell.jobs, cell.context)
    reporter.add(1.0)


class Shared:
    """Markets and their shocks, made once for all cells that have the same, so that they lie in
    memory once.
    """

    def __init__(self) -> None:
        self._spans: dict[Any, dict[str, Market]] = {}
        self._shocks: dict[Any, stress.Scenarios | None] = {}

    def spans(self, args: benchmark.Args, folds: int) -> dict[str, Market]:
        """`benchmark.spans_of`, which the settings of the environment do not change."""
        names = MarketArgs.__dataclass_fields__.keys() - {"env", "cash_rate"}
        key = (folds, *((name, getattr(args, name)) for name in sorted(names)))
        if key not in self._spans:
            self._spans[key] = benchmark.spans_of(args, folds)
        return self._spans[key]

    def shocks(self, plan: benchmark.Plan) -> stress.Scenarios | None:
        """`stress.scenarios_or_note`, which knows of the settings the venue and the interval of
        decisions.
        """
        settings, market = plan.args.settings(), plan.markets["test"]
        key = (market.hash, settings["venue"], settings.get("decision_interval"))
        if key not in self._shocks:
            self._shocks[key] = stress.scenarios_or_note(market, settings)
        return self._shocks[key]
