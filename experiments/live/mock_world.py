"""The data of a mock exchange: rows, its own clock, and the faults that are due."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fundenv.market import SymbolFrames


@dataclass
class Fault:
    """A fault that hits the next `times` requests whose address matches.

    kind: "status" (with `status`), "reset", "truncate", "slow" (`seconds`), "page" (HTML in place
    of data), "null", "empty" (no rows), "holes" (nulls inside the rows), "double" (rows twice and
    out of order).
    """

    match: str
    kind: str
    status: int = 500
    times: int = 1
    seconds: float = 0.05


class Table:
    """Rows of one series: times (n,) ms, values (n, c)."""

    def __init__(self, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
        self.times = np.asarray(table["time"].astype("int64")) // 1_000_000
        self.values = table[[c for c in columns if c in table.columns]].to_numpy(float)

    def between(self, first: int, last: int) -> list[tuple[int, list[float]]]:
        """Rows stamped first .. last, both included."""
        a, b = np.searchsorted(self.times, [first, last + 1])
        return [(int(self.times[k]), self.values[k].tolist()) for k in range(a, b)]


@dataclass(eq=False)
class World:
    """The data of the exchange.

    tables: (venue, symbol, kind) -> rows. now_ms: its clock. ticks: iterator; each request for the
    time adds the next value to the clock. hidden: (venue, symbol, kind) -> (from, to, until): rows
    stamped in [from, to) are not sent before `until`. delisted: (venue, symbol) -> instant of its
    last row. faults: those to come. met: number of faults that requests have met. asked: number of
    requests.
    """

    tables: dict[tuple[str, str, str], Table]
    now_ms: int
    ticks: Any = None
    hidden: dict[tuple[str, str, str], list[tuple[int, int, int]]] = field(default_factory=dict)
    delisted: dict[tuple[str, str], int] = field(default_factory=dict)
    spread_bp: dict[str, float] = field(default_factory=lambda: {"perp": 1.0, "spot": 1.0})
    shifts: dict[tuple[str, str], float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    met: int = 0  # faults that requests have met
    asked: int = 0  # requests
    lock: threading.Lock = field(default_factory=threading.Lock)

    def symbols(self, venue: str) -> list[str]:
        """Coins of a venue."""
        return sorted({symbol for own, symbol, _ in self.tables if own == venue})

    def rows(
        self, venue: str, symbol: str, kind: str, first: int, last: int
    ) -> list[tuple[int, list[float]]]:
        """The rows that the venue sends at present."""
        last = min(last, self.now_ms, self.delisted.get((venue, symbol), 2**62) - 1)
        found = self.tables[venue, symbol, kind].between(first, last)
        for start, end, until in self.hidden.get((venue, symbol, kind), []):
            if self.now_ms < until:
                found = [row for row in found if not start <= row[0] < end]
        return found

    def price(self, venue: str, symbol: str, kind: str) -> float:
        """The open of the bar that has begun last."""
        table = self.tables[venue, symbol, kind]
        at = int(np.searchsorted(table.times, self.now_ms, side="right"))
        return float(table.values[max(at - 1, 0), 0])

    def book(self, venue: str, symbol: str, kind: str) -> tuple[float, float]:
        """Best bid and ask around that price."""
        price, half = self.price(venue, symbol, kind), self.spread_bp[kind] / 1e4
        return price * (1.0 - half), price * (1.0 + half)

    def running(self, venue: str, symbol: str) -> tuple[float, int]:
        """The rate that settles next, and when (ms)."""
        table = self.tables[venue, symbol, "funding"]
        at = int(np.searchsorted(table.times, self.now_ms, side="right"))
        at = min(at, len(table.times) - 1)
        rate = float(table.values[at, 0]) + self.shifts.get((venue, symbol), 0.0)
        return rate, int(table.times[at])

    def clock(self) -> int:
        """The time, as an answer to a request; a clock with `ticks` then advances."""
        with self.lock:
            if self.ticks is not None:
                self.now_ms += int(next(self.ticks, 0))
            return self.now_ms

    def fault(self, address: str) -> Fault | None:
        """The fault that hits a request, or None."""
        with self.lock:
            self.asked += 1
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.match, address):
                    fault.times -= 1
                    self.met += 1
                    return fault
        return None


def world_of(
    frames: Mapping[str, Mapping[str, SymbolFrames]], now_ms: int, ticks: Any = None
) -> World:
    """A world over tables: venue -> symbol -> tables."""
    prices = ("open", "high", "low", "close", "volume")
    tables = {}
    for venue, coins in frames.items():
        for symbol, own in coins.items():
            tables[venue, symbol, "funding"] = Table(own.funding, ("rate",))
            for kind in ("perp", "spot", "mark"):
                table = own.perp if kind == "mark" and own.mark is None else getattr(own, kind)
                tables[venue, symbol, kind] = Table(table, prices)
    return World(tables, now_ms, ticks)
