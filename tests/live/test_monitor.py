"""The monitor over a mock exchange: its rows and its journal, and venues that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.live.mock_world import Fault
from experiments.monitoring.rows import Key, Row
from tests.live.monitored import COINS, FIRST, SPOTS, VENUES, accounts, watching, world
from tests.live.world import HOUR

BTC = Key("binance", "BTCUSDT")


def by_key(rows: list[Row]) -> dict[Key, Row]:
    return {row.key: row for row in rows}


def test_every_perpetual_has_a_row_with_what_the_venue_shows(tmp_path: Path) -> None:
    made = world()
    with watching(tmp_path, made) as watch:
        watch.look()
        view = watch.view()
    rows = by_key(view.rows)
    assert list(rows) == list(SPOTS)
    assert view.problems == []
    for key, row in rows.items():
        rate, then = made.running(*key)
        assert row.predicted == pytest.approx(1e4 * rate, abs=1e-4)  # 8 h at both venues
        assert row.seconds == pytest.approx((then - made.now_ms) / 1000, abs=60)
        bid, ask = made.book(*key, "perp")
        spot_bid, spot_ask = made.book(*key, "spot")
        assert row.basis == pytest.approx(1e4 * ((bid + ask) / (spot_bid + spot_ask) - 1))
        settled = made.tables[*key, "funding"]
        last = settled.values[settled.times <= made.now_ms][-1, 0]
        assert row.settled == pytest.approx(1e4 * last)
        assert row.z is not None
        assert row.open_interest == pytest.approx(
            (10659.509 if key.venue == "binance" else 8200.5) * made.price(*key, "mark")
        )
    pairs = [[rows[Key(venue, coin)].predicted for venue in VENUES] for coin in COINS]
    apart = sum(one != other for one, other in pairs)
    assert len(view.carries) == len(SPOTS) + apart


def test_what_has_settled_since_is_asked_for_once(tmp_path: Path) -> None:
    made = world()
    with watching(tmp_path, made, spots=FIRST) as watch:
        watch.look()
        before = len(watch.histories[BTC].per_8h()[0])
        made.now_ms += 8 * HOUR
        watch.look()
        asked = made.asked
        watch.look()
        assert len(watch.histories[BTC].per_8h()[0]) == before + 1
        per_look = made.asked - asked
        watch.look()
        assert made.asked - asked == 2 * per_look
        assert per_look <= 2 * 5  # clock, rate, two books, open interest of each perpetual


def test_a_rate_that_a_venue_tells_late_is_asked_for_until_it_comes(tmp_path: Path) -> None:
    made = world()
    with watching(tmp_path, made, spots=FIRST) as watch:
        watch.look()
        due = by_key(watch.view().rows)[BTC].quote.next
        assert due is not None
        made.hidden["binance", "BTCUSDT", "funding"] = [(due - 1, due + 1, due + HOUR)]
        made.now_ms = due + 60_000
        for _ in range(3):
            watch.look()
        row = by_key(watch.view().rows)[BTC]
        assert (row.interval, row.changed) == (8.0, None)
        assert watch.histories[BTC].last == due - 8 * HOUR
        assert [a for a in watch.view().alerts if a.kind == "interval"] == []
        made.now_ms = due + HOUR
        watch.look()
        assert watch.histories[BTC].last == due
        asked = made.asked
        watch.look()
        assert made.asked - asked <= 2 * 5


def test_a_monitor_that_starts_again_knows_what_it_knew(tmp_path: Path) -> None:
    made = world()
    made.shifts["binance", "BTCUSDT"] = 20e-4
    with watching(tmp_path, made, spots=FIRST) as watch:
        watch.look()
        seen = watch.view()
    assert [alert.kind for alert in seen.alerts] == ["rate"]
    asked = made.asked
    with watching(tmp_path, made, spots=FIRST) as again:
        recalled = again.view()
        assert made.asked == asked
        assert [row.z for row in recalled.rows] == [row.z for row in seen.rows]
        assert recalled.alerts == seen.alerts
        again.look()
        assert again.view().called == []  # the alert stands: it is not called again


def test_a_venue_that_fails_is_stale_and_the_others_go_on(tmp_path: Path) -> None:
    made = world()
    there = Key("bybit", "BTCUSDT")
    with watching(tmp_path, made, spots=FIRST) as watch:
        watch.look()
        made.faults.append(Fault(r"/v5/", "status", status=503, times=10**6))
        last = watch.quotes[there].pop()
        watch.quotes[there].append(last._replace(at=last.at - 301_000))
        watch.look()
        view = watch.view()
    assert [(a.kind, a.what) for a in view.alerts] == [("stale", "bybit BTCUSDT")]
    assert any("bybit sends no time" in line for line in view.problems)
    rows = by_key(view.rows)
    assert (rows[there].stale, rows[BTC].stale) == (True, False)
    assert [carry.long for carry in view.carries] == ["binance spot"]


@pytest.mark.parametrize("kind", ["null", "empty", "holes", "page", "reset", "truncate"])
def test_broken_answers_cost_a_look_and_nothing_else(tmp_path: Path, kind: str) -> None:
    made = world()
    with watching(tmp_path, made, spots=FIRST) as watch:
        made.faults.append(Fault("premiumIndex|depth|fundingRate|openInterest", kind, times=6))
        for _ in range(8):
            watch.look()
        view = watch.view()
    assert made.met == 6
    assert view.problems == []
    assert by_key(view.rows)[BTC].z is not None


def test_old_files_of_the_journal_are_deleted_the_last_one_never(tmp_path: Path) -> None:
    with watching(tmp_path, world(), spots=FIRST) as watch:
        watch.look()
        watch.journal.largest = 1
        for _ in range(3):
            watch.look()
        files = sorted((tmp_path / "journal").glob("*.jsonl"))
        watch.forget(1.0)
        assert len(sorted((tmp_path / "journal").glob("*.jsonl"))) == len(files) > 2
        watch.forget(-1.0)
        assert sorted((tmp_path / "journal").glob("*.jsonl")) == files[-1:]


def test_a_paper_account_keeps_the_books_that_followed_each_decision(tmp_path: Path) -> None:
    made = world()
    folder = accounts(tmp_path, made, hours=9) / "binance" / "journal"
    records = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.open()]
    quotes = [record for record in records if record["kind"] == "quote"]
    decisions = [record for record in records if record["kind"] == "decision"]
    assert [(q["number"], q["quote"]["symbol"]) for q in quotes] == [
        (d["number"], symbol) for d in decisions for symbol in COINS[:2]
    ]
    assert all(q["quote"]["bid"] < q["quote"]["ask"] for q in quotes)
