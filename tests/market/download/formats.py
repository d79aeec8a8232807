"""What the venues publish, generated from `world` in their documented formats; a function a venue,
which adds its routes to a server.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pandas as pd

from tests.market.download import world
from tests.market.download.server import Server
from tests.market.download.world import HOUR

MINUTE = 60_000
STEPS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR, "4h": 4 * HOUR}
SYMBOLS = ("BTCUSDT", "ETHUSDT", "OLDUSDT", "NEWUSDT")
FOLDERS = {
    "klines": "perp",
    "markPriceKlines": "mark",
    "indexPriceKlines": "index",
    "premiumIndexKlines": "premium",
}
_KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)
_FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate\n"
_METRICS_HEADER = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,"
    "count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
)


def ms(text: str) -> int:
    return pd.Timestamp(text, tz="UTC").value // 1_000_000


def span(label: str) -> tuple[int, int]:
    """[start, end) of a month or day as archive names spell it."""
    period = pd.Period(label)
    return tuple(p.start_time.tz_localize("UTC").value // 1_000_000 for p in (period, period + 1))


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def zipped(name: str, text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def binance_csv(kind: str, symbol: str, step: str, label: str) -> str | None:
    """One archive's CSV as data.binance.vision has it; None where it publishes none."""
    start, end = span(label)
    if kind == "funding":
        rows = [f"{t + 7},8,{world.rate(t):.8f}\n" for t in world.settlements(symbol, start, end)]
        return _FUNDING_HEADER + "".join(rows) if rows else None
    if kind == "metrics":
        times = world.opens(symbol, "perp", start, end, 5 * MINUTE)
        rows = [
            f"{pd.Timestamp(t, unit='ms'):%Y-%m-%d %H:%M:%S},{symbol},{1000 + t % 977}.5,{3e7:.1f}"
            ",,,1.5,0.9\n"
            for t in times
        ]
        return _METRICS_HEADER + "".join(rows) if rows else None
    width = STEPS[step]
    times = world.opens(symbol, kind, start, end, width)
    if not times:
        return None
    micro = 1000 if kind == "spot" and start >= ms("2025-01-01") else 1
    lines = []
    for t in times:
        o, h, low, c, v = world.bar(kind, t, width)
        closing = (t + width) * micro - 1
        lines.append(f"{t * micro},{o},{h},{low},{c},{v},{closing},0,12,0,0,0\n")
    return ("" if kind == "spot" or start < ms("2023-07-01") else _KLINE_HEADER) + "".join(lines)


def published(server: Server, period: str, label: str) -> bool:
    """Days come out the day after, months some days after their end."""
    days = 1 if period == "daily" else 3
    return span(label)[1] + (days - 1) * 24 * HOUR <= server.now_ms
