"""Deribit's answers, generated from `world`."""

from __future__ import annotations

import re

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, bars, route, window
from tests.market.download.formats import dumps
from tests.market.download.world import HOUR


class Deribit(Venue):
    """JSON-RPC over HTTP: hourly interest, a trailing 8 h rate beside it."""

    @route("/api/v2/public/get_time")
    def clock(self, match: re.Match[str], query: Query) -> bytes:
        return dumps({"result": self.server.now_ms})

    @route("/api/v2/public/get_currencies")
    def currencies(self, match: re.Match[str], query: Query) -> bytes:
        return dumps(
            {
                "result": [
                    {"currency": "BTC", "fee_precision": 4, "network_fee": 0},
                    {"currency": "USDC", "fee_precision": 4},
                ]
            }
        )

    @route("/api/v2/public/get_instruments")
    def instruments(self, match: re.Match[str], query: Query) -> bytes:
        common = {
            "base_currency": "BTC",
            "counter_currency": "USDC",
            "quote_currency": "USDC",
            "is_active": True,
            "tick_size": 0.5,
        }
        common |= {
            "min_trade_amount": 0.0001,
            "taker_commission": 0.0005,
            "maker_commission": 0.0,
            "contract_size": 0.0001,
        }
        perp = {
            "kind": "future",
            "instrument_name": "BTC_USDC-PERPETUAL",
            "settlement_period": "perpetual",
            "settlement_currency": "USDC",
        }
        spot = {"kind": "spot", "instrument_name": "BTC_USDC", "contract_size": 1.0}
        return dumps(
            {
                "result": [
                    common | perp | {"expiration_timestamp": 32503708800000},
                    common | spot,
                ]
            }
        )

    @route("/api/v2/public/get_tradingview_chart_data")
    def chart(self, match: re.Match[str], query: Query) -> bytes:
        first, last = window(query, "start_timestamp", "end_timestamp", self.server)
        found = bars(
            "BTCUSDT",
            "perp" if "PERP" in query["instrument_name"] else "spot",
            first,
            last,
            HOUR,
        )
        columns = {
            name: [v[i] for _, v in found]
            for i, name in enumerate(("open", "high", "low", "close", "volume"))
        }
        return dumps(
            {
                "result": (
                    columns
                    | {
                        "ticks": [t for t, _ in found],
                        "status": "ok",
                        "cost": [0] * len(found),
                    }
                )
            }
        )

    @route("/api/v2/public/get_funding_rate_history")
    def funding(self, match: re.Match[str], query: Query) -> bytes:
        first, last = window(query, "start_timestamp", "end_timestamp", self.server)
        times = list(range(-(-max(first, world.LISTED) // HOUR) * HOUR, last + 1, HOUR))[-744:]
        rows = [
            {
                "timestamp": t,
                "interest_8h": 0.04,
                "interest_1h": world.rate(t) / 8,
                "index_price": 1.0,
                "prev_index_price": 1.0,
            }
            for t in times
        ]
        return dumps({"result": rows})
