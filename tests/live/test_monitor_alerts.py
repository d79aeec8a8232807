"""The alerts of the monitor: to the webhook, and from paper accounts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from experiments.core.run_folder import RunError
from experiments.monitoring.accounts import read
from experiments.monitoring.alerts import AlertLimits
from experiments.monitoring.notify import Webhook
from tests.live.monitored import FIRST, accounts, watching, world
from tests.live.world import HOUR


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
