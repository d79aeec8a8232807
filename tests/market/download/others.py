"""REST answers of Bybit, OKX, Deribit, Hyperliquid, dYdX and Kraken, in their documented formats,
generated from `world`.
"""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pandas as pd

from tests.market.download import world
from tests.market.download.formats import dumps, ms
from tests.market.download.interfaces import Query, bars, window
from tests.market.download.server import Server
from tests.market.download.world import HOUR


def iso(t: int) -> str:
    return f"{pd.Timestamp(t, unit='ms'):%Y-%m-%dT%H:%M:%S}.000Z"


def bybit(server: Server) -> None:
    """v5 REST, newest rows first; and the MetaTrader archive, whose clock stands at UTC+3."""

    def answer(result: Any) -> bytes:
        return dumps(
            {
                "retCode": 0,
                "retMsg": "OK",
                "result": result,
                "retExtInfo": {},
                "time": server.now_ms,
            }
        )

    @server.route("/v5/market/time")
    def clock(match: re.Match[str], query: Query) -> bytes:
        return answer(
            {"timeSecond": str(server.now_ms // 1000), "timeNano": str(server.now_ms * 1_000_000)}
        )

    @server.route("/v5/market/instruments-info")
    def instruments(match: re.Match[str], query: Query) -> bytes:
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
        return answer(
            {
                "category": query["category"],
                "list": [spot if query["category"] == "spot" else perp],
                "nextPageCursor": "",
            }
        )

    @server.route("/v5/market/((mark-price-|index-price-|premium-index-price-)?kline)")
    def klines(match: re.Match[str], query: Query) -> bytes:
        kinds = {"mark-price-": "mark", "index-price-": "index", "premium-index-price-": "premium"}
        kind = kinds.get(match[2] or "", "spot" if query.get("category") == "spot" else "perp")
        first, last = window(query, "start", "end", server)
        found = bars("BTCUSDT", kind, first, last, HOUR)[-int(query.get("limit", 200)) :]
        return answer({"list": [[str(t), *(f"{x}" for x in v), "0"] for t, v in reversed(found)]})

    @server.route("/v5/market/funding/history")
    def funding(match: re.Match[str], query: Query) -> bytes:
        first, last = window(query, "startTime", "endTime", server)
        times = world.settlements("BTCUSDT", max(first, world.LISTED), last + 1)[
            -int(query.get("limit", 200)) :
        ]
        rows = [
            {"symbol": "BTCUSDT", "fundingRate": str(world.rate(t)), "fundingRateTimestamp": str(t)}
            for t in reversed(times)
        ]
        return answer({"category": "linear", "list": rows})

    @server.route("/v5/market/risk-limit")
    def risk(match: re.Match[str], query: Query) -> bytes:
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
        return answer({"category": "linear", "list": tiers, "nextPageCursor": ""})

    @server.route(
        r"/bybit/kline_for_metatrader4/BTCUSDT/\d{4}/BTCUSDT_60_(\d{4}-\d\d)-01_\d{4}-\d\d-\d\d\.csv\.gz"
    )
    def archive(match: re.Match[str], query: Query) -> bytes | None:
        first, last = (
            int(p.start_time.tz_localize("UTC").value // 1_000_000) - 3 * HOUR
            for p in (pd.Period(match[1]), pd.Period(match[1]) + 1)
        )
        if last > server.now_ms:
            return None
        rows = bars("BTCUSDT", "perp", first, last - 1, HOUR)
        text = "".join(
            f"{pd.Timestamp(t + 3 * HOUR, unit='ms'):%Y.%m.%d %H:%M},{','.join(str(x) for x in v)}\n"
            for t, v in rows
        )
        return gzip.compress(text.encode(), mtime=0)


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


def okx(server: Server) -> None:
    """v5 REST: strings, newest first, `before` and `after` exclusive; with `before` alone the
    newest page comes, not the oldest.
    """

    def answer(data: Any) -> bytes:
        return dumps({"code": "0", "msg": "", "data": data})

    def page(times: list[int], query: Query, most: int) -> list[int]:
        low, high = int(query.get("before") or 0), int(query.get("after") or 2**62)
        return [t for t in times if low < t < high][::-1][: min(int(query.get("limit", 100)), most)]

    @server.route("/api/v5/public/time")
    def clock(match: re.Match[str], query: Query) -> bytes:
        return answer([{"ts": str(server.now_ms)}])

    @server.route("/api/v5/public/instruments")
    def instruments(match: re.Match[str], query: Query) -> bytes:
        return answer([OKX_COMMON | (OKX_SWAP if query["instType"] == "SWAP" else OKX_SPOT)])

    @server.route("/api/v5/market/(history-)?(mark-price-|index-)?candles")
    def candles(match: re.Match[str], query: Query) -> bytes:
        kind = {"mark-price-": "mark", "index-": "index"}.get(
            match[2] or "", "perp" if query["instId"].endswith("SWAP") else "spot"
        )
        times = page(
            world.opens("BTCUSDT", kind, world.LISTED, server.now_ms, HOUR),
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
        return answer(rows)

    @server.route("/api/v5/public/funding-rate-history")
    def funding(match: re.Match[str], query: Query) -> bytes:
        kept = world.settlements("BTCUSDT", server.now_ms - 92 * 24 * HOUR, server.now_ms)
        told = [
            {"fundingTime": str(t), "realizedRate": str(world.rate(t)), "fundingRate": "0.5"}
            for t in page(kept, query, 100)
        ]
        return answer([row | {"instType": "SWAP", "instId": "BTC-USDT-SWAP"} for row in told])

    @server.route("/api/v5/public/position-tiers")
    def tiers(match: re.Match[str], query: Query) -> bytes:
        names = ("minSz", "maxSz", "mmr", "maxLever")
        return answer(
            [
                dict(zip(names, row, strict=True)) | {"tier": str(i + 1), "instFamily": "BTC-USDT"}
                for i, row in enumerate(OKX_TIERS)
            ]
        )

    @server.route("/api/v5/market/ticker")
    def ticker(match: re.Match[str], query: Query) -> bytes:
        return answer([{"instId": query["instId"], "last": "40000", "ts": str(server.now_ms)}])


def deribit(server: Server) -> None:
    """JSON-RPC over HTTP: hourly interest, a trailing 8 h rate beside it."""

    @server.route("/api/v2/public/(\\w+)")
    def public(match: re.Match[str], query: Query) -> bytes | None:
        first, last = window(query, "start_timestamp", "end_timestamp", server)
        if match[1] == "get_time":
            return dumps({"result": server.now_ms})
        if match[1] == "get_currencies":
            return dumps(
                {
                    "result": [
                        {"currency": "BTC", "fee_precision": 4, "network_fee": 0},
                        {"currency": "USDC", "fee_precision": 4},
                    ]
                }
            )
        if match[1] == "get_instruments":
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
        if match[1] == "get_tradingview_chart_data":
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
        if match[1] == "get_funding_rate_history":
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
        return None


def hyperliquid(server: Server) -> None:
    """One POST address; at most 500 settlements, and the last 5,000 bars."""

    @server.route("/info")
    def info(match: re.Match[str], query: Query) -> bytes | None:
        asked = json.loads(query["body"])
        kind, inner = asked["type"], asked.get("req", asked)
        first, last = (
            inner.get("startTime", 0),
            min(inner.get("endTime", server.now_ms), server.now_ms),
        )
        if kind == "exchangeStatus":
            return dumps({"time": server.now_ms, "specialStatuses": None})
        if kind == "metaAndAssetCtxs":
            return dumps(
                [
                    {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]},
                    [{"markPx": "30000.0", "midPx": "30000.0"}],
                ]
            )
        if kind == "spotMetaAndAssetCtxs":
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
        if kind in ("meta", "spotMeta"):
            return dumps(
                {
                    "universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}],
                    "tokens": [{"name": "USDC", "index": 0}],
                }
            )
        if kind == "perpDexs":
            return dumps([None])
        if kind == "fundingHistory":
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
        if kind == "candleSnapshot":
            which = "perp" if inner["coin"] == "BTC" else "spot"
            found = bars("BTCUSDT", which, max(first, server.now_ms - 5000 * HOUR), last, HOUR)
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
        return None


def dydx(server: Server) -> None:
    """The indexer: ISO instants, newest first, at most 100 rows."""

    @server.route("/v4/time")
    def clock(match: re.Match[str], query: Query) -> bytes:
        return dumps({"iso": iso(server.now_ms), "epoch": server.now_ms / 1000})

    @server.route("/v4/perpetualMarkets")
    def markets(match: re.Match[str], query: Query) -> bytes:
        market = {
            "clobPairId": "0",
            "ticker": "BTC-USD",
            "status": "ACTIVE",
            "tickSize": "1",
            "stepSize": "0.0001",
            "oraclePrice": "30000",
        }
        return dumps({"markets": {"BTC-USD": market}})

    @server.route("/v4/candles/perpetualMarkets/BTC-USD")
    def candles(match: re.Match[str], query: Query) -> bytes:
        first, last = (ms(query[name].rstrip("Z")) for name in ("fromIso", "toIso"))
        found = bars("BTCUSDT", "perp", first, min(last, server.now_ms), HOUR)[
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

    @server.route("/v4/historicalFunding/BTC-USD")
    def funding(match: re.Match[str], query: Query) -> bytes:
        last = min(ms(query["effectiveBeforeOrAt"].rstrip("Z")), server.now_ms)
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


def kraken(server: Server) -> None:
    """Futures: charts by price type, all settlements at once; spot: the last 720 bars."""

    @server.route("/derivatives/api/v3/instruments")
    def instruments(match: re.Match[str], query: Query) -> bytes:
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
                "serverTime": iso(server.now_ms),
            }
        )

    @server.route("/api/charts/v1/(trade|mark|spot)/PF_XBTUSD/1h")
    def charts(match: re.Match[str], query: Query) -> bytes:
        kind = {"trade": "perp", "mark": "mark", "spot": "index"}[match[1]]
        found = bars(
            "BTCUSDT",
            kind,
            int(query["from"]) * 1000,
            min(int(query["to"]) * 1000, server.now_ms),
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

    @server.route(
        "/derivatives/api/v3/historicalfundingrates|/derivatives/api/v4/historicalfundingrates"
    )
    def funding(match: re.Match[str], query: Query) -> bytes:
        times = range(world.LISTED // HOUR * HOUR + HOUR, server.now_ms, HOUR)
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

    @server.route("/0/public/(\\w+)")
    def public(match: re.Match[str], query: Query) -> bytes | None:
        if match[1] == "Time":
            return dumps({"error": [], "result": {"unixtime": server.now_ms // 1000}})
        if match[1] == "AssetPairs":
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
        if match[1] == "OHLC":
            found = bars("BTCUSDT", "spot", server.now_ms - 720 * HOUR, server.now_ms, HOUR)
            found = [row for row in found if row[0] > int(query.get("since", 0)) * 1000]
            rows = [[t // 1000, *(str(x) for x in v[:4]), "0", str(v[4]), 5] for t, v in found]
            return dumps({"error": [], "result": {"XXBTZUSD": rows, "last": 0}})
        return dumps({"error": [], "result": {}})


ALL = {
    "bybit": bybit,
    "okx": okx,
    "deribit": deribit,
    "hyperliquid": hyperliquid,
    "dydx": dydx,
    "kraken": kraken,
}
