"""The sources of a paper account: an exchange, a mock exchange, or recorded tables with a clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import pandas as pd

from fundenv.live.quotes import Quote, ask_quote
from fundenv.live.records import now_ms
from fundenv.market.download import DownloadError, Policy, Rest, Series, Span
from fundenv.market.download.exchange import APIS

# A request that fails is tried again soon; one that still fails waits for the next poll.
_LOG = logging.getLogger("fundenv.live")
_SKEW_MS = 60_000
QUICK = Policy(retries=2, backoff=0.5, longest_wait=10.0, timeout=10.0)


class Feed(Protocol):
    """The interface of a source: its time, its rows and its quotes."""

    def clock_ms(self, venue: str) -> int:
        """The exchange's own time, ms. Raises `DownloadError` where it gives none."""
        ...

    def covers(self, series: Series) -> bool:
        """Whether the venue has the series at all."""
        ...

    def ask(self, series: Series, span: Span) -> Iterator[tuple[Span, pd.DataFrame]]:
        """Request a span piece by piece: yields each piece, and its rows as the venue sent them
        (`time` in ms, a bar's open). Raises `Missing` for a symbol that is not listed,
        `DownloadError` for any other failure.
        """
        ...

    def quote(self, venue: str, symbol: str, spot: tuple[str, str] | None) -> Quote | None:
        """The venue's present quote, with the book of the spot pair (venue, pair); None where the
        source has none. Raises `DownloadError`.
        """
        ...


@dataclass(eq=False)
class LiveFeed:
    """The REST interface of the venues that the downloader serves.

    rest: the client; with a `mirror` it reads a mock exchange instead.
    """

    rest: Rest = field(default_factory=lambda: Rest(QUICK))

    def clock_ms(self, venue: str) -> int:
        """See `Feed`: the earlier of the exchange's time and this machine's. Either may be wrong,
        and a bar that is still forming must not count as closed.
        """
        told = self._spared(venue, lambda: self.rest.exchange(venue).clock_ms())
        if told is None:
            raise DownloadError(f"{venue}: the exchange does not tell its time")
        here = now_ms()
        if here < told - _SKEW_MS:
            _LOG.warning(
                "this machine's clock is %.0f min behind %s's: bars wait for it; set the clock",
                (told - here) / 60_000,
                venue,
            )
        return min(int(told), here)

    def covers(self, series: Series) -> bool:
        """See `Feed`."""
        origin = series.origins()[0]
        return origin.venue in APIS and self.rest.covers(origin)

    def ask(self, series: Series, span: Span) -> Iterator[tuple[Span, pd.DataFrame]]:
        """See `Feed`."""
        origin = series.origins()[0]
        for piece in self.rest.pieces(origin, span):
            yield piece.span, self._spared(origin.folder, partial(self.rest.fetch, piece))

    def quote(self, venue: str, symbol: str, spot: tuple[str, str] | None) -> Quote | None:
        """See `Feed`."""
        return ask_quote(self.rest, venue, symbol, spot)

    def _spared(self, what: str, ask: Callable[[], Any]) -> Any:
        """The answer of `ask`; one in an undocumented form raises `DownloadError`, so that the
        account asks again at the next poll.
        """
        try:
            return ask()
        except DownloadError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            text = " ".join(str(error).split())[:120]
            raise DownloadError(
                f"{what}: the answer is not what the venue documents ({type(error).__name__}:"
                f" {text}); asked again at the next look"
            ) from None


@dataclass(eq=False)
class RecordedFeed:
    """Recorded tables, each row of which becomes visible when the clock has reached it.

    tables: (symbol, kind) -> rows (`time` in ms, a bar's open). now: the clock, ms.
    """

    tables: Mapping[tuple[str, str], pd.DataFrame]
    now: Callable[[], int]

    def clock_ms(self, venue: str) -> int:
        """See `Feed`."""
        return self.now()

    def covers(self, series: Series) -> bool:
        """See `Feed`."""
        return (series.symbol, series.kind) in self.tables

    def ask(self, series: Series, span: Span) -> Iterator[tuple[Span, pd.DataFrame]]:
        """See `Feed`."""
        table, now = self.tables[series.symbol, series.kind], self.now()
        times = table["time"].to_numpy()
        known = times + series.step_ms <= now
        yield span, table[known & (times >= span.start) & (times < span.end)]

    def quote(self, venue: str, symbol: str, spot: tuple[str, str] | None) -> Quote | None:
        """See `Feed`: None, as tables hold no books."""
        return None
