"""Find the files of some symbols in a folder and build their market.

Names are those of `fundenv.market.files.names`, kind one of funding, perp, spot, mark (optional);
step such as 1h, 4h. An extra column may lie in the perp, spot or mark file (known when the bar
closes), in the funding file (known just after the settlement), or in any other file `*_{symbol}_*`
(known from the time of its row).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from fundenv.market.build import build_market
from fundenv.market.files.frames import SymbolFrames, bar_length_ns, step_ns
from fundenv.market.files.names import PATTERN, REQUIRED, File, by_kind, passed_over, scan
from fundenv.market.files.placed import check_stand_ins, read_placed
from fundenv.market.files.read import read_noted
from fundenv.market.files.schema import DataError, Kind, symbol_names
from fundenv.market.market import Market
from fundenv.settings.base import said
from fundenv.venues import Rulebook, Venue, is_placed


def load_market(
    folder: str | Path,
    symbols: Sequence[str] | None = None,
    *,
    venue: str | Path | Venue = "binance",
    venues: Sequence[str | Path | Venue] = (),
    stand_in: Mapping[str, str] | None = None,
    bar: str | None = None,
    start: str | None = None,
    end: str | None = None,
    extra: Mapping[str, float] | None = None,
    volume_required: bool = True,
    columns: Mapping[str, str] | None = None,
    accept: Sequence[str] = (),
) -> Market:
    """Load, check, align and compute the features of `symbols`.

    Args:
        folder: the folder of the files. symbols: names as in the files, or with the venue on which
        they trade before them: hyperliquid:BTC, hyperliquid:BTC@binance:BTCUSDT for the perpetual
        of one venue beside the spot of another. None: every symbol of the venue with funding, perp
        and spot whose bars are short enough for `bar` (default: for the shortest step that any of
        them has); the notes name the others. venue: name, path or `Venue`; its `prefix` is the
        first part of the file names. venues: your own venue files, for names that contain a venue.
        stand_in: perpetual -> contract whose perp and mark files replace its own where the folder
        has funding alone, {"hyperliquid:BTC": "binance:BTCUSDT"}; `Market.cautions` says so. bar:
        length of the bars, "1h" or longer. start: keep bars that close at `start` (UTC) or later;
        their features still use earlier rows. end: keep bars that close before `end`. extra: column
        name -> scale of extra features. volume_required: False lets files without volumes pass;
        their volumes are 0 and `Market.has_volume` is False. columns: our column, or kind.column ->
        the files' own, "theirs" or "theirs*0.01", for files that neither our names nor a known
        format (`fundenv.market.files.foreign`) fit. accept: kinds of findings of the plausibility
        check (`fundenv.market.plausibility.KINDS`), KIND or KIND:SYMBOL, that are accepted;
        `Market.cautions` then names each of them.

    Raises `DataError` for a missing folder, an unknown symbol (the message lists those available)
    and for data that fail a check.
    """
    if not isinstance(folder, str | os.PathLike):
        raise DataError(
            f"market = {said(folder)[:60]} is neither a Market nor the path of a folder of data"
        )
    book = Rulebook.read(venue, venues)
    rules = book.account
    files = scan(Path(folder))
    symbols = None if symbols is None else symbol_names(symbols)
    placed = [name for name in symbols or () if is_placed(name)]
    check_stand_ins(stand_in or {}, placed)
    available = sorted(
        {
            f.symbol
            for f in files
            if f.venue == rules.prefix and by_kind(files, rules.prefix, f.symbol)
        }
    )
    if not available and (symbols is None or len(placed) < len(symbols)):
        raise DataError(
            f"{folder}: no symbol with files {rules.prefix}_<symbol>_funding, .._perp_<step>,"
            " .._spot_<step>; add them or name another"
            f" venue{passed_over(Path(folder), rules.prefix)}"
        )
    notes: list[str] = []
    if symbols is None:
        symbols, bar = _short_enough(files, rules.prefix, available, bar, notes)
    for symbol in symbols:
        if symbol not in available and symbol not in placed:
            raise DataError(
                f"{folder}: symbol {symbol!r} has no complete set of files; available:"
                f" {', '.join(available)}{passed_over(Path(folder), rules.prefix)}"
            )
    wanted, columns = tuple(extra or ()), columns or {}
    frames = [
        _added(
            read_placed(files, Path(folder), symbol, book, bar, columns, stand_in or {}),
            files,
            book,
            wanted,
            columns,
        )
        if symbol in placed
        else _read(files, rules.prefix, symbol, bar, wanted, columns)
        for symbol in symbols
    ]
    market = build_market(
        frames,
        venue=book,
        bar=bar,
        start=start,
        end=end,
        extra=extra,
        volume_required=volume_required,
        accept=accept,
    )
    return market.with_notes(*notes)


def read_frames(
    folder: str | Path,
    symbol: str,
    *,
    venue: str = "binance",
    bar: str | None = None,
    extra: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> SymbolFrames:
    """The checked tables of one symbol, before any alignment. Raises `DataError` where one is
    missing or does not hold up.
    """
    files = scan(Path(folder))
    if not by_kind(files, venue, symbol):
        raise DataError(
            f"{folder}: symbol {str(symbol)!r} has no complete set of files for venue {venue};"
            f" expected {PATTERN} for {', '.join(REQUIRED)}{passed_over(Path(folder), venue)}"
        )
    return _read(files, venue, str(symbol), bar, tuple(extra), columns or {})


def _native(files: Sequence[File], venue: str, symbol: str) -> int:
    """The shortest bar that perp and spot of a symbol can make, in ns."""
    kinds = by_kind(files, venue, symbol)
    return max(kinds["perp"][0].step_ns, kinds["spot"][0].step_ns)


def _short_enough(
    files: Sequence[File], venue: str, available: Sequence[str], bar: str | None, notes: list[str]
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
    files: Sequence[File],
    venue: str,
    symbol: str,
    bar: str | None,
    extra: Sequence[str],
    columns: Mapping[str, str],
) -> SymbolFrames:
    """Of several steps of a kind, the longest that divides `bar`; the shortest where no bar is
    given.
    """
    tables: dict[Kind, pd.DataFrame] = {}
    names: dict[str, str] = {}
    notes: list[str] = []
    bar_ns = bar_length_ns(bar) if bar else 0
    for kind, choices in by_kind(files, venue, symbol).items():
        if choices:
            fitting = [f for f in choices if bar_ns and f.step_ns and bar_ns % f.step_ns == 0]
            file = fitting[-1] if fitting else choices[0]
            tables[kind], done = read_noted(file.path, kind, symbol=symbol, columns=columns)
            names[kind] = file.called
            notes += done
    extras = {
        column: _extra(files, venue, symbol, column, tables, names, columns) for column in extra
    }
    return SymbolFrames(
        symbol=symbol,
        funding=tables["funding"],
        perp=tables["perp"],
        spot=tables["spot"],
        mark=tables.get("mark"),
        extras=extras,
        names=names,
        notes=tuple(notes),
    )


def _added(
    frames: SymbolFrames,
    files: Sequence[File],
    book: Rulebook,
    extra: Sequence[str],
    columns: Mapping[str, str],
) -> SymbolFrames:
    """The tables of an asset with its extra columns, which lie beside those of its perpetual."""
    if not extra:
        return frames
    venue, symbol = book.perp(frames.symbol)
    tables: dict[Kind, pd.DataFrame] = {
        "funding": frames.funding,
        "perp": frames.perp,
        "spot": frames.spot,
    }
    names = dict(frames.names)
    extras = {
        column: _extra(files, venue.prefix, symbol, column, tables, names, columns)
        for column in extra
    }
    return replace(frames, extras=extras, names=names)


def _extra(
    files: Sequence[File],
    venue: str,
    symbol: str,
    column: str,
    tables: Mapping[Kind, pd.DataFrame],
    names: dict[str, str],
    columns: Mapping[str, str],
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
    own = [
        f for f in files if f.venue == venue and f.symbol == symbol and f.called in names.values()
    ]
    text = [f.called for f in own if column in _columns(f.path)]
    others = [f for f in files if f.symbol == symbol and f.kind not in (*REQUIRED, "mark")]
    found = [f for f in others if column in _columns(f.path)]
    first = [f for f in found if f.venue == venue] or found
    if not first and text:
        raise DataError(
            f"{text[0]}: extra column {column!r} holds text; expected numbers; drop it from `extra`"
        )
    if len(first) != 1:
        seen = ", ".join(f.called for f in first) or "in none of " + (
            ", ".join(f.called for f in others) or "the files of this symbol"
        )
        raise DataError(
            f"{symbol}: extra column {column!r} found {seen}; expected in exactly one file; add,"
            " rename or remove one"
        )
    names[column] = first[0].called
    table = read_noted(first[0].path, "extra", symbol=symbol, columns=columns)[0]
    if column not in table.columns:
        raise DataError(
            f"{first[0].called}: extra column {column!r} holds text; expected numbers; drop it from"
            " `extra`"
        )
    return table[["time", column]]


def _columns(path: Path) -> list[str]:
    if path.suffix == ".csv":
        return list(pd.read_csv(path, nrows=0).columns)
    from pyarrow import parquet  # only needed here, and slow to import

    if path.is_dir():
        path = min(path.glob("[!.]*.parquet"))
    return list(parquet.read_schema(path).names)
