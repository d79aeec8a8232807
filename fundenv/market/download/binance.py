"""Binance's bulk archives: ZIPs by month and by day, each beside its SHA-256 (data.binance.vision).

Formats: github.com/binance/binance-public-data. Klines came without a header line at first and have
one now; spot epochs are microseconds since 2025-01-01; funding exists by month only, metrics by day
only. A bucket listing says which files exist, so that only these are requested; where a mirror has
no listing, every name is tried.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import pandas as pd

from fundenv.market.download.archive import Corrupt, check_sum, epochs, numbers, read_rows, unzip
from fundenv.market.download.http import Http
from fundenv.market.download.series import DAY_MS, DownloadError, Piece, Series, Span, month_span
from fundenv.market.download.tables import to_ms

FILES = "https://data.binance.vision"
LISTING = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"
_KLINE = ("open_time", "open", "high", "low", "close", "volume", "close_time")
_KLINES = (*_KLINE, "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore")
_FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
_RATIOS = (
    "count_toptrader_long_short_ratio",
    "sum_toptrader_long_short_ratio",
    "count_long_short_ratio",
    "sum_taker_long_short_vol_ratio",
)
_METRICS = ("create_time", "symbol", "sum_open_interest", "sum_open_interest_value", *_RATIOS)
_KINDS = {
    "perp": "futures/um/{period}/klines",
    "spot": "spot/{period}/klines",
    "mark": "futures/um/{period}/markPriceKlines",
    "index": "futures/um/{period}/indexPriceKlines",
    "premium": "futures/um/{period}/premiumIndexKlines",
    "funding": "futures/um/{period}/fundingRate",
    "metrics": "futures/um/{period}/metrics",
}


@dataclass(eq=False)
class BinanceArchive:
    """Archives of one period, by month or by day.

    Attributes:
        http: the client. scratch: folder for running downloads. period: length of one archive.
        files, listing: addresses of the files and of the bucket's listing, or those of a mirror.
    """

    http: Http
    scratch: Path
    period: Literal["monthly", "daily"]
    files: str = FILES
    listing: str = LISTING
    _seen: dict[str, frozenset[str] | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """As manifests and messages call it."""
        return f"binance {self.period} archives"

    def covers(self, series: Series) -> bool:
        """Every kind at the venue, except funding by day and metrics by month."""
        absent = "funding" if self.period == "daily" else "metrics"
        return series.venue == "binance" and series.kind != absent

    def pieces(self, series: Series, span: Span) -> list[Piece]:
        """The archives that touch the span and are listed."""
        found = []
        for label, whole in self._labels(span):
            folder, name = self._place(series), self._file(series, label)
            listed = self._listed(folder, series, label[:7])
            if listed is None or name in listed:
                found.append(Piece(series, whole, f"{self.files}/{folder}/{name}"))
        return found

    def fetch(self, piece: Piece) -> pd.DataFrame:
        """Download, compare with the published checksum, open and read one archive."""
        try:
            return self._fetch(piece)
        except Corrupt:  # damaged on the way, or replaced between the two requests: once more
            return self._fetch(piece)

    def _fetch(self, piece: Piece) -> pd.DataFrame:
        name = piece.address.rsplit("/", 1)[1]
        path = (
            self.scratch / f"binance-{piece.series.kind}-{piece.series.step or self.period}" / name
        )
        published = self.http.text(piece.address + ".CHECKSUM", largest=4096)
        try:
            self.http.file(piece.address, path)
            check_sum(path, published, name)
            text = unzip(path, name.removesuffix(".zip") + ".csv", 10 * self.http.policy.largest)
        finally:
            path.unlink(missing_ok=True)
        return _read(text, piece.series, name)

    def _place(self, series: Series) -> str:
        folder = _KINDS[series.kind].format(period=self.period)
        return "/".join(["data", folder, series.symbol, *([series.step] if series.step else [])])

    def _file(self, series: Series, label: str) -> str:
        word = {"funding": "fundingRate", "metrics": "metrics"}.get(series.kind, series.step)
        return f"{series.symbol}-{word}-{label}.zip"

    def _labels(self, span: Span) -> list[tuple[str, Span]]:
        """Name and span of each archive that touches `span`."""
        if self.period == "monthly":
            months = pd.period_range(
                pd.Timestamp(span.start, unit="ms"), pd.Timestamp(span.end - 1, unit="ms"), freq="M"
            )
            return [(str(month), month_span(str(month))) for month in months]
        days = range(span.start // DAY_MS, (span.end - 1) // DAY_MS + 1)
        return [
            (
                f"{pd.Timestamp(day * DAY_MS, unit='ms'):%Y-%m-%d}",
                Span(day * DAY_MS, (day + 1) * DAY_MS),
            )
            for day in days
        ]

    def _listed(self, folder: str, series: Series, month: str) -> frozenset[str] | None:
        """Names in a folder of the bucket, the month's alone where archives are daily; None where
        there is no listing.
        """
        prefix = f"{folder}/" + (
            self._file(series, month).removesuffix(".zip") if self.period == "daily" else ""
        )
        with self._lock:
            if prefix not in self._seen:
                try:
                    self._seen[prefix] = self._ask(prefix) if self.listing else None
                # no listing can be read: every name is tried, and a missing file answers 404
                except DownloadError:
                    self.listing = ""
                    self._seen[prefix] = None
            return self._seen[prefix]

    def _ask(self, prefix: str) -> frozenset[str]:
        names: set[str] = set()
        marker = ""
        while True:
            page = self.http.text(
                f"{self.listing}?delimiter=/&prefix={quote(prefix)}&marker={quote(marker)}"
            )
            keys = re.findall(r"<Key>([^<]+)</Key>", page)
            names.update(key.rsplit("/", 1)[1] for key in keys)
            if "<IsTruncated>true</IsTruncated>" not in page or not keys:
                if "<ListBucketResult" not in page:
                    raise DownloadError(f"{self.listing}: the answer is no bucket listing")
                return frozenset(names)
            marker = keys[-1]


def _read(text: str, series: Series, name: str) -> pd.DataFrame:
    """Rows of one CSV, `time` in ms."""
    if series.kind == "funding":
        rows = read_rows(text, _FUNDING, 3, name)
        return pd.DataFrame(
            {
                "time": to_ms(epochs(rows, "calc_time", name), name),
                "rate": numbers(rows, "last_funding_rate", name),
            }
        )
    if series.kind == "metrics":
        rows = read_rows(text, _METRICS, 4, name)
        if not (rows["symbol"] == series.symbol).all():
            raise DownloadError(
                f"{name}: rows of {', '.join(sorted(set(rows['symbol']))[:3])}; expected"
                f" {series.symbol} alone"
            )
        times = pd.to_datetime(rows["create_time"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
        if times.isna().any():
            raise DownloadError(
                f"{name}: create_time {rows['create_time'][times.isna()].iloc[0]!r}; expected"
                " 2024-01-31 00:05:00"
            )
        values = {
            column: numbers(rows, f"sum_{column}", name)
            for column in ("open_interest", "open_interest_value")
        }
        return pd.DataFrame({"time": times.astype("datetime64[ms]").astype(np.int64)} | values)
    rows = read_rows(text, _KLINES, len(_KLINE), name)
    wanted = _KLINE[1:6] if series.kind in ("perp", "spot") else _KLINE[1:5]
    opened, closed = (
        to_ms(epochs(rows, column, name), name) for column in ("open_time", "close_time")
    )
    usual = float(np.median(closed - opened + 1)) if len(rows) else series.step_ms
    if usual != series.step_ms:
        raise DownloadError(f"{name}: bars of {usual / 60000:g} minutes; expected {series.step}")
    return pd.DataFrame(
        {"time": opened} | {column: numbers(rows, column, name) for column in wanted}
    )
