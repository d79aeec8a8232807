"""Series of one venue, symbol and kind, which are downloaded month by month, and the interface of
their sources.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import pandas as pd

from fundenv.market.files.frames import bar_length_ns
from fundenv.market.files.schema import PRICES, DataError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}")
_STEP = re.compile(r"[1-9]\d?[mh]")


class DownloadError(DataError):
    """A download failed; one line with the address, the reason and the remedy."""


class Missing(DownloadError):
    """The source does not hold this piece. This is no failure if another source holds it, or if
    nothing was traded.
    """


class Layout(NamedTuple):
    """How a kind is stored.

    columns: those that a source gives beside `time`; the first ones are required. longest_ms:
    widest regular spacing of rows of a kind without a step. known_late_ms: None: `time` stays the
    bar's open. Otherwise the time that is added to it, with the step where `bars`, so that `time`
    is the instant from which the row is known.
    """

    columns: tuple[str, ...]
    bars: bool
    longest_ms: int = 0
    prefix: str = ""
    known_late_ms: int | None = None


# The one table of kinds. `perp`, `spot` and `mark` are read by the Market itself, the others as
# extra columns (`load_market(extra=...)`). Binance stamps a row of its metrics up to five minutes
# before the snapshot was taken (since 2024-03-04; exactly at it before): five are added.
KINDS: dict[str, Layout] = {
    "funding": Layout(("rate",), False, 8 * HOUR_MS),
    "perp": Layout((*PRICES, "volume"), True),
    "spot": Layout((*PRICES, "volume"), True),
    "mark": Layout(PRICES, True),
    "index": Layout(PRICES, True, prefix="index_", known_late_ms=0),
    "premium": Layout(PRICES, True, prefix="premium_", known_late_ms=0),
    "metrics": Layout(
        ("open_interest", "open_interest_value"), False, 5 * 60_000, known_late_ms=5 * 60_000
    ),
}


class Span(NamedTuple):
    """[start, end) in milliseconds since 1970 UTC."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{stamp(self.start)} .. {stamp(self.end)}"


@dataclass(frozen=True, kw_only=True)
class Series:
    """One table to be kept.

    Attributes:
        venue, symbol: as the venue file spells them; the folder that the table is kept in. kind: a
        name in `KINDS`. step: length of a bar such as "1h"; empty where the kind has none. asked:
        (venue, symbol) pairs to fetch it from, as another exchange's spot market, or the present
        and the former name of a contract; the first one that has a row counts. Empty: the series'
        own.
    """

    venue: str
    symbol: str
    kind: str
    step: str = ""
    asked: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in (
            self.venue.replace("_", "-"),
            self.symbol,
            *(part for pair in self.asked for part in pair),
        ):
            if not _NAME.fullmatch(name):
                raise DownloadError(
                    f"name {name!r}: expected letters, digits, dots and dashes, as in BTCUSDT;"
                    " correct it"
                )
        if self.kind not in KINDS:
            raise DownloadError(f"kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        if KINDS[self.kind].bars and not (
            _STEP.fullmatch(self.step) and DAY_MS % self.step_ms == 0
        ):
            raise DownloadError(
                f"step {self.step!r} of {self.kind}: expected minutes or hours that divide a day,"
                " such as 1h or 5m"
            )

    @property
    def step_ms(self) -> int:
        """Length of a bar in ms; 0 where the kind has none."""
        return bar_length_ns(self.step) // 1_000_000 if KINDS[self.kind].bars else 0

    @property
    def longest_ms(self) -> int:
        """Widest spacing of rows that is no gap."""
        return self.step_ms or KINDS[self.kind].longest_ms

    @property
    def shift_ms(self) -> int:
        """How much later the stored `time` of a row is than the source's."""
        late = KINDS[self.kind].known_late_ms
        return 0 if late is None else late + self.step_ms

    @property
    def folder(self) -> str:
        """The folder of the table in the data folder, as `fundenv.market.files.load` reads it."""
        return f"{self.venue}/{self.symbol}/{self.kind}{'_' + self.step if self.step else ''}"

    def origins(self) -> tuple[Series, ...]:
        """The same series as each of `asked` calls it."""
        return tuple(
            replace(self, venue=venue, symbol=symbol, asked=()) for venue, symbol in self.asked
        ) or (self,)


class Piece(NamedTuple):
    """Something that a source can fetch at once."""

    series: Series
    span: Span
    address: str


class Source(Protocol):
    """The interface of a source of data. Its tables have `time` (int64 ms, a bar's open) and the
    columns of the kind, in any order and with any defect.
    """

    @property
    def name(self) -> str:
        """As manifests and messages call it."""
        ...

    def covers(self, series: Series) -> bool:
        """Whether it may hold the series at all."""
        ...

    def pieces(self, series: Series, span: Span) -> list[Piece]:
        """What to fetch to have `span` (within one month); empty where it holds nothing of it.
        Raises `DownloadError`.
        """
        ...

    def fetch(self, piece: Piece) -> pd.DataFrame:
        """Fetch, verify and read one piece. Raises `Missing` where it does not exist,
        `DownloadError` for any other failure.
        """
        ...


def month_of(start: str) -> pd.Period:
    """The month that a text names or whose day it names. Raises `DownloadError` where it names
    none.
    """
    try:
        return pd.Timestamp(start).to_period("M")
    except ValueError:
        raise DownloadError(f"start {start!r}: expected a month such as 2020-01") from None


def months(start: str, end_ms: int) -> list[str]:
    """Names of the months ("2024-01") from the one that holds `start` up to the one that holds
    `end_ms`.
    """
    first = month_of(start)
    last = pd.Timestamp(end_ms - 1, unit="ms").to_period("M")
    if first > last:
        raise DownloadError(f"start {start!r} lies after {last}; choose an earlier one")
    return [str(month) for month in pd.period_range(first, last, freq="M")]


def month_span(month: str) -> Span:
    """First instant of a month, and of the next one."""
    period = pd.Period(month, "M")
    return Span(*(p.start_time.tz_localize("UTC").value // 1_000_000 for p in (period, period + 1)))


def stamp(ms: int) -> str:
    """An instant as messages show it."""
    return f"{dt.datetime.fromtimestamp(ms / 1000, dt.UTC):%Y-%m-%d %H:%M}"
