"""Bybit's answers, generated from `world`."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pandas as pd

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, bars, route, window
from tests.market.download.formats import dumps
from tests.market.download.world import HOUR


class Bybit(Venue):
    """v5 REST, newest rows first; and the MetaTrader archive, whose clock stands at UTC+3."""

    def answer(self, result: Any) -> bytes:
        return dumps(
            {
                "retCode": 0,
                "retMsg": "OK",
                "result": result,
                "retExtInfo": {},
                "time": self.server.now_ms,
            }
        )

    @route("/v5/market/time")
    def clock(self, match: re.Match[str], query: Query) -> bytes:
        return self.answer(
            {
                "timeSecond": str(self.server.now_ms // 1000),
                "timeNano": str(self.server.now_ms * 1_000_000),
            }
        )

    @route("/v5/market/instruments-info")
    def instruments(self, match: re.Match[str], query: Query) -> bytes:
        common = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"}
        perp = common | {
            "contractType": "LinearPerpetual",
            "settleCoin": "USDT",
            "launchTime": "1584230400000",
            "deliveryTime": "0",
            "fundingInterval": 480,
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
            "priceFilter": {"minPrice": "0.10", "maxPrice": "199999.80", "tickSize": "0.10"},
            "lotSizeFilter": {
                "maxOrderQty": "100",
                "minOrderQty": "0.001",
                "qtyStep": "0.001",
                "minNotionalValue": "5",
            },
        }
        lot = {
            "basePrecision": "0.000001",
            "quotePrecision": "0.00000001",
            "minOrderQty": "0.000048",
            "minOrderAmt": "1",
        }
        spot = common | {"lotSizeFilter": lot, "priceFilter": {"tickSize": "0.01"}}
        return self.answer(
            {
                "category": query["category"],
                "list": [spot if query["category"] == "spot" else perp],
                "nextPageCursor": "",
            }
        )

    @route("/v5/market/((mark-price-|index-price-|premium-index-price-)?kline)")
    def klines(self, match: re.Match[str], query: Query) -> bytes:
        kinds = {"mark-price-": "mark", "index-price-": "index", "premium-index-price-": "premium"}
        kind = kinds.get(match[2] or "", "spot" if query.get("category") == "spot" else "perp")
        first, last = window(query, "start", "end", self.server)
        found = bars("BTCUSDT", kind, first, last, HOUR)[-int(query.get("limit", 200)) :]
        return self.answer(
            {"list": [[str(t), *(f"{x}" for x in v), "0"] for t, v in reversed(found)]}
        )

    @route("/v5/market/funding/history")
    def funding(self, match: re.Match[str], query: Query) -> bytes:
        first, last = window(query, "startTime", "endTime", self.server)
        times = world.settlements("BTCUSDT", max(first, world.LISTED), last + 1)[
            -int(query.get("limit", 200)) :
        ]
        rows = [
            {"symbol": "BTCUSDT", "fundingRate": str(world.rate(t)), "fundingRateTimestamp": str(t)}
            for t in reversed(times)
        ]
        return self.answer({"category": "linear", "list": rows})

    @route("/v5/market/risk-limit")
    def risk(self, match: re.Match[str], query: Query) -> bytes:
        rows = [
            ("2000000", "0.005", "100.00"),
            ("2600000", "0.0056", "90.00"),
            ("3200000", "0.0062", "80.00"),
        ]
        names = ("riskLimitValue", "maintenanceMargin", "maxLeverage")
        tiers = [
            dict(zip(names, row, strict=True))
            | {
                "id": i + 1,
                "symbol": "BTCUSDT",
                "initialMargin": "0.01",
            }
            for i, row in enumerate(rows)
        ]
        return self.answer({"category": "linear", "list": tiers, "nextPageCursor": ""})

    @route(
        r"/bybit/kline_for_metatrader4/BTCUSDT/\d{4}/BTCUSDT_60_(\d{4}-\d\d)-01_\d{4}-\d\d-\d\d\.csv\.gz"
    )
    def archive(self, match: re.Match[str], query: Query) -> bytes | None:
        first, last = (
            int(p.start_time.tz_localize("UTC").value // 1_000_000) - 3 * HOUR
            for p in (pd.Period(match[1]), pd.Period(match[1]) + 1)
        )
        if last > self.server.now_ms:
            return None
        rows = bars("BTCUSDT", "perp", first, last - 1, HOUR)
        text = "".join(
            f"{pd.Timestamp(t + 3 * HOUR, unit='ms'):%Y.%m.%d %H:%M},"
            f"{','.join(str(x) for x in v)}\n"
            for t, v in rows
        )
        return gzip.compress(text.encode(), mtime=0)
