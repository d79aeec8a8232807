"""The paper accounts of one venue. Each poll receives rows, seals bars, makes decisions, steps the
accounts and writes the state.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fundenv.live import records
from fundenv.live.account import Account, Actor
from fundenv.live.errors import LiveError
from fundenv.live.feed import Feed
from fundenv.live.journal import Journal, Record
from fundenv.live.limits import Gate, Limits
from fundenv.live.market import cut, live_market
from fundenv.live.patience import Patience, Waits
from fundenv.live.state import write_state
from fundenv.live.tables import Tables
from fundenv.live.waiting import next_seal, questions
from fundenv.market import DataError, Market
from fundenv.market.download import DownloadError, Missing, Series
from fundenv.market.download.series import DAY_MS, stamp
from fundenv.venues import Venue

JOURNAL = "journal"  # folder, below that of the account


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The definition of an account. The journal holds it, and a restart must give the same.

    Attributes:
        venue: its rules. symbols: perpetuals. agent: name or folder, as the user gave it. settings:
        fields of `EnvConfig`. step: length of a bar. shared: one account over all coins. asked:
        coin -> (venue, symbol) of a spot pair elsewhere. warm_up_days: history before the first
        decision. accept: findings of the plausibility check to accept.
    """

    venue: Venue
    symbols: tuple[str, ...]
    agent: str
    settings: Mapping[str, Any]
    step: str = "1h"
    shared: bool = False
    asked: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    warm_up_days: int = 45
    accept: tuple[str, ...] = ()

    def record(self) -> Record:
        """The record of the plan in the journal."""
        return {
            "venue": self.venue.name,
            "symbols": list(self.symbols),
            "agent": self.agent,
            "settings": dict(self.settings),
            "step": self.step,
            "shared": self.shared,
            "asked": {name: list(pair) for name, pair in self.asked.items()},
        }

    def spot(self, symbol: str) -> tuple[str, str]:
        """(venue, pair) of the spot leg of a coin."""
        return self.asked.get(symbol, (self.venue.prefix, symbol))

    def series(self, feed: Feed) -> list[Series]:
        """The tables of every coin; mark prices where the venue has them."""
        found = []
        for symbol in self.symbols:
            for kind in ("funding", "perp", "spot", "mark"):
                other = (self.asked[symbol],) if kind == "spot" and symbol in self.asked else ()
                step = "" if kind == "funding" else self.step
                each = Series(
                    venue=self.venue.prefix, symbol=symbol, kind=kind, step=step, asked=other
                )
                if feed.covers(each):
                    found.append(each)
                elif kind != "mark":
                    raise LiveError(
                        f"{self.venue.prefix} has no {kind} of {symbol}; name a spot pair of"
                        " another exchange with --spot, or another venue"
                    )
        return found


