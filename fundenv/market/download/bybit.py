"""Bybit's public archive of perpetual bars (public.bybit.com/kline_for_metatrader4): gzip files by
month, 2020 to 2024, without checksums.

Rows are "2022.05.01 00:00,open,high,low,close,volume", without a header. THE CLOCK IS UTC+3, summer
and winter: found by comparing one-minute closes with Binance's over shifts of +-14 h in ten months
of three symbols, 2021 to 2024. If read as UTC, a bar would have its price three hours too early.
So a file named after a month holds the 3 h before it and lacks the last 3 h.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fundenv.market.download.archive import gunzip, numbers, read_rows
from fundenv.market.download.http import Http
from fundenv.market.download.series import HOUR_MS, DownloadError, Piece, Series, Span, month_span

FILES = "https://public.bybit.com"
AHEAD_MS = 3 * HOUR_MS  # of the archive's clock
_COLUMNS = ("time", "open", "high", "low", "close", "volume")
_LAST = "2024-12"  # files end with that year


@dataclass(eq=False)
class BybitArchive:
    """Perpetual bars of up to one hour; `files` is the address of the archive or of a mirror."""

    http: Http
    scratch: Path
    files: str = FILES
    name: str = "bybit archives"

    def covers(self, series: Series) -> bool:
        """Perpetual bars that divide an hour: longer ones would open at other hours than UTC's."""
        return series.venue == "bybit" and series.kind == "perp" and HOUR_MS % series.step_ms == 0

    def pieces(self, series: Series, span: Span) -> list[Piece]:
        """The months, by the archive's clock, that touch the span."""
        first, last = (
            pd.Timestamp(ms + AHEAD_MS, unit="ms").to_period("M")
            for ms in (span.start, span.end - 1)
        )
        found = []
        for period in pd.period_range(first, min(last, pd.Period(_LAST, "M")), freq="M"):
            days = f"{period.start_time:%Y-%m-%d}_{period.end_time:%Y-%m-%d}"
            name = f"{series.symbol}_{series.step_ms // 60_000}_{days}.csv.gz"
            whole = month_span(str(period))
            address = f"{self.files}/kline_for_metatrader4/{series.symbol}/{period.year}/{name}"
            found.append(Piece(series, Span(whole.start - AHEAD_MS, whole.end - AHEAD_MS), address))
        return found

    def fetch(self, piece: Piece) -> pd.DataFrame:
        """Download, unpack and read one month; gzip's own CRC is the only check that the venue
        offers.
        """
        name = piece.address.rsplit("/", 1)[1]
        path = self.scratch / "bybit-archives" / name
        try:
            self.http.file(piece.address, path)
            text = gunzip(path, 10 * self.http.policy.largest)
        finally:
            path.unlink(missing_ok=True)
        rows = read_rows(text, _COLUMNS, len(_COLUMNS), name)
        times = pd.to_datetime(rows["time"], format="%Y.%m.%d %H:%M", errors="coerce")
        if times.isna().any():
            raise DownloadError(
                f"{name}: time {rows['time'][times.isna()].iloc[0]!r}; expected 2022.05.01 00:00;"
                " the format has changed"
            )
        values = {column: numbers(rows, column, name) for column in _COLUMNS[1:]}
        return pd.DataFrame(
            {"time": times.astype("datetime64[ms]").astype(np.int64) - AHEAD_MS} | values
        )
