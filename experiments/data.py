"""Shows, checks and updates market data, downloaded or your own: which rows there are (status),
whether files are correct and fit together (verify), and new rows of the venue (update).

    python -m experiments.data status --data data/raw
    python -m experiments.data verify --data data/raw  # exits with 2 where load_market would refuse
    python -m experiments.data update --data data/raw  # fetches what is new or damaged
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tyro
from rich.console import Console
from rich.table import Column, Table

from experiments.core.cli import deferred, run
from experiments.core.folder_check import refuse, show_findings, show_tables
from experiments.core.market_args import column_pairs
from experiments.download import fetch
from fundenv.command import called
from fundenv.market.download import (
    DownloadError,
    Finding,
    Mirrors,
    Series,
    Sources,
    Status,
    Store,
    findings,
    status,
)
from fundenv.market.download.audit import symbols
from fundenv.market.download.series import stamp
from fundenv.market.files.names import passed_over, scan
from fundenv.market.plausibility import check_accept
from fundenv.market.plausibility.folder import check_folder
from fundenv.venues import load_venue

_DAY_MS = 86_400_000  # matplotlib counts days since 1970


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the data command."""

    command: tyro.conf.Positional[Literal["status", "verify", "update"]]
    """status: rows, span, age and gaps. verify: also checksums, checks across tables and the
    plausibility check, with a plot of each downloaded symbol. update: fetch what is new.
    """
    data: Path = Path("data/raw")
    """Folder of downloaded series, of your own files, or of both."""
    venue: str | None = None
    """Venue file (TOML) for your own files, whose names begin with its name; default: the shipped
    venue of that name.
    """
    columns: tuple[str, ...] = ()
    """Columns of files that follow no known format, OURS=THEIRS or KIND.OURS=THEIRS."""
    accept: tuple[str, ...] = ()
    """Kinds of findings that verify accepts, KIND or KIND:SYMBOL."""
    plots: Path | None = None
    """Folder for the pictures of verify; default: DATA/plots."""
    jobs: int = 4
    """Months that update fetches at the same time."""
    mirror: Mirrors = field(default_factory=Mirrors)
    """Addresses in place of the venues' own."""


