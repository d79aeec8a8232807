"""The exchanges' REST interfaces, through ccxt, for data that archives do not hold and for venues
without archives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.download.exchange import APIS, Exchange
from fundenv.market.download.http import Policy
from fundenv.market.download.series import HOUR_MS, KINDS, DownloadError, Piece, Series, Span
from fundenv.market.download.tables import JITTER_MS, gaps, join
from fundenv.market.files.schema import PRICES

_PRICE = {
    "mark": ("mark", "fetchMarkOHLCV"),
    "index": ("index", "fetchIndexOHLCV"),
    "premium": ("premiumIndex", "fetchPremiumIndexOHLCV"),
}
_BAR = ("time", *PRICES, "volume")


@dataclass(eq=False)
class Rest:
    """Bars and settlements of the venues in `exchange.APIS`.

    A request is for a window of time that holds no more rows than the venue returns at once, with
    both ends where ccxt supports them. Spans that an answer does not cover are requested again
    until no more rows arrive. So no row is lost, whichever end a venue counts from, and if a page
    becomes shorter.
    """

    policy: Policy = field(default_factory=Policy)
    mirror: str = ""
    name: str = "rest"
    _open: dict[tuple[str, bool], Exchange] = field(default_factory=dict)

    def exchange(self, venue: str, *, spot: bool = False) -> Exchange:
        """The client of a venue, made on first use. Raises `DownloadError` for a venue that ccxt
        does not serve.
        """
        if venue not in APIS:
            raise DownloadError(
                f"venue {venue!r}: no interface; there is one for {', '.join(APIS)}"
            )
        if spot and not APIS[venue].spot:
            raise DownloadError(
                f"{venue} has no spot market; name another one's with --spot, such as"
                " binance:BTCUSDT"
            )
        return self._open.setdefault((venue, spot), Exchange(venue, spot, self.policy, self.mirror))

    def covers(self, series: Series) -> bool:
        """Whether ccxt has a method for the series."""
        if (
            series.venue not in APIS
            or series.kind == "metrics"
            or (series.kind == "spot" and not APIS[series.venue].spot)
        ):
            return False
        return series.kind not in _PRICE or self.exchange(series.venue).can(_PRICE[series.kind][1])

    def pieces(self, series: Series, span: Span) -> list[Piece]:
        """The windows, one for each request."""
        api = APIS[series.venue]
        # no venue settles more often than each hour
        window = api.bars * series.step_ms if series.step_ms else (api.fundings - 1) * HOUR_MS
        starts = range(span.start, span.end, window)
        return [self._piece(series, Span(start, min(start + window, span.end))) for start in starts]

    def fetch(self, piece: Piece) -> pd.DataFrame:
        """Ask for one window. Raises `Missing` for a symbol that the venue does not list."""
        series, todo, tables = piece.series, [piece.span], []
        while todo:
            span = todo.pop()
            table = (
                self._funding(series, span)
                if series.kind == "funding"
                else self._bars(series, span)
            )
            table = table[(table["time"] >= span.start) & (table["time"] < span.end)]
            if len(table):
                tables.append(table)
                times = np.unique(table["time"].to_numpy())
                todo += gaps(times, series, span) if series.step_ms else _edges(times, span)
        return join(tables, series)

    def _piece(self, series: Series, span: Span) -> Piece:
        return Piece(
            series,
            span,
            f"ccxt {APIS[series.venue].perp if series.kind != 'spot' else APIS[series.venue].spot}"
            f" {span}",
        )

    def _funding(self, series: Series, span: Span) -> pd.DataFrame:
        api, exchange = APIS[series.venue], self.exchange(series.venue)
        market = exchange.market(series.symbol)["symbol"]
        rows = exchange.call(
            "fetch_funding_rate_history",
            market,
            span.start,
            api.fundings,
            **_until(api.until, span),
        )
        # ccxt returns the trailing 8 h rate; another field holds the accrual of the hour
        if series.venue == "deribit":
            rows = [row | {"fundingRate": row["info"]["interest_1h"]} for row in rows]
        return _numeric(
            [[row["timestamp"], row["fundingRate"]] for row in rows], ("time", "rate"), series
        )

    def _bars(self, series: Series, span: Span) -> pd.DataFrame:
        api, exchange = APIS[series.venue], self.exchange(series.venue, spot=series.kind == "spot")
        market = exchange.market(series.symbol)["symbol"]
        params: dict[str, Any] = {"price": _PRICE[series.kind][0]} if series.kind in _PRICE else {}
        params |= {"until": span.end - 1} if api.until else {}
        rows = exchange.call("fetch_ohlcv", market, series.step, span.start, api.bars, **params)
        return _numeric(rows, _BAR, series)[["time", *KINDS[series.kind].columns]]


def _until(word: str, span: Span) -> dict[str, int]:
    """The end of a window of settlements: ccxt's `until` is the last instant wanted, OKX's `after`
    the first one not wanted.
    """
    return {word: span.end - (1 if word == "until" else 0)} if word else {}


def _edges(times: NDArray[np.int64], span: Span) -> list[Span]:
    """The parts of a window that the settlements `times` (n,) leave open by more than their own
    usual spacing.
    """
    if len(times) < 2:
        return []
    usual = int(np.median(np.diff(times))) + JITTER_MS
    first, last = int(times[0]), int(times[-1])
    edges = (Span(span.start, first), Span(last + 1, span.end))
    return [edge for edge in edges if edge.end - edge.start > usual]


def _numeric(rows: Any, columns: tuple[str, ...], series: Series) -> pd.DataFrame:
    """Rows of numbers as a table. Raises `DownloadError` where the answer is anything else."""
    try:
        table = pd.DataFrame([list(row)[: len(columns)] for row in rows], columns=list(columns))
        table["time"] = table["time"].astype("int64")
        return table.astype(dict.fromkeys(columns[1:], "float64"))
    except (TypeError, ValueError) as error:
        text = " ".join(str(rows).split())[:80]
        raise DownloadError(
            f"{series.folder}: {text!r} is no table of {', '.join(columns)} ({error}); the API may"
            " have changed"
        ) from None
