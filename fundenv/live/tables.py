"""The tables of an account's coins, made from the answers in its journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.live.journal import Record
from fundenv.live.records import rows_of
from fundenv.market.download import KINDS, DownloadError, Series
from fundenv.market.download.tables import tidy
from fundenv.market.files.frames import SymbolFrames

_MINUTE_MS = 60_000
_KNOWN = 64  # last sealed rows of a series, whose instants count as known


class Rows:
    """Rows of one series: sealed ones, and those that a later answer may still replace.

    series: the series. asked_to: end of the span that the venue has answered, ms. late: number of
    rows that arrived after their bar was sealed. revised: number of sealed rows that the venue
    later sent with other values.
    """

    def __init__(self, series: Series) -> None:
        self.series, self._bars = series, series.step_ms > 0
        self.asked_to = self.late = self.revised = 0
        self._times: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._values = np.zeros((0, len(KINDS[series.kind].columns)))
        self._open: dict[int, tuple[int, tuple[float, ...]]] = {}
        self._sealed = -1  # last slot that is sealed

    def slot(self, time: int) -> int:
        """The instant that a row belongs to: a bar's open, a settlement to the minute."""
        return time if self._bars else round(time / _MINUTE_MS) * _MINUTE_MS

    def take(self, table: pd.DataFrame) -> None:
        """Add tidy rows; for an instant that is not sealed the latest answer counts."""
        for time, *values in table.itertuples(index=False, name=None):
            slot, row = self.slot(int(time)), tuple(map(float, values))
            if slot <= self._sealed:
                self._compare(slot, row)
            else:
                known = self._open.get(slot)
                self.revised += known is not None and known[1] != row
                self._open[slot] = (int(time), row)

    def seal(self, last: int) -> None:
        """Seal the rows up to the slot `last` (ms): they no longer change."""
        done = sorted(slot for slot in self._open if slot <= last)
        if done:
            rows = [self._open.pop(slot) for slot in done]
            self._times = np.r_[self._times, np.array([time for time, _ in rows], np.int64)]
            self._values = np.concatenate([self._values, np.array([v for _, v in rows])])
        self._sealed = last

    def slots(self) -> NDArray[np.int64]:
        """Slots that have a row, in order: all that are not sealed, and the last sealed ones."""
        sealed = self._times[-_KNOWN:]
        if not self._bars:
            sealed = (sealed + _MINUTE_MS // 2) // _MINUTE_MS * _MINUTE_MS
        return np.concatenate([sealed, np.array(sorted(self._open), dtype=np.int64)])

    def sealed_table(self) -> pd.DataFrame:
        """The sealed rows in the form of `fundenv.market.files.schema`."""
        stamps = pd.to_datetime(self._times, unit="ms", utc=True).astype("datetime64[ns, UTC]")
        values = {c: self._values[:, k] for k, c in enumerate(KINDS[self.series.kind].columns)}
        return pd.DataFrame({"time": stamps, **values})

    def __len__(self) -> int:
        return len(self._times)

    def _compare(self, slot: int, row: tuple[float, ...]) -> None:
        at = int(np.searchsorted(self._times, slot - _MINUTE_MS // 2))
        if at < len(self._times) and self.slot(int(self._times[at])) == slot:
            self.revised += tuple(self._values[at]) != row
        else:
            self.late += 1


class Tables:
    """Every series of an account.

    closed: every bar that closes up to it (ms) is sealed; None before the first seal. gone: coin ->
    close of its last bar, for coins whose rows have ended.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        self.rows = {(each.symbol, each.kind): Rows(each) for each in series}
        self.symbols = list(dict.fromkeys(each.symbol for each in series))
        self.step_ms = max(each.step_ms for each in series)
        self.closed: int | None = None
        self.gone: dict[str, int] = {}

    @property
    def active(self) -> list[str]:
        """Coins that still have rows."""
        return [symbol for symbol in self.symbols if symbol not in self.gone]

    def take(self, record: Record) -> list[str]:
        """Add the rows of an answer; returns a sentence for each correction.

        The answer must pass the checks of the downloader; one that they refuse is not used.
        """
        symbol = record["symbol"]
        rows = self.rows[symbol, record["series"]]
        if symbol in self.gone:
            return []
        name = f"{symbol} {record['series']}"
        try:
            table, notes = tidy(rows_of(record, rows.series), rows.series, name)
        except DownloadError as error:
            return [f"{error}; the answer is not used"]
        rows.take(table)
        rows.asked_to = max(rows.asked_to, record["to"])
        return notes

    def seal(self, record: Record) -> None:
        """Seal the rows that a seal record names."""
        self.closed = int(record["close"])
        for symbol in record["gone"]:
            kept = [self.rows[symbol, kind].slots() for kind in ("perp", "spot")]
            last = min(int(slots[-1]) if len(slots) else 0 for slots in kept)
            self.gone[symbol] = last + self.step_ms
        for (symbol, _), rows in self.rows.items():
            rows.seal(min(self.closed, self.gone.get(symbol, self.closed)) - self.step_ms)

    def frames(self, symbol: str) -> SymbolFrames:
        """The sealed tables of a coin, checked as files are. Raises `DataError`."""
        found: Any = {
            kind: self.rows[symbol, kind].sealed_table()
            for kind in ("funding", "perp", "spot", "mark")
            if (symbol, kind) in self.rows and (kind != "mark" or len(self.rows[symbol, kind]) > 1)
        }
        return SymbolFrames(symbol=symbol, **found)