@dataclass(eq=False)
class Paper:
    """The accounts of one venue in one folder.

    plan: their definition. feed: their source of rows. agent: makes the decisions. limits, waits:
    see `Limits` and `Waits`. log: gets a line for every event.
    """

    plan: Plan
    folder: Path
    feed: Feed
    agent: Actor
    limits: Limits = field(default_factory=Limits)
    waits: Waits = field(default_factory=Waits)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("fundenv.live"))

    def __post_init__(self) -> None:
        self.journal = Journal(self.folder / JOURNAL)
        self.tables = Tables(self.plan.series(self.feed))
        self.account = Account(
            self.agent, self.plan.settings, Gate(self.limits, self.folder), self.journal.append
        )
        self.begin: int | None = None  # close (ms) of the first decision
        self.quotes: list[Record] = []  # what the venue showed after each decision
        self.waiting: list[str] = []
        self.refused = ""
        self._stale = True  # whether bars were sealed that the account does not know
        self._missing: set[str] = set()
        self._said: set[str] = set()
        self._patience = Patience()
        self._open()

    def look(self) -> None:
        """Poll the venue once: receive new rows, and make every decision and step that they allow.
        A failure of the venue is written to the log and the state; the next poll tries again.
        """
        self._said, self.waiting = set(self.waiting), []
        try:
            now = self.feed.clock_ms(self.plan.venue.prefix)
        except DownloadError as error:
            self._wait(f"no time from the exchange: {error}")
            write_state(self, None)
            return
        unheard = self._hear(now)
        self._patience.look(now, unheard)
        self._seal(now)
        if self._stale and self.begin is not None and (self.tables.closed or 0) >= self.begin:
            self._step(now)
        write_state(self, now)

    def close(self) -> None:
        """Release the folder."""
        self.journal.close()

    def market(self, *, judged: bool = True) -> tuple[Market, Market]:
        """The market of the journal with its warm-up, and the rows since the account began.

        judged: run the plausibility check. Raises `DataError`.
        """
        assert self.begin is not None
        whole = live_market(
            self.tables,
            self.plan.venue,
            shared=self.plan.shared,
            accept=self.plan.accept,
            judged=judged,
        )
        return whole, cut(whole, self.begin)

    def reset(self) -> None:
        """Lift the stops that stay, with a record in the journal."""
        self.account.latched = []
        self.journal.append({"kind": "control", "at": records.now_ms(), "reset": True})

    def _open(self) -> None:
        """Read the journal; in a new one write the plan of the account."""
        found = False
        for record in self.journal.read():
            if record["kind"] == "begin":
                found = True
                self._check(record["plan"])
            self._take(record)
        if not found:
            self.journal.append(
                {"kind": "begin", "at": records.now_ms(), "plan": self.plan.record()}
            )

    def _take(self, record: Record) -> list[str]:
        kind = record["kind"]
        if kind == "answer":
            return self.tables.take(record)
        if kind == "seal":
            self.tables.seal(record)
            self._stale = True
            if self.begin is None:
                step = self.account.step_ms
                self.begin = -(-self.tables.closed // step) * step  # type: ignore[operator]
        elif kind == "decision":
            self.account.decisions.append(record)
            self.account.latched = list(record["latched"])
        elif kind == "quote":
            self.quotes.append(record)
        elif kind == "control" and record.get("reset"):
            self.account.latched = []
        return []

    def _check(self, known: Mapping[str, Any]) -> None:
        for name, value in self.plan.record().items():
            if known.get(name) != value:
                raise LiveError(
                    f"{self.folder} holds an account with {name} {_said(known.get(name))}, now"
                    f" {_said(value)}; give the same, or another --out"
                )

    def _hear(self, now: int) -> set[tuple[str, str]]:
        """Request the missing rows, write the answers to the disk, then use them. Returns the
        (symbol, kind) of every series for which the venue did not answer.
        """
        unheard: set[tuple[str, str]] = set()
        since = now - self.plan.warm_up_days * DAY_MS
        since -= since % DAY_MS
        fresh: list[Record] = []
        for series, span in list(questions(self.tables, now, self.waits, since)):
            try:
                for piece, table in self.feed.ask(series, span):
                    fresh.append(records.answer(series, piece, table))
                self._missing.discard(series.folder)
            except Missing as error:
                if series.folder not in self._missing:
                    self.log.warning("%s", error)
                self._missing.add(series.folder)
                self._wait(f"{series.folder}: the venue no longer lists it ({error})")
            except DownloadError as error:
                unheard.add((series.symbol, series.kind))
                self._wait(str(error))
        self.journal.append(*fresh)
        for record in fresh:
            for line in self._take(record):
                self.log.info("%s", line)
        return unheard

    def _seal(self, now: int) -> None:
        record, told = next_seal(self.tables, now, self.waits, self._patience)
        for line in told:
            self._wait(line)
        if record is None:
            return
        self.journal.append(record)
        self._take(record)
        for hole in record["holes"]:
            self.log.warning("sealed without %s: the venue has no such bar", hole)
        for symbol in record["gone"]:
            last = stamp(self.tables.gone[symbol])
            self.log.warning("%s has no bars after %s: left out from there on", symbol, last)

    def _step(self, now: int) -> None:
        assert self.tables.closed is not None
        assert self.begin is not None
        due = self.account.next_decision(self.begin) <= self.tables.closed
        try:
            whole, market = self.market(judged=due or bool(self.refused))
        except DataError as error:  # the checks of files refuse the rows: no trading
            self.refused = str(error)
            self._wait(f"the rows are refused: {error}")
            return
        made = len(self.account.decisions)
        lines = self.account.catch_up(whole, market, self.tables.closed, now)
        self.refused, self._stale = "", False
        for line in lines:
            self.log.info("%s", line)
        if len(self.account.decisions) > made:
            self._look_at_books(len(self.account.decisions) - 1)

    def _look_at_books(self, number: int) -> None:
        """Record the venue's quote right after the decision `number`. `fundenv paper --drift`
        compares the fills that the account assumed with it; the account does not depend on it.
        """
        kept = []
        for symbol in self.tables.active:
            try:
                quote = self.feed.quote(self.plan.venue.prefix, symbol, self.plan.spot(symbol))
            except DownloadError as error:
                self.log.info("no quote after decision %d: %s", number, error)
                continue
            if quote is not None:
                kept.append(records.quote(quote, number))
                for line in quote.problems:
                    self.log.info("quote after decision %d: %s", number, line)
        self.journal.append(*kept)
        self.quotes += kept

    def _wait(self, line: str) -> None:
        """Name what the account waits for: once in the log, and in the state while it waits."""
        self.waiting.append(line)
        if line not in self._said:
            self.log.info("%s", line)


def _said(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
