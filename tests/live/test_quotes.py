"""What each venue shows now, through the real ccxt client, in the shapes of the venues' documents:
rates of one interval, prices, books and open interest in quote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fundenv.live import Quote, ask_quote
from fundenv.market.download import Missing, Policy, Rest
from tests.market.download.answers.by_name import OTHERS
from tests.market.download.formats import dumps
from tests.market.download.server import Server
from tests.market.download.world import HOUR

QUICK = Policy(retries=0, backoff=0.01, longest_wait=0.1, timeout=3.0, rate=1e4)
NEXT_8H = 1_710_086_400_000  # 2024-03-10 16:00 UTC; the server stands at 12:45
NEXT_1H = NEXT_8H - 3 * HOUR
LEVELS = [["29999", "1", "0", "1"]], [["30001", "2", "0", "1"]]
NUMBERS = [[29999.0, 1.0]], [[30001.0, 2.0]]


def okx(data: Any) -> bytes:
    return dumps({"code": "0", "msg": "", "data": [data]})


def deribit(path: str) -> bytes:
    told = {"mark_price": 30010.0, "index_price": 30000.0, "open_interest": 100.0}
    told |= {"current_funding": 0.0008, "funding_8h": 0.5, "instrument_name": "BTC_USDC-PERPETUAL"}
    told |= {"timestamp": NEXT_1H, "stats": {"volume": 1.0, "low": 1.0, "high": 2.0}}
    return dumps({"result": told | {"bids": NUMBERS[0], "asks": NUMBERS[1], "change_id": 1}})


def kraken_ticker() -> bytes:
    row = {"symbol": "PF_XBTUSD", "tag": "perpetual", "pair": "XBT:USD", "markPrice": 30010.0}
    row |= {"indexPrice": 30000.0, "openInterest": 100.0, "lastTime": "2024-03-10T12:45:00.000Z"}
    row |= {"fundingRate": 3.001, "fundingRatePrediction": 9.0, "last": 30000.0}  # quote for a coin
    return dumps({"result": "success", "tickers": [row]})


def dydx_markets() -> bytes:
    market = {"clobPairId": "0", "ticker": "BTC-USD", "status": "ACTIVE", "tickSize": "1"}
    market |= {"stepSize": "0.0001", "oraclePrice": "30010", "nextFundingRate": "0.0001"}
    return dumps({"markets": {"BTC-USD": market | {"openInterest": "100"}}})


def hyperliquid(server: Server) -> Callable[..., bytes | None]:
    other = server.routes[-1][1]  # its one address

    def info(match: Any, query: dict[str, str]) -> Any:
        asked = json.loads(query["body"])
        if asked["type"] == "l2Book":
            sides = [[{"px": level[0], "sz": level[1], "n": 1}] for (level,) in LEVELS]
            return dumps({"coin": asked["coin"], "levels": sides, "time": NEXT_1H})
        if asked["type"] == "metaAndAssetCtxs":
            context = {"markPx": "30010", "midPx": "30000", "oraclePx": "30000"}
            context |= {"funding": "0.0001", "openInterest": "100", "premium": "0"}
            meta = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]}
            return dumps([meta, [context]])
        return other(match, query)

    return info


BOOK = {"bids": LEVELS[0], "asks": LEVELS[1], "ts": str(NEXT_1H)}
MARKETS: dict[str, dict[str, Callable[[], bytes]]] = {
    "okx": {
        "/api/v5/public/funding-rate": lambda: okx(
            {"instId": "BTC-USDT-SWAP", "fundingRate": "0.0008", "fundingTime": str(NEXT_8H)}
            | {"nextFundingRate": "", "nextFundingTime": str(NEXT_8H + 8 * HOUR)}
        ),
        "/api/v5/public/mark-price": lambda: okx({"instId": "BTC-USDT-SWAP", "markPx": "30010"}),
        "/api/v5/public/open-interest": lambda: okx(
            {"instId": "BTC-USDT-SWAP", "oi": "10000", "oiCcy": "100", "oiUsd": "3001000"}
        ),
        "/api/v5/market/books": lambda: okx(BOOK),
    },
    "deribit": {
        "/api/v2/public/ticker": lambda: deribit("ticker"),
        "/api/v2/public/get_order_book": lambda: deribit("book"),
    },
    "dydx": {
        "/v4/perpetualMarkets": dydx_markets,
        "/v4/orderbooks/perpetualMarket/BTC-USD": lambda: dumps(
            {
                "bids": [{"price": "29999", "size": "1"}],
                "asks": [{"price": "30001", "size": "2"}],
            }
        ),
    },
    "kraken": {
        "/derivatives/api/v3/tickers": kraken_ticker,
        "/derivatives/api/v3/orderbook": lambda: dumps(
            {"result": "success", "serverTime": "2024-03-10T12:45:00.000Z"}
            | {"orderBook": {"bids": NUMBERS[0], "asks": NUMBERS[1]}}
        ),
        "/0/public/Depth": lambda: dumps(
            {"error": [], "result": {"XXBTZUSD": {"bids": LEVELS[0], "asks": LEVELS[1]}}}
        ),
    },
    "hyperliquid": {},
}
SYMBOLS = {"okx": "BTCUSDT", "deribit": "BTCUSDC", "dydx": "BTC-USD", "kraken": "BTCUSD"}
SYMBOLS |= {"hyperliquid": "BTC"}
PAIRS = {"okx": "BTCUSDT", "deribit": "BTCUSDC", "kraken": "BTCUSD"}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def ask(server: Server, venue: str) -> Quote:
    for pattern, told in MARKETS[venue].items():
        server.routes.append((pattern, lambda match, query, told=told: told()))
    OTHERS[venue](server)
    if venue == "hyperliquid":
        server.routes.insert(0, ("/info", hyperliquid(server)))
    spot = (venue, PAIRS[venue]) if venue in PAIRS else None
    return ask_quote(Rest(QUICK, server.url), venue, SYMBOLS[venue], spot)


@pytest.mark.parametrize("venue", MARKETS)
def test_each_venue_is_read_in_the_same_units(server: Server, venue: str) -> None:
    found = ask(server, venue)
    assert found.problems == ()
    assert (found.venue, found.symbol, found.base) == (venue, SYMBOLS[venue], "BTC")
    hours = 8.0 if venue == "okx" else 1.0
    assert found.interval == hours
    assert found.rate == pytest.approx(0.0001 * hours)  # of one interval
    assert found.mark == 30010.0
    assert found.open_interest == pytest.approx(100 * 30010.0)
    assert (found.bid, found.ask) == (29999.0, 30001.0)
    if venue in PAIRS:
        assert (found.spot_bid, found.spot_ask) == (29999.0, 30001.0)
    assert found.next is not None
    assert found.next % (round(hours) * HOUR) == 0
    if venue == "okx":
        assert found.next == NEXT_8H


@pytest.mark.parametrize(
    ("bids", "asks"),
    [([["30002", "1"]], [["30001", "1"]]), ([], [["30001", "1"]]), ([["0", "1"]], [["1", "1"]])],
    ids=["crossed", "empty", "nothing"],
)
def test_a_book_that_cannot_be_is_said_and_not_used(
    server: Server, bids: list[Any], asks: list[Any]
) -> None:
    book = {"bids": bids, "asks": asks, "ts": str(NEXT_1H)}
    server.routes.append(("/api/v5/market/books", lambda match, query: okx(book)))
    found = ask(server, "okx")
    assert (found.bid, found.ask, found.spot_ask) == (None, None, None)
    assert found.rate == pytest.approx(0.0008)
    assert len(found.problems) == 2
    assert found.told


def test_a_symbol_that_nobody_lists_is_refused(server: Server) -> None:
    OTHERS["okx"](server)
    with pytest.raises(Missing, match="no linear perpetual ABC"):
        ask_quote(Rest(QUICK, server.url), "okx", "ABC", None)
