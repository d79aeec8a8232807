"""What the answers of all venues share: routes, spans of time, bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from tests.market.download import world
from tests.market.download.server import Server
from tests.market.download.world import HOUR

Query = dict[str, str]


def route(pattern: str) -> Callable[[Any], Any]:
    """Marks the method of a `Venue` that answers addresses of this pattern."""

    def mark(method: Any) -> Any:
        method.pattern = pattern
        return method

    return mark


class Venue:
    """Its methods marked by `route` answer on `server`, the first that matches."""

    def __init__(self, server: Server) -> None:
        self.server = server
        for name, method in vars(type(self)).items():
            if hasattr(method, "pattern"):
                server.routes.append((method.pattern, getattr(self, name)))


def iso(t: int) -> str:
    return f"{pd.Timestamp(t, unit='ms'):%Y-%m-%dT%H:%M:%S}.000Z"


def window(query: Query, start: str, end: str, server: Server) -> tuple[int, int]:
    """[first, last] as a query names them, both included."""
    return int(float(query.get(start) or 0)), min(
        int(float(query.get(end) or server.now_ms)), server.now_ms
    )


def bars(
    symbol: str, kind: str, first: int, last: int, step: int
) -> list[tuple[int, tuple[float, ...]]]:
    """(open, values) of bars that open in [first, last]: the one that is still forming included, as
    venues send it.
    """
    first = max(first, world.LISTED - HOUR)
    return [(t, world.bar(kind, t, step)) for t in world.opens(symbol, kind, first, last + 1, step)]
