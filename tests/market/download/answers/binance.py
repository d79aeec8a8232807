"""The answers of Binance's interfaces, generated from `world`."""

from __future__ import annotations

import re
from typing import Any

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, bars, route, window
from tests.market.download.formats import STEPS, dumps


class Binance(Venue):
    """Binance USD-M (/fapi/v1) and spot (/api/v3)."""

    def listed(self, base: str, quote: str, perp: bool) -> dict[str, Any]:
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

    @route(r"/(fapi/v1|api/v3)/exchangeInfo")
    def info(self, match: re.Match[str], query: Query) -> bytes:
        perp = match[1] == "fapi/v1"
        return dumps(
            {
                "timezone": "UTC",
                "symbols": [self.listed(b, "USDT", perp) for b in ("BTC", "ETH", "NEW")],
            }
        )

    @route(r"/(fapi/v1|api/v3)/time")
    def clock(self, match: re.Match[str], query: Query) -> bytes:
        return dumps({"serverTime": self.server.now_ms})

    @route(r"/(fapi/v1|api/v3)/(klines|markPriceKlines|indexPriceKlines|premiumIndexKlines)")
    def klines(self, match: re.Match[str], query: Query) -> bytes:
        kinds = {
            "klines": "perp" if match[1] == "fapi/v1" else "spot",
            "markPriceKlines": "mark",
            "indexPriceKlines": "index",
        }
        step = STEPS[query["interval"]]
        first, last = window(query, "startTime", "endTime", self.server)
        found = bars(
            query.get("symbol") or query["pair"], kinds.get(match[2], "premium"), first, last, step
        )
        return dumps(
            [
                [t, *(f"{x}" for x in v), t + step - 1, "0", 12, "0", "0", "0"]
                for t, v in found[: int(query.get("limit", 500))]
            ]
        )

    @route("/fapi/v1/fundingRate")
    def funding(self, match: re.Match[str], query: Query) -> bytes:
        first, last = window(query, "startTime", "endTime", self.server)
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