def main(args: Args) -> None:
    """Run status, verify or update."""
    store = Store(args.data)
    if args.command == "update":
        symbols(store)  # a folder without downloaded series is reported here
        update(store, Sources(args.data, mirrors=args.mirror), args.jobs)
        return
    check_accept(args.accept)
    series = store.series()
    venue = load_venue(args.venue) if args.venue else None
    files = scan(args.data) if args.data.is_dir() else []
    if not files and not series:
        symbols(store)
    now = int(pd.Timestamp.now("UTC").value // 1_000_000)
    states = [status(store, one, now) for one in series]
    if states:
        show(states)
    columns = column_pairs(args.columns)
    kept = {store.folder(one) for one in series}
    damaged = {(s.series.venue, s.series.symbol) for s in states if s.damage}
    checked = [
        item
        for item in check_folder(args.data, venue=venue, columns=columns)
        if (item.venue, item.symbol) not in damaged
    ]
    own = [t for item in checked for t in item.tables if t.file.path not in kept]
    if own:
        show_tables(own)
    if args.command == "verify":
        odd = passed_over(args.data, "").removeprefix("; ")
        print(f"note  {odd}\n" if odd else "", end="")
        stopping = sum(show_findings(item, args.accept) for item in checked)
        verify(store, states, args.plots or args.data / "plots")
        refuse(stopping)


def show(states: list[Status]) -> None:
    """One row a series."""
    fixed = [Column(name, no_wrap=True) for name in ("series", "rows", "span", "age")]
    table = Table(*fixed, "gaps", "rows lacking", "open months")
    for state in states:
        span = f"{state.first:%Y-%m-%d} .. {state.last:%Y-%m-%d}" if state.rows else "-"
        age = (
            "-"
            if np.isnan(state.age_hours)
            else (
                f"{state.age_hours:.0f} h"
                if state.age_hours < 72
                else f"{state.age_hours / 24:.0f} d"
            )
        )
        row = (
            str(state.rows),
            span,
            age,
            str(len(state.gaps)),
            str(state.lacking),
            " ".join(state.unfinished),
        )
        table.add_row(state.series.folder, *row)
    # a file or a pipe has no width of its own, and 80 cut the names
    Console(width=max(Console().width, 110)).print(table)


def verify(store: Store, states: list[Status], plots: Path) -> None:
    """Show every finding and draw it. Raises `DownloadError` at the end where a file is not what
    its manifest says.
    """
    damage = [text for state in states for text in state.damage]
    for state in states:
        for gap in state.gaps[:5]:
            print(f"gap  {state.series.folder}: {gap}")
        if len(state.gaps) > 5:
            print(f"gap  {state.series.folder}: and {len(state.gaps) - 5} more")
    for text in damage:
        print(f"damaged  {text}")
    broken = {(state.series.venue, state.series.symbol) for state in states if state.damage}
    known = dict.fromkeys((state.series.venue, state.series.symbol) for state in states)
    for venue, symbol in known:
        if (venue, symbol) in broken:
            continue
        found = findings(store, venue, symbol)
        for finding in found:
            print(f"{'odd ' if finding.odd.any() else 'fine'}  {venue} {finding.line()}")
            for i in np.flatnonzero(finding.odd)[:5]:
                print(
                    f"        {stamp(int(finding.times[i]))}  {finding.values[i]:.5g}"
                    f" {finding.unit}"
                )
        own = [
            state
            for state in states
            if (state.series.venue, state.series.symbol) == (venue, symbol) and state.rows
        ]
        if own:
            print(f"picture  {draw(own, found, plots / f'{venue}_{symbol}.png')}")
    if damage:
        raise DownloadError(
            f"{len(damage)} damaged file(s); {called('data')} update --data {store.root}"
            " fetches them again"
        )


def draw(states: list[Status], found: list[Finding], path: Path) -> Path:
    """A picture of one symbol: which rows there are, and each check with what is odd in it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.4 + 0.28 * len(states) + 1.9 * len(found)), layout="constrained")
    heights = [0.6 + 0.28 * len(states), *([1.9] * len(found))]
    axes = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    top = axes[0]
    for row, state in enumerate(states):
        first, last = (
            time.timestamp() / 86_400 for time in (state.first, state.last) if time is not None
        )
        top.barh(row, last - first, left=first, height=0.6, color="#4878a8")
        least = (last - first) / 400  # a gap of an hour must be seen in six years
        for gap in state.gaps:
            begin, width = (
                (gap.start + state.series.shift_ms) / _DAY_MS,
                (gap.end - gap.start) / _DAY_MS,
            )
            top.barh(row, max(width, least), left=begin, height=0.6, color="#d1495b")
    top.set_yticks(range(len(states)), [state.series.folder.split("/")[-1] for state in states])
    top.set_title(
        f"{states[0].series.venue} {states[0].series.symbol}: rows at hand (blue) and gaps (red,"
        " drawn wider than they are)",
        fontsize=10,
    )
    top.xaxis_date()
    for axis, finding in zip(axes[1:], found, strict=True):
        days = finding.times / _DAY_MS
        axis.plot(
            days, finding.values, lw=0.6, color="#555555", marker="." if len(days) < 60 else ""
        )
        axis.plot(days[finding.odd], finding.values[finding.odd], "o", ms=4, color="#d1495b")
        axis.set_title(
            f"{finding.check}: {int(finding.odd.sum())} odd of {len(days)}", fontsize=9, loc="left"
        )
        axis.set_ylabel(finding.unit, fontsize=8)
        axis.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def update(store: Store, sources: Sources, jobs: int) -> None:
    """Every series from its own first month until now."""
    by_start: dict[str, list[Series]] = {}
    for series in store.series():
        by_start.setdefault(min(store.parts(series)), []).append(series)
    with deferred() as interrupt:
        for start, wanted in sorted(by_start.items()):
            fetch(store, sources, wanted, start, None, jobs, interrupt)


if __name__ == "__main__":
    run(Args, main, __doc__)
