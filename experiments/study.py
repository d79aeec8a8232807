"""Studies whether funding predicts the price: regressions of the next return on means of funding,
the divergence signal, and a random forest, evaluated without and with look-ahead.

For every coin and period: least squares with errors that allow for overlapping returns, returns
after days of high and low divergence, the forest on shuffled folds and in purged walk-forward, and
charts of price and funding.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from experiments.core.cli import run
from experiments.core.market_args import column_pairs, shown, span_edges
from experiments.core.provenance import provenance
from experiments.core.run_folder import RunError, open_run, write_frame, write_json, write_text
from fundenv.forecast import panel_of
from fundenv.market import Market, between, load_market, synthetic_market

WHOLE = "whole span"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the study."""

    data: Path | None = None
    """Folder of Parquet or CSV files; without it the embedded synthetic market."""
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names; none: all that the folder has for the venue."""
    venue: str = "binance"
    """Exchange whose files are read: a name of the package, or the path of a TOML."""
    accept: tuple[str, ...] = ()
    """Findings of the plausibility check to accept, KIND or KIND:SYMBOL."""
    columns: tuple[str, ...] = ()
    """Columns of files that follow no known format, OURS=THEIRS or KIND.OURS=THEIRS."""
    span: str | None = None
    """Days that count, START:END, UTC, both included, days, months or years; default: all."""
    periods: tuple[str, ...] = ()
    """Periods to study separately, besides the whole span, START:END each; default: every year with
    at least 250 days.
    """
    horizon: int = 7
    """Length of the predicted return in days."""
    limit: float = 2.0
    """Divergence, % a year, beyond which a day counts as a signal."""
    trees: int = 100
    """Trees of the random forest."""
    leaf: int = 1
    """Fewest days in a leaf of a tree; with 1 a tree can store every day."""
    forest: bool = True
    """Also fit the random forest, which takes most of the time."""
    seed: int = 0
    """Seed of the forest and of the noise that it is compared with."""
    out: Path | None = None
    """Folder of the study; default: runs/study-<time>."""


def main(args: Args) -> None:
    """Compute, write, print."""
    check(args)
    try:
        from experiments.funding_returns import daily, page, printing
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("sklearn", "statsmodels"):
            raise
        raise RunError(
            f"the study needs {error.name}; install it with: pip install 'fundenv[study]'"
        ) from None
    market = load(args)
    tables = daily.daily(panel_of(market), args.horizon)
    if args.span:
        start, end = span_edges(args.span, "--span")
        tables = {
            s: table[(table.index >= start) & (table.index < end)] for s, table in tables.items()
        }
    daily.require(tables)
    pieces = {symbol: parts(args, table) for symbol, table in tables.items()}
    written = json.loads(json.dumps(dataclasses.asdict(args), default=str))
    out = open_run(args.out, "study", written, (), resume=False)
    write_json(out / "provenance.json", provenance({"all": market}))
    print(f"market    {shown(market)}\nout       {out}")
    result = study(args, pieces)
    write_json(out / "results.json", result)
    write_frame(out / "daily.parquet", pd.concat(tables, names=["symbol", "time"]).reset_index())
    text = printing.markdown(result)
    write_text(out / "results.md", text)
    write_text(out / "report.html", page.page(result, tables, out))
    print(text)
    print(f"report    {out / 'report.html'}")


def check(args: Args) -> None:
    """Refuse numbers that make no study."""
    for flag, value, low, high in (
        ("--horizon", args.horizon, 1, 90),
        ("--limit", args.limit, 0, 1000),
        ("--trees", args.trees, 1, 10_000),
        ("--leaf", args.leaf, 1, 10_000),
    ):
        if not low <= value <= high:
            raise RunError(f"{flag} {value:g}: give {low} .. {high}")
    if args.data is None and args.symbols:
        raise RunError(f"--symbols {' '.join(args.symbols)} needs --data")


def load(args: Args) -> Market:
    """The market of the command line."""
    if args.data is None:
        return synthetic_market(("btc", "eth"), years=3, seed=0, venue=args.venue)
    market = load_market(
        args.data,
        list(args.symbols) or None,
        venue=args.venue,
        columns=column_pairs(args.columns),
        accept=args.accept,
    )
    if not args.span:
        return market
    start, end = span_edges(
        args.span, "--span"
    )  # with the days that means look back and returns ahead
    look = pd.Timedelta(days=60), pd.Timedelta(days=args.horizon + 1)
    return between(market, str(start - look[0]), str(end + look[1]))


def parts(args: Args, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The whole table of a coin, and its periods of at least 250 complete days."""
    from experiments.funding_returns.daily import complete

    found = {WHOLE: table}
    if args.periods:
        for text in args.periods:
            start, end = span_edges(text, "--periods")
            found[text] = table[(table.index >= start) & (table.index < end)]
            if len(complete(found[text])) < 60:
                raise RunError(f"--periods {text}: fewer than 60 days of data; choose a longer one")
    else:
        years = {
            str(year): part for year, part in table.groupby(pd.DatetimeIndex(table.index).year)
        }
        whole = {year: part for year, part in years.items() if len(complete(part)) >= 250}
        if len(whole) > 1 or (whole and len(years) > 1):
            found |= whole
    return found


def study(args: Args, pieces: dict[str, dict[str, pd.DataFrame]]) -> dict[str, Any]:
    """Every figure of the study, as JSON values."""
    from experiments.funding_returns import forests, regressions

    rows: list[dict[str, Any]] = []
    signals: list[dict[str, Any]] = []
    forest: list[dict[str, Any]] = []
    jobs = len(pieces) * len(forests.INPUTS) if args.forest else 0
    with tqdm(total=jobs, desc="forest", disable=not jobs) as bar:
        for symbol, periods in pieces.items():
            for period, table in periods.items():
                head = {"coin": symbol, "period": period}
                for model, columns in regressions.MODELS.items():
                    figures = regressions.regress(table, columns, args.horizon)
                    rows.append(head | {"model": model, "columns": list(columns)} | figures)
                found = regressions.divergence(table, args.limit, args.horizon)
                signals += [head | each for each in found]
            if args.forest:
                given: dict[str, Any] = {"trees": args.trees, "leaf": args.leaf, "seed": args.seed}
                scored = forests.scores(
                    pieces[symbol][WHOLE], horizon=args.horizon, done=bar.update, **given
                )
                forest += [{"coin": symbol} | each for each in scored]
    return {
        "horizon": args.horizon,
        "limit": args.limit,
        "trees": args.trees,
        "leaf": args.leaf,
        "regressions": rows,
        "divergence": signals,
        "forest": forest,
    }


if __name__ == "__main__":
    run(Args, main, __doc__)
