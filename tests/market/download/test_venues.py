"""The other venues, each through the real ccxt client: what it publishes arrives, whatever its
pages look like, in this package's units.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundenv.market import load_market
from fundenv.market.download import DownloadError, Series
from tests.market.download import world
from tests.market.download.answers.by_name import OTHERS
from tests.market.download.answers.bybit import Bybit
from tests.market.download.answers.okx import Okx
from tests.market.download.conftest import Desk
from tests.market.download.formats import ms
from tests.market.download.server import Server
from tests.market.download.tables import NOON, expected, same, stored
from tests.market.download.world import HOUR

SYMBOLS = {
    "bybit": "BTCUSDT",
    "okx": "BTCUSDT",
    "deribit": "BTCUSDC",
    "hyperliquid": "BTC",
    "dydx": "BTC-USD",
    "kraken": "BTCUSD",
}
BARS = {
    "bybit": ("perp", "spot", "mark", "index"),
    "okx": ("perp", "spot", "mark", "index"),
    "deribit": ("perp", "spot"),
    "hyperliquid": ("perp",),
    "dydx": ("perp",),
    "kraken": ("perp", "mark", "index"),
}
HOURLY = ("deribit", "hyperliquid", "dydx", "kraken")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def series(venue: str, kind: str, **more: object) -> Series:
    return Series(
        **{
            "venue": venue,
            "symbol": SYMBOLS[venue],
            "kind": kind,
            "step": "" if kind == "funding" else "1h",
        }
        | more
    )


@pytest.fixture(params=OTHERS)
def venue(request: pytest.FixtureRequest, server: Server) -> str:
    OTHERS[request.param](server)
    return str(request.param)


def test_bars_arrive_whole_and_in_order(venue: str, desk: Desk) -> None:
    for kind in BARS[venue]:
        outcome = desk.update(series(venue, kind), "2024-02")
        assert outcome.failures == []
        wanted = expected(kind, "BTCUSDT", "2024-02-01", NOON)
        found = stored(desk, series(venue, kind))
        if kind == "index":
            found.columns = pd.Index([c.removeprefix("index_") for c in found.columns])
            found["time"] -= HOUR
        assert same(found, wanted), kind


def test_settlements_arrive_as_a_fraction_of_the_interval_that_they_close(
    venue: str, desk: Desk
) -> None:
    desk.update(series(venue, "funding"), "2024-01")
    found = stored(desk, series(venue, "funding"))
    hours = 1 if venue in HOURLY else 8
    times = np.arange(ms("2024-01-01"), NOON + 1, hours * HOUR)
    assert np.abs(found["time"].to_numpy() - times).max() < 100
    assert np.allclose(
        found["rate"], [round(world.rate(int(t)) * hours / 8, 14) for t in times], rtol=1e-9
    )


def test_a_venue_loads_by_its_own_rules(venue: str, desk: Desk) -> None:
    for kind in ("funding", "perp", "spot"):
        asked = (
            (("okx", "BTCUSDT"),)
            if kind == "spot" and venue in ("dydx", "kraken", "hyperliquid")
            else ()
        )
        if asked:
            Okx(desk.server)
        assert desk.update(series(venue, kind, asked=asked), "2024-01").failures == []
    market = load_market(desk.store.root, [SYMBOLS[venue]], venue=venue)
    assert market.symbols == ((SYMBOLS[venue],),)
    assert market.venue == venue


def test_the_clock_of_each_venue_is_known(venue: str, desk: Desk) -> None:
    assert abs(desk.sources.clock_ms(venue)[0] - desk.server.now_ms) < 2000


def test_the_bybit_archive_is_put_back_by_three_hours(server: Server, desk: Desk) -> None:
    Bybit(server)
    wanted = series("bybit", "perp")
    desk.update(wanted, "2024-01")
    names = {line.rsplit("BTCUSDT_60_")[1][:7] for line in server.asked("csv.gz$")}
    # January's last hours lie in February's file; March's is not out
    assert names == {"2024-01", "2024-02", "2024-03"}
    assert same(stored(desk, wanted), expected("perp", "BTCUSDT", "2024-01-01", NOON))
    assert any(
        "2024-01-01_2024-01-31.csv.gz" in source
        for source in desk.store.parts(wanted)["2024-01"].sources
    )


def test_a_venue_without_a_spot_market_says_what_to_do(server: Server, desk: Desk) -> None:
    with pytest.raises(
        DownloadError,
        match="dydx has no spot market; name another one's with --spot, such as binance:BTCUSDT",
    ):
        desk.sources.rest.exchange("dydx", spot=True)
    with pytest.raises(
        DownloadError, match="venue 'bitmex': no interface; there is one for binance, bybit"
    ):
        desk.sources.rest.exchange("bitmex")


def test_names_that_fit_several_contracts_are_not_guessed(
    server: Server, desk: Desk, tmp_path: Path
) -> None:
    Okx(server)
    route = next(function for pattern, function in server.routes if pattern.endswith("instruments"))

    def two(match: object, query: dict[str, str]) -> bytes:
        told = json.loads(route(match, query))
        told["data"] += [
            row
            | {
                "instId": "BTC-USDC-SWAP",
                "uly": "BTC-USDC",
                "settleCcy": "USDC",
                "instFamily": "BTC-USDC",
            }
            for row in told["data"]
        ]
        return json.dumps(told).encode()

    server.routes.insert(0, ("/api/v5/public/instruments", two))
    with pytest.raises(
        DownloadError,
        match="okx: BTC may be any of BTC-USDT-SWAP, BTC-USDC-SWAP; give one of these names",
    ):
        desk.sources.rest.exchange("okx").market("BTC")
