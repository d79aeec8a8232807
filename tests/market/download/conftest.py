"""The server of each test, and sources that talk to it and do not wait long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fundenv.market.download import Mirrors, Policy, Series, Sources, Store, Updater
from tests.market.download.answers.binance import Binance
from tests.market.download.answers.binance_archives import BinanceArchives
from tests.market.download.server import Server

QUICK = Policy(
    retries=3,
    backoff=0.01,
    longest_wait=5.0,
    timeout=2.0,
    patience=0.3,
    least_rate=2000.0,
    largest=2**20,
    rate=1000.0,
)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    BinanceArchives(server)
    Binance(server)
    yield server
    server.close()


class Desk:
    """A data folder and what fills it."""

    def __init__(
        self,
        server: Server,
        root: Path,
        *,
        names: tuple[str, ...] = ("archives", "rest"),
        policy: Policy = QUICK,
    ) -> None:
        mirrors = Mirrors(
            binance=server.url,
            binance_listing=server.url + "/listing",
            bybit=server.url + "/bybit",
            rest=server.url,
        )
        self.store = Store(root)
        self.sources = Sources(root, policy, mirrors, names)
        self.server = server

    def update(self, series: Series, start: str = "2024-01", **more: object):
        clock = lambda: self.sources.clock_ms(series.venue)[0]  # noqa: E731
        return Updater(self.store, self.sources.all(), clock, **{"jobs": 2} | more).update(
            series, start
        )


@pytest.fixture
def desk(server: Server, tmp_path: Path) -> Desk:
    return Desk(server, tmp_path / "raw")
