"""The contents of a tidy table. A table that fails a check is refused with an error of one line.

A table has a column `time` and, by kind:

    funding      rate (fraction of notional settled at `time`; + : longs pay shorts) and,
                 optionally, mark_price
    perp, spot   open, high, low, close (quote per base) and volume (base units); `time` is the
                 bar's open
    mark         open, high, low, close
    extra        any number columns; `time` is the instant from which the row is known

Further number columns are kept, columns of text left out. `time` is UTC: timezone-aware in Parquet;
in CSV an ISO date (UTC unless it carries an offset) or an epoch since 1970 in s, ms, us or ns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.settings.base import said

Array = NDArray[np.float64]
Kind = Literal["funding", "perp", "spot", "mark", "extra"]
PRICES = ("open", "high", "low", "close")
MAX_FUNDING = 0.05  # fraction per settlement; the widest cap of the venues at hand is 0.04
_OLDEST, _NEWEST = pd.Timestamp("2009-01-03", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")
_OHLC_TOLERANCE = 1e-9  # relative; mark prices carry rounding in their last digits


class DataError(ValueError):
    """Data that cannot be used; one line with file, column, row, value, limit and remedy."""


def symbol_names(symbols: Any) -> list[str]:
    """`symbols` as a list: one name, or several. Raises `DataError` for anything else."""
    if isinstance(symbols, str):
        return [symbols]
    if not isinstance(symbols, Iterable) or isinstance(symbols, bytes | Mapping):
        raise DataError(f"symbols = {said(symbols)[:60]}: expected names such as ['BTCUSDT']")
    return [str(symbol) for symbol in symbols]


def check_table(frame: pd.DataFrame, kind: Kind, name: str) -> pd.DataFrame:
    """A checked copy of `frame` (n rows): `time` as datetime64[ns, UTC], every other column
    float64, index 0 .. n-1.

    `name`: name of the table in messages. Raises `DataError` at the first error.
    """
    required = {"funding": ("rate",), "extra": ()}.get(kind, PRICES)
    for column in ("time", *required):
        if column not in frame.columns:
            have = [str(c) for c in frame.columns]
            raise DataError(
                f"{name}: column {column} is missing (found {', '.join(have)});"
                f" {missing_remedy(kind, column, have)}"
            )
    least = {"extra": 0, "funding": 1}.get(kind, 2)
    if len(frame) < least:
        raise DataError(
            f"{name}: {len(frame)} row(s); expected at least {least}; download a longer span"
        )
    times = _checked_times(frame["time"], name)
    columns = {}
    for column in frame.columns.drop("time"):
        if column in (*required, "volume") or not is_text(frame[column]):
            columns[str(column)] = _numbers(frame[column], times, name)
    if kind == "funding":
        _check_funding(columns["rate"], times, name)
    elif kind != "extra":
        _check_bars(columns, times, name)
    return pd.DataFrame({"time": times.array, **columns})


def missing_remedy(kind: str, column: str, have: Sequence[str]) -> str:
    """The remedy for a missing column: rename it, or give this mapping."""
    words = {"time": ("time", "date", "stamp", "unix"), "rate": ("rate", "funding")}
    near = [h for h in have if any(word in h.lower() for word in words.get(column, (column,)))]
    theirs = near[0] if near else "THEIRS"
    return (
        f"rename or add it, or pass columns={{'{kind}.{column}': '{theirs}'}} (--columns"
        f" {kind}.{column}={theirs})"
    )


def is_text(column: pd.Series) -> bool:
    """Whether a column holds words or dates rather than numbers: most of its values are none."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    if not (column.dtype == object or pd.api.types.is_string_dtype(column)):
        return True  # dates, categories
    known = column.notna()
    wrong = known & pd.to_numeric(column, errors="coerce").isna()
    return bool(2 * int(wrong.sum()) > int(known.sum()))


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
    naive = column.to_numpy(dtype=f"datetime64[{column.dt.unit}]")
    outside = ~((naive >= _OLDEST.to_datetime64()) & (naive <= _NEWEST.to_datetime64()))
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"{name}: column time, row {row}: {column.iloc[row]}; expected {_OLDEST.year} .."
            f" {_NEWEST.year}; correct the row"
        )
    column = column.dt.as_unit("ns")
    backwards = np.diff(naive.astype("datetime64[ns]").view(np.int64)) <= 0
    if backwards.any():
        row = int(backwards.argmax()) + 1
        previous = column.iloc[row - 1]
        raise DataError(
            f"{name}: column time, row {row}: {column.iloc[row]} after {previous}; expected"
            " strictly later; sort and drop duplicates"
        )
    return column


def _numbers(column: pd.Series, times: pd.Series, name: str) -> Array:
    if column.dtype == np.float64:
        return np.asarray(column)
    numbers = np.array(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
    _refuse(
        np.isnan(numbers) & column.notna().to_numpy(),
        column.array,
        str(column.name),
        times,
        name,
        "a number",
        "correct or remove the row, or drop the column where nothing needs it",
    )
    return numbers


def _check_funding(rate: Array, times: pd.Series, name: str) -> None:
    _refuse(
        ~(np.abs(rate) <= MAX_FUNDING),
        rate,
        "rate",
        times,
        name,
        f"a fraction within +-{MAX_FUNDING:g}",
        "divide percentages by 100, correct or remove the row",
    )


def _check_bars(columns: Mapping[str, Array], times: pd.Series, name: str) -> None:
    def refuse(bad: NDArray[np.bool_], column: str, expected: str) -> None:
        _refuse(bad, columns[column], column, times, name, expected, "correct or remove the row")

    for column in PRICES:
        bad = ~(np.isfinite(columns[column]) & (columns[column] > 0))
        refuse(bad, column, "a finite price > 0")
    opened, high, low, closed = (columns[column] for column in PRICES)
    top, bottom = np.maximum(opened, closed), np.minimum(opened, closed)
    refuse(high < top * (1 - _OHLC_TOLERANCE), "high", "at least open and close")
    refuse(low > bottom * (1 + _OHLC_TOLERANCE), "low", "at most open and close")
    if "volume" in columns:
        bad = (columns["volume"] < 0) | np.isinf(columns["volume"])
        refuse(bad, "volume", "a finite volume >= 0, or nothing where unknown")


def _refuse(
    bad: NDArray[np.bool_],
    values: Any,
    column: str,
    times: pd.Series,
    name: str,
    expected: str,
    remedy: str,
) -> None:
    """Raise for the first True of `bad` (n,)."""
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{name}: column {column}, row {row} ({times.iloc[row]}): {values[row]}; expected"
            f" {expected}; {remedy}"
        )
