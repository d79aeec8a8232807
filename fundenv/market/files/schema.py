"""Read one tidy table and refuse it, with one line that says why, where it cannot be trusted.

A table has a column `time` and, by kind:

    funding      rate (fraction of notional settled at `time`; + : longs pay shorts) and, optionally, mark_price
    perp, spot   open, high, low, close (quote per base) and volume (base units); `time` is the bar's open
    mark         open, high, low, close
    extra        any number columns; `time` is the instant from which the row is known

Further number columns are kept. `time` is UTC: timezone-aware in Parquet; in CSV an ISO date (UTC
unless it carries an offset) or milliseconds since 1970.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Kind = Literal["funding", "perp", "spot", "mark", "extra"]
PRICES = ("open", "high", "low", "close")
MAX_FUNDING = 0.05  # fraction per settlement; the widest cap of the venues at hand is 0.04
_OLDEST, _NEWEST = pd.Timestamp("2009-01-03", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")
_OHLC_TOLERANCE = 1e-9  # relative; mark prices carry rounding in their last digits


class DataError(ValueError):
    """Data that cannot be used; one line with file, column, row, value, limit and remedy."""


def read_table(path: str | Path, kind: Kind) -> pd.DataFrame:
    """Read and check one Parquet or CSV file, or a folder of Parquet files whose rows follow one
    another; see `check_table` for what comes back.

    Raises `DataError` where the file cannot be read or does not hold up.
    """
    path = Path(path)
    if path.is_dir():
        return _read_parts(path, kind)
    if path.suffix not in (".parquet", ".csv"):
        raise DataError(
            f"{path.name}: suffix {path.suffix!r}; expected .parquet or .csv; convert the file"
        )
    frame = _read(path)
    if path.suffix == ".csv" and "time" in frame.columns:
        frame["time"] = _csv_times(frame["time"], path.name)
    return check_table(frame, kind, path.name)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among both
        raise DataError(
            f"{path.name}: cannot be read ({str(error).splitlines()[0]}); download or write the"
            " file again"
        ) from error


def _read_parts(folder: Path, kind: Kind) -> pd.DataFrame:
    """The files of a folder as one table; those whose names begin with a dot are being written."""
    name = "/".join(folder.parts[-3:])
    parts = {path.name: _read(path) for path in sorted(folder.glob("[!.]*.parquet"))}
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


def check_table(frame: pd.DataFrame, kind: Kind, name: str) -> pd.DataFrame:
    """A checked copy of `frame` (n rows): `time` as datetime64[ns, UTC], every other column
    float64, index 0 .. n-1.

    `name` stands for the table in messages. Raises `DataError` at the first offence.
    """
    required = {"funding": ("rate",), "extra": ()}.get(kind, PRICES)
    for column in ("time", *required):
        if column not in frame.columns:
            raise DataError(
                f"{name}: column {column} is missing (found {', '.join(map(str, frame.columns))});"
                " rename or add it"
            )
    least = {"extra": 0, "funding": 1}.get(kind, 2)
    if len(frame) < least:
        raise DataError(
            f"{name}: {len(frame)} row(s); expected at least {least}; download a longer span"
        )
    frame = frame.reset_index(drop=True)
    table = pd.DataFrame({"time": _checked_times(frame["time"], name)})
    for column in frame.columns.drop("time"):
        table[str(column)] = _numbers(frame[column], table["time"], name)
    if kind == "funding":
        _check_funding(table, name)
    elif kind != "extra":
        _check_bars(table, name)
    return table


def _csv_times(column: pd.Series, name: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        times = pd.to_datetime(column, unit="ms", utc=True, errors="coerce")
    else:
        times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    bad = times.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{name}: column time, row {row}: {column.iloc[row]!r}; expected an ISO date or"
            " milliseconds since 1970; correct the row"
        )
    return times


def _checked_times(column: pd.Series, name: str) -> pd.Series:
    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        raise DataError(
            f"{name}: column time has type {column.dtype}; expected UTC datetimes; use"
            " pd.to_datetime(..., utc=True)"
        )
    if str(column.dt.tz) not in ("UTC", "UTC+00:00", "datetime.timezone.utc"):
        raise DataError(
            f"{name}: column time is in {column.dt.tz}; expected UTC; use .dt.tz_convert('UTC')"
        )
    outside = (column.isna() | (column < _OLDEST) | (column > _NEWEST)).to_numpy()
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"{name}: column time, row {row}: {column.iloc[row]}; expected {_OLDEST.year} .."
            f" {_NEWEST.year}; epochs are milliseconds"
        )
    column = column.dt.as_unit("ns")
    backwards = np.diff(column.astype("int64").to_numpy()) <= 0
    if backwards.any():
        row = int(backwards.argmax()) + 1
        previous = column.iloc[row - 1]
        raise DataError(
            f"{name}: column time, row {row}: {column.iloc[row]} after {previous}; expected"
            " strictly later; sort and drop duplicates"
        )
    return column


def _numbers(column: pd.Series, times: pd.Series, name: str) -> NDArray[np.float64]:
    numbers = np.array(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
    _refuse(
        np.isnan(numbers) & column.notna().to_numpy(),
        column,
        times,
        name,
        "a number",
        "correct or remove the row",
    )
    return numbers


def _check_funding(table: pd.DataFrame, name: str) -> None:
    rate = table["rate"]
    bad = ~(rate.abs() <= MAX_FUNDING).to_numpy()
    _refuse(
        bad,
        rate,
        table["time"],
        name,
        f"a fraction within +-{MAX_FUNDING:g}",
        "divide percentages by 100, correct or remove the row",
    )


def _check_bars(table: pd.DataFrame, name: str) -> None:
    for column in PRICES:
        bad = ~(np.isfinite(table[column]) & (table[column] > 0)).to_numpy()
        _refuse(
            bad,
            table[column],
            table["time"],
            name,
            "a finite price > 0",
            "correct or remove the row",
        )
    top = table[["open", "close"]].max(axis=1)
    bottom = table[["open", "close"]].min(axis=1)
    high_bad = (table["high"] < top * (1 - _OHLC_TOLERANCE)).to_numpy()
    _refuse(
        high_bad,
        table["high"],
        table["time"],
        name,
        "at least open and close",
        "correct or remove the row",
    )
    low_bad = (table["low"] > bottom * (1 + _OHLC_TOLERANCE)).to_numpy()
    _refuse(
        low_bad,
        table["low"],
        table["time"],
        name,
        "at most open and close",
        "correct or remove the row",
    )
    if "volume" in table.columns:
        bad = ((table["volume"] < 0) | np.isinf(table["volume"])).to_numpy()
        _refuse(
            bad,
            table["volume"],
            table["time"],
            name,
            "a finite volume >= 0, or nothing where unknown",
            "correct or remove the row",
        )


def _refuse(
    bad: NDArray[np.bool_],
    column: pd.Series,
    times: pd.Series,
    name: str,
    expected: str,
    remedy: str,
) -> None:
    """Raise for the first True of `bad` (n,)."""
    if bad.any():
        row = int(bad.argmax())
        value = column.iloc[row]
        raise DataError(
            f"{name}: column {column.name}, row {row} ({times.iloc[row]}): {value}; expected"
            f" {expected}; {remedy}"
        )
