"""Every table of a folder read and checked, downloaded or one's own, symbol by symbol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from fundenv.market.files.frames import SymbolFrames, step_name, step_ns, times_ns
from fundenv.market.files.names import REQUIRED, File, scan
from fundenv.market.files.read import read_noted
from fundenv.market.files.schema import DataError, Kind
from fundenv.market.plausibility import findings
from fundenv.market.plausibility.bars import is_price
from fundenv.market.plausibility.finding import Finding
from fundenv.venues import Venue, load_venue, venue_names


class Summary(NamedTuple):
    """One table: its file, rows, first and last `time`, and, for bars, their length and how many
    spans are missing inside; `notes`: what was done to read it.
    """

    file: File
    rows: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    step: str
    gaps: int
    notes: tuple[str, ...]


class Checked(NamedTuple):
    """One symbol: its tables, what the plausibility check found, and what cannot be read or
    compared, a line each.
    """

    venue: str
    symbol: str
    tables: tuple[Summary, ...]
    findings: tuple[Finding, ...]
    errors: tuple[str, ...]
    left_out: tuple[str, ...]


def check_folder(
    folder: Path, *, venue: Venue | None = None, columns: Mapping[str, str] | None = None
) -> Iterator[Checked]:
    """Every symbol of the folder in order of venue and name. `venue`: rules of the files that begin
    with its prefix; the others have those of the shipped venue of that name.
    """
    files = scan(folder)
    for name, symbol in sorted({(f.venue, f.symbol) for f in files}):
        own = [f for f in files if (f.venue, f.symbol) == (name, symbol)]
        yield _checked(own, name, symbol, _rules(name, symbol, venue), columns or {})


def _rules(prefix: str, symbol: str, venue: Venue | None) -> Venue | None:
    """The rules of a venue's files: of its inverse contracts where the symbol is quoted in USD."""
    if venue is not None and venue.prefix == prefix:
        return venue
    known = [load_venue(name) for name in venue_names() if name.split("_")[0] == prefix]
    inverse = [v for v in known if v.contract == "inverse" and symbol.upper().endswith("USD")]
    return next(iter([*inverse, *(v for v in known if v.name == prefix), *known]), None)


def _checked(
    files: list[File], venue: str, symbol: str, rules: Venue | None, columns: Mapping[str, str]
) -> Checked:
    tables: dict[File, pd.DataFrame] = {}
    summaries, errors, left_out = [], [], []
    for file in files:
        kind: Any = file.kind if file.kind in get_args(Kind) else "extra"
        try:
            table, notes = read_noted(file.path, kind, symbol=symbol, columns=columns)
            summaries.append(_summary(file, kind, table, notes))
            tables[file] = table
        except DataError as error:
            errors.append(str(error))
    kinds: dict[str, File | None] = {
        kind: min((f for f in tables if f.kind == kind), key=lambda f: f.step_ns, default=None)
        for kind in (*REQUIRED, "mark")
    }
    lacking = [kind for kind in REQUIRED if kinds[kind] is None]
    found: tuple[Finding, ...] = ()
    if len(lacking) == len(REQUIRED):
        pass  # further columns of a coin whose prices another venue has
    elif rules is None:
        left_out.append(f"{venue} {symbol}: no venue of this name; pass --venue FILE.toml")
    elif lacking:
        left_out.append(f"{venue} {symbol}: without {', '.join(lacking)} nothing can be compared")
    else:
        try:
            found = findings(_frames(symbol, kinds, tables), rules)
        except DataError as error:
            errors.append(str(error))
    return Checked(venue, symbol, tuple(summaries), found, tuple(errors), tuple(left_out))


def _frames(
    symbol: str, kinds: Mapping[str, File | None], tables: Mapping[File, pd.DataFrame]
) -> SymbolFrames:
    """The finest table of each kind; of all further ones, the columns that hold a price."""
    chosen = {kind: file for kind, file in kinds.items() if file is not None}
    extras, names = {}, {kind: file.called for kind, file in chosen.items()}
    for file, table in tables.items():
        if file.kind not in kinds:
            prices = [c for c in table.columns if c != "time" and is_price(c)]
            extras.update({column: table[["time", column]] for column in prices})
            names.update(dict.fromkeys(prices, file.called))
    return SymbolFrames(
        symbol=symbol,
        funding=tables[chosen["funding"]],
        perp=tables[chosen["perp"]],
        spot=tables[chosen["spot"]],
        mark=tables[chosen["mark"]] if "mark" in chosen else None,
        extras=extras,
        names=names,
    )


def _summary(file: File, kind: Kind, table: pd.DataFrame, notes: tuple[str, ...]) -> Summary:
    if not len(table):
        return Summary(file, 0, None, None, "", 0, notes)
    step, gaps = "", 0
    if kind in ("perp", "spot", "mark"):
        length = step_ns(table, file.called)
        step = step_name(length)
        gaps = int((np.diff(times_ns(table)) > length).sum())
    first, last = table["time"].iloc[0], table["time"].iloc[-1]
    return Summary(file, len(table), first, last, step, gaps, notes)
