"""The monitor over a mock exchange: what it hears, keeps, shows and calls, and what it survives."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from experiments.core.run_folder import RunError
from experiments.live.mock import MockExchange
from experiments.live.mock_world import Fault
from experiments.monitor import Args, main, serve, spots_of
from experiments.monitoring.accounts import read
from experiments.monitoring.alerts import AlertLimits
from experiments.monitoring.notify import Webhook
from experiments.monitoring.rows import Carrying, Key, Row
from tests.live.monitored import COINS, SPOTS, VENUES, accounts, watching, world
from tests.live.world import HOUR

BTC = Key("binance", "BTCUSDT")
FIRST = {key: SPOTS[key] for key in (BTC, Key("bybit", "BTCUSDT"))}


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any], list[int]]]:
    """(address of a webhook, received alerts, statuses that it answers first)."""
    came: list[Any] = []
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Silent."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = statuses.pop() if statuses else 200
            if status == 200:
                came.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret", came, statuses
    server.shutdown()
    server.server_close()


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


def test_alerts_reach_the_webhook_in_order_and_wait_for_it(
    tmp_path: Path, hook: tuple[str, list[Any], list[int]]
) -> None:
    url, came, statuses = hook
    made = world()
    with watching(tmp_path, made, spots=FIRST, webhook=Webhook(url)) as watch:
        watch.look()
        made.shifts["binance", "BTCUSDT"] = 20e-4
        statuses.append(500)
        watch.look()
        assert came == []
        made.shifts["binance", "BTCUSDT"] = 0.0
        watch.look()
        called = watch.view().called
    assert [(call["kind"], call["state"]) for call in came] == [
        ("rate", "begins"),
        ("rate", "ends"),
    ]
    assert came[0]["text"] == came[0]["content"]
    assert "binance BTCUSDT: predicted +2" in came[0]["text"]
    assert [line.split()[0] for line in called] == ["ends", "begins"]


def test_the_address_of_the_webhook_is_kept_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = world()
    made.shifts["binance", "BTCUSDT"] = 20e-4
    nobody = Webhook("http://127.0.0.1:9/secret")
    with watching(tmp_path, made, spots=FIRST, webhook=nobody) as watch:
        watch.look()
    assert "webhook at 127.0.0.1:9" in caplog.text
    assert "secret" not in caplog.text
    with pytest.raises(RunError, match="expected an address"):
        Webhook("hooks.example")


def test_paper_accounts_are_shown_and_only_read(tmp_path: Path) -> None:
    made = world()
    folder = accounts(tmp_path / "paper", made)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    limits = AlertLimits(margin=10.0)
    with watching(tmp_path, made, spots=FIRST, papers=(folder,), limits=limits) as watch:
        view = watch.view()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    state = json.loads((folder / "binance" / "state.json").read_text())
    shown = [(own["venue"], own["symbols"], own["equity"], own["held"]) for own in view.accounts]
    assert shown == [("binance", own["symbols"], own["equity"], True) for own in state["accounts"]]
    assert all(own["margin_distance"] > 0 for own in view.accounts)


@pytest.mark.parametrize(("hours", "bar", "behind"), [(2.4, 1, 0), (2.6, 1, 2.6), (5, 4, 0)])
def test_an_account_is_behind_when_its_next_bar_is_overdue(
    tmp_path: Path, hours: float, bar: int, behind: float
) -> None:
    leg = {"perp": -1.0, "spot": 1.0}
    own = {"symbols": ["BTCUSDT"], "equity": 1.0, "legs": {"BTCUSDT": leg}}
    state = {"venue": "binance", "agent": "carry", "exchange_time": None, "waiting": []}
    state |= {"written": 10**12, "closed": 10**12 - round(hours * HOUR), "bar_ms": bar * HOUR}
    (tmp_path / "state.json").write_text(json.dumps(state | {"accounts": [own]}))
    found, problems = read([tmp_path], 10**12)
    assert problems == []
    assert [each["behind"] for each in found] == pytest.approx([behind])
    later, _ = read([tmp_path], 10**12 + 10 * HOUR)  # a process that no longer writes
    assert later[0]["behind"] == pytest.approx(hours + 10)


def test_damaged_or_missing_state_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "state.json").write_text("{")
    papers = (tmp_path / "a", tmp_path / "none")
    with watching(tmp_path, world(), spots=FIRST, papers=papers) as watch:
        told = " ".join(watch.view().problems)
    assert "not read" in told
    assert "no paper account there yet" in told


def test_once_prints_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = MockExchange(world())
    main(
        Args(
            venue=("binance", "bybit"),
            symbols=("BTCUSDT", "binance:ETHUSDT"),
            out=tmp_path,
            once=True,
            mirror=server.url,
            rate=1e4,
        )
    )
    server.close()
    text = capsys.readouterr().out
    assert [line.split()[:2] for line in text.splitlines() if " binance " in line][:2] == [
        ["BTC", "binance"],
        ["ETH", "binance"],
    ]
    assert "net of costs and cash" in text


def test_a_venue_without_spot_has_none_unless_it_is_named() -> None:
    args = Args(venue=("dydx",), symbols=("BTC-USD",))
    assert spots_of(args) == {Key("dydx", "BTC-USD"): None}
    named = Args(venue=("dydx",), symbols=("BTC-USD",), spot=("BTC-USD=binance:BTCUSDT",))
    assert spots_of(named) == {Key("dydx", "BTC-USD"): ("binance", "BTCUSDT")}


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


def test_the_page_without_its_extra_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "experiments.monitoring.page", raising=False)
    monkeypatch.setitem(sys.modules, "dash", None)
    with (
        watching(tmp_path, world(), spots=FIRST) as watch,
        pytest.raises(RunError, match=r"dash is not installed; pip install 'fundenv\[monitor\]'"),
    ):
        serve(watch, "127.0.0.1", 0, 1.0)


def test_the_page_is_for_this_machine_alone_unless_asked() -> None:
    assert Args(symbols=("BTCUSDT",)).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"venue": ("binanc",)}, "no interface; there is one for binance"),
        ({"poll": 0.0}, "--poll, --refresh, --keep, --rate: give numbers above 0"),
        ({"port": 70000}, "--port 70000: give 0 .. 65535"),
        ({"symbols": ("bybit:BTCUSDT",)}, "--symbols name none of binance"),
        ({"webhook": "x"}, "--webhook x: expected an address"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    known: dict[str, Any] = {"symbols": ("BTCUSDT",), "out": tmp_path, "once": True}
    with pytest.raises(RunError, match=re.escape(said)) as refused:
        main(Args(**known | given))
    assert "\n" not in str(refused.value)


def test_carries_that_cannot_be_are_refused() -> None:
    with pytest.raises(RunError, match=r"hold = 0.* 0\.1 \.\. 3650"):
        Carrying(hold=0.0)
