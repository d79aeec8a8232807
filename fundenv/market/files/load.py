"""Find the files of some symbols in a folder and build their market.

Files are named `{venue}_{symbol}_{kind}[_{step}].parquet` or `.csv`, kind one of funding, perp,
spot, mark (optional); step such as 1h, 4h. A table may also be a folder
`{venue}/{symbol}/{kind}[_{step}]` of Parquet files whose rows follow one another in the order of
their names, as `fundenv.market.download` writes them. An extra column may lie in the perp, spot or
mark file (known when the bar closes), in the funding file (known just after the settlement), or in
any other file `*_{symbol}_*` (known from the time of its row).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fundenv.market.build import build_market
from fundenv.market.files.frames import SymbolFrames, bar_length_ns, step_ns
from fundenv.market.files.schema import DataError, Kind, read_table
from fundenv.market.market import Market
from fundenv.venues import Venue, load_venue

_TABLE = re.compile(r"(?P<kind>[A-Za-z]+)(?:_(?P<step>\d+[a-z]+))?")
_NAME = re.compile(
    r"(?P<venue>[^_]+)_(?P<symbol>[^_]+)_(?P<kind>[A-Za-z]+)(?:_(?P<step>\d+[a-z]+))?\.(?:parquet|csv)"
)
_REQUIRED: tuple[Kind, ...] = ("funding", "perp", "spot")


class _File(NamedTuple):
    path: Path
    venue: str
    symbol: str
    kind: str
    step_ns: int  # 0 where the name carries none


def load_market(
    folder: str | Path,
    symbols: Sequence[str] | None = None,
    *,
    venue: str | Path | Venue = "binance",
    bar: str | None = None,
    start: str | None = None,
    end: str | None = None,
    extra: Mapping[str, float] | None = None,
    volume_required: bool = True,
) -> Market:
    """Load, check, align and compute the features of `symbols`.

    Args:
        folder: where the files lie. symbols: names as in the files. None: every symbol of the venue
        with funding, perp and spot whose bars are short enough for `bar`
            (default: for the shortest step that any of them has); the notes name those left out.
        venue: name, path or `Venue`; its `prefix` is the first part of the file names. bar: length
        of the bars, "1h" or longer. start: keep bars that close at `start` (UTC) or later; their
        features still look back before it. end: and before `end`. extra: column name -> scale of
        extra features. volume_required: False lets files without volumes pass; their volumes are 0
        and `Market.has_volume` is False.

    Raises `DataError` for a missing folder, an unknown symbol (the message lists those available)
    and for data that do not hold up.
    """
    rules = venue if isinstance(venue, Venue) else load_venue(venue)
    files = _scan(Path(folder))
    available = sorted(
        {
            f.symbol
            for f in files
            if f.venue == rules.prefix and _steps(files, rules.prefix, f.symbol)
        }
    )
    if not available:
        raise DataError(
            f"{folder}: no symbol with files {rules.prefix}_<symbol>_funding, .._perp_<step>,"
            " .._spot_<step>; add them or name another venue"
        )
    notes: list[str] = []
    if symbols is None:
        symbols, bar = _short_enough(files, rules.prefix, available, bar, notes)
    for symbol in symbols:
        if symbol not in available:
            raise DataError(
                f"{folder}: symbol {symbol!r} has no complete set of files; available:"
                f" {', '.join(available)}"
            )
    frames = [_read(files, rules.prefix, symbol, bar, tuple(extra or ())) for symbol in symbols]
    market = build_market(
        frames,
        venue=rules,
        bar=bar,
        start=start,
        end=end,
        extra=extra,
        volume_required=volume_required,
    )
    return market.with_notes(*notes)


def read_frames(
    folder: str | Path,
    symbol: str,
    *,
    venue: str = "binance",
    bar: str | None = None,
    extra: Sequence[str] = (),
) -> SymbolFrames:
    """The checked tables of one symbol, before any alignment. Raises `DataError` where one is
    missing or does not hold up.
    """
    files = _scan(Path(folder))
    if not _steps(files, venue, symbol):
        raise DataError(
            f"{folder}: symbol {symbol!r} has no complete set of files for venue {venue}"
        )
    return _read(files, venue, symbol, bar, tuple(extra))


def _scan(folder: Path) -> list[_File]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one that holds the data files")
    files = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match:
            files.append(_file(path, match["venue"], match["symbol"], match))
    for path in sorted(folder.glob("*/*/*/")):
        match = _TABLE.fullmatch(path.name)
        if match and any(path.glob("[!.]*.parquet")):
            files.append(_file(path, path.parts[-3], path.parts[-2], match))
    for known in {f[1:] for f in files}:
        same = [str(f.path.relative_to(folder)) for f in files if f[1:] == known]
        if len(same) > 1:
            raise DataError(
                f"{folder}: {' and '.join(same)} are one table twice; remove one of them"
            )
    return files


def _file(path: Path, venue: str, symbol: str, match: re.Match[str]) -> _File:
    step = match["step"]
    return _File(path, venue, symbol, match["kind"], bar_length_ns(step) if step else 0)


def _steps(files: Sequence[_File], venue: str, symbol: str) -> dict[Kind, list[_File]]:
    """Files of one symbol by kind, shortest step first; empty where a required kind is missing."""
    own = [f for f in files if f.venue == venue and f.symbol == symbol]
    kinds = {
        kind: sorted((f for f in own if f.kind == kind), key=lambda f: f.step_ns)
        for kind in (*_REQUIRED, "mark")
    }
    return kinds if all(kinds[kind] for kind in _REQUIRED) else {}


def _native(files: Sequence[_File], venue: str, symbol: str) -> int:
    """The shortest bar that perp and spot of a symbol can make, in ns."""
    kinds = _steps(files, venue, symbol)
    return max(kinds["perp"][0].step_ns, kinds["spot"][0].step_ns)


def _short_enough(
    files: Sequence[_File], venue: str, available: Sequence[str], bar: str | None, notes: list[str]
) -> tuple[list[str], str | None]:
    native = {symbol: _native(files, venue, symbol) for symbol in available}
    bar_ns = bar_length_ns(bar) if bar else min(native.values())
    left_out = [symbol for symbol in available if native[symbol] > bar_ns]
    if left_out:
        notes.append(
            f"left out, their bars are longer than {bar_ns / 3.6e12:g} h: {', '.join(left_out)};"
            " name them or pass a longer `bar`"
        )
    complete = {f.symbol for f in files if f.venue == venue} - set(available)
    if complete:
        notes.append(f"left out, funding, perp or spot is missing: {', '.join(sorted(complete))}")
    return [symbol for symbol in available if native[symbol] <= bar_ns], bar


def _read(
    files: Sequence[_File], venue: str, symbol: str, bar: str | None, extra: Sequence[str]
) -> SymbolFrames:
    """Of several steps of a kind, the longest that divides `bar`; the shortest where no bar is
    given.
    """
    tables: dict[Kind, pd.DataFrame] = {}
    names: dict[str, str] = {}
    bar_ns = bar_length_ns(bar) if bar else 0
    for kind, choices in _steps(files, venue, symbol).items():
        if choices:
            fitting = [f for f in choices if bar_ns and f.step_ns and bar_ns % f.step_ns == 0]
            file = fitting[-1] if fitting else choices[0]
            tables[kind], names[kind] = read_table(file.path, kind), _called(file)
    extras = {column: _extra(files, venue, symbol, column, tables, names) for column in extra}
    return SymbolFrames(
        symbol=symbol,
        funding=tables["funding"],
        perp=tables["perp"],
        spot=tables["spot"],
        mark=tables.get("mark"),
        extras=extras,
        names=names,
    )


def _extra(
    files: Sequence[_File],
    venue: str,
    symbol: str,
    column: str,
    tables: Mapping[Kind, pd.DataFrame],
    names: dict[str, str],
) -> pd.DataFrame:
    """Table (time, column) of one extra column, `time` being the instant from which a row is
    known.
    """
    for kind, table in tables.items():
        if column in table.columns:
            delay = 1 if kind == "funding" else step_ns(table, names[kind])
            names[column] = names[kind]
            return table[["time", column]].assign(
                time=table["time"] + pd.Timedelta(delay, unit="ns")
            )
    others = [f for f in files if f.symbol == symbol and f.kind not in (*_REQUIRED, "mark")]
    found = [f for f in others if column in _columns(f.path)]
    own = [f for f in found if f.venue == venue] or found
    if len(own) != 1:
        seen = ", ".join(map(_called, own)) or "in none of " + (
            ", ".join(map(_called, others)) or "the files of this symbol"
        )
        raise DataError(
            f"{symbol}: extra column {column!r} found {seen}; expected in exactly one file; add,"
            " rename or remove one"
        )
    names[column] = _called(own[0])
    return read_table(own[0].path, "extra")[["time", column]]


def _called(file: _File) -> str:
    """What messages call a table."""
    return "/".join(file.path.parts[-3:]) if file.path.is_dir() else file.path.name


def _columns(path: Path) -> list[str]:
    if path.suffix == ".csv":
        return list(pd.read_csv(path, nrows=0).columns)
    from pyarrow import parquet  # only needed here, and slow to import

    if path.is_dir():
        path = min(path.glob("[!.]*.parquet"))
    return list(parquet.read_schema(path).names)
