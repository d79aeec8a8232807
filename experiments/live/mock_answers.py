"""The answers of a mock exchange, in the form of the documents of Binance and Bybit:
developers.binance.com/docs/derivatives/usds-margined-futures and /docs/binance-spot-api-docs,
bybit-exchange.github.io/docs/v5.
"""

from __future__ import annotations

import re
from typing import Any

from experiments.live.mock_world import World

HOUR_MS = 3_600_000
_KLINES = {"klines": "perp", "markPriceKlines": "mark"}
Query = dict[str, str]


def answer_of(world: World, path: str, query: Query, fault: str) -> Any:
    """The JSON value of an answer; None for an unknown address."""
    if fault == "null":
        return None
    match = re.fullmatch(r"/(fapi/v1|api/v3)/(\w+)", path)
    if match:
        return _binance(world, match[1] == "fapi/v1", match[2], query, fault)
    if path.startswith("/v5/market/"):
        result = _bybit(world, path.removeprefix("/v5/market/"), query, fault)
        return result and {
            "retCode": 0,
            "retMsg": "OK",
            "result": result,
            "retExtInfo": {},
            "time": world.now_ms,
        }
    return None


def _changed(rows: list[Any], fault: str) -> list[Any]:
    """The rows after a fault changed them."""
    if fault == "empty":
        return []
    if fault == "double":
        return [*rows[::-1], *rows]
    return rows


def _shown(values: list[float], fault: str) -> list[str | None]:
    return [None if fault == "holes" and k == 3 else f"{v!r}" for k, v in enumerate(values)]


def _window(query: Query, start: str, end: str) -> tuple[int, int]:
    return int(float(query.get(start) or 0)), int(float(query.get(end) or 2**62))


def _binance(world: World, perp: bool, what: str, query: Query, fault: str) -> Any:
    """USD-M (/fapi/v1) and spot (/api/v3)."""
    if what == "exchangeInfo":
        names = world.symbols("binance")
        return {"timezone": "UTC", "symbols": [_binance_listed(name, perp) for name in names]}
    if what == "time":
        return {"serverTime": world.clock()}
    symbol = query.get("symbol", "")
    if symbol not in world.symbols("binance"):
        return {"code": -1121, "msg": "Invalid symbol."}
    first, last = _window(query, "startTime", "endTime")
    if what == "fundingRate":
        rows = world.rows("binance", symbol, "funding", first - 7, last - 7)
        return _changed(
            [
                {
                    "symbol": symbol,
                    "fundingTime": t + 7,
                    "fundingRate": None if fault == "holes" else f"{v[0]!r}",
                    "markPrice": "1",
                }
                for t, v in rows[: int(query.get("limit", 100))]
            ],
            fault,
        )
    if what == "depth":
        bid, ask = world.book("binance", symbol, "perp" if perp else "spot")
        levels = {"bids": [[f"{bid!r}", "3"]], "asks": [[f"{ask!r}", "2"]]}
        return levels | {"lastUpdateId": 1, "E": world.now_ms, "T": world.now_ms}
    if perp and what == "premiumIndex":
        return _premium_index(world, symbol)
    if perp and what == "openInterest":
        return {"symbol": symbol, "openInterest": "10659.509", "time": world.now_ms}
    if what not in _KLINES:
        return None
    kind = _KLINES[what] if perp else "spot"
    rows = world.rows("binance", symbol, kind, first, last)[: int(query.get("limit", 500))]
    return _changed(
        [
            [t, *_shown([*v, 0.0][:5], fault), t + HOUR_MS - 1, "0", 12, "0", "0", "0"]
            for t, v in rows
        ],
        fault,
    )


def _premium_index(world: World, symbol: str) -> dict[str, Any]:
    rate, then = world.running("binance", symbol)
    mark, index = (world.price("binance", symbol, kind) for kind in ("mark", "spot"))
    return {
        "symbol": symbol,
        "markPrice": f"{mark!r}",
        "indexPrice": f"{index!r}",
        "estimatedSettlePrice": f"{index!r}",
        "lastFundingRate": f"{rate:.8f}",
        "interestRate": "0.00010000",
        "nextFundingTime": then,
        "time": world.now_ms,
    }


