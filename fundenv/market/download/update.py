"""Bring series up to date: for each month request the missing rows from the sources in turn, keep
the rows that pass the checks, and write the month by an atomic rename.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fundenv.market.download.series import (
    DAY_MS,
    DownloadError,
    Missing,
    Series,
    Source,
    Span,
    month_span,
    months,
    stamp,
)
from fundenv.market.download.store import Part, Store
from fundenv.market.download.tables import gaps, join, merge, tidy

# a settlement is published a little after its instant: a younger one is left for the next run
_LATE_MS = 5 * 60_000
# archives are published within this time: a span that no source has by then has no rows
_PUBLISHED_MS = 35 * DAY_MS
_LEAP = 2.0  # larger factors between neighbouring closes mean that two names are different coins


@dataclass
class Outcome:
    """The result of an update of one series.

    written: months that were written; kept: months that were complete before; rows: rows in the
    written months. failures: a line for each failure; the next run tries again. notes: rows that
    were corrected, dropped or are missing.
    """

    series: Series
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    rows: int = 0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Found:
    """One month, fetched."""

    series: Series
    month: str
    table: pd.DataFrame
    sources: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # messages of sources that do not hold the symbol at all
    absent: list[str] = field(default_factory=list)
    answered: list[Span] = field(default_factory=list)
    # spans for which a request to some source failed
    still: list[Span] = field(default_factory=list)
    later: list[Span] = field(default_factory=list)  # spans that no source publishes yet


@dataclass(frozen=True)
class Updater:
    """Fetches series into a store.

    Attributes:
        store: the folder to write to. sources: in the order of requests; a later one fills the gaps
        of the earlier ones. clock_ms: the exchange's time, which decides whether a bar has closed;
        the earlier of it and this machine's counts. jobs: months fetched at a time. stop: called
        between months; True ends the work, and finished months are kept. done: called after each
        month, with its name. waiting: called with the folder if another process works on a series.
    """

    store: Store
    sources: Sequence[Source]
    clock_ms: Callable[[], int] = lambda: int(time.time() * 1000)
    jobs: int = 4
    stop: Callable[[], bool] = lambda: False
    done: Callable[[str], None] = lambda month: None
    waiting: Callable[[str], None] = lambda folder: None

    def update(self, series: Series, start: str, end_ms: int | None = None) -> Outcome:
        """Complete every month of a series from `start` ("2020-01") to `end_ms` (default: now);
        bars that have not closed are left for later.

        Raises `DownloadError` for a start in the future or a damaged manifest. Failures of sources
        are in `Outcome.failures`.
        """
        now = self.clock_ms() - _LATE_MS
        end = min(now, end_ms or now)
        outcome, absent = Outcome(series), list[str]()
        with self.store.lock(series, lambda: self.waiting(series.folder)):
            todo = list(self._todo(series, months(start, end), end, outcome))
            for found, span in self._each(series, todo, now):
                self._keep(series, found, span, outcome)
                absent += found.absent
                self.done(found.month)
            if not any(part.rows for part in self.store.parts(series).values()):
                self.store.forget(series)  # a symbol that no source has leaves no files
                why = absent[-1] if absent else "every source answers without a row"
                outcome.failures = outcome.failures or [
                    f"{series.folder}: no data from {start} on; {why}"
                ]
        return outcome

    def _todo(
        self, series: Series, names: Sequence[str], end: int, outcome: Outcome
    ) -> Iterator[tuple[str, Part | None, Span]]:
        """Months with rows to fetch: name, the part that is stored and undamaged, and the span that
        must be covered.
        """
        parts = self.store.parts(series)
        for month in names:
            part, whole = parts.get(month), month_span(month)
            damage = self.store.damage(series, month, part) if part else ""
            if damage:
                outcome.notes.append(f"{damage}; fetched again")
                part = None
            last = _closed(series, min(end, whole.end))
            if last <= (int(part.covered.timestamp() * 1000) if part else whole.start) or (
                part and part.complete
            ):
                outcome.kept.append(month)
                self.done(month)
            else:
                yield month, part, Span(whole.start, last)

    def _each(
        self, series: Series, todo: Sequence[tuple[str, Part | None, Span]], now: int
    ) -> Iterator[tuple[_Found, Span]]:
        """Fetch `jobs` months at a time, the newest first, so that a symbol without any data is
        noticed early.
        """
        waiting, running = list(todo), dict[Future[_Found], Span]()
        with ThreadPoolExecutor(self.jobs) as pool:
            while running or (waiting and not self.stop()):
                while waiting and len(running) < self.jobs and not self.stop():
                    month, part, span = waiting.pop()
                    running[pool.submit(self._month, series, month, part, span, now)] = span
                for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    span = running.pop(future)
                    yield future.result(), span

    def _month(self, series: Series, month: str, part: Part | None, span: Span, now: int) -> _Found:
        """Request the missing rows of a month from every source in turn."""
        kept = self.store.read(series, month) if part and part.rows else join([], series)
        found = _Found(
            series,
            month,
            kept,
            list(part.sources) if part else [],
            notes=list(part.notes) if part else [],
        )
        span = Span(int(part.covered.timestamp() * 1000), span.end) if part else span
        missing = _missing(found, series, span)
        for origin in series.origins():
            for source in self.sources:
                if missing and source.covers(origin):
                    self._ask(source, origin, missing, found)
                    missing = _missing(found, series, span)
        found.still = [
            gap
            for gap in found.still
            if any(gap.start < m.end and m.start < gap.end for m in missing)
        ]
        unanswered = [gap for gap in missing if _without(gap, found.answered)]
        found.later = [gap for gap in unanswered if gap.end > now - _PUBLISHED_MS]
        if not found.still:
            found.notes += [
                f"no rows {gap}: no source has any" for gap in missing if gap not in found.later
            ]
            found.notes += [
                f"{line}; another source filled in" for line in dict.fromkeys(found.failures)
            ]
        return found

    def _ask(self, source: Source, origin: Series, missing: Sequence[Span], found: _Found) -> None:
        """Fetch the missing spans from one source, and merge the rows that pass the checks."""
        pieces = []
        for gap in missing:
            try:
                pieces += [piece for piece in source.pieces(origin, gap) if piece not in pieces]
            except DownloadError as error:
                _fail(found, source, error, gap)
        for piece in pieces:
            try:
                fresh, notes = tidy(source.fetch(piece), origin, piece.address.rsplit("/", 1)[-1])
                outside = (fresh["time"] < piece.span.start) | (fresh["time"] >= piece.span.end)
                notes += (
                    [f"{piece.address}: {outside.sum()} row(s) outside {piece.span} dropped"]
                    if outside.any()
                    else []
                )
                fresh = fresh[~outside & fresh["time"].between(*_bounds(missing), inclusive="left")]
                joined, differing = merge(found.table, fresh, piece.address)
                _check_seam(found.table, joined, origin, found.series)
                found.table = joined
            except Missing as error:
                found.absent.append(str(error))
                continue
            except DownloadError as error:
                _fail(found, source, error, piece.span)
                continue
            found.answered.append(piece.span)
            found.notes += notes + differing
            found.sources += (
                [piece.address] if len(fresh) and piece.address not in found.sources else []
            )

    def _keep(self, series: Series, found: _Found, span: Span, outcome: Outcome) -> None:
        """Write a month; it is complete if it is over and every relevant source has answered."""
        table = found.table[found.table["time"] < span.end]
        covered = min([span.end, *(gap.start for gap in (*found.still, *found.later))])
        over = span.end == month_span(found.month).end
        described: dict[str, Any] = {
            "sources": found.sources,
            "notes": found.notes,
            "complete": over and not found.still and not found.later,
        }
        part = self.store.write(
            series,
            found.month,
            table,
            covered=dt.datetime.fromtimestamp(covered / 1000, dt.UTC),
            **described,
        )
        outcome.written.append(found.month)
        outcome.rows += part.rows
        outcome.notes += found.notes
        outcome.failures += [line for line in dict.fromkeys(found.failures) if found.still]


def _closed(series: Series, end: int) -> int:
    """The end of the last bar that has closed by `end`; for settlements and snapshots `end`."""
    return end - end % series.step_ms if series.step_ms else end


def _missing(found: _Found, series: Series, span: Span) -> list[Span]:
    """The spans that are still to be requested. Bars: the missing ones. Settlements, whose spacing
    is not known in advance: spans that no source has answered, and wide gaps.
    """
    if series.step_ms or span.start >= span.end:
        return gaps(found.table["time"].to_numpy(), series, span) if span.start < span.end else []
    return sorted(
        {*_without(span, found.answered), *gaps(found.table["time"].to_numpy(), series, span)}
    )


def _without(span: Span, answered: Sequence[Span]) -> list[Span]:
    """The parts of a span that no answer covers."""
    left, at = [], span.start
    for answer in [*sorted(answered), Span(span.end, span.end)]:
        if min(answer.start, span.end) > at:
            left.append(Span(at, min(answer.start, span.end)))
        at = max(at, answer.end)
    return left


def _check_seam(before: pd.DataFrame, joined: pd.DataFrame, origin: Series, series: Series) -> None:
    """Refuse to continue one contract's prices by another's where they differ too much: the coin
    was split, or is another one.
    """
    if origin == series.origins()[0] or "volume" not in joined.columns or before.empty:
        return
    leap = joined["close"].div(joined["close"].shift()).fillna(1.0)
    if ((leap > _LEAP) | (leap < 1 / _LEAP)).any():
        at = joined["time"][(leap > _LEAP) | (leap < 1 / _LEAP)].iloc[0]
        raise DownloadError(
            f"{origin.symbol}'s prices do not continue {series.symbol}'s at {stamp(int(at))};"
            " another coin, or it was split"
        )


def _bounds(missing: Sequence[Span]) -> tuple[int, int]:
    return missing[0].start, max(gap.end for gap in missing)


def _fail(found: _Found, source: Source, error: DownloadError, span: Span) -> None:
    found.failures.append(f"{source.name}: {error}")
    found.still.append(span)
