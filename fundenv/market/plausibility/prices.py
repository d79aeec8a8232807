"""Prices against each other: a factor, a lag, a spike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fundenv.market.plausibility import limits
from fundenv.market.plausibility.finding import Finding, at
from fundenv.market.plausibility.subject import Compared, Floats, Subject


def factors(subject: Compared) -> Iterator[Finding]:
    """Medians of log(perp / other) over a day, a week and a month."""
    for pair, (known, days) in subject.levels.items():
        for length, limit in limits.FACTOR_DAYS:
            level = _rolling_median(days, length)
            if np.abs(level).max() <= limit:
                continue
            day = int((np.abs(level) > limit).argmax())
            row = known[min(day * subject.bars_a_day, len(known) - 1)]
            yield _factor(subject, pair, float(level[day]), length, limit, int(row))
            break


def _factor(
    subject: Compared, pair: tuple[str, str], level: float, days: int, limit: float, row: int
) -> Finding:
    first, second = pair
    times = float(np.exp(abs(level)))
    more, less = (first, second) if level > 0 else (second, first)
    ten = round(np.log10(times))
    unit = 10.0**ten if ten and abs(np.log10(times) - ten) < 0.02 else 0.0
    if unit:
        remedy = (
            f"one of them counts {unit:,.0f} coins: multiply the prices of the {less} file by"
            f" {unit:,.0f} and divide its volumes by it"
        )
    else:
        remedy = "give both in one quote currency and for one coin, or cut the span off"
    return Finding(
        "factor",
        subject.symbol,
        f"{subject.name(first)} and {subject.name(second)}",
        at(subject.open_ns[row]),
        f"the {more} price is {times:.4g} times the {less} price, median of {days} day(s)",
        f"at most {np.exp(limit):.3g} times",
        remedy,
        refused=True,
    )


def _rolling_median(days: Floats, length: int) -> Floats:
    """Median of `length` days from each day on; of all of them where there are fewer."""
    if len(days) <= length:
        return np.array([np.median(days)])
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(days, length), axis=1))


def lags(subject: Compared) -> Iterator[Finding]:
    """The lag at which the returns of two prices go together, where it is not 0."""
    for pair in subject.pairs:
        one, two = (_returns(subject.close(leg)) for leg in pair)
        size = min(limits.LAG_WINDOW, len(one))
        if size < limits.LAG_LEAST:
            continue
        starts = np.unique(np.r_[np.arange(0, len(one) - size + 1, size), len(one) - size])
        same = np.array([_correlation(one[s : s + size], two[s : s + size]) for s in starts])
        for start in starts[same < limits.LAG_SUSPECT]:
            found = _lag(one, two, int(start), size, subject.step_hours)
            if found:
                yield _lagging(subject, pair, int(start), *found)
                break


def _returns(close: Floats) -> Floats:
    """Log returns (T - 1,) without the weight of single bars; 0 beside a bar that is not
    genuine.
    """
    change = np.diff(close)
    size = np.abs(change)
    moved = size > 0  # False for NaN
    most = 5.0 * np.median(size[moved]) if moved.any() else 0.0
    return np.clip(np.nan_to_num(change), -most, most)


def _correlation(one: Floats, two: Floats) -> float:
    """Of two series of returns, whose mean is next to 0; 1 where one stands still."""
    scale = float(np.dot(one, one) * np.dot(two, two))
    return float(np.dot(one, two)) / scale**0.5 if scale > 0.0 else 1.0


def _lag(
    one: Floats, two: Floats, start: int, size: int, hours: float
) -> tuple[int, float, float] | None:
    """(bars, correlation there, correlation at 0) where `two` follows `one` by a lag."""
    most = max(1, int(limits.LAG_HOURS // hours))
    window = one[start : start + size]
    found = {}
    for shift in range(-most, most + 1):
        low, high = max(0, start + shift), min(len(two), start + size + shift)
        part = slice(low - start - shift, high - start - shift)
        if high - low >= size // 2:
            found[shift] = _correlation(window[part], two[low:high])
    best = max(found, key=lambda shift: found[shift])
    enough = max(limits.LAG_REFUSED, found[0] + limits.LAG_MARGIN)
    return (best, found[best], found[0]) if best and found[best] >= enough else None


def _lagging(
    subject: Compared, pair: tuple[str, str], start: int, bars: int, there: float, here: float
) -> Finding:
    first, second = pair
    hours = abs(bars) * subject.step_hours
    late = second if bars > 0 else first
    return Finding(
        "lag",
        subject.symbol,
        f"{subject.name(first)} and {subject.name(second)}",
        at(subject.open_ns[start]),
        f"the {late} prices come {hours:g} h late: returns correlate {there:.2f} there,"
        f" {here:.2f} at the same bar",
        "the best correlation at the same bar",
        f"write the times of the {late} file in UTC, as the open of each bar ({hours:g} h earlier)",
        refused=True,
    )


def spikes(subject: Subject) -> Iterator[Finding]:
    """Highs and lows beyond everything beside them; closes off the day's level."""
    legs = ("perp", "spot", "mark") if subject.has_mark else ("perp", "spot")
    highs = {leg: subject.log(leg, "high") for leg in legs}
    lows = {leg: subject.log(leg, "low") for leg in legs}
    for leg in legs:
        others = [other for other in legs if other != leg]
        body = np.stack([subject.log(leg, "open"), subject.close(leg)])
        up = highs[leg] - _most([*body, *_beside(highs[leg]), *(highs[o] for o in others)])
        down = -lows[leg] - _most([*-body, *_beside(-lows[leg]), *(-lows[o] for o in others)])
        yield from _spike(subject, leg, "high", up)
        yield from _spike(subject, leg, "low", down)
    for pair in subject.levels:
        yield from _closes(subject, pair)


