"""The tables of an asset whose name says where its legs trade: funding and perpetual from the files
of one venue, spot from those of the same or of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from fundenv.market.files.frames import SymbolFrames, bar_length_ns
from fundenv.market.files.names import File
from fundenv.market.files.read import read_noted
from fundenv.market.files.schema import DataError, Kind
from fundenv.settings import nearest
from fundenv.venues import Place, Rulebook, legs_of


def read_placed(
    files: Sequence[File],
    folder: Path,
    asset: str,
    book: Rulebook,
    bar: str | None,
    columns: Mapping[str, str],
    stand_in: Mapping[str, str],
) -> SymbolFrames:
    """The checked tables of `asset`.

    stand_in: perpetual -> the contract whose prices and volumes replace its own, for venues of
    which the folder has funding alone. Raises `DataError` where a table is missing, or exists
    although another one is to replace it.
    """
    legs = legs_of(asset)
    lender = stand_in.get(str(legs.perp))
    lent = legs_of(lender).perp if lender else None
    own = _files(files, book, legs.perp)
    if lent and own.get("perp"):
        raise DataError(
            f"{folder}: {legs.perp} has perp files of its own ({own['perp'][0].called}); drop its"
            " stand-in"
        )
    prices = _files(files, book, lent) if lent else own
    wanted: dict[Kind, tuple[list[File], Place]] = {
        "funding": (own.get("funding", []), legs.perp),
        "perp": (prices.get("perp", []), lent or legs.perp),
        "spot": (_files(files, book, legs.spot).get("spot", []), legs.spot),
        "mark": (prices.get("mark", []), lent or legs.perp),
    }
    tables: dict[Kind, pd.DataFrame] = {}
    names: dict[str, str] = {}
    notes: list[str] = []
    for kind, (choices, place) in wanted.items():
        if not choices:
            if kind != "mark":
                raise DataError(f"{folder}: {_missing(asset, kind, place, book)}")
            continue
        file = _fitting(choices, bar)
        tables[kind], done = read_noted(file.path, kind, symbol=place.symbol, columns=columns)
        names[kind] = file.called
        notes += done
    return SymbolFrames(
        symbol=asset,
        funding=tables["funding"],
        perp=tables["perp"],
        spot=tables["spot"],
        mark=tables.get("mark"),
        names=names,
        notes=tuple(notes),
        lender=lent,
    )


def check_stand_ins(stand_in: Mapping[str, str], assets: Sequence[str]) -> None:
    """Raise `DataError` for a stand-in of a perpetual that none of the assets has."""
    perps = [str(legs_of(asset).perp) for asset in assets]
    for perp in stand_in:
        if perp not in perps:
            raise DataError(
                f"stand_in names {perp!r}, which is no perpetual of the symbols;"
                f" {nearest(perp, dict.fromkeys(perps))}"
            )


def lent(frames: Sequence[SymbolFrames]) -> tuple[str, ...]:
    """The cautions for assets whose prices are those of another contract."""
    return tuple(
        f"{f.symbol}: {', '.join(f.names[k] for k in ('perp', 'mark') if k in f.names)} of"
        f" {f.lender} stand in for prices, ranges and volumes of {f.place('funding')}: the account"
        " sees no difference between the two perpetuals, and capacity is that of the lender"
        for f in frames
        if f.lender
    )


def _files(files: Sequence[File], book: Rulebook, place: Place | None) -> dict[str, list[File]]:
    """Files of a place by kind, shortest step first."""
    found: dict[str, list[File]] = {}
    if place is not None:
        prefix = book.venue(place).prefix
        for file in sorted(files, key=lambda f: f.step_ns):
            if (file.venue, file.symbol) == (prefix, place.symbol):
                found.setdefault(file.kind, []).append(file)
    return found


def _fitting(choices: Sequence[File], bar: str | None) -> File:
    """Of several steps the longest that divides `bar`; the shortest where no bar is given."""
    bar_ns = bar_length_ns(bar) if bar else 0
    fitting = [f for f in choices if bar_ns and f.step_ns and bar_ns % f.step_ns == 0]
    return fitting[-1] if fitting else choices[0]


def _missing(asset: str, kind: str, place: Place, book: Rulebook) -> str:
    prefix = book.venue(place).prefix
    remedy = {
        "perp": (
            f"add it, or let another contract stand for it: stand_in={{'{place}':"
            " 'VENUE:SYMBOL'}, --stand-in"
        ),
        "spot": f"add it, or name a spot elsewhere: {legs_of(asset).perp}@VENUE:SYMBOL",
    }.get(kind, "add it")
    return f"{asset} has no table {prefix}_{place.symbol}_{kind}; {remedy}"
