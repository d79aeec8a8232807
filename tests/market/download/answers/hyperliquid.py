"""Hyperliquid's answers, generated from `world`."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, bars, route
from tests.market.download.formats import dumps
from tests.market.download.world import HOUR


class Hyperliquid(Venue):
    """One POST address; at most 500 settlements, and the last 5,000 bars."""

    @route("/info")
    def info(self, match: re.Match[str], query: Query) -> bytes | None:
        asked = json.loads(query["body"])
        inner = asked.get("req", asked)
        questions = {
            "exchangeStatus": self.status,
            "metaAndAssetCtxs": self.perps,
            "spotMetaAndAssetCtxs": self.spots,
            "meta": self.names,
            "spotMeta": self.names,
            "perpDexs": self.exchanges,
            "fundingHistory": self.funding,
            "candleSnapshot": self.candles,
        }
        answer = questions.get(asked["type"])
        return answer(inner) if answer else None

    def span(self, asked: dict[str, Any]) -> tuple[int, int]:
        now = self.server.now_ms
        return asked.get("startTime", 0), min(asked.get("endTime", now), now)

    def status(self, asked: dict[str, Any]) -> bytes:
        return dumps({"time": self.server.now_ms, "specialStatuses": None})

    def perps(self, asked: dict[str, Any]) -> bytes:
        return dumps(
            [
                {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]},
                [{"markPx": "30000.0", "midPx": "30000.0"}],
            ]
        )

    def spots(self, asked: dict[str, Any]) -> bytes:
        tokens = [
            {"name": "USDC", "szDecimals": 8, "index": 0},
            {"name": "UBTC", "szDecimals": 5, "index": 1},
        ]
        return dumps(
            [
                {
                    "tokens": tokens,
                    "universe": [{"name": "@142", "tokens": [1, 0], "index": 0}],
                },
                [{"midPx": "30000.0"}],
            ]
        )

    def names(self, asked: dict[str, Any]) -> bytes:
        return dumps(
            {
                "universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}],
                "tokens": [{"name": "USDC", "index": 0}],
            }
        )

    def exchanges(self, asked: dict[str, Any]) -> bytes:
        return dumps([None])

    def funding(self, asked: dict[str, Any]) -> bytes:
        first, last = self.span(asked)
        times = list(range(-(-max(first, world.LISTED) // HOUR) * HOUR, last + 1, HOUR))[:500]
        return dumps(
            [
                {
                    "coin": "BTC",
                    "fundingRate": str(world.rate(t) / 8),
                    "premium": "0.0001",
                    "time": t + 31,
                }
                for t in times
            ]
        )

    def candles(self, asked: dict[str, Any]) -> bytes:
        first, last = self.span(asked)
        which = "perp" if asked["coin"] == "BTC" else "spot"
        found = bars("BTCUSDT", which, max(first, self.server.now_ms - 5000 * HOUR), last, HOUR)
        return dumps(
            [
                {
                    "t": t,
                    "T": t + HOUR - 1,
                    "s": "BTC",
                    "i": "1h",
                    **dict(zip("ohlcv", map(str, v), strict=True)),
                    "n": 1,
                }
                for t, v in found
            ]
        )
