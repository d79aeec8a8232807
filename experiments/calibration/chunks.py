"""The search of one rule in chunks of settings, each kept in a file, so that it can continue."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.analysis.walk_forward import scores
from experiments.calibration.draws import drawn, size
from experiments.calibration.search import (
    Proposals,
    Values,
    check_order,
    in_order,
    is_grid,
)
from experiments.core.cli import Stopped, deferred
from experiments.core.run_folder import UNREADABLE, RunError
from experiments.rollout.sweep import Sweep, sweep

CHUNK = 500  # settings in one batch
SUMS = ("growth", "turnover", "liquidations")  # fields of a sweep with one row per setting


class Limits(NamedTuple):
    """The size of the search, and its objective."""

    trials: int  # settings
    seed: int  # of Optuna's proposals
    cash_rate: float  # annual
    drawdown: float  # largest drawdown that a setting may have, 0.1 = 10 %


class Search:
    """The settings of one rule, evaluated in chunks; each chunk is a file, so that an interrupted
    search continues after the last one.
    """

    def __init__(
        self,
        rule: str,
        fixed: dict[str, Any],
        space: Any,
        market: Any,
        settings: dict[str, Any],
        limits: Limits,
        folder: Path,
    ) -> None:
        self.rule, self.fixed, self.space, self.market, self.settings, self.limits = (
            rule,
            fixed,
            space,
            market,
            settings,
            limits,
        )
        self.folder = folder / "chunks"
        twice = [d.name for d in space if d.name in fixed]
        if twice:
            raise RunError(f"--params {rule}.{twice[0]} is searched too; fix it or search it")
        check_order(rule, fixed, space)

    def run(self) -> tuple[Values, Sweep]:
        """All settings and their results."""
        jobs = self._grid() if is_grid(self.space) else None
        count = sum(len(next(iter(job.values()))) for job in jobs) if jobs else self.limits.trials
        form = (
            "{desc} {percentage:3.0f}% |{bar:30}| {n:.0f}/{total:.0f} settings, {elapsed} <"
            " {remaining}"
        )
        begun = time.thread_time()
        rare = 0.2 if sys.stderr.isatty() else 20.0  # a log file needs no more
        with tqdm(total=float(count), desc=self.rule, bar_format=form, mininterval=rare) as bar:
            try:
                done = (
                    [self._walk(i, job, bar) for i, job in enumerate(jobs)]
                    if jobs
                    else self._propose(bar)
                )
            except KeyboardInterrupt:
                out = self.folder.parent.parent
                raise Stopped(
                    f"interrupted; settings evaluated so far are kept in {out}, go on with --resume"
                    f" --out {out}"
                ) from None
        values = {name: np.concatenate([job[name] for job, _ in done]) for name in done[0][0]}
        symbols, days = len(done[0][1].symbols), len(done[0][1].days)
        print(
            f"{self.rule}: {count} settings x {symbols} symbols x {days} days in"
            f" {time.thread_time() - begun:.1f} CPU s",
            flush=True,
        )
        whole: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for _, part in done]) for name in SUMS
        }
        return values, dataclasses.replace(done[0][1], **whole)

    def _grid(self) -> list[Values]:
        values = drawn(self.space, self.rule, self.fixed, self.limits.trials, self.limits.seed)
        count = len(next(iter(values.values())))
        whole = size(self.space)
        if count == self.limits.trials < whole:
            print(
                f"{self.rule}: --trials {count} of the {whole:,} combinations of its values are"
                " drawn"
            )
        return [
            {name: array[i : i + CHUNK] for name, array in values.items()}
            for i in range(0, count, CHUNK)
        ]

    def _propose(self, bar: Any) -> list[tuple[Values, Sweep]]:
        proposals, done = Proposals(self.space, self.limits.seed), []
        per_round = max(8, min(CHUNK, self.limits.trials // 20))
        left, number = self.limits.trials, 0
        while left > 0:
            path = self.folder / f"{number:04d}.npz"
            if path.is_file():
                done.append(self._walk(number, _load(path)[0], bar))
                proposals.recall(done[-1][0], self._scores(done[-1][1]))
            else:
                trials, values, good = self._ask(proposals, min(per_round, left))
                done.append(
                    self._walk(number, {name: array[good] for name, array in values.items()}, bar)
                )
                found = iter(self._scores(done[-1][1]))
                proposals.tell(trials, [next(found) if fine else None for fine in good])
            left -= len(done[-1][1].growth)
            number += 1
        return done

    def _ask(self, proposals: Proposals, count: int) -> tuple[list[Any], Values, NDArray[np.bool_]]:
        """Proposals of Optuna; at least one keeps the order of the parameters."""
        while True:
            trials, values = proposals.ask(count)
            good = in_order(self.rule, self.fixed, values)
            if good.any():
                return trials, values, good
            proposals.tell(trials, [None] * count)

    def _scores(self, found: Sweep) -> list[float]:
        """The objective, with a finite penalty beyond the limit that Optuna can learn from."""
        score = scores(found.growth, self.limits.cash_rate, self.limits.drawdown)
        return [float(value) if np.isfinite(value) else -1.0 for value in score]

    def _walk(self, number: int, job: Values, bar: Any) -> tuple[Values, Sweep]:
        """Evaluate one chunk, or read its file."""
        path, count = self.folder / f"{number:04d}.npz", len(next(iter(job.values())))
        begun = bar.n
        if not path.is_file():
            with deferred() as interrupt:

                def step(share: float) -> bool:
                    bar.update(begun + share * count - bar.n)
                    return not interrupt.requested

                found = sweep(self.rule, self.fixed, job, self.market, self.settings, step)
                if found is not None:
                    _save(path, job, found)
            if interrupt.requested:
                raise KeyboardInterrupt
        bar.update(begun + count - bar.n)
        return _load(path)


def _save(path: Path, job: Values, found: Sweep) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.npz")
    arrays: dict[str, Any] = {name: getattr(found, name) for name in ("days", *SUMS)} | {
        "symbols": np.array(found.symbols)
    }
    np.savez(partial, **arrays | {f"param_{name}": array for name, array in job.items()})
    partial.replace(path)


def _load(path: Path) -> tuple[Values, Sweep]:
    try:
        with np.load(path) as file:
            job = {
                name.removeprefix("param_"): file[name]
                for name in file.files
                if name.startswith("param_")
            }
            arrays = {name: file[name] for name in ("days", *SUMS)}
            return job, Sweep(symbols=tuple(file["symbols"].tolist()), **arrays)
    except UNREADABLE as error:
        raise RunError(
            f"{path} is damaged ({error}); delete it to have its settings evaluated again"
        ) from None
