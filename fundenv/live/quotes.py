"""The quote of a perpetual at one instant: the running funding rate, the mark and index prices, the
best prices of its book and of the spot pair's book, and the open interest.

Requests go through ccxt; where ccxt has no method, the venue's own fields are read. Sources:
Binance GET /fapi/v1/premiumIndex and openInterest, Bybit GET /v5/market/tickers, OKX GET
/api/v5/public/funding-rate, Deribit public/get_book_summary_by_instrument, Hyperliquid
metaAndAssetCtxs, dYdX GET /v4/perpetualMarkets, Kraken GET /derivatives/api/v3/tickers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from fundenv.live.records import now_ms
from fundenv.market.download import DownloadError, Missing, Rest
from fundenv.market.download.exchange import Exchange
from fundenv.market.download.series import HOUR_MS
from fundenv.venues import load_venue

_LEVELS = 5  # levels of a book that are requested; only the best one is used


class Quote(NamedTuple):
    """What the venue sent; None where it sent nothing. `problems`: a sentence for each failure.

    at: this machine's clock when the last answer arrived, ms. venue, symbol: as the venue's file
    spells them. base: the coin. rate: estimate of the rate that settles next, a fraction for one
    interval, positive where longs pay. next: that settlement, ms. interval: hours from one
    settlement to the next. mark, index_price, bid, ask: of the perpetual; spot_bid, spot_ask: of
    the spot pair; all in quote. open_interest: in quote.
    """

    at: int
    venue: str
    symbol: str
    base: str
    rate: float | None = None
    next: int | None = None
    interval: float | None = None
    mark: float | None = None
    index_price: float | None = None
    bid: float | None = None
    ask: float | None = None
    spot_bid: float | None = None
    spot_ask: float | None = None
    open_interest: float | None = None
    problems: tuple[str, ...] = ()

    @property
    def told(self) -> bool:
        """Whether the venue sent at least a rate or a price."""
        return any(each is not None for each in (self.rate, self.mark, self.bid, self.spot_bid))


def ask_quote(rest: Rest, venue: str, symbol: str, spot: tuple[str, str] | None) -> Quote:
    """Ask a venue. spot: (venue, pair) of the spot leg; None where there is none.

    A request that fails adds a sentence to `problems`; the other values are returned all the same.
    Raises `DownloadError` where the symbol is not known.
    """
    exchange = rest.exchange(venue)
    market = exchange.market(symbol)
    problems: list[str] = []
    found: dict[str, Any] = {}

    def part(ask: Callable[[], dict[str, Any]]) -> None:
        try:
            found.update(ask())
        except DownloadError as error:
            problems.append(str(error))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            problems.append(
                f"{venue} {symbol}: the answer is not what the venue documents"
                f" ({type(error).__name__}: {' '.join(str(error).split())[:80]})"
            )

    part(lambda: _FUNDING.get(venue, _funding)(exchange, market))
    part(lambda: _book(exchange, market, ""))
    if spot is not None:
        pair = rest.exchange(spot[0], spot=True)
        part(lambda: _book(pair, _pair(pair, spot[1], market), "spot_"))
    found.setdefault("interval", _hours(venue))
    if found.get("next") is None:
        found["next"] = _next(venue, now_ms())
    if "open_interest" not in found:
        part(lambda: _open_interest(exchange, market, found.get("mark")))
    return Quote(now_ms(), venue, symbol, str(market["base"]), **found, problems=tuple(problems))


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if value is None or value == "":
        return None
    told = float(value)
    return told if math.isfinite(told) else None


def _pair(exchange: Exchange, name: str, market: dict[str, Any]) -> dict[str, Any]:
    """The spot pair `name`; without a name the pair of the perpetual's coin and currency."""
    try:
        return exchange.market(name)
    except Missing:
        return exchange.market(f"{market['base']}{market['quote']}")


def _funding(exchange: Exchange, market: dict[str, Any]) -> dict[str, Any]:
    row = exchange.call("fetch_funding_rate", market["symbol"])
    hours = str(row.get("interval") or "").removesuffix("h")
    found = {
        "rate": number(row["fundingRate"]),
        "next": row.get("fundingTimestamp") or row.get("nextFundingTimestamp"),
        "mark": number(row.get("markPrice")),
        "index_price": number(row.get("indexPrice")),
    }
    if hours.isdigit():
        found["interval"] = float(hours)
    interest = number((row.get("info") or {}).get("openInterest"))  # Kraken, Hyperliquid: coins
    if interest is not None and found["mark"]:
        found["open_interest"] = interest * float(found["mark"])
    return found


def _okx(exchange: Exchange, market: dict[str, Any]) -> dict[str, Any]:
    """The funding of OKX, which gives the mark price by a second request."""
    found = _funding(exchange, market)
    row = exchange.call("fetch_mark_price", market["symbol"])
    return found | {"mark": number(row.get("markPrice"))}


def _deribit(exchange: Exchange, market: dict[str, Any]) -> dict[str, Any]:
    """The funding of Deribit. Its present rate is for 8 h and accrues continuously; the venue's
    file settles it every hour.
    """
    info = exchange.call("fetch_ticker", market["symbol"])["info"]
    stats = {**info, **(info.get("stats") or {})}
    running, mark = number(stats.get("current_funding")), number(stats.get("mark_price"))
    interest = number(stats.get("open_interest"))
    return {
        "rate": None if running is None else running * _hours("deribit") / 8.0,
        "mark": mark,
        "index_price": number(stats.get("index_price")),
        "open_interest": interest * mark if interest is not None and mark else None,
    }


def _dydx(exchange: Exchange, market: dict[str, Any]) -> dict[str, Any]:
    """The funding of dYdX, whose oracle price is both mark and index price."""
    rows = exchange.call("fetch_markets")
    info = next(row["info"] for row in rows if row["symbol"] == market["symbol"])
    price, interest = number(info.get("oraclePrice")), number(info.get("openInterest"))
    return {
        "rate": number(info.get("nextFundingRate")),
        "mark": price,
        "index_price": price,
        "open_interest": interest * price if interest is not None and price else None,
    }


_FUNDING: dict[str, Callable[[Exchange, dict[str, Any]], dict[str, Any]]] = {
    "okx": _okx,
    "deribit": _deribit,
    "dydx": _dydx,
}


def _open_interest(
    exchange: Exchange, market: dict[str, Any], mark: float | None
) -> dict[str, Any]:
    row = exchange.call("fetch_open_interest", market["symbol"])
    value, amount = number(row.get("openInterestValue")), number(row.get("openInterestAmount"))
    if value is None and amount is not None and mark:
        value = amount * float(market.get("contractSize") or 1.0) * mark
    return {"open_interest": value}


def _book(exchange: Exchange, market: dict[str, Any], prefix: str) -> dict[str, Any]:
    book = exchange.call("fetch_order_book", market["symbol"], _LEVELS)
    bid, ask = number(book["bids"][0][0]), number(book["asks"][0][0])
    if bid is None or ask is None or not 0 < bid <= ask:
        raise DownloadError(
            f"{exchange.venue} {market['id']}: the book shows a bid of {bid} and an ask of {ask};"
            " it is not used"
        )
    return {f"{prefix}bid": bid, f"{prefix}ask": ask}


def _hours(venue: str) -> float:
    return load_venue(venue).value("funding", "interval_hours")


def _next(venue: str, now: int) -> int:
    """The next settlement by the venue's clock, for a venue that does not name it."""
    step = round(_hours(venue) * HOUR_MS)
    first = round(load_venue(venue).value("funding", "first_hour") * HOUR_MS)
    return now - (now - first) % step + step