def _binance_listed(name: str, perp: bool) -> dict[str, Any]:
    base = name.removesuffix("USDT")
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1e6", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
    ]
    common: dict[str, Any] = {
        "symbol": name,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
    }
    common |= {"filters": filters, "pricePrecision": 2, "quantityPrecision": 3}
    common |= {"baseAssetPrecision": 8, "quotePrecision": 8}
    if perp:
        return common | {
            "pair": name,
            "contractType": "PERPETUAL",
            "marginAsset": "USDT",
            "deliveryDate": 4133404800000,
        }
    return common | {"isSpotTradingAllowed": True, "permissions": ["SPOT"]}


def _bybit(world: World, what: str, query: Query, fault: str) -> Any:
    """v5; newest rows first."""
    if what == "time":
        now = world.clock()
        return {"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)}
    if what == "instruments-info":
        spot = query["category"] == "spot"
        listed = [_bybit_listed(name, spot) for name in world.symbols("bybit")]
        return {"category": query["category"], "list": listed, "nextPageCursor": ""}
    symbol = query.get("symbol", "")
    if symbol not in world.symbols("bybit"):
        return None
    if what == "funding/history":
        first, last = _window(query, "startTime", "endTime")
        rows = world.rows("bybit", symbol, "funding", first, last)
        found = [
            {
                "symbol": symbol,
                "fundingRate": None if fault == "holes" else f"{v[0]!r}",
                "fundingRateTimestamp": str(t),
            }
            for t, v in rows[-int(query.get("limit", 200)) :][::-1]
        ]
        return {"category": "linear", "list": _changed(found, fault)}
    if what == "orderbook":
        bid, ask = world.book("bybit", symbol, "spot" if query["category"] == "spot" else "perp")
        now = world.now_ms
        book = {"s": symbol, "b": [[f"{bid!r}", "3"]], "a": [[f"{ask!r}", "2"]], "ts": now}
        return book | {"u": 1, "seq": 1, "cts": now}
    if what == "tickers":
        return {"category": "linear", "list": [_bybit_ticker(world, symbol)]}
    if what == "open-interest":
        row = {"openInterest": "8200.5", "timestamp": str(world.now_ms)}
        return {"symbol": symbol, "category": "linear", "list": [row], "nextPageCursor": ""}
    kinds = {"mark-price-kline": "mark", "kline": "perp"}
    if what not in kinds:
        return None
    kind = "spot" if query.get("category") == "spot" else kinds[what]
    first, last = _window(query, "start", "end")
    rows = world.rows("bybit", symbol, kind, first, last)[-int(query.get("limit", 200)) :]
    lines = [[str(t), *_shown([*v, 0.0][:5], fault), "0"] for t, v in rows[::-1]]
    return {"list": _changed(lines, fault)}


def _bybit_ticker(world: World, symbol: str) -> dict[str, Any]:
    rate, then = world.running("bybit", symbol)
    bid, ask = world.book("bybit", symbol, "perp")
    return {
        "symbol": symbol,
        "lastPrice": f"{bid!r}",
        "bid1Price": f"{bid!r}",
        "ask1Price": f"{ask!r}",
        "markPrice": f"{world.price('bybit', symbol, 'mark')!r}",
        "indexPrice": f"{world.price('bybit', symbol, 'spot')!r}",
        "openInterest": "8200.5",
        "fundingRate": f"{rate:.8f}",
        "nextFundingTime": str(then),
        "turnover24h": "1e9",
        "volume24h": "1e4",
    }


def _bybit_listed(name: str, spot: bool) -> dict[str, Any]:
    common: dict[str, Any] = {
        "symbol": name,
        "baseCoin": name.removesuffix("USDT"),
        "quoteCoin": "USDT",
    }
    common |= {"status": "Trading", "priceFilter": {"tickSize": "0.01"}}
    if spot:
        lot = {"basePrecision": "0.000001", "quotePrecision": "0.00000001"}
        return common | {"lotSizeFilter": lot | {"minOrderQty": "0.00001", "minOrderAmt": "1"}}
    lot = {"maxOrderQty": "100", "minOrderQty": "0.001", "qtyStep": "0.001"}
    return common | {
        "contractType": "LinearPerpetual",
        "settleCoin": "USDT",
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "fundingInterval": 480,
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "lotSizeFilter": lot | {"minNotionalValue": "5"},
    }
