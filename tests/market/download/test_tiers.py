"""A venue file of today out of the exchange's own answer, which the rest of the package loads by
its path.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path

import pytest

from fundenv.market.download import DownloadError, Policy, Rest, write_tiers
from fundenv.venues import VenueError, load_venue
from tests.market.download.answers.binance import Binance
from tests.market.download.answers.by_name import OTHERS
from tests.market.download.conftest import QUICK
from tests.market.download.server import Server

TODAY = dt.date(2026, 11, 22)


@pytest.fixture
def rest(server: Server) -> Rest:
    server.routes.clear()
    Binance(server)
    for add in OTHERS.values():
        add(server)
    return Rest(QUICK, server.url)


def test_brackets_of_today_follow_the_shipped_ones(rest: Rest, tmp_path: Path) -> None:
    path, notes = write_tiers(rest, "bybit", ("BTCUSDT",), tmp_path, TODAY)
    assert (path.name, notes) == ("bybit_2026-11-22.toml", [])
    venue, shipped = load_venue(path), load_venue("bybit")
    now = venue.brackets("BTCUSDT", TODAY)
    assert [(b.floor, b.max_leverage, b.rate) for b in now] == [
        (0, 100, 0.005),
        (2e6, 90, 0.0056),
        (2.6e6, 80, 0.0062),
    ]
    assert [b.amount for b in now] == pytest.approx(
        [0, 2e6 * 0.0006, 2e6 * 0.0006 + 2.6e6 * 0.0006]
    )
    assert venue.brackets("ETHUSDT", TODAY) == shipped.brackets("ETHUSDT", TODAY)
    assert venue.name == "bybit"
    assert venue.value("execution", "lot_perp", "BTCUSDT") == 0.001
    assert venue.value("execution", "min_notional_perp", "BTCUSDT") == 5.0
    assert venue.value("execution", "lot_spot", "BTCUSDT") == 1e-6
    assert venue.value("fees", "perp_taker") == shipped.value("fees", "perp_taker")
    document = tomllib.loads(path.read_text())
    assert document["tiers"]["BTCUSDT"][0]["source"] == "bybit leverage tiers, asked through ccxt"
    assert document["execution"]["lot_perp"]["BTCUSDT"]["date"] == "2026-11-22"


def test_brackets_counted_in_contracts_become_money(rest: Rest, tmp_path: Path) -> None:
    path, _ = write_tiers(rest, "okx", ("BTCUSDT",), tmp_path, TODAY)
    # a contract is 0.01 BTC, BTC stands at 40,000: the bracket from contract 1,001 on begins at
    # 400,400
    assert [b.floor for b in load_venue(path).brackets("BTCUSDT", TODAY)] == pytest.approx(
        [0, 400_400, 4_000_400]
    )
    assert load_venue(path).value("execution", "lot_perp", "BTCUSDT") == pytest.approx(0.0001)


def test_what_an_exchange_tells_only_to_its_clients_stays_as_shipped_and_is_told(
    rest: Rest, tmp_path: Path
) -> None:
    path, notes = write_tiers(rest, "binance", ("BTCUSDT",), tmp_path, TODAY)
    assert len(notes) == 1
    assert "BTCUSDT: brackets stay those of binance.toml" in notes[0]
    assert "apiKey" in notes[0]
    assert load_venue(path).brackets("BTCUSDT", TODAY) == load_venue("binance").brackets(
        "BTCUSDT", TODAY
    )
    assert load_venue(path).value("execution", "min_notional_perp", "BTCUSDT") == 100.0


def test_fees_are_taken_only_where_the_interface_tells_them(rest: Rest, tmp_path: Path) -> None:
    path, _ = write_tiers(rest, "deribit", ("BTCUSDC",), tmp_path, TODAY)
    document = tomllib.loads(path.read_text())
    assert document["fees"]["perp_taker"]["value"] == 0.0005
    assert (
        document["fees"]["perp_taker"]["source"]
        == "deribit taker_commission of BTC_USDC-PERPETUAL, asked through ccxt"
    )
    bybit, _ = write_tiers(rest, "bybit", ("BTCUSDT",), tmp_path, TODAY)
    assert "fees" not in tomllib.loads(bybit.read_text())


def test_brackets_that_no_venue_file_may_hold_are_refused(
    rest: Rest, server: Server, tmp_path: Path
) -> None:
    server.fault("risk-limit", "edit", change=lambda body: body.replace(b'"0.0062"', b'"0.0001"'))
    # a bracket below the one before is joined with it
    write_tiers(rest, "bybit", ("BTCUSDT",), tmp_path, TODAY)
    assert len(load_venue(tmp_path / "bybit_2026-11-22.toml").brackets("BTCUSDT", TODAY)) == 2
    server.fault("risk-limit", "edit", change=lambda body: body.replace(b'"100.00"', b'"50.00"'))
    with pytest.raises(
        VenueError, match="expected a higher floor, no higher leverage and a higher rate"
    ):
        write_tiers(rest, "bybit", ("BTCUSDT",), tmp_path, TODAY)
    # the one before is still there
    assert len(load_venue(tmp_path / "bybit_2026-11-22.toml").brackets("BTCUSDT", TODAY)) == 2


def test_an_exchange_out_of_reach_is_named(server: Server, tmp_path: Path) -> None:
    rest = Rest(Policy(retries=0, backoff=0.0, timeout=1.0), "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="bybit load_markets: gave up after 1 tries"):
        write_tiers(rest, "bybit", ("BTCUSDT",), tmp_path, TODAY)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_ones_own_holds_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "binance"\n[fees]\nperp_taker = { value = 0.0003, source = "my account", date ='
        ' "2026-11" }\n'
    )
    mine, shipped = load_venue(path), load_venue("binance")
    assert mine.value("fees", "perp_taker") == 0.0003
    assert mine.value("fees", "perp_maker") == shipped.value("fees", "perp_maker")
    assert mine.brackets("BTCUSDT", dt.date(2025, 1, 1)) == shipped.brackets(
        "BTCUSDT", dt.date(2025, 1, 1)
    )
    path.write_text('extends = "bynance"\n')
    with pytest.raises(VenueError, match="extends = 'bynance': expected one of binance"):
        load_venue(path)
