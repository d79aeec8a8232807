"""Walk-forward: for each fold, each forecaster is fitted on the data before it and forecasts in it.

A fit gets the panel cut at the start of its fold. So no target of the training reaches into the
fold: the cut is the purge.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.core.run_folder import RunError, read_json, write_frame, write_json
from fundenv.forecast import (
    HORIZONS,
    LEVELS,
    Forecaster,
    Panel,
    Predicted,
    check_causal,
    explain,
    make,
)
from fundenv.forecast.explained import parts_table
from fundenv.forecast.history import LEAST

PARTS = "-parts.parquet"
EXPLAINED_DAYS = 120  # at the end of the last fold


class Job(NamedTuple):
    """One forecaster on one fold with one seed."""

    name: str
    seed: int
    fold: int
    fit_from: pd.Timestamp | None
    start: pd.Timestamp
    end: pd.Timestamp
    explained: bool = False  # whether the parts of its forecasts are written, too

    @property
    def stem(self) -> str:
        """Name of its files."""
        return f"{file_name(self.name)}-seed{self.seed}-fold{self.fold}"


def file_name(forecaster: str) -> str:
    """The name and the parameters of a forecaster, as a part of a file name."""
    return re.sub(r"[^\w.=-]+", "-", forecaster)


def folds(
    start: pd.Timestamp, end: pd.Timestamp, months: int
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The test span in pieces of `months`; a rest shorter than a month joins the piece before."""
    edges = [start]
    while edges[-1] < end:
        edges.append(min(start + pd.DateOffset(months=months * len(edges)), end))
    if len(edges) > 2 and edges[-1] - edges[-2] < pd.Timedelta(days=28):
        del edges[-2]
    return list(zip(edges[:-1], edges[1:], strict=True))


def check_folds(panel: Panel, spans: list[tuple[pd.Timestamp, pd.Timestamp]]) -> None:
    """Raise `RunError` where the data are too few for a fit or for a judgement."""
    if not spans:
        raise RunError("--test begins after the last settlement; choose an earlier span")
    start, end = spans[0][0], spans[-1][1]
    known = panel.until(int(start.value) - 1)
    if len(known) < len(panel):
        have = {history.symbol for history in known}
        short = sorted({history.symbol for history in panel} - have)
        if short:
            raise RunError(
                f"{', '.join(short)}: fewer than {LEAST} settlements before {start:%Y-%m-%d}; begin"
                " the test later with --test START:END, or leave the symbol out with --symbols"
            )
    if end - start < pd.Timedelta(days=28):
        raise RunError(
            f"--test: {start:%Y-%m-%d} .. {end:%Y-%m-%d} holds fewer than 28 days of the data;"
            " choose a longer or an earlier span"
        )


def run_job(job: Job, panel: Panel, forecaster: Forecaster, folder: Path) -> None:
    """Fit, forecast, and write `<stem>.parquet` and then its record `<stem>.json`."""
    begun, cpu = time.perf_counter(), time.process_time()
    forecaster.fit(panel, (job.fit_from, job.start))
    fitted, fitted_cpu = time.perf_counter() - begun, time.process_time() - cpu
    known = panel.until(int(job.end.value) - 1)
    if job.fold == 0:
        check_causal(forecaster, known)
    span = job.start, job.end
    found, still = (forecaster.predict(known, span, tracked=each) for each in (True, False))
    write_frame(folder / f"{job.stem}.parquet", frame(found, still, panel))
    if job.explained:
        last = pd.Timestamp(max(int(history.ns[-1]) for history in known), tz="UTC")
        since = max(job.start, last - pd.Timedelta(days=EXPLAINED_DAYS))
        parts = parts_table(explain(forecaster, known, (since, job.end)), HORIZONS)
        write_frame(folder / f"{job.stem}{PARTS}", parts)
    record = {
        "name": job.name,
        "seed": job.seed,
        "fold": job.fold,
        "start": str(job.start),
        "end": str(job.end),
        "inputs": list(forecaster.inputs),
        "data": forecaster.data_hash,
        "fit_seconds": round(fitted, 3),
        "fit_cpu_seconds": round(fitted_cpu, 3),
        "one_forecast_ms": round(one_forecast_ms(forecaster, known), 2),
    }
    write_json(folder / f"{job.stem}.json", record)


def one_forecast_ms(forecaster: Forecaster, panel: Panel) -> float:
    """CPU milliseconds that the forecast of one new settlement takes, per coin: the smallest of
    three calls. The quantiles are updated from the fit to the end of the panel in that time.
    """
    last = max(int(history.ns[-1]) for history in panel)
    took = []
    for _ in range(3):
        begun = time.process_time()
        forecaster.predict(panel, (last, None))
        took.append(1e3 * (time.process_time() - begun))
    return min(took) / len(panel)


def frame(found: list[Predicted], still: list[Predicted], panel: Panel) -> pd.DataFrame:
    """One row for each coin, settlement and horizon: last, target, mean, q5 .. q95, in bp per 8 h,
    and u5 .. u95, the quantiles that no settled error has moved since the fit (`still`).

    Targets come from the whole panel: a fold ends before the last of them settle.
    """
    whole: dict[tuple[str, int], tuple[float, np.ndarray]] = {}
    for history in panel:
        targets = history.targets()
        for k, ns in enumerate(history.ns.tolist()):
            whole[history.symbol, ns] = history.rate[k], targets[k]
    parts = []
    for each, fitted in zip(found, still, strict=True):
        known = [whole[each.symbol, ns] for ns in each.ns.tolist()]
        if not known:
            continue
        last = np.array([rate for rate, _ in known])
        target = np.array([row for _, row in known])
        for j, horizon in enumerate(HORIZONS):
            part = pd.DataFrame(
                {
                    "symbol": each.symbol,
                    "time": pd.to_datetime(each.ns, utc=True),
                    "horizon": horizon,
                    "last": last,
                    "target": target[:, j],
                    "mean": each.mean[:, j],
                }
            )
            for i, level in enumerate(LEVELS):
                part[f"q{round(100 * level)}"] = each.quantiles[:, j, i]
                part[f"u{round(100 * level)}"] = fitted.quantiles[:, j, i]
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def unfinished(jobs: list[Job], folder: Path) -> Iterator[Job]:
    """Jobs without a record, or without the parts that are asked for now."""
    for job in jobs:
        files = [f"{job.stem}.json", *([f"{job.stem}{PARTS}"] if job.explained else [])]
        if not all((folder / name).is_file() for name in files):
            yield job


def made(job: Job, inputs: tuple[str, ...]) -> Forecaster:
    """The forecaster of a job."""
    return make(job.name, inputs=inputs or None, seed=job.seed)


def read_parts(folder: Path, jobs: list[Job]) -> dict[str, pd.DataFrame]:
    """The parts of each forecaster that was explained."""
    return {
        job.name: pd.read_parquet(folder / f"{job.stem}{PARTS}") for job in jobs if job.explained
    }


def read_all(folder: Path, jobs: list[Job]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(forecasts of all jobs with columns forecaster, seed and fold, records)."""
    frames, records = [], []
    for job in jobs:
        table = pd.read_parquet(folder / f"{job.stem}.parquet")
        frames.append(table.assign(forecaster=job.name, seed=job.seed, fold=job.fold))
        records.append(read_json(folder / f"{job.stem}.json"))
    return pd.concat(frames, ignore_index=True), pd.DataFrame(records)
