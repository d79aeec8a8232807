"""What the venues publish, generated from `world` in their documented formats; a function a venue,
which adds its routes to a server.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from typing import Any

import pandas as pd

from tests.market.download import world
from tests.market.download.server import Server
from tests.market.download.world import HOUR

MINUTE = 60_000
STEPS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR, "4h": 4 * HOUR}
SYMBOLS = ("BTCUSDT", "ETHUSDT", "OLDUSDT", "NEWUSDT")
_FOLDERS = {
    "klines": "perp",
    "markPriceKlines": "mark",
    "indexPriceKlines": "index",
    "premiumIndexKlines": "premium",
}
_KLINE_HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
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
            f"{pd.Timestamp(t, unit='ms'):%Y-%m-%d %H:%M:%S},{symbol},{1000 + t % 977}.5,{3e7:.1f},,,1.5,0.9\n"
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


def binance_archives(server: Server) -> None:
    pattern = r"/data/(?:futures/um|(?P<spot>spot))/(?P<period>monthly|daily)/(?P<folder>\w+)/(?P<symbol>\w+)/(?:(?P<step>\w+)/)?"
    file = r"(?P=symbol)-\w+-(?P<label>\d{4}-\d\d(?:-\d\d)?)\.zip"
    cache: dict[str, bytes] = {}

    def archive(match: re.Match[str]) -> bytes | None:
        place, label = match.group(0).removesuffix(".CHECKSUM"), match["label"]
        if match["symbol"] not in SYMBOLS or not published(server, match["period"], label):
            return None
        if (match["period"], match["folder"]) in (("daily", "fundingRate"), ("monthly", "metrics")):
            return None
        if place not in cache:
            kind = (
                "spot"
                if match["spot"]
                else {"fundingRate": "funding", "metrics": "metrics"}.get(match["folder"])
                or _FOLDERS[match["folder"]]
            )
            text = binance_csv(kind, match["symbol"], match["step"], label)
            name = place.rsplit("/", 1)[1].replace(".zip", ".csv")
            cache[place] = zipped(name, text) if text is not None else b""
        return cache[place] or None

    @server.route(pattern + file)
    def files(match: re.Match[str], query: dict[str, str]) -> bytes | None:
        return archive(match)

    @server.route(pattern + file + r"\.CHECKSUM")
    def checksums(match: re.Match[str], query: dict[str, str]) -> bytes | None:
        body = archive(match)
        name = match.group(0).rsplit("/", 1)[1].removesuffix(".CHECKSUM")
        return f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode() if body else None

    @server.route("/listing")
    def listing(match: re.Match[str], query: dict[str, str]) -> bytes:
        prefix, marker = query["prefix"], query.get("marker", "")
        found = re.match(pattern, "/" + prefix)
        keys: list[str] = []
        if found:
            freq = "D" if found["period"] == "daily" else "M"
            word = {"fundingRate": "fundingRate", "metrics": "metrics"}.get(
                found["folder"], found["step"]
            )
            for period in pd.period_range(
                "2023-01", pd.Timestamp(server.now_ms, unit="ms").to_period(freq), freq=freq
            ):
                key = f"{found.group(0)[1:]}{found['symbol']}-{word}-{period}.zip"
                match = re.fullmatch(pattern + file, "/" + key)
                first, last = span(str(period))
                traded = last > max(
                    world.LISTED, world.BEGUN.get(found["symbol"], 0)
                ) and first < world.ENDED.get(found["symbol"], last)
                there = (
                    traded
                    and published(server, found["period"], str(period))
                    and found["symbol"] in SYMBOLS
                )
                if key.startswith(prefix) and match and there:
                    keys += [key, key + ".CHECKSUM"]
        keys = [key for key in sorted(keys) if key > marker]
        page, rest = keys[:40], keys[40:]
        items = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in page)
        text = (
            "<?xml"
            f' version="1.0"?><ListBucketResult><IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{items}</ListBucketResult>'
        )
        return text.encode()
