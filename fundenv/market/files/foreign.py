"""Tables in the formats of exchanges, ccxt and data sites: the map from our columns to theirs.

`FORMATS` is the table of all formats; `data/README.md` shows it. A table that has all the columns
of a format, in any case of letters, is read by it; any other table needs `columns=` (`--columns`),
which has precedence: our name -> their column, with a factor where the unit differs (`"rate":
"funding*0.01"`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from fundenv.market.files.schema import PRICES, DataError, Kind

_EPOCHS = (1.0, 1e3, 1e6, 1e9)  # ticks in a second: s, ms, us, ns
_EARLIEST, _LATEST = 1.0e9, 4.2e9  # seconds: 2001 .. 2103, so that the size shows the unit
_FACTOR = re.compile(r"(?P<column>.+?)\s*\*\s*(?P<factor>[-+0-9.eE]+)")


class Format(NamedTuple):
    """One format of other sources.

    columns: our name -> their column, all of which must be there; `{base}` is the coin with which
    the symbol begins. refusal: why such a table is refused, and the remedy; empty where it is read.
    """

    name: str
    kinds: tuple[Kind, ...]
    columns: Mapping[str, str]
    refusal: str = ""


_BARS: tuple[Kind, ...] = ("perp", "spot", "mark")
_OHLC = {name: name for name in PRICES}
_OKX_OHLC = {"open": "o", "high": "h", "low": "l", "close": "c"}

FORMATS: tuple[Format, ...] = (
    Format(
        "Binance kline archive",
        _BARS,
        {"time": "open_time", **_OHLC, "volume": "volume", "-": "close_time"},
    ),
    Format(
        "Binance funding archive",
        ("funding",),
        {"time": "calc_time", "rate": "last_funding_rate"},
    ),
    Format(
        "Binance funding history",
        ("funding",),
        {"time": "fundingTime", "rate": "fundingRate", "mark_price": "markPrice"},
    ),
    Format(
        "OKX funding history",
        ("funding",),
        {"time": "fundingTime", "rate": "realizedRate", "-": "instId"},
    ),
    Format("Binance funding history", ("funding",), {"time": "fundingTime", "rate": "fundingRate"}),
    Format(
        "Bybit funding history",
        ("funding",),
        {"time": "fundingRateTimestamp", "rate": "fundingRate"},
    ),
    Format("ccxt funding history", ("funding",), {"time": "timestamp", "rate": "fundingRate"}),
    Format(
        "CoinGlass funding candles",
        ("funding",),
        {"time": "time", **_OHLC},
        "they are candles of the running rate in percent, not settlements; take the settled rates"
        " of the exchange, or, where a row's time is the settlement, pass columns={'rate':"
        " 'close*0.01'} (--columns rate=close*0.01)",
    ),
    # OKX: `vol` counts contracts of a swap and coins of a spot pair, `volCcy` coins and quote.
    Format("OKX candles", ("perp",), {"time": "ts", **_OHLC, "volume": "volCcy", "-": "confirm"}),
    Format("OKX candles", ("spot",), {"time": "ts", **_OHLC, "volume": "vol", "-": "confirm"}),
    Format(
        "OKX candles",
        ("perp",),
        {"time": "ts", **_OKX_OHLC, "volume": "volCcy", "-": "confirm"},
    ),
    Format("OKX candles", ("spot",), {"time": "ts", **_OKX_OHLC, "volume": "vol", "-": "confirm"}),
    Format("OKX candles", ("mark",), {"time": "ts", **_OKX_OHLC, "-": "confirm"}),
    Format(
        "Bybit kline",
        _BARS,
        {"time": "startTime", **_OHLC, "volume": "volume", "-": "turnover"},
    ),
    Format("Bybit kline", ("mark",), {"time": "startTime", **_OHLC}),
    Format(
        "CryptoDataDownload",
        ("perp", "spot"),
        {"time": "unix", **_OHLC, "volume": "Volume {base}", "-": "symbol"},
    ),
    Format(
        "CryptoDataDownload",
        ("perp", "spot"),
        {"time": "Unix Timestamp", **_OHLC, "volume": "Volume {base}", "-": "symbol"},
    ),
    Format("ccxt OHLCV", _BARS, {"time": "timestamp", **_OHLC, "volume": "volume"}),
    Format("freqtrade OHLCV", _BARS, {"time": "date", **_OHLC, "volume": "volume"}),
    Format("ccxt OHLCV", ("mark",), {"time": "timestamp", **_OHLC}),
)  # fmt: skip

# Files that come without a header line: number of columns -> their names.
HEADERLESS: Mapping[int, tuple[str, ...]] = {
    12: (
        "open_time",
        *PRICES,
        "volume",
        "close_time",
        "quote_volume",
        "count",
        "taker_buy_volume",
        "taker_buy_quote_volume",
        "ignore",
    ),
    6: ("timestamp", *PRICES, "volume"),
}


def adopt(
    frame: pd.DataFrame, kind: Kind, name: str, symbol: str, columns: Mapping[str, str]
) -> tuple[pd.DataFrame, list[str]]:
    """`frame` with our column names and units, and a sentence for each change.

    columns: the user's own mapping, keys NAME or KIND.NAME. A table that has our names already
    does not change. Raises `DataError` for a format that cannot be read.
    """
    own = _own(frame, kind, columns)
    if own:
        return _taken(frame, own, name), [f"{name}: columns read as given, {_shown(own)}"]
    needed = {"time", "rate"} if kind == "funding" else {"time", *PRICES}
    if kind == "extra" or needed <= set(frame.columns):
        return frame, []
    found = {_plain(str(column)): str(column) for column in frame.columns}
    for row in FORMATS:
        theirs = _matched(row, kind, found, symbol)
        if theirs is None:
            continue
        if row.refusal:
            raise DataError(f"{name}: these are {row.name}: {row.refusal}")
        if "confirm" in found:  # the last candle of OKX may still be open
            frame = frame[pd.to_numeric(frame[found["confirm"]], errors="coerce") != 0]
        taken = _ascending(_taken(frame, theirs, name))
        return taken, [f"{name}: read as {row.name}, {_shown(theirs)}"]
    return frame, []


def _own(frame: pd.DataFrame, kind: Kind, columns: Mapping[str, str]) -> dict[str, str]:
    """The part of the user's mapping that concerns this table."""
    chosen = {}
    for key, text in columns.items():
        prefix, _, target = key.rpartition(".")
        if prefix in ("", kind) and _source(text, frame)[0] in frame.columns:
            chosen[target] = text
    return chosen


