"""Late, missing, doubled and ended rows: the account waits and says so, and makes nothing up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from experiments.live.check import check
from fundenv.live import RecordedFeed, read_journal
from fundenv.market.download import DownloadError
from tests.live.world import HOUR, START, coins, ms, paper, recorded, walk

DAY = 24 * HOUR
BOTH = ("BTCUSDT", "ETHUSDT")
SIX = ms("2024-03-02 06:00")


class Clock:
    def __init__(self, now: int = START) -> None:
        self.now_ms = now


class Held:
    """A feed that keeps some rows back until an instant."""

    def __init__(self, inner: RecordedFeed) -> None:
        self.inner, self.held = inner, []

    def hold(self, symbol: str, kind: str, start: int, end: int, until: int = 2**62) -> None:
        self.held.append((symbol, kind, start, end, until))

    def clock_ms(self, venue: str) -> int:
        return self.inner.clock_ms(venue)

    def covers(self, series: Any) -> bool:
        return self.inner.covers(series)

    def quote(self, venue: str, symbol: str, spot: Any) -> None:
        """It holds no books."""

    def ask(self, series: Any, span: Any) -> Any:
        for piece, table in self.inner.ask(series, span):
            for symbol, kind, start, end, until in self.held:
                if (series.symbol, series.kind) == (symbol, kind) and self.inner.now() < until:
                    times = table["time"].to_numpy()
                    table = table[~((times >= start) & (times < end))]
            yield piece, table


def started(folder: Path, agent: str = "carry", **more: Any) -> tuple[Any, Held, Clock]:
    """Two coins at SIX, six hours after the first decision."""
    clock = Clock(SIX - 7 * HOUR)
    feed = Held(recorded(coins(BOTH), clock))  # type: ignore[arg-type]
    own = paper(folder, feed, agent=agent, **more)
    own.look()
    clock.now_ms = SIX + 60_000
    own.look()
    assert own.tables.closed == SIX
    return own, feed, clock


def look(own: Any, clock: Clock, now: int) -> None:
    clock.now_ms = now
    own.look()


def test_a_late_bar_is_waited_for_and_then_used(tmp_path: Path) -> None:
    own, feed, clock = started(tmp_path / "late")
    feed.hold("ETHUSDT", "spot", SIX, SIX + HOUR, until=SIX + 4 * HOUR)
    look(own, clock, SIX + HOUR + 60_000)
    assert own.tables.closed == SIX
    assert own.waiting == [
        "waiting for the bar that closed at 2024-03-02 07:00 of ETHUSDT (last 2024-03-02 06:00)"
    ]
    # the next bar is there, the one before it not yet: it counts as late, not as missing
    look(own, clock, SIX + 2 * HOUR + 60_000)
    assert own.tables.closed == SIX
    assert any("spot bar of ETHUSDT that opened at 2024-03-02 06:00" in t for t in own.waiting)
    look(own, clock, SIX + 4 * HOUR + 60_000)
    assert own.tables.closed == SIX + 4 * HOUR
    assert own.waiting == []
    _same_as_clean(own, clock, tmp_path / "clean")


def _same_as_clean(own: Any, clock: Clock, folder: Path) -> None:
    walk(own, clock, SIX + 2 * DAY, hours=40)  # type: ignore[arg-type]
    other = Clock(SIX - 7 * HOUR)
    clean = paper(folder, recorded(coins(BOTH), other), agent="carry")  # type: ignore[arg-type]
    clean.look()
    look(clean, other, clock.now_ms)
    assert own.account.fingerprint() == clean.account.fingerprint()
    assert len(own.account.steps) > 5


def test_a_bar_that_never_comes_is_halted_as_in_files(tmp_path: Path) -> None:
    own, feed, clock = started(tmp_path)
    feed.hold("ETHUSDT", "perp", SIX, SIX + HOUR)
    feed.hold("ETHUSDT", "mark", SIX, SIX + HOUR)
    look(own, clock, SIX + HOUR + 60_000)
    look(own, clock, SIX + 3 * HOUR)  # it has been missed for less than two hours
    assert own.tables.closed == SIX
    look(own, clock, SIX + 3 * HOUR + 60_000)
    assert own.tables.closed == SIX + 3 * HOUR
    seals = [r for r in read_journal(tmp_path / "journal") if r["kind"] == "seal"]
    assert seals[-1]["holes"] == [
        "ETHUSDT perp 2024-03-02 06:00",
        "ETHUSDT mark 2024-03-02 06:00",
    ]
    # what comes after the seal changes nothing, and is counted
    feed.held.clear()
    frames = own.tables.frames("ETHUSDT")
    assert pd.Timestamp(SIX, unit="ms", tz="UTC") not in set(frames.perp["time"])
    walk(own, clock, SIX + DAY, hours=20)  # type: ignore[arg-type]
    assert "equal the backtest" in check(own, agents.make("carry"))


def test_a_row_after_its_seal_is_kept_in_the_journal_and_changes_nothing(tmp_path: Path) -> None:
    own, _, clock = started(tmp_path)
    walk(own, clock, SIX + DAY, hours=20)  # type: ignore[arg-type]
    before = own.account.fingerprint(), len(own.tables.rows["BTCUSDT", "perp"])
    record = {
        "kind": "answer",
        "at": 0,
        "symbol": "BTCUSDT",
        "series": "perp",
        "from": SIX,
        "to": SIX + HOUR,
        "rows": [[SIX, 1.0, 1.0, 1.0, 1.0, 1.0]],
    }
    own.journal.append(record)
    own.close()
    again = paper(tmp_path, own.feed, agent="carry")
    again.look()
    assert (again.account.fingerprint(), len(again.tables.rows["BTCUSDT", "perp"])) == before
    assert again.tables.rows["BTCUSDT", "perp"].revised == 1


def test_a_bar_that_is_still_forming_is_not_asked_for(tmp_path: Path) -> None:
    own, _, clock = started(tmp_path)
    look(own, clock, SIX + HOUR + 10_000)  # closed, but not for 15 s yet
    assert own.tables.closed == SIX
    asked = [r["to"] for r in read_journal(tmp_path / "journal") if r["kind"] == "answer"]
    assert max(asked) == SIX
    look(own, clock, SIX + HOUR + 15_000)
    assert own.tables.closed == SIX + HOUR


def test_a_missing_settlement_stops_the_account_before_the_hole(tmp_path: Path) -> None:
    own, feed, clock = started(tmp_path)
    eight = SIX + 2 * HOUR
    feed.hold("BTCUSDT", "funding", eight, eight + HOUR)
    look(own, clock, SIX + 2 * HOUR + 60_000)
    assert own.tables.closed == eight  # the settlement belongs to the bar that opens then
    look(own, clock, SIX + 15 * HOUR)
    assert own.tables.closed == eight
    assert any(
        "settlement of BTCUSDT due at 2024-03-02 08:00; the account cannot go on" in line
        for line in own.waiting
    )
    feed.held.clear()
    look(own, clock, SIX + 15 * HOUR + 60_000)
    assert own.tables.closed == SIX + 15 * HOUR


def _four_hours(clock: Clock) -> RecordedFeed:
    """BTC settles every 4 h from SIX on, with halves of the rates."""
    feed = recorded(coins(BOTH), clock)  # type: ignore[arg-type]
    table = feed.tables["BTCUSDT", "funding"]
    times = np.arange(SIX + 2 * HOUR, SIX + 5 * DAY, 4 * HOUR)
    before = table[table["time"] < SIX]
    more = pd.DataFrame({"time": times, "rate": np.full(len(times), 1e-4)})
    feed.tables["BTCUSDT", "funding"] = pd.concat(  # type: ignore[index]
        [before, more], ignore_index=True
    )
    return feed


def test_a_shorter_interval_is_taken_as_it_comes(tmp_path: Path) -> None:
    clock = Clock()
    own = paper(tmp_path, _four_hours(clock), agent="carry")
    walk(own, clock, SIX + 2 * DAY, hours=11)  # type: ignore[arg-type]
    assert own.waiting == []
    paid = own.tables.frames("BTCUSDT").funding
    assert (paid["time"].diff().iloc[-5:] == pd.Timedelta("4h")).all()
    assert "equal the backtest" in check(own, agents.make("carry"))


def test_a_longer_interval_costs_a_wait_and_is_gone_through(tmp_path: Path) -> None:
    clock = Clock()
    feed = _four_hours(clock)
    table = feed.tables["BTCUSDT", "funding"]
    late = SIX + DAY
    kept = (table["time"] < late) | ((table["time"] // HOUR) % 8 == 0)
    feed.tables["BTCUSDT", "funding"] = table[kept]  # type: ignore[index]
    own = paper(tmp_path, feed, agent="carry")
    waited = []
    for hour in (0, 26, 27, 28, 29, 30, 31, 36, 37):
        clock.now_ms = SIX + hour * HOUR + 60_000
        own.look()
        waited += own.waiting
    assert any("waiting for the settlement of BTCUSDT due at" in line for line in waited)
    assert clock.now_ms - own.tables.closed <= 3 * HOUR  # type: ignore[operator]
    assert "equal the backtest" in check(own, agents.make("carry"))


@pytest.mark.parametrize("shared", [False, True], ids=["apart", "joint"])
def test_a_delisted_coin_is_left_out_and_the_other_goes_on(tmp_path: Path, shared: bool) -> None:
    own, feed, clock = started(tmp_path, agent="carry", shared=shared)
    for kind in ("perp", "spot", "mark", "funding"):
        feed.hold("ETHUSDT", kind, SIX + 5 * HOUR, 2**62)
    for hour in (6, 11):
        look(own, clock, SIX + hour * HOUR + 60_000)
        assert own.tables.closed == SIX + 5 * HOUR
        assert own.tables.gone == {}
    look(own, clock, SIX + 12 * HOUR + 60_000)
    assert own.tables.gone == {"ETHUSDT": SIX + 5 * HOUR}
    assert own.tables.closed == SIX + 12 * HOUR
    walk(own, clock, SIX + 3 * DAY, hours=40)  # type: ignore[arg-type]
    assert own.account.standing is not None
    assert own.account.standing.ended.tolist() == ([False] if shared else [False, True])
    feed.held.clear()  # it comes back: no row of it counts any more
    walk(own, clock, SIX + 4 * DAY, hours=40)  # type: ignore[arg-type]
    assert own.tables.active == ["BTCUSDT"]
    assert "equal the backtest" in check(own, agents.make("carry"))


class Failing(Held):
    """A feed whose requests for some series fail."""

    failing = False

    def ask(self, series: Any, span: Any) -> Any:
        if self.failing and series.symbol == "ETHUSDT" and series.kind != "funding":
            raise DownloadError("no connection")
        yield from super().ask(series, span)


def test_a_request_that_fails_is_no_sign_that_a_coin_has_ended(tmp_path: Path) -> None:
    own, feed, clock = started(tmp_path)
    own.feed = failing = Failing(feed.inner)
    failing.failing = True
    for hour in (1, 9, 17, 25):  # asleep for most of a day, and no answer whenever awake
        look(own, clock, SIX + hour * HOUR + 60_000)
        assert own.tables.gone == {}
        assert own.tables.closed == SIX
        assert any("no connection" in line for line in own.waiting)
    failing.failing = False
    look(own, clock, SIX + 25 * HOUR + 120_000)
    assert own.tables.closed == SIX + 25 * HOUR


def test_one_empty_answer_after_a_sleep_is_no_sign_either(tmp_path: Path) -> None:
    own, feed, clock = started(tmp_path)
    for kind in ("perp", "spot", "mark"):
        feed.hold("ETHUSDT", kind, SIX, SIX + 2 * DAY)
    feed.hold("BTCUSDT", "perp", SIX + 3 * HOUR, SIX + 4 * HOUR)
    look(own, clock, SIX + 20 * HOUR)
    assert own.tables.gone == {}
    assert own.tables.closed == SIX
    feed.held.clear()
    look(own, clock, SIX + 20 * HOUR + 60_000)
    assert own.tables.closed == SIX + 20 * HOUR
    assert [r["holes"] for r in read_journal(tmp_path / "journal") if r["kind"] == "seal"][-1] == []
