"""Compares the running estimate of the funding rate, taken at the last close before each
settlement, with the rate that was settled.

The estimate uses closes of bars only, while the exchange samples the order book every few seconds.
The table shows the resulting error per symbol and year.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from experiments.core.cli import run
from fundenv.market.features import raw_features
from fundenv.market.files.align import align, native_bar_ns
from fundenv.market.files.frames import bar_length_ns
from fundenv.market.files.load import load_market, read_frames
from fundenv.venues import load_venue


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the comparison."""

    data: Path
    """Folder of Parquet or CSV files."""
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names; none: all symbols of the folder."""
    venue: str = "binance"
    """Name of a venue, or the path of its TOML."""
    bar: str | None = None
    """Length of the bars that the estimate reads, "1h"; default: the files' own."""
    csv: Path | None = None
    """Also write the table to this file."""


def main(args: Args) -> None:
    """Compute and show the table."""
    table = errors(args.data, args.symbols, args.venue, args.bar)
    shown = Table(*table.columns, title="estimate minus settled rate, basis points per 8 h")
    for row in table.itertuples(index=False):
        shown.add_row(
            *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row)
        )
    Console().print(shown)
    if args.csv is not None:
        table.to_csv(args.csv, index=False)


def errors(
    data: Path, symbols: tuple[str, ...], venue: str, bar: str | None = None
) -> pd.DataFrame:
    """One row per symbol and year; no symbols: all in the folder.

    Columns: settlements, mean error, median and 95 % quantile of its size, share within 1 bp,
    correlation.
    """
    rules = load_venue(venue)
    names = symbols or sorted(
        {name for path in load_market(data, venue=rules.name).symbols for name in path}
    )
    rows = []
    for frames in (read_frames(data, name, venue=rules.name, bar=bar) for name in names):
        aligned = align(
            frames,
            venue=rules.name,
            bar_ns=bar_length_ns(bar) if bar else native_bar_ns(frames),
            volume_required=False,
        )
        estimate = pd.Series(raw_features(aligned, rules)["funding_estimate"], aligned.close_ns)
        settled = pd.Series(
            aligned.settlements.rate / (aligned.settlements.hours / 8.0) * 1e4,
            aligned.settlements.ns,
        )
        both = pd.DataFrame({"estimate": estimate, "settled": settled}).dropna()
        for year, group in both.groupby(pd.to_datetime(both.index, utc=True).year):
            error = group["estimate"] - group["settled"]
            size = error.abs()
            rows.append(
                {
                    "symbol": frames.symbol,
                    "year": int(year),
                    "settlements": len(group),
                    "mean": float(error.mean()),
                    "median size": float(size.median()),
                    "95 % size": float(size.quantile(0.95)),
                    "within 1 bp": float((size <= 1.0).mean()),
                    "correlation": _correlation(
                        group["estimate"].to_numpy(), group["settled"].to_numpy()
                    ),
                }
            )
    return pd.DataFrame(rows)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Correlation of two series; NaN where one of them is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else float("nan")


if __name__ == "__main__":
    run(Args, main, __doc__)
