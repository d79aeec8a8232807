"""Columns of the user's own as inputs: order book imbalance, sentiment, on-chain figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.errors import ForecastError

PREFIX = "user:"
RATE = f"{PREFIX}rate_"  # columns that hold rates of another venue, bp per 8 h
_OLDEST_NS = 24 * 3_600_000_000_000  # a value older than this counts as missing


def read_extra(path: str | Path) -> pd.DataFrame:
    """Read a CSV or Parquet file: `time` (the instant from which a row is known, UTC), one or more
    columns of numbers and, where rows belong to one coin each, `symbol`.

    Raises `ForecastError` in one line for anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise ForecastError(f"{path}: no such file; give a CSV or Parquet file with a column time")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise ForecastError(f"{path} cannot be read ({reason}); give CSV or Parquet") from None
    if "time" not in table:
        raise ForecastError(
            f"{path}: column time is missing (found {', '.join(map(str, table.columns))}); it is"
            " the instant from which a row is known, UTC"
        )
    times = table["time"]
    if pd.api.types.is_numeric_dtype(times):
        table["time"] = pd.to_datetime(times, utc=True, unit="ms", errors="coerce")
    else:
        table["time"] = pd.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
    if table["time"].isna().any():
        row = int(table["time"].isna().argmax())
        raise ForecastError(
            f"{path}: column time, row {row}: {times.iloc[row]!r} is no instant; write ISO dates"
            " or milliseconds since 1970"
        )
    names = [name for name in table.columns if name not in ("time", "symbol")]
    if not names:
        raise ForecastError(f"{path}: no column beside time and symbol; add one of numbers")
    for name in names:
        values = pd.to_numeric(table[name], errors="coerce")
        known = values.dropna()
        if not len(known) or not np.isfinite(known).all():
            raise ForecastError(f"{path}: column {name} holds no finite numbers; drop or mend it")
        if known.nunique() == 1:
            raise ForecastError(
                f"{path}: column {name} is {known.iloc[0]:g} in every row; a constant says nothing,"
                " drop it"
            )
        table[name] = values
    return table.sort_values("time", kind="stable").reset_index(drop=True)


def as_of(
    table: pd.DataFrame, symbol: str, close_ns: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """`user:NAME` -> (T,) the last value known at each close, NaN where it is over 24 h old.

    Raises `ForecastError` where the table names symbols and this one is not among them.
    """
    if "symbol" in table:
        own = table[table["symbol"] == symbol]
        if own.empty:
            have = ", ".join(sorted(set(map(str, table["symbol"]))))
            raise ForecastError(
                f"extra columns have no row of {symbol} (found {have}); add it, or drop the column"
                " symbol where the values hold for every coin"
            )
        table = own
    found = {}
    for name in (n for n in table.columns if n not in ("time", "symbol")):
        known = table[["time", name]].dropna()
        stamps = known["time"].dt.as_unit("ns").astype("int64").to_numpy()
        row = np.searchsorted(stamps, close_ns, side="right") - 1
        values = np.full(len(close_ns), np.nan)
        fresh = (row >= 0) & (close_ns - stamps[np.maximum(row, 0)] <= _OLDEST_NS)
        values[fresh] = known[name].to_numpy(dtype=np.float64)[row[fresh]]
        found[f"{PREFIX}{name}"] = values
    return found
