"""OKX's answers, generated from `world`."""

from __future__ import annotations

import re
from typing import Any

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, route
from tests.market.download.formats import dumps
from tests.market.download.world import HOUR

OKX_COMMON = {
    "state": "live",
    "lotSz": "0.01",
    "tickSz": "0.1",
    "minSz": "0.01",
    "lever": "100",
    "listTime": "1606468572000",
    "expTime": "",
}
OKX_SWAP = {
    "instId": "BTC-USDT-SWAP",
    "instType": "SWAP",
    "uly": "BTC-USDT",
    "instFamily": "BTC-USDT",
    "settleCcy": "USDT",
    "ctType": "linear",
    "ctVal": "0.01",
    "ctValCcy": "BTC",
    "ctMult": "1",
    "baseCcy": "",
    "quoteCcy": "",
}
OKX_SPOT = {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT"} | {
    "lotSz": "0.00000001",
    "ctVal": "",
    "ctType": "",
}
OKX_TIERS = [
    ("0", "1000", "0.004", "100"),
    ("1001", "10000", "0.005", "75"),
    ("10001", "20000", "0.0075", "50"),
]


class Okx(Venue):
    """v5 REST: strings, newest first, `before` and `after` exclusive; with `before` alone the
    newest page comes, not the oldest.
    """

    def answer(self, data: Any) -> bytes:
        return dumps({"code": "0", "msg": "", "data": data})

    def page(self, times: list[int], query: Query, most: int) -> list[int]:
        low, high = int(query.get("before") or 0), int(query.get("after") or 2**62)
        return [t for t in times if low < t < high][::-1][: min(int(query.get("limit", 100)), most)]

    @route("/api/v5/public/time")
    def clock(self, match: re.Match[str], query: Query) -> bytes:
        return self.answer([{"ts": str(self.server.now_ms)}])

    @route("/api/v5/public/instruments")
    def instruments(self, match: re.Match[str], query: Query) -> bytes:
        return self.answer([OKX_COMMON | (OKX_SWAP if query["instType"] == "SWAP" else OKX_SPOT)])

    @route("/api/v5/market/(history-)?(mark-price-|index-)?candles")
    def candles(self, match: re.Match[str], query: Query) -> bytes:
        kind = {"mark-price-": "mark", "index-": "index"}.get(
            match[2] or "", "perp" if query["instId"].endswith("SWAP") else "spot"
        )
        times = self.page(
            world.opens("BTCUSDT", kind, world.LISTED, self.server.now_ms, HOUR),
            query,
            100 if match[1] else 300,
        )
        rows = []
        for t in times:
            o, h, low, c, v = world.bar(kind, t, HOUR)
            # contracts of 0.01 BTC, base, quote
            volumes = (
                [str(v * 100), str(v), str(v * c)]
                if kind == "perp"
                else [str(v), str(v * c), str(v * c)]
            )
            rows.append(
                [
                    str(t),
                    *(str(x) for x in (o, h, low, c)),
                    *(volumes if kind in ("perp", "spot") else []),
                    "1",
                ]
            )
        return self.answer(rows)

    @route("/api/v5/public/funding-rate-history")
    def funding(self, match: re.Match[str], query: Query) -> bytes:
        kept = world.settlements("BTCUSDT", self.server.now_ms - 92 * 24 * HOUR, self.server.now_ms)
        told = [
            {"fundingTime": str(t), "realizedRate": str(world.rate(t)), "fundingRate": "0.5"}
            for t in self.page(kept, query, 100)
        ]
        return self.answer([row | {"instType": "SWAP", "instId": "BTC-USDT-SWAP"} for row in told])

    @route("/api/v5/public/position-tiers")
    def tiers(self, match: re.Match[str], query: Query) -> bytes:
        names = ("minSz", "maxSz", "mmr", "maxLever")
        return self.answer(
            [
                dict(zip(names, row, strict=True)) | {"tier": str(i + 1), "instFamily": "BTC-USDT"}
                for i, row in enumerate(OKX_TIERS)
            ]
        )

    @route("/api/v5/market/ticker")
    def ticker(self, match: re.Match[str], query: Query) -> bytes:
        return self.answer(
            [{"instId": query["instId"], "last": "40000", "ts": str(self.server.now_ms)}]
        )
