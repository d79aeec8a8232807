"""A monitor over synthetic venues: two exchanges behind a mock, a paper account at one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.live.mock import MockExchange
from experiments.live.mock_world import World, world_of
from experiments.monitoring.rows import Key
from experiments.monitoring.watch import Watch
from fundenv.live import Journal, LiveFeed
from fundenv.market.download import Rest
from tests.live.world import PATIENT, START, coins, paper, walk

COINS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
VENUES = ("binance", "bybit")
SPOTS: dict[Key, tuple[str, str] | None] = {Key(v, s): (v, s) for v in VENUES for s in COINS}
FIRST = {key: SPOTS[key] for key in (Key(venue, COINS[0]) for venue in VENUES)}


def world() -> World:
    """Three coins at two venues, which do not pay alike."""
    tables = {venue: coins(COINS, 10 * k) for k, venue in enumerate(VENUES)}
    made = world_of(tables, START)
    made.spread_bp = {"perp": 0.3, "spot": 0.6}
    for key, shift in {("binance", "BTCUSDT"): 4e-5, ("bybit", "ETHUSDT"): -3e-4}.items():
        made.shifts[key] = shift
    return made


@contextmanager
def watching(folder: Path, made: World, **more: Any) -> Iterator[Watch]:
    """A watch over the mock of a world; `more` goes to `Watch`."""
    server = MockExchange(made)
    journal = Journal(folder / "journal")
    try:
        feed = LiveFeed(Rest(PATIENT, server.url))
        yield Watch(feed, more.pop("spots", SPOTS), journal, **more)
    finally:
        journal.close()
        server.close()


def accounts(folder: Path, made: World, hours: float = 30) -> Path:
    """Paper accounts that have traded for some hours; the world's clock goes on."""
    server = MockExchange(made)
    agent: Any = "carry"
    own = paper(folder / "binance", server.url, symbols=COINS[:2], agent=agent)
    walk(own, made, made.now_ms + round(hours * 3_600_000))
    own.close()
    server.close()
    return folder