def _spike(subject: Subject, leg: str, column: str, beyond: Floats) -> Iterator[Finding]:
    refused_from = {
        "mark": limits.SPIKE_MARK_REFUSED,
        "perp": np.inf if subject.has_mark else limits.SPIKE_LAST_REFUSED,
    }.get(leg, np.inf)  # highs and lows of spot enter no price of the account
    rows = np.flatnonzero(beyond > limits.SPIKE_NOTED)
    if len(rows):
        worst = int(rows[beyond[rows].argmax()])
        refused = bool(beyond[worst] > refused_from)
        limit = refused_from if refused else limits.SPIKE_NOTED
        yield _spiked(subject, leg, column, rows, worst, float(beyond[worst]), limit, refused)


def _spiked(
    subject: Subject,
    leg: str,
    column: str,
    rows: NDArray[np.int64],
    worst: int,
    size: float,
    limit: float,
    refused: bool,
) -> Finding:
    price = float(subject.bars.legs[leg][column].iloc[worst])
    when = at(subject.open_ns[worst])
    return Finding(
        "spike",
        subject.symbol,
        subject.name(leg, column),
        at(subject.open_ns[rows[0]]),
        f"{price:.6g} at {when:%Y-%m-%d %H:%M} is {np.expm1(size):.1%} beyond its neighbours and"
        f" the other prices ({len(rows)} such bar(s))",
        f"at most {np.expm1(limit):.0%}",
        "correct the row or remove it"
        + ("" if leg == "mark" else "; a mark file keeps such prices out of the margin"),
        refused,
    )


def _closes(subject: Subject, pair: tuple[str, str]) -> Iterator[Finding]:
    known, days = subject.levels[pair]
    level = np.repeat(days, subject.bars_a_day)[: len(known)]
    off = np.abs(subject.ratio(pair)[known] - level)
    rows = np.flatnonzero(off > limits.SPIKE_CLOSE_NOTED)
    if len(rows):
        worst = rows[off[rows].argmax()]
        refused = bool(off[worst] > limits.SPIKE_CLOSE_REFUSED)
        limit = limits.SPIKE_CLOSE_REFUSED if refused else limits.SPIKE_CLOSE_NOTED
        first, second = pair
        yield Finding(
            "spike",
            subject.symbol,
            f"{subject.name(first, 'close')} and {subject.name(second)}",
            at(subject.open_ns[known[rows[0]]]),
            f"at {at(subject.open_ns[known[worst]]):%Y-%m-%d %H:%M} they stand"
            f" {np.expm1(off[worst]):.1%} off their ratio of the day ({len(rows)} such bar(s))",
            f"at most {np.expm1(limit):.0%}",
            "correct the row or remove it",
            refused,
        )


def _beside(values: Floats) -> tuple[Floats, Floats]:
    """The values of the bar before and of the bar after; NaN at the ends."""
    before, after = np.full_like(values, np.nan), np.full_like(values, np.nan)
    before[1:], after[:-1] = values[:-1], values[1:]
    return before, after


def _most(rows: list[Floats]) -> Floats:
    """Largest of what is known at each place (T,)."""
    out = rows[0]
    for row in rows[1:]:
        out = np.fmax(out, row)
    return out
