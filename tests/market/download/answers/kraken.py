"""Kraken's answers, generated from `world`."""

from __future__ import annotations

import re

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, bars, iso, route
from tests.market.download.formats import dumps
from tests.market.download.world import HOUR


class Kraken(Venue):
    """Futures: charts by price type, all settlements at once; spot: the last 720 bars."""

    @route("/derivatives/api/v3/instruments")
    def instruments(self, match: re.Match[str], query: Query) -> bytes:
        levels = [{"numNonContractUnits": 0, "initialMargin": 0.02, "maintenanceMargin": 0.01}]
        levels += [
            {"numNonContractUnits": 500_000, "initialMargin": 0.04, "maintenanceMargin": 0.02}
        ]
        perp = {
            "symbol": "PF_XBTUSD",
            "type": "flexible_futures",
            "contractSize": 1,
            "tradeable": True,
            "tickSize": 1,
            "marginLevels": levels,
        }
        return dumps(
            {
                "result": "success",
                "instruments": [perp | {"contractValueTradePrecision": 4}],
                "serverTime": iso(self.server.now_ms),
            }
        )

    @route("/api/charts/v1/(trade|mark|spot)/PF_XBTUSD/1h")
    def charts(self, match: re.Match[str], query: Query) -> bytes:
        kind = {"trade": "perp", "mark": "mark", "spot": "index"}[match[1]]
        found = bars(
            "BTCUSDT",
            kind,
            int(query["from"]) * 1000,
            min(int(query["to"]) * 1000, self.server.now_ms),
            HOUR,
        )
        names = ("open", "high", "low", "close", "volume")
        return dumps(
            {
                "candles": [
                    {"time": t} | dict(zip(names, map(str, v), strict=True)) for t, v in found
                ],
                "more_candles": False,
            }
        )

    @route("/derivatives/api/v3/historicalfundingrates|/derivatives/api/v4/historicalfundingrates")
    def funding(self, match: re.Match[str], query: Query) -> bytes:
        times = range(world.LISTED // HOUR * HOUR + HOUR, self.server.now_ms, HOUR)
        return dumps(
            {
                "rates": [
                    {
                        "timestamp": iso(t),
                        "fundingRate": "9",
                        "relativeFundingRate": world.rate(t) / 8,
                    }
                    for t in times
                ]
            }
        )

    @route("/0/public/Time")
    def clock(self, match: re.Match[str], query: Query) -> bytes:
        return dumps({"error": [], "result": {"unixtime": self.server.now_ms // 1000}})

    @route("/0/public/AssetPairs")
    def pairs(self, match: re.Match[str], query: Query) -> bytes:
        pair = {
            "altname": "XBTUSD",
            "wsname": "XBT/USD",
            "base": "XXBT",
            "quote": "ZUSD",
            "pair_decimals": 1,
            "lot_decimals": 8,
        }
        pair |= {
            "ordermin": "0.0001",
            "costmin": "0.5",
            "status": "online",
            "leverage_buy": [],
            "fees": [],
            "fees_maker": [],
        }
        return dumps({"error": [], "result": {"XXBTZUSD": pair}})

    @route("/0/public/OHLC")
    def spot(self, match: re.Match[str], query: Query) -> bytes:
        found = bars("BTCUSDT", "spot", self.server.now_ms - 720 * HOUR, self.server.now_ms, HOUR)
        found = [row for row in found if row[0] > int(query.get("since", 0)) * 1000]
        rows = [[t // 1000, *(str(x) for x in v[:4]), "0", str(v[4]), 5] for t, v in found]
        return dumps({"error": [], "result": {"XXBTZUSD": rows, "last": 0}})

    @route("/0/public/\\w+")
    def other(self, match: re.Match[str], query: Query) -> bytes:
        return dumps({"error": [], "result": {}})