def _matched(
    row: Format, kind: Kind, found: Mapping[str, str], symbol: str
) -> dict[str, str] | None:
    """Our name -> their column as the table spells it; None where the format does not fit."""
    if kind not in row.kinds:
        return None
    theirs = {}
    for ours, wanted in row.columns.items():
        if "{base}" in wanted:
            start = _plain(wanted.format(base=""))
            bases = [p for p in found if p.startswith(start) and p != start]
            fits = [p for p in bases if symbol.lower().startswith(p.removeprefix(start))]
            key = max(fits, key=len, default="")
        else:
            key = _plain(wanted)
        if key not in found:
            return None
        if ours != "-":
            theirs[ours] = found[key]
    return theirs


def _source(text: str, frame: pd.DataFrame) -> tuple[str, float]:
    """Column and factor of "column" or "column*0.01"."""
    match = _FACTOR.fullmatch(text)
    if match is None or text in frame.columns:
        return text, 1.0
    return match["column"], float(match["factor"])


def _taken(frame: pd.DataFrame, theirs: Mapping[str, str], name: str) -> pd.DataFrame:
    """Our columns, made from theirs, and the columns that were not used."""
    made, used = {}, set()
    for ours, text in theirs.items():
        column, factor = _source(text, frame)
        used.add(column)
        if ours == "time":
            made[ours] = epochs(frame[column], name, factor)
        else:
            values = _percent(frame[column])
            made[ours] = (
                values if factor == 1.0 else pd.to_numeric(values, errors="coerce") * factor
            )
    rest = frame.drop(columns=[c for c in frame.columns if c in used or c in made])
    return pd.concat([pd.DataFrame(made), rest], axis=1)


def _percent(column: pd.Series) -> pd.Series:
    """Texts such as "0.0100%" as fractions; anything else as it is."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    texts = column.astype("string").str.strip()
    if not len(texts) or not texts.str.endswith("%").fillna(False).all():
        return column
    return pd.to_numeric(texts.str.rstrip("%"), errors="coerce") / 100.0


def epochs(column: pd.Series, name: str, factor: float = 1.0) -> pd.Series:
    """Epochs, whose unit follows from their size, as UTC datetimes; other values unchanged."""
    if not pd.api.types.is_numeric_dtype(column):
        return column
    ticks = column.to_numpy(dtype=np.float64) * factor
    us = np.zeros(len(ticks), dtype=np.int64)
    known = np.zeros(len(ticks), dtype=bool)
    for per_second in _EPOCHS:
        fits = (ticks >= _EARLIEST * per_second) & (ticks < _LATEST * per_second)
        us[fits] = np.round(ticks[fits] * (1e6 / per_second)).astype(np.int64)
        known |= fits
    if not known.all():
        row = int((~known).argmax())
        raise DataError(
            f"{name}: column {column.name}, row {row}: {column.iloc[row]}; expected an epoch in s,"
            " ms, us or ns since 1970, later than 2001; correct the row"
        )
    return pd.Series(pd.to_datetime(us, unit="us", utc=True), index=column.index)


def _ascending(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the oldest row first, if its rows are in the reverse order."""
    times = frame["time"]
    if len(times) > 1 and times.is_monotonic_decreasing and not times.is_monotonic_increasing:
        return frame.iloc[::-1].reset_index(drop=True)
    return frame


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())


def _shown(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{ours} = {theirs}" for ours, theirs in columns.items())
