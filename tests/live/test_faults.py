"""A mock exchange that fails in every way: the account is the one of a sound exchange, and that of
the backtest. The month, the five coins and the fifty kills: `experiments.studies.live_faults`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.live.mock_world import Fault
from experiments.studies import live_faults
from tests.live.world import HOUR, START, exchange, paper, walk

DAY = 24 * HOUR
KLINES = "/(klines|kline)"


def test_thirty_faults_and_thirty_late_rows_change_no_bit(tmp_path: Path) -> None:
    args = live_faults.Args(
        agent="carry",
        venues=("binance", "bybit"),
        symbols=("BTCUSDT", "ETHUSDT"),
        days=3,
        faults=60,
    )
    found = live_faults.study(args, tmp_path)
    for venue in args.venues:
        assert found[venue]["steps"] >= 8
        assert found[venue]["faults"] >= 25
        assert "equal the backtest to the last bit" in found[venue]["check"]


def test_a_process_that_is_killed_three_times_has_the_same_account(tmp_path: Path) -> None:
    args = live_faults.Args(
        agent="carry", venues=("binance",), symbols=("BTCUSDT",), days=3, kills=3
    )
    found = live_faults.study(args, tmp_path)
    assert found["binance"]["steps"] >= 8
    assert "equal the backtest to the last bit" in found["binance"]["check"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 451, "times": 9},
        {"kind": "status", "status": 429, "times": 9},
        {"kind": "null", "times": 9},
        {"kind": "page", "times": 9},
        {"kind": "holes", "times": 9},
        {"kind": "empty", "times": 9},
    ],
    ids=lambda fault: str(fault.get("status", fault["kind"])),
)
@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_a_venue_that_refuses_costs_time_and_nothing_else(
    tmp_path: Path, venue: str, fault: dict[str, Any]
) -> None:
    server = exchange(["BTCUSDT"], [venue])
    world = server.world
    own = paper(tmp_path, server.url, ["BTCUSDT"], "carry", venue)
    own.look()
    begun = own.tables.closed
    assert begun == START - HOUR // 2
    world.now_ms += 2 * HOUR
    world.faults.append(Fault(KLINES, **fault))
    own.look()
    assert world.met > 0
    assert own.tables.closed == begun
    assert own.waiting  # it says so
    world.faults.clear()
    own.look()
    assert own.tables.closed == begun + 2 * HOUR
    assert own.waiting == []
    own.close()
    server.close()


def test_an_exchange_that_does_not_tell_its_time_is_not_acted_on(tmp_path: Path) -> None:
    server = exchange(["BTCUSDT"])
    own = paper(tmp_path, server.url, ["BTCUSDT"], "carry")
    own.look()
    begun = own.tables.closed
    server.world.now_ms += 5 * HOUR
    server.world.faults.append(Fault("/time", "status", status=500, times=9))
    own.look()
    assert own.tables.closed == begun
    assert "no time from the exchange" in own.waiting[0]
    server.close()


def test_a_clock_that_goes_back_and_a_machine_that_sleeps(tmp_path: Path) -> None:
    server = exchange(["BTCUSDT"])
    own = paper(tmp_path, server.url, ["BTCUSDT"], "carry")
    walk(own, server.world, START + DAY)
    closed = own.tables.closed
    server.world.now_ms -= 3 * HOUR
    own.look()
    assert own.tables.closed == closed
    server.world.now_ms += 2 * DAY  # asleep
    own.look()
    assert len(own.account.steps) == 8
    late = [r for r in own.account.decisions if r["heard"] - r["close"] > 12 * HOUR]
    assert len(late) >= 3  # made when the machine woke, and marked by the time they were made
    server.close()


def test_an_unknown_symbol_is_said_with_its_neighbours(tmp_path: Path) -> None:
    server = exchange(["BTCUSDT"])
    own = paper(tmp_path, server.url, ["BTCUSDX"], "carry")
    own.look()
    assert "no linear perpetual BTCUSDX" in " ".join(own.waiting)
    assert "near: BTCUSDT" in " ".join(own.waiting)
    server.close()


@pytest.mark.parametrize("kind", ["null", "empty", "holes", "status"])
@pytest.mark.parametrize("what", ["markPriceKlines", "fundingRate", "fapi/v1/klines"])
def test_an_account_does_not_begin_on_half_a_history(tmp_path: Path, what: str, kind: str) -> None:
    server = exchange(["BTCUSDT"])
    own = paper(tmp_path, server.url, ["BTCUSDT"], "carry")
    server.world.faults.append(Fault(what, kind, times=2))
    own.look()
    assert server.world.met > 0
    assert own.tables.closed is None
    assert own.waiting
    server.world.faults.clear()
    server.world.now_ms += 60_000
    own.look()
    assert own.tables.closed == START - HOUR // 2
    lengths = {len(rows) for rows in own.tables.rows.values() if rows.series.step_ms}
    assert len(lengths) == 1
    own.close()
    server.close()
