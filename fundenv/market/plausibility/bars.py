"""Each table by itself: bars that change their length, another coin, impossible optional prices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.files.frames import HOUR_NS, floats, step_name, step_ns, times_ns
from fundenv.market.plausibility import limits
from fundenv.market.plausibility.finding import Finding, at
from fundenv.market.plausibility.subject import Floats, Subject

_PRICE_WORDS = ("open", "high", "low", "close", "price")
_SIGNED_WORDS = ("premium", "basis", "rate", "funding", "spread", "change", "return")


def lengths(subject: Subject) -> Iterator[Finding]:
    """Stretches of a bar file whose rows are some steps apart throughout: longer bars, whose closes
    would count as known hours early.
    """
    for leg in ("perp", "spot", "mark"):
        table = getattr(subject.frames, leg)
        if table is None:
            continue
        opens, step = times_ns(table), step_ns(table, subject.name(leg))
        spacing = np.diff(opens) // step
        row, length = _longest_run(spacing)
        if length >= limits.BAR_LENGTH_RUN:
            longer = step_name(int(spacing[row]) * step)
            yield Finding(
                "bar_length",
                subject.symbol,
                f"{subject.name(leg, 'time')}, row {row}",
                at(opens[row]),
                f"{length} bars of {longer} in a file of {step_name(step)}; their closes would"
                " count as known too early",
                "bars of one length",
                f"put the rows of {longer} into a file of their own, or write all of them as"
                f" {longer}",
                refused=True,
            )


def _longest_run(spacing: NDArray[np.int64]) -> tuple[int, int]:
    """First row and length of the longest run of one spacing above 1; (0, 0) where there is
    none.
    """
    if not (spacing > 1).any():
        return 0, 0
    edges = np.flatnonzero(np.r_[True, spacing[1:] != spacing[:-1]])
    sizes = np.diff(np.r_[edges, len(spacing)])
    sizes[spacing[edges] == 1] = 0
    best = int(sizes.argmax())
    return int(edges[best]), int(sizes[best])


def coins(subject: Subject) -> Iterator[Finding]:
    """Bars that open far from the close before and stay there."""
    for leg in ("perp", "spot"):
        table = getattr(subject.frames, leg)
        opens, step = times_ns(table), step_ns(table, subject.name(leg))
        start, close = np.log(floats(table["open"])), np.log(floats(table["close"]))
        jump = np.abs(start[1:] - close[:-1])
        gap = np.diff(opens) // step
        limit = np.where(gap > 1, limits.JUMP_GAP, limits.JUMP_NEIGHBOUR)
        side = max(1, round(limits.JUMP_DAYS * 24 * HOUR_NS / step))
        for row in np.flatnonzero(jump > limit):
            before, after = close[max(0, row + 1 - side) : row + 1], close[row + 1 : row + 1 + side]
            stays = gap[row] > 1 or len(after) >= limits.JUMP_BARS  # one odd bar is a spike
            if stays and abs(np.median(after) - np.median(before)) > limit[row]:
                hours = gap[row] * step / HOUR_NS
                yield _coin(subject, leg, int(row), hours, close[row], start[row + 1], limit[row])
                break


def _coin(
    subject: Subject, leg: str, row: int, hours: float, before: float, after: float, limit: float
) -> Finding:
    table = getattr(subject.frames, leg)
    return Finding(
        "other_coin",
        subject.symbol,
        f"{subject.name(leg, 'open')}, row {row + 1}",
        table["time"].iloc[row + 1],
        f"opens at {np.exp(after):.6g}, {hours:g} h after {np.exp(before):.6g}, and goes on there",
        f"at most {np.exp(limit):.3g} times up or down",
        "another coin or another unit begins: cut the file there and give each part a symbol of"
        " its own",
        refused=True,
    )


def optional(subject: Subject) -> Iterator[Finding]:
    """Prices beside the required ones: of settlements, and extra columns that are named so."""
    funding = subject.frames.funding
    if "mark_price" in funding.columns:
        yield from _impossible(subject, "funding", funding, "mark_price")
    for column, table in subject.frames.extras.items():
        if is_price(column):
            yield from _impossible(subject, column, table, column)


def is_price(column: str) -> bool:
    """Whether the name of an optional column says that it holds a price, which is above 0."""
    words = column.lower().split("_")
    return words[-1] in _PRICE_WORDS and not set(words) & set(_SIGNED_WORDS)


def _impossible(subject: Subject, name: str, table: pd.DataFrame, column: str) -> Iterator[Finding]:
    values: Floats = floats(table[column])
    bad = ~np.isnan(values) & ~(np.isfinite(values) & (values > 0))
    if bad.any():
        row = int(bad.argmax())
        yield Finding(
            "impossible_price",
            subject.symbol,
            f"{subject.name(name, column)}, row {row}",
            table["time"].iloc[row],
            f"{values[row]:g} ({int(bad.sum())} such row(s))",
            "a finite price > 0, or nothing where unknown",
            "leave it empty, correct or drop the column",
            refused=True,
        )
