"""One row a day and coin: means of funding that are known then, and the return that comes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fundenv.forecast import ForecastError, History, Panel

HORIZON_DAYS = 7
WINDOWS = (3, 14, 30)  # days of a funding mean
_DAY = pd.Timedelta(days=1)
_YEARLY = 3.0 * 365.0 / 100.0  # bp per 8 h -> % a year, simple
_FRESH_NS = 4 * 3_600_000_000_000  # a price older than this counts as missing


def daily(panel: Panel, horizon: int = HORIZON_DAYS) -> dict[str, pd.DataFrame]:
    """The table of each coin, indexed by midnight UTC.

    Columns: `price` (spot close), `funding` (rate settled last), `fr3`, `fr14`, `fr30` (means of
    the rates settled in that many days), all % a year, `divergence` = fr3 - fr14, and `forward`,
    the spot return of the `horizon` days to come, %. What is not known is NaN: a mean whose window
    is not whole, a return that has not come, a price older than four hours.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for history in panel:
        found.setdefault(history.symbol, []).append(_table(history, horizon))
    return {symbol: pd.concat(parts).sort_index() for symbol, parts in found.items()}


def _table(history: History, horizon: int) -> pd.DataFrame:
    first, last = (pd.Timestamp(int(history.close_ns[i]), tz="UTC") for i in (0, -1))
    days = pd.date_range(first.ceil("D"), last.floor("D"), freq="D")
    ns = days.as_unit("ns").asi8
    row = np.searchsorted(history.close_ns, ns, side="right") - 1
    fresh = (row >= 0) & (ns - history.close_ns[np.maximum(row, 0)] <= _FRESH_NS)
    price = pd.Series(np.where(fresh, history.columns["spot"][row], np.nan), days)
    known = np.searchsorted(history.ns, ns, side="right")  # settlements up to each midnight
    total = np.r_[0.0, np.cumsum(history.rate)]
    table = pd.DataFrame({"price": price}, index=days)
    table["funding"] = np.where(known > 0, history.rate[np.maximum(known, 1) - 1], np.nan)
    for window in WINDOWS:
        since = ns - window * _DAY.value
        begin = np.searchsorted(history.ns, since, side="right")
        whole = (history.ns[0] <= since) & (known > begin)
        mean = (total[known] - total[begin]) / np.maximum(known - begin, 1)
        table[f"fr{window}"] = np.where(whole, mean, np.nan)
    rates = ["funding", *(f"fr{window}" for window in WINDOWS)]
    table[rates] *= _YEARLY
    table["divergence"] = table["fr3"] - table["fr14"]
    later = price.shift(freq=-horizon * _DAY).reindex(days)
    table["forward"] = 100.0 * (later / price - 1.0)
    return table


def complete(table: pd.DataFrame, columns: Sequence[str] = ("fr3", "fr14", "fr30")) -> pd.DataFrame:
    """The rows in which inputs and return are known."""
    return table.dropna(subset=[*columns, "forward"])


def require(tables: dict[str, pd.DataFrame], least: int = 250) -> None:
    """Raise `ForecastError` where a coin has too few days for a study."""
    for symbol, table in tables.items():
        days = len(complete(table))
        if days < least:
            raise ForecastError(
                f"{symbol}: {days} days with 30 days of funding before and the return after them;"
                f" the study needs {least}; give a longer span"
            )
