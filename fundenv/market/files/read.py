"""Read one table from disk: Parquet, CSV in our own columns or in those of `foreign.FORMATS`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fundenv.market.files.foreign import HEADERLESS, adopt, epochs
from fundenv.market.files.schema import DataError, Kind, check_table

_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][-+]?\d+)?")


def read_table(
    path: str | Path, kind: Kind, *, symbol: str = "", columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read and check one Parquet or CSV file, or a folder of Parquet files whose rows follow one
    another; `check_table` describes the result.

    columns: our name, or kind.name -> the file's column, "theirs" or "theirs*0.01";
    `fundenv.market.files.foreign` has the formats that need none. symbol: finds the volume column
    of formats that name the coin in it.

    Raises `DataError` where the file cannot be read or fails a check.
    """
    return read_noted(path, kind, symbol=symbol, columns=columns)[0]


def read_noted(
    path: str | Path, kind: Kind, *, symbol: str = "", columns: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The same table, and a sentence for each change that was needed to read it."""
    path = Path(path)
    if path.is_dir():
        return _read_parts(path, kind), ()
    if path.suffix not in (".parquet", ".csv"):
        raise DataError(
            f"{path.name}: suffix {path.suffix!r}; expected .parquet or .csv; convert the file"
        )
    csv = path.suffix == ".csv"
    frame, notes = _read_csv(path) if csv else (_read_parquet(path), [])
    frame, done = adopt(frame, kind, path.name, symbol, columns or {})
    if csv and "time" in frame.columns:
        frame["time"] = _csv_times(frame["time"], path.name)
    return check_table(frame, kind, path.name), (*notes, *done)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among both
        raise _unreadable(path, error) from error


def _read_parts(folder: Path, kind: Kind) -> pd.DataFrame:
    """The files of a folder as one table; those whose names begin with a dot are being written."""
    name = "/".join(folder.parts[-3:])
    parts = {path.name: _read_parquet(path) for path in sorted(folder.glob("[!.]*.parquet"))}
    if not parts:
        raise DataError(f"{name}: no .parquet file in it; download or write it again")
    columns = list(next(iter(parts.values())).columns)
    for part, frame in parts.items():
        if list(frame.columns) != columns:
            raise DataError(
                f"{name}/{part}: columns {', '.join(map(str, frame.columns))}; expected"
                f" {', '.join(map(str, columns))} as before it"
            )
    return check_table(pd.concat(parts.values(), ignore_index=True), kind, name)


def _read_csv(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of a CSV. A line above the header with an address alone, a missing header of a known
    format, and repeated headers are handled, with a note.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline().strip()
            skip = 1 if first.startswith(("http:", "https:")) and "," not in first else 0
            if skip:
                first = file.readline().strip()
        names = _missing_header(first)
        frame = pd.read_csv(
            path, skiprows=skip, header=None if names else 0, names=names, low_memory=False
        )
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise _unreadable(path, error) from error
    if frame.shape[1] == 1 and ";" in first:
        raise DataError(
            f"{path.name}: its columns stand between semicolons ({first[:60]}); expected commas;"
            " write it again with sep=','"
        )
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    if names:
        return frame, [f"{path.name}: has no header line; read as {', '.join(names[:6])}, .."]
    return _without_headers(frame, skip, path.name)


def _missing_header(line: str) -> list[str] | None:
    """Column names of a known format whose first line holds numbers already."""
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    numbers = all(_NUMBER.fullmatch(cell) for cell in cells)
    return list(HEADERLESS[len(cells)]) if numbers and len(cells) in HEADERLESS else None


def _without_headers(
    frame: pd.DataFrame, skipped: int, name: str
) -> tuple[pd.DataFrame, list[str]]:
    """Without the rows that repeat the header line, as files joined end to end have them."""
    again = np.ones(len(frame), dtype=bool)
    for column in frame.columns:
        if pd.api.types.is_numeric_dtype(frame[column]):
            return frame, []
        again &= (frame[column].astype("string").str.strip() == column).fillna(False).to_numpy()
    if not again.any():
        return frame, []
    kept = frame[~again].reset_index(drop=True)
    for column in kept.columns:
        numbers = pd.to_numeric(kept[column], errors="coerce")
        if (numbers.notna() | kept[column].isna()).all():
            kept[column] = numbers
    lines = [str(row + 2 + skipped) for row in np.flatnonzero(again)]
    more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
    where = ", ".join(lines[:5])
    return kept, [f"{name}: the header stands again at line {where}{more}; left out there"]


def _csv_times(column: pd.Series, name: str) -> pd.Series:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column
    if pd.api.types.is_numeric_dtype(column):
        return epochs(column, name)
    times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    bad = times.isna().to_numpy()
    if bad.any():
        row = int(_worst(column, bad))
        raise DataError(
            f"{name}: column time, row {row}: {column.iloc[row]!r}; expected an ISO date or"
            " an epoch since 1970; correct the row"
        )
    return times


def _worst(column: pd.Series, bad: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """The row to blame: where most values are numbers, the first one that is none."""
    words = pd.to_numeric(column, errors="coerce").isna().to_numpy()
    odd = words if 2 * words.sum() < len(words) and words.any() else bad
    return int(odd.argmax())


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path.name}: cannot be read ({str(error).splitlines()[0]}); download or write the"
        " file again"
    )
