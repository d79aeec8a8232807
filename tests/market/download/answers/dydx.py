"""dYdX's answers, generated from `world`."""

from __future__ import annotations

import re

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, bars, iso, route
from tests.market.download.formats import dumps, ms
from tests.market.download.world import HOUR


class Dydx(Venue):
    """The indexer: ISO instants, newest first, at most 100 rows."""

    @route("/v4/time")
    def clock(self, match: re.Match[str], query: Query) -> bytes:
        return dumps({"iso": iso(self.server.now_ms), "epoch": self.server.now_ms / 1000})

    @route("/v4/perpetualMarkets")
    def markets(self, match: re.Match[str], query: Query) -> bytes:
        market = {
            "clobPairId": "0",
            "ticker": "BTC-USD",
            "status": "ACTIVE",
            "tickSize": "1",
            "stepSize": "0.0001",
            "oraclePrice": "30000",
        }
        return dumps({"markets": {"BTC-USD": market}})

    @route("/v4/candles/perpetualMarkets/BTC-USD")
    def candles(self, match: re.Match[str], query: Query) -> bytes:
        first, last = (ms(query[name].rstrip("Z")) for name in ("fromIso", "toIso"))
        found = bars("BTCUSDT", "perp", first, min(last, self.server.now_ms), HOUR)[
            -min(100, int(query.get("limit", 100))) :
        ]
        names = ("open", "high", "low", "close", "baseTokenVolume")
        return dumps(
            {
                "candles": [
                    {"startedAt": iso(t), "usdVolume": "1"}
                    | dict(zip(names, map(str, v), strict=True))
                    for t, v in reversed(found)
                ]
            }
        )

    @route("/v4/historicalFunding/BTC-USD")
    def funding(self, match: re.Match[str], query: Query) -> bytes:
        last = min(ms(query["effectiveBeforeOrAt"].rstrip("Z")), self.server.now_ms)
        times = list(range(world.LISTED // HOUR * HOUR + HOUR, last + 1, HOUR))[
            -min(100, int(query.get("limit", 100))) :
        ]
        rows = [
            {
                "ticker": "BTC-USD",
                "rate": str(world.rate(t) / 8),
                "price": "1",
                "effectiveAt": iso(t),
            }
            for t in reversed(times)
        ]
        return dumps({"historicalFunding": rows})
