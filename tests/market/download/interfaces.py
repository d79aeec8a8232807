"""The venues' REST answers, generated from `world`; a function a venue, which adds its routes to a
server.
"""

from __future__ import annotations

import re
from typing import Any

from tests.market.download import world
from tests.market.download.formats import STEPS, dumps
from tests.market.download.server import Server
from tests.market.download.world import HOUR

Query = dict[str, str]


def window(query: Query, start: str, end: str, server: Server) -> tuple[int, int]:
    """[first, last] as a query names them, both included."""
    return int(float(query.get(start) or 0)), min(
        int(float(query.get(end) or server.now_ms)), server.now_ms
    )


def bars(
    symbol: str, kind: str, first: int, last: int, step: int
) -> list[tuple[int, tuple[float, ...]]]:
    """(open, values) of bars that open in [first, last]: the one that is still forming included, as
    venues send it.
    """
    first = max(first, world.LISTED - HOUR)
    return [(t, world.bar(kind, t, step)) for t in world.opens(symbol, kind, first, last + 1, step)]


def binance(server: Server) -> None:
    """Binance USD-M (/fapi/v1) and spot (/api/v3)."""

    def listed(base: str, quote: str, perp: bool) -> dict[str, Any]:
        filters = [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.10",
                "maxPrice": "1000000",
                "tickSize": "0.10",
            },
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"}
            if perp
            else {"filterType": "NOTIONAL", "minNotional": "5.0"},
        ]
        common = {
            "symbol": base + quote,
            "status": "TRADING",
            "baseAsset": base,
            "quoteAsset": quote,
            "filters": filters,
        }
        common |= {
            "pricePrecision": 2,
            "quantityPrecision": 3,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
        }
        if perp:
            return common | {
                "pair": base + quote,
                "contractType": "PERPETUAL",
                "marginAsset": quote,
                "deliveryDate": 4133404800000,
            }
        return common | {"isSpotTradingAllowed": True, "permissions": ["SPOT"]}

    @server.route(r"/(fapi/v1|api/v3)/exchangeInfo")
    def info(match: re.Match[str], query: Query) -> bytes:
        perp = match[1] == "fapi/v1"
        return dumps(
            {"timezone": "UTC", "symbols": [listed(b, "USDT", perp) for b in ("BTC", "ETH", "NEW")]}
        )

    @server.route(r"/(fapi/v1|api/v3)/time")
    def clock(match: re.Match[str], query: Query) -> bytes:
        return dumps({"serverTime": server.now_ms})

    @server.route(r"/(fapi/v1|api/v3)/(klines|markPriceKlines|indexPriceKlines|premiumIndexKlines)")
    def klines(match: re.Match[str], query: Query) -> bytes:
        kinds = {
            "klines": "perp" if match[1] == "fapi/v1" else "spot",
            "markPriceKlines": "mark",
            "indexPriceKlines": "index",
        }
        step = STEPS[query["interval"]]
        first, last = window(query, "startTime", "endTime", server)
        found = bars(
            query.get("symbol") or query["pair"], kinds.get(match[2], "premium"), first, last, step
        )
        return dumps(
            [
                [t, *(f"{x}" for x in v), t + step - 1, "0", 12, "0", "0", "0"]
                for t, v in found[: int(query.get("limit", 500))]
            ]
        )

    @server.route("/fapi/v1/fundingRate")
    def funding(match: re.Match[str], query: Query) -> bytes:
        first, last = window(query, "startTime", "endTime", server)
        times = list(world.settlements(query["symbol"], max(first, world.LISTED), last + 1))[
            : int(query.get("limit", 100))
        ]
        return dumps(
            [
                {
                    "symbol": query["symbol"],
                    "fundingTime": t + 7,
                    "fundingRate": f"{world.rate(t):.8f}",
                    "markPrice": "1",
                }
                for t in times
            ]
        )
