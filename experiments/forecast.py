"""Compares forecasters of funding walk-forward, with refits on a schedule: skill over no change and
over clipped HAR with a test, and the calibration of the quantiles.

Every forecaster is fitted on the settlements before a fold. At each settlement of the fold it
forecasts the mean rate of the next 1, 3, 9, 21 and 63 settlements, and the comparison judges these
forecasts. --resume continues an interrupted comparison.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from tqdm import tqdm

from experiments.core.added_columns import parted
from experiments.core.cli import Stopped, deferred, run
from experiments.core.market_args import column_pairs, shown, span_edges
from experiments.core.provenance import provenance
from experiments.core.run_folder import RunError, open_run, write_json, write_text
from experiments.forecasting import board, page, printing, table, walk_forward
from experiments.forecasting.walk_forward import Job
from experiments.forecasting.worth_tables import AGAINST
from fundenv.forecast import Forecaster, Panel, make, names, panel_of
from fundenv.forecast.attribution import cannot
from fundenv.forecast.registry import described
from fundenv.market import Market, load_market, synthetic_market

FIXED = (
    "data", "symbols", "venue", "forecasters", "test", "fit_from", "refit_months", "window",
    "rolling_months", "inputs", "extra", "delay_hours",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the comparison."""

    data: Path | None = None
    """Folder of Parquet or CSV files; without it the embedded synthetic market."""
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names; none: all that the folder has for the venue."""
    venue: str = "binance"
    """Exchange whose rules hold: a name of the package, or the path of a TOML."""
    accept: tuple[str, ...] = ()
    """Findings of the plausibility check to accept, KIND or KIND:SYMBOL."""
    columns: tuple[str, ...] = ()
    """Columns of files that follow no known format, OURS=THEIRS or KIND.OURS=THEIRS."""
    forecasters: tuple[str, ...] = ()
    """Forecasters to compare: names of `fundenv info forecasters`, if you like with parameters
    ('lstm units=64 residual=true'), or package.module:Class for your own; none: all. clipped_har
    and no_change are always included.
    """
    test: str | None = None
    """Span to evaluate on, START:END, UTC, both included, days, months or years; default: the last
    third of the data.
    """
    fit_from: str | None = None
    """First day, month or year that forecasters learn from; default: the first of the data."""
    refit_months: int = 6
    """Months between two fits."""
    window: Literal["expanding", "rolling"] = "expanding"
    """Data of a fit: everything since the start, or the last --rolling-months."""
    rolling_months: int = 24
    """Length of a rolling window in months."""
    inputs: tuple[str, ...] = ()
    """Groups of inputs, for forecasters that read inputs: funding premium basis volatility returns
    volume open_interest others other_venue user; none: the default groups of each forecaster, as
    far as there are data.
    """
    extra: tuple[str, ...] = ()
    """FILE with columns of your own (time, optionally symbol, numbers), which become the inputs
    `user` (columns named rate_*: `other_venue`); or open_interest=1e9 if --data has files of it.
    """
    delay_hours: float = 0.0
    """Hours between a settlement and the forecast; a later forecast knows more of the premium that
    decides the next rate.
    """
    worth: bool = False
    """Also run the rules `forecast` and `forecast_leverage` over the test span, on every
    forecaster, on an exponential mean, on clipped HAR and on the future itself.
    """
    cash_rate: float = 0.045
    """Yearly rate of idle cash, the hurdle of --worth."""
    seeds: int = 1
    """Seeds of the forecasters that draw random numbers; three or more give an interval."""
    explain: tuple[str, ...] = ()
    """Forecasters to explain on the last 120 days: which inputs moved each forecast."""
    out: Path | None = None
    """Folder of the run; default: runs/forecast-<time>."""
    resume: bool = False
    """Continue the run in --out (default: the newest)."""


def main(args: Args) -> None:
    """Fit, forecast, compare, print."""
    check(args)
    own = parted(args.extra)
    market = load(args, own.in_data)
    panel = panel_of(market, delay_hours=args.delay_hours, extra=own.table)
    start, end = span(args, market)
    end = min(end, pd.Timestamp(max(int(each.ns[-1]) for each in panel) + 1, tz="UTC"))
    pieces = walk_forward.folds(start, end, args.refit_months)
    walk_forward.check_folds(panel, pieces)
    jobs = jobs_of(args, pieces)
    for name in dict.fromkeys(job.name for job in jobs):  # a wrong one is reported before any work
        one = walk_forward.made(Job(name, 0, 0, None, start, end), args.inputs)
        one.choose(panel)
        if name in args.explain and type(one).explain is Forecaster.explain:
            raise cannot(one.name)
    out = open_run(
        args.out,
        "forecast",
        json.loads(json.dumps(dataclasses.asdict(args), default=str)),
        FIXED,
        resume=args.resume,
    )
    write_json(out / "provenance.json", provenance({"all": market}))
    judged = printing.days([str(start), str(end)])
    print(f"market    {shown(market)}\ntest      {judged}\nout       {out}")
    walk(jobs, panel, args, out)
    finish(args, jobs, panel, market, out)


def check(args: Args) -> None:
    """Refuse numbers that make no schedule."""
    for flag, value in (
        ("--refit-months", args.refit_months),
        ("--rolling-months", args.rolling_months),
        ("--seeds", args.seeds),
    ):
        if value < 1:
            raise RunError(f"{flag} {value}: give at least 1")
    if args.data is None and args.symbols:
        raise RunError(f"--symbols {' '.join(args.symbols)} needs --data")


def load(args: Args, columns: Mapping[str, float]) -> Market:
    """The market of the command line, with the extra columns of its files."""
    if args.data is None and columns:
        raise RunError(f"--extra {' '.join(columns)} needs --data, the folder of its files")
    if args.data is None:
        return synthetic_market(("btc", "eth", "alt"), years=3, seed=0, venue=args.venue)
    return load_market(
        args.data,
        list(args.symbols) or None,
        venue=args.venue,
        columns=column_pairs(args.columns),
        accept=args.accept,
        extra=columns,
    )


def span(args: Args, market: Market) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The test span."""
    if args.test:
        return span_edges(args.test, "--test")
    first, last = (
        pd.Timestamp(int(edge), tz="UTC") for edge in (market.close_ns.min(), market.close_ns.max())
    )
    return (first + (last - first) * 2 / 3).floor("D"), last.floor("D") + pd.Timedelta(days=1)


