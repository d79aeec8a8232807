"""Binance's archive of files, generated from `world`: zipped tables, checksums, a paged listing."""

from __future__ import annotations

import hashlib
import re

import pandas as pd

from tests.market.download import world
from tests.market.download.answers.base import Query, Venue, route
from tests.market.download.formats import FOLDERS, SYMBOLS, binance_csv, published, span, zipped
from tests.market.download.server import Server

PLACE = (
    r"/data/(?:futures/um|(?P<spot>spot))/(?P<period>monthly|daily)/(?P<folder>\w+)"
    r"/(?P<symbol>\w+)/(?:(?P<step>\w+)/)?"
)
FILE = r"(?P=symbol)-\w+-(?P<label>\d{4}-\d\d(?:-\d\d)?)\.zip"
NAMED = {"fundingRate": "funding", "metrics": "metrics"}  # folders without a step


class BinanceArchives(Venue):
    """Tables of a month or a day, none of a span that has not ended."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.cache: dict[str, bytes] = {}

    def archive(self, match: re.Match[str]) -> bytes | None:
        place, label = match.group(0).removesuffix(".CHECKSUM"), match["label"]
        if match["symbol"] not in SYMBOLS or not published(self.server, match["period"], label):
            return None
        if (match["period"], match["folder"]) in (("daily", "fundingRate"), ("monthly", "metrics")):
            return None
        if place not in self.cache:
            folder = match["folder"]
            kind = "spot" if match["spot"] else NAMED.get(folder) or FOLDERS[folder]
            text = binance_csv(kind, match["symbol"], match["step"], label)
            name = place.rsplit("/", 1)[1].replace(".zip", ".csv")
            self.cache[place] = zipped(name, text) if text is not None else b""
        return self.cache[place] or None

    @route(PLACE + FILE)
    def files(self, match: re.Match[str], query: Query) -> bytes | None:
        return self.archive(match)

    @route(PLACE + FILE + r"\.CHECKSUM")
    def checksums(self, match: re.Match[str], query: Query) -> bytes | None:
        body = self.archive(match)
        name = match.group(0).rsplit("/", 1)[1].removesuffix(".CHECKSUM")
        return f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode() if body else None

    def keys(self, prefix: str) -> list[str]:
        """Every file below `prefix` of an ended span in which the symbol was traded."""
        found = re.match(PLACE, "/" + prefix)
        if found is None or found["symbol"] not in SYMBOLS:
            return []
        symbol, folder = found["symbol"], found["folder"]
        word = folder if folder in NAMED else found["step"]
        freq = "D" if found["period"] == "daily" else "M"
        now = pd.Timestamp(self.server.now_ms, unit="ms").to_period(freq)
        keys = []
        for period in pd.period_range("2023-01", now, freq=freq):
            key = f"{found.group(0)[1:]}{symbol}-{word}-{period}.zip"
            first, last = span(str(period))
            begun = last > max(world.LISTED, world.BEGUN.get(symbol, 0))
            traded = begun and first < world.ENDED.get(symbol, last)
            there = traded and published(self.server, found["period"], str(period))
            if there and key.startswith(prefix) and re.fullmatch(PLACE + FILE, "/" + key):
                keys += [key, key + ".CHECKSUM"]
        return keys

    @route("/listing")
    def listing(self, match: re.Match[str], query: Query) -> bytes:
        marker = query.get("marker", "")
        keys = [key for key in sorted(self.keys(query["prefix"])) if key > marker]
        page, rest = keys[:40], keys[40:]
        items = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in page)
        cut = f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>"
        text = f'<?xml version="1.0"?><ListBucketResult>{cut}{items}</ListBucketResult>'
        return text.encode()
