"""Polls the venues of every perpetual. Their answers are written to the journal, then used for the
rows; conditions that the limits name become alerts.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.monitoring import accounts
from experiments.monitoring.alerts import (
    Alarms,
    Alert,
    AlertLimits,
    Conditions,
    account_conditions,
    market_conditions,
)
from experiments.monitoring.history import History
from experiments.monitoring.notify import Webhook
from experiments.monitoring.rows import Carry, Carrying, Key, Row, carries, compared, row_of
from fundenv.live import Feed, Journal, Quote, records
from fundenv.market.download import DownloadError, Series, Span
from fundenv.market.download.series import DAY_MS

KEPT = 600  # quotes of each perpetual in memory
CALLED = 200  # lines of past alerts in memory
_MINUTE_MS = 60_000
DAYS = 45  # days of settlements that are requested


@dataclass(frozen=True)
class View:
    """The contents of the page at one instant."""

    rows: list[Row]
    carries: list[Carry]
    accounts: list[dict[str, Any]]
    alerts: list[Alert]
    called: list[str]
    problems: list[str]
    looks: int
    looked: int | None


@dataclass(eq=False)
class Watch:
    """The state of the monitor. `look` and `view` may be called from different threads.

    feed: the venues. spots: perpetual -> (venue, pair) of its spot leg, or None. journal: gets
    every answer. papers: folders of paper accounts.
    """

    feed: Feed
    spots: Mapping[Key, tuple[str, str] | None]
    journal: Journal
    limits: AlertLimits = field(default_factory=AlertLimits)
    how: Carrying = field(default_factory=Carrying)
    papers: Sequence[Path] = ()
    webhook: Webhook | None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("fundenv.monitor"))

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self.histories = {key: History() for key in self.spots}
        self.quotes: dict[Key, deque[Quote]] = {key: deque(maxlen=KEPT) for key in self.spots}
        self._ahead: dict[str, int] = {}  # how far a venue's clock is ahead of this machine's, ms
        self._due: dict[Key, int] = {}  # the first announced settlement whose rate is unknown
        self._problems: dict[Key, list[str]] = {}
        self._alarms = Alarms()
        self._called: deque[str] = deque(maxlen=CALLED)
        self._begun = records.now_ms()
        self._looks, self._looked = 0, None if not self.quotes else self._recall()

    def look(self) -> None:
        """Poll all venues at the same time. A failure is shown; the next poll tries again."""
        venues = list(dict.fromkeys(key.venue for key in self.spots))
        with ThreadPoolExecutor(len(venues)) as pool:
            heard = [record for found in pool.map(self._hear, venues) for record in found]
        self.journal.append(*heard)
        with self._lock:
            for record in heard:
                self._take(record)
            self._looks, self._looked = self._looks + 1, records.now_ms()
        self._call()

    def forget(self, days: float) -> None:
        """Delete the files of the journal whose last line is older than `days`."""
        files = sorted(self.journal.folder.glob("[0-9]*.jsonl"))[:-1]
        for path in files:
            if records.now_ms() - path.stat().st_mtime * 1000 > days * DAY_MS:
                path.unlink()

    def view(self) -> View:
        """The present contents of the page."""
        now = records.now_ms()
        own, problems = accounts.read(self.papers, now)
        with self._lock:
            rows = self._rows(now)
            told = [line for lines in self._problems.values() for line in lines]
            return View(
                rows,
                carries(rows, self.spots, self.how),
                own,
                sorted(self._alarms.standing.values(), key=lambda alert: -alert.since),
                list(self._called)[::-1],
                list(dict.fromkeys([*told, *problems])),
                self._looks,
                self._looked,
            )

    def _rows(self, now: int) -> list[Row]:
        found = []
        for key, quotes in self.quotes.items():
            last = next((q for q in reversed(quotes) if q.rate is not None), None)
            age = (now - (self._begun if last is None else last.at)) / 1000.0
            found.append(
                row_of(
                    key,
                    last or Quote(now, *key, base=key.symbol),
                    self.histories[key],
                    now=now + self._ahead.get(key.venue, 0),
                    since=self._since(key, now + self._ahead.get(key.venue, 0)),
                    age=age,
                    patience=self.limits.stale or float("inf"),
                )
            )
        return compared(found)

    def _since(self, key: Key, now: int) -> int | None:
        """The last settlement, ms: a known one, or one announced for an instant in the past."""
        due = self._due.get(key)
        return due if due is not None and due <= now else self.histories[key].last

    def _hear(self, venue: str) -> list[dict[str, Any]]:
        """The records of one venue; none if it does not send its time."""
        found: list[dict[str, Any]] = []
        try:
            clock = self.feed.clock_ms(venue)
        except DownloadError as error:
            self._say(Key(venue, ""), [f"{venue} sends no time, and is not polled: {error}"])
            return found
        self._say(Key(venue, ""), [])
        self._ahead[venue] = clock - records.now_ms()
        for key, spot in self.spots.items():
            if key.venue != venue:
                continue
            problems: list[str] = []
            try:
                quote = self.feed.quote(venue, key.symbol, spot)
                if quote is not None:
                    found.append(records.quote(quote))
                    problems += quote.problems
                found += self._settled(key, clock)
            except DownloadError as error:
                problems.append(str(error))
            self._say(key, problems)
        return found

    def _settled(self, key: Key, now: int) -> list[dict[str, Any]]:
        """Settlements that are not known yet. Raises `DownloadError`."""
        history = self.histories[key]
        since = now - DAYS * DAY_MS if history.last is None else history.last + _MINUTE_MS
        if history.last is not None and now < self._due.get(key, now):
            return []
        series = Series(venue=key.venue, symbol=key.symbol, kind="funding")
        return [
            records.answer(series, piece, table) | {"venue": key.venue}
            for piece, table in self.feed.ask(series, Span(since, now))
            if len(table)
        ]

    def _say(self, key: Key, lines: list[str]) -> None:
        lines = list(dict.fromkeys(lines))
        with self._lock:
            for line in lines:
                if line not in self._problems.get(key, []):
                    self.log.warning("%s", line)
            self._problems[key] = lines

    def _take(self, record: Mapping[str, Any]) -> None:
        if record["kind"] == "quote":
            told = record["quote"]
            quote = Quote(**told | {"problems": tuple(told["problems"])})
            key = Key(quote.venue, quote.symbol)
            if key in self.quotes and quote.told:
                self.quotes[key].append(quote)
                if quote.next is not None:
                    self._due[key] = min(quote.next, self._due.get(key, quote.next))
        elif record["kind"] == "answer":
            key = Key(record["venue"], record["symbol"])
            if key in self.histories:
                rows = [
                    (int(row[0]), float(row[1])) for row in record["rows"] if row[1] is not None
                ]
                newest = max((time for time, _ in rows), default=0)
                self.histories[key].add(rows, keep_from=newest - 2 * DAYS * DAY_MS)
                if self._due.get(key, newest) - _MINUTE_MS <= newest:
                    self._await(key, newest)

    def _await(self, key: Key, newest: int) -> None:
        """Note that a settlement has arrived; the one that was announced last is due next."""
        self._due.pop(key, None)
        announced = self.quotes[key][-1].next if self.quotes[key] else None
        if announced is not None and announced > newest:
            self._due[key] = announced

    def _recall(self) -> int | None:
        """Read the journal; returns when it was written last, ms."""
        last = None
        for record in self.journal.read():
            self._take(record)
            if record["kind"] == "alerts":
                self._alarms.standing = {
                    (each[0], each[1]): Alert(*each) for each in record["standing"]
                }
            last = record.get("at", last)
        return last

    def _call(self) -> None:
        now = records.now_ms()
        own, _ = accounts.read(self.papers, now)
        with self._lock:
            found: Conditions = market_conditions(self._rows(now), self.limits)
            found |= account_conditions(own, self.limits)
            begun, ended = self._alarms.update(found, now)
            standing = [list(alert) for alert in self._alarms.standing.values()]
        if begun or ended:
            self.journal.append({"kind": "alerts", "at": now, "standing": standing})
        for alert, state in [(a, "begins") for a in begun] + [(a, "ends") for a in ended]:
            line = f"{alert.kind}  {alert.what}: {alert.text}"
            self.log.warning("alert %s  %s", state, line)
            with self._lock:
                self._called.append(f"{state} {line}")
            if self.webhook is not None:
                self.webhook.send(alert, state, now)
        if self.webhook is not None:
            for problem in self.webhook.deliver():
                self.log.warning("%s", problem)
