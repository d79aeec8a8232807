"""Which rows are missing, which spans to request, and up to which close bars may be sealed.

A bar is sealed when every coin has it and every settlement that was due before it opened. No row is
invented: the account waits for a missing row, and names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fundenv.live import records
from fundenv.live.journal import Record
from fundenv.live.patience import Patience, Waits
from fundenv.live.tables import Rows, Tables
from fundenv.market.download import Series, Span
from fundenv.market.download.series import HOUR_MS, stamp

_MINUTE_MS = 60_000
_LONGEST_MS = 8 * HOUR_MS  # the market has no path through a longer hole in the settlements


def closed_by(now: int, step: int, waits: Waits) -> int:
    """The last close that is `waits.lag` old, ms."""
    late = now - waits.lag
    return late - late % step


def questions(tables: Tables, now: int, waits: Waits, since: int) -> Iterator[tuple[Series, Span]]:
    """The spans to request: those without rows from `since` (ms) up to `now`."""
    end = closed_by(now, tables.step_ms, waits)
    for symbol in tables.active:
        for rows in _of(tables, symbol):
            start = since if tables.closed is None else tables.closed
            if rows.series.step_ms:
                span = _lacking(rows, start, end, tables.step_ms)
            else:
                slots = rows.slots()
                due = _due(rows, end - tables.step_ms, tables)
                last = int(slots[-1]) + _MINUTE_MS if len(slots) else since
                first = due.before + _MINUTE_MS if due and len(slots) else last
                span = Span(first, end) if rows.asked_to < end or due else None
            if span and span.start < span.end:
                yield rows.series, span


def next_seal(
    tables: Tables, now: int, waits: Waits, patience: Patience
) -> tuple[Record | None, list[str]]:
    """The seal that may be written now, or None, and a sentence for each row that is missing."""
    end = closed_by(now, tables.step_ms, waits)
    reach = {symbol: _last_common(tables, symbol) for symbol in tables.active}
    if not reach or not max(reach.values()):
        return None, [f"no bars yet of {', '.join(tables.active) or 'any coin'}"]
    if tables.closed is not None:
        _count(tables, end, patience)
    newest = max(reach.values())
    gone = [
        symbol
        for symbol, last in reach.items()
        if last
        and last < min(newest, end)
        and patience.waited(symbol, "gone", last, legs=("perp", "spot")) >= waits.gone
    ]
    left = [symbol for symbol in tables.active if symbol not in gone]
    told: list[str] = []
    first = tables.closed if tables.closed is not None else -1
    close = min(end, *(reach[symbol] for symbol in left)) if left else -1
    if close < end:
        slow = [f"{s} (last {stamp(reach[s])})" for s in left if reach[s] < end]
        told.append(f"waiting for the bar that closed at {stamp(end)} of {', '.join(slow)}")
    if tables.closed is None and close < end:
        return None, told  # an account begins at the present, not where a coin has stopped
    while close > first:
        lower, why = _obstacle(tables, left, close, waits, patience)
        if lower is None:
            break
        close = lower if tables.closed is not None else first
        told.append(why)
    if close <= first:
        return None, told
    return records.seal(close, gone, _holes(tables, left, close)), told


def _count(tables: Tables, end: int, patience: Patience) -> None:
    """Count how long each missing bar has been missing, also those at the end of the rows."""
    for symbol in tables.active:
        for rows in _of(tables, symbol):
            if rows.series.step_ms:
                for slot in _absent(rows, _first(tables, symbol), end):
                    patience.waited(symbol, rows.series.kind, slot)


def _first(tables: Tables, symbol: str) -> int:
    """The open from which a coin must have every bar: after the last sealed bar, or its first."""
    if tables.closed is not None:
        return tables.closed
    slots = [rows.slots() for rows in _legs(tables, symbol)]
    return int(min(own[0] for own in slots if len(own)))


def _absent(rows: Rows, start: int, end: int) -> list[int]:
    """Opens of [start, end) without a bar."""
    opens = np.arange(start, end, rows.series.step_ms, dtype=np.int64)
    return [int(slot) for slot in opens[~np.isin(opens, rows.slots())]]


def _of(tables: Tables, symbol: str) -> list[Rows]:
    return [rows for (name, _), rows in tables.rows.items() if name == symbol]


def _legs(tables: Tables, symbol: str) -> list[Rows]:
    return [tables.rows[symbol, kind] for kind in ("perp", "spot")]


def _last_common(tables: Tables, symbol: str) -> int:
    """The last close at which both legs of a coin have a bar; 0 where there is none."""
    perp, spot = (rows.slots() for rows in _legs(tables, symbol))
    both = np.intersect1d(perp, spot)
    return int(both[-1]) + tables.step_ms if len(both) else 0


def _lacking(rows: Rows, start: int, end: int, step: int) -> Span | None:
    """The span from the first to the last open in [start, end) that has no row."""
    missing = _absent(rows, -(-start // step) * step, end)
    return Span(missing[0], missing[-1] + step) if missing else None


def _obstacle(
    tables: Tables, symbols: list[str], close: int, waits: Waits, patience: Patience
) -> tuple[int | None, str]:
    """The last close that can be sealed, and why `close` cannot be; None where it can."""
    step = tables.step_ms
    for symbol in symbols:
        for rows in _of(tables, symbol):
            kind = rows.series.kind
            if not rows.series.step_ms:
                lower, why = _unsettled(rows, close, waits, patience, tables)
                if lower is not None:
                    return lower, why
                continue
            if kind != "mark" and close - step not in rows.slots():  # the grid ends with both legs
                return close - step, f"waiting for the {kind} bar of {symbol} at {stamp(close)}"
            if rows.asked_to < close:
                return close - step, f"waiting for the {kind} bars of {symbol}"
            absent = _absent(rows, _first(tables, symbol), close)
            young = [s for s in absent if patience.waited(symbol, kind, s) < waits.hole]
            if young:
                when = young[0]
                return when, f"waiting for the {kind} bar of {symbol} that opened at {stamp(when)}"
    return None, ""


def _unsettled(
    rows: Rows, close: int, waits: Waits, patience: Patience, tables: Tables
) -> tuple[int | None, str]:
    """As `_obstacle`, for the settlements of one coin up to the open of the bar that ends at
    `close`.
    """
    symbol, step = rows.series.symbol, tables.step_ms
    if rows.asked_to < close:
        return min(close - step, rows.asked_to - rows.asked_to % step), (
            f"waiting for the settlements of {symbol}"
        )
    due = _due(rows, close - step, tables)
    if due is None and tables.closed is None:
        due = _late_start(rows, _first(tables, symbol))
    if due is None:
        return None, ""
    waited = patience.waited(symbol, "funding", due.at)
    if waited >= waits.hole and (not due.hole or tables.closed is None):
        return None, ""
    say = "; the account cannot go on without one every 8 h" if due.hole else ""
    text = f"waiting for the settlement of {symbol} due at {stamp(due.at)}{say}"
    return min(due.at - due.at % step, close - step), text


class _Due(NamedTuple):
    """A missing settlement: when it seems due, the one before it, and whether more than 8 h pass
    without one.
    """

    at: int
    before: int
    hole: bool


def _due(rows: Rows, instant: int, tables: Tables) -> _Due | None:
    """The first missing settlement that seems due at or before `instant` (ms) and is not sealed;
    None where there is none. A settlement seems due one interval after the last one; the interval
    is the time between the last two.
    """
    slots = rows.slots()
    slots = slots[slots <= instant]
    if not len(slots):
        return _Due(instant, instant - _LONGEST_MS, True)
    sealed = 0 if tables.closed is None else tables.closed - tables.step_ms
    for k in range(1, len(slots)):
        own = int(slots[k])
        due = own + min(own - int(slots[k - 1]), _LONGEST_MS)
        following = int(slots[k + 1]) if k + 1 < len(slots) else None
        if following is None and due <= instant:
            return _Due(due, own, instant - own >= _LONGEST_MS)
        if following is not None and following > max(due, sealed):
            return _Due(due, own, following - own > _LONGEST_MS)
    return None


def _late_start(rows: Rows, first: int) -> _Due | None:
    """Before the first seal: a settlement that is missing because the settlements begin long after
    the bars, which begin at `first` (ms).
    """
    slots = rows.slots()
    late = int(slots[0]) - first > 3 * _LONGEST_MS
    return _Due(first + _LONGEST_MS, first, True) if late else None


def _holes(tables: Tables, symbols: list[str], close: int) -> list[str]:
    """The bars that are missing at a seal at `close`, as the journal names them."""
    if tables.closed is None:
        return []
    return [
        f"{symbol} {rows.series.kind} {stamp(slot)}"
        for symbol in symbols
        for rows in _of(tables, symbol)
        if rows.series.step_ms
        for slot in _absent(rows, tables.closed, close)
    ]
