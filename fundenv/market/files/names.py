"""Which files of a folder are market data, by their names, and why the others were skipped.

A table is a file `{venue}_{symbol}_{kind}[_{step}].parquet` or `.csv`, or a folder
`{venue}/{symbol}/{kind}[_{step}]` of Parquet files whose rows follow one another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fundenv.market.files.frames import bar_length_ns
from fundenv.market.files.schema import DataError, Kind

REQUIRED: tuple[Kind, ...] = ("funding", "perp", "spot")
PATTERN = "{venue}_{symbol}_{kind}[_{step}].parquet or .csv"
_TABLE = re.compile(r"(?P<kind>[A-Za-z]+)(?:_(?P<step>\d+[a-z]+))?")
_NAME = re.compile(rf"(?P<venue>[^_]+)_(?P<symbol>[^_]+)_{_TABLE.pattern}\.(?:parquet|csv)")
_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar")
_OTHER_TABLES = (".feather", ".xlsx", ".xls", ".json", ".h5", ".hdf5", ".pkl", ".txt", ".tsv")
_STEP = re.compile(r"\d+[A-Za-z]+")
# What other programs call the kinds; the key is compared in lower case without underscores.
_KIND_WORDS = {
    "fundingrate": "funding",
    "fundingrates": "funding",
    "futures": "perp",
    "future": "perp",
    "swap": "perp",
    "perpetual": "perp",
    "klines": "perp or spot",
    "kline": "perp or spot",
    "ohlcv": "perp or spot",
    "candles": "perp or spot",
    "markprice": "mark",
    "markpriceklines": "mark",
}
_MOST = 6  # files that one message names


class File(NamedTuple):
    """One table: a file, or a folder of Parquet files."""

    path: Path
    venue: str
    symbol: str
    kind: str
    step_ns: int  # 0 where the name carries none

    @property
    def called(self) -> str:
        """Its name in messages."""
        return "/".join(self.path.parts[-3:]) if self.path.is_dir() else self.path.name


def scan(folder: Path) -> list[File]:
    """The tables of a folder. Raises `DataError` where there is no folder, or one table twice."""
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


def _file(path: Path, venue: str, symbol: str, match: re.Match[str]) -> File:
    step = match["step"]
    return File(path, venue, symbol, match["kind"], bar_length_ns(step) if step else 0)


def by_kind(files: Sequence[File], venue: str, symbol: str) -> dict[Kind, list[File]]:
    """Files of one symbol by kind, shortest step first; empty where a required kind is missing."""
    own = [f for f in files if f.venue == venue and f.symbol == symbol]
    kinds = {
        kind: sorted((f for f in own if f.kind == kind), key=lambda f: f.step_ns)
        for kind in (*REQUIRED, "mark")
    }
    return kinds if all(kinds[kind] for kind in REQUIRED) else {}


def passed_over(folder: Path, venue: str) -> str:
    """The files that `scan` did not take for `venue` (any where it is empty), each with the reason;
    empty where there are none. Begins with "; ".
    """
    reasons = [
        f"{path.name} ({reason})"
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".") and (reason := _why(path.name, venue))
    ]
    if not reasons:
        return ""
    more = f" and {len(reasons) - _MOST} more" if len(reasons) > _MOST else ""
    return f"; passed over: {', '.join(reasons[:_MOST])}{more}"


def _why(name: str, venue: str) -> str:
    """Why a file is not a table of `venue`; empty where it is one, or no table at all."""
    suffix = Path(name).suffix
    stem = name.removesuffix(suffix)
    table = stem.count("_") >= 2
    if suffix.lower() in _PACKED and (table or Path(stem).suffix in (".csv", ".parquet")):
        return f"is packed: unpack it to {stem}"
    if suffix.lower() in _OTHER_TABLES and table:
        return f"has the suffix {suffix}: write it as .parquet or .csv"
    if suffix.lower() not in (".csv", ".parquet"):
        return ""
    if suffix != suffix.lower():
        return f"ends in {suffix}: rename it to {stem}{suffix.lower()}"
    match = _NAME.fullmatch(name)
    if match:
        return _why_not_taken(match, venue)
    parts = stem.split("_")
    tail = parts[-1] if _STEP.fullmatch(parts[-1]) else ""
    if tail != tail.lower():
        return f"has the step {tail}: rename it to {'_'.join([*parts[:-1], tail.lower()])}{suffix}"
    middle = parts[1 : -2 if tail else -1]
    if len(middle) > 1:
        symbol = "".join(middle)
        rest = "_".join([parts[0], symbol, *parts[len(middle) + 1 :]])
        return f"has an underscore in the symbol: rename it to {rest}{suffix}"
    return f"is not called {PATTERN}"


def _why_not_taken(match: re.Match[str], venue: str) -> str:
    kind = match["kind"]
    if venue and match["venue"] != venue:
        close = match["venue"].lower() == venue.lower()
        wish = f"write {venue}" if close else f"the venue looked for is {venue}"
        return f"begins with {match['venue']}: {wish}"
    word = _KIND_WORDS.get(kind.lower())
    if word is None and kind != kind.lower() and kind.lower() in (*REQUIRED, "mark"):
        word = kind.lower()
    return f"has the kind {kind}: write {word}" if word else ""