def jobs_of(args: Args, pieces: list[tuple[pd.Timestamp, pd.Timestamp]]) -> list[Job]:
    """Every forecaster on every fold; further seeds for those that draw random numbers."""
    bases = [*table.BASES, *(AGAINST if args.worth else ())]
    wanted = dict.fromkeys([*bases, *(args.forecasters or names()), *args.explain])
    since = (
        span_edges(f"{args.fit_from}:{args.fit_from}", "--fit-from")[0] if args.fit_from else None
    )
    found = []
    for name in wanted:
        draws = make(name, inputs=args.inputs or None).draws
        for seed in range(args.seeds if draws else 1):
            for fold, (start, end) in enumerate(pieces):
                first = since
                if args.window == "rolling":
                    rolling = start - pd.DateOffset(months=args.rolling_months)
                    first = rolling if since is None else max(since, rolling)
                explained = name in args.explain and not seed and fold == len(pieces) - 1
                found.append(Job(name, seed, fold, first, start, end, explained))
    return found


def walk(jobs: list[Job], panel: Panel, args: Args, out: Path) -> None:
    """Run what is not done yet; Ctrl-C stops after the job under way."""
    folder = out / "forecasts"
    left = list(walk_forward.unfinished(jobs, folder))
    with deferred() as interrupt, tqdm(total=len(jobs), initial=len(jobs) - len(left)) as bar:
        for job in left:
            bar.set_description(f"{job.name} fold {job.fold}")
            walk_forward.run_job(job, panel, walk_forward.made(job, args.inputs), folder)
            bar.update()
            if interrupt.requested:
                raise Stopped(
                    f"stopped; what was finished is kept: go on with --resume --out {out}"
                )


def finish(args: Args, jobs: list[Job], panel: Panel, market: Market, out: Path) -> None:
    """Compute the figures once; write and print them."""
    forecasts, records = walk_forward.read_all(out / "forecasts", jobs)
    start, end = jobs[0].start, jobs[-1].end
    result: dict[str, Any] = {
        "test": [str(start), str(end)],
        "rows": table.figures(forecasts, table.usual_errors(panel, start)),
        "coverage_by_fold": table.coverage_by_fold(forecasts),
        "seconds": printing.seconds(records),
    }
    if args.worth:
        from experiments.forecasting.worth import worth  # compiles the kernel

        result["worth"] = worth(market, panel, forecasts, (start, end), args.cash_rate)
        result["cash_rate"] = args.cash_rate
    write_json(out / "results.json", result)
    text = printing.markdown(result)
    write_text(out / "results.md", text)
    parts = walk_forward.read_parts(out / "forecasts", jobs)
    write_text(out / "report.html", page.page(result, forecasts, parts, out))
    board.write(out / "tensorboard", result, parts, text)
    print(text)
    print(f"report    {out / 'report.html'}\nevents    tensorboard --logdir {out / 'tensorboard'}")


def description() -> str:
    """What --help says first: the doc, and there the forecasters with a line each."""
    if not {"-h", "--help"} & set(sys.argv):
        return __doc__ or ""
    lines = [f"{name}: {text}" for name, text in described().items()]
    return "\n\n".join([(__doc__ or "").strip(), "Forecasters:", *lines])


if __name__ == "__main__":
    run(Args, main, description())
