"""When funding was settled, at which rate, over which interval; all of it read from the time
stamps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.files.frames import HOUR_NS, SymbolFrames, step_name, times_ns
from fundenv.market.files.schema import DataError

TOLERANCE_NS = 60_000_000_000  # exchanges stamp a settlement some milliseconds late
LONGEST_NS = 8 * HOUR_NS  # no venue here settles less often; a wider spacing is a hole in the file


class Settlements(NamedTuple):
    """K settlements in time order."""

    ns: NDArray[np.int64]  # (K,) instant, on the grid of bars
    rate: NDArray[np.float64]  # (K,) fraction of notional
    # (K,) length of the interval that the settlement closes; NaN for the first one
    hours: NDArray[np.float64]
    price: NDArray[np.float64]  # (K,) mark price published with it, NaN where none was

    def last(self, instant_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the last settlement at or before each instant (T,); -1 where there is none."""
        return np.searchsorted(self.ns, instant_ns, side="right") - 1

    def funded(self, open_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which bars (T,) open less than 8 h after a settlement."""
        last = self.last(open_ns)
        return (last >= 0) & (open_ns - self.ns[last] < LONGEST_NS)


def read_settlements(
    frames: SymbolFrames, open_ns: NDArray[np.int64], bar_ns: int, notes: list[str]
) -> Settlements:
    """Settlements before the end of the grid, those within 60 s of a bar's open moved onto it.

    Settlements inside a bar are summed into the one at its end, which the position held during the
    bar pays as well: rate = sum(rate x price) / price of the last one. The sum is known when the
    bar has closed, later than its first parts were.

    Raises `DataError` where one inside the grid falls on no bar's open and on no whole hour, or two
    fall on one instant.
    """
    table = frames.funding
    stamps = times_ns(table)
    known = stamps <= open_ns[-1] + TOLERANCE_NS
    table, stamps = table[known], stamps[known]
    if not len(stamps):
        raise DataError(
            f"{frames.name('funding')}: no settlement before the last bar; give funding and bars of"
            " the same span"
        )
    instants = _instants(frames, stamps, open_ns, bar_ns)
    hours, holes = _intervals(stamps)
    if holes:
        notes.append(
            f"{holes} spacing(s) of the funding file exceed 8 h; their rates count for the interval"
            " before"
        )
    price = (
        table["mark_price"].to_numpy()
        if "mark_price" in table.columns
        else np.full(len(stamps), np.nan)
    )
    settled = Settlements(instants, table["rate"].to_numpy(), hours, price)
    ends = open_ns[0] + -(-(instants - open_ns[0]) // bar_ns) * bar_ns
    if (ends == instants).all():
        return settled
    notes.append(
        f"{int((ends != instants).sum())} settlement(s) inside bars of {step_name(bar_ns)} are"
        " summed into the one at the bar's end; shorter bars keep them apart"
    )
    return _summed(settled, ends)


def _instants(
    frames: SymbolFrames, stamps: NDArray[np.int64], open_ns: NDArray[np.int64], bar_ns: int
) -> NDArray[np.int64]:
    """Instants (K,) of the stamps: a bar's open or, inside a bar, a whole hour; both within 60
    s.
    """
    opens, hours = (
        start + np.round((stamps - start) / step).astype(np.int64) * step
        for start, step in ((open_ns[0], bar_ns), (0, HOUR_NS))
    )
    on_open, on_hour = (np.abs(stamps - at) <= TOLERANCE_NS for at in (opens, hours))
    inside = stamps >= open_ns[0] - TOLERANCE_NS
    off = inside & ~on_open & ~(on_hour & (bar_ns > HOUR_NS))
    if off.any():
        row = int(off.argmax())
        raise DataError(
            f"{frames.name('funding')}: column time, row {row}: settlement at"
            f" {frames.funding['time'].iloc[row]} falls inside a bar of {step_name(bar_ns)};"
            " expected within 60 s of a bar's open or of a whole hour; use shorter bars"
        )
    instants = np.where(on_open, opens, np.where(on_hour, hours, stamps))
    twice = inside[1:] & (instants[1:] == instants[:-1])
    if twice.any():
        row = int(twice.argmax()) + 1
        raise DataError(
            f"{frames.name('funding')}: column time, row {row}: second settlement"
            f" ({frames.funding['time'].iloc[row]}) at {pd.Timestamp(instants[row])};"
            " expected one; drop the duplicate or use shorter bars"
        )
    return instants


def _summed(settled: Settlements, ends: NDArray[np.int64]) -> Settlements:
    """One settlement for each of the instants `ends` (K,), of all that fall on it."""
    last = np.flatnonzero(np.r_[ends[1:] != ends[:-1], True])
    first = np.r_[0, last[:-1] + 1]
    group = np.repeat(np.arange(len(last)), last - first + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = settled.price / settled.price[last][group]
    weight = np.where(np.isfinite(ratio) & (ratio > 0), ratio, 1.0)
    rate = np.add.reduceat(settled.rate * weight, first)
    return Settlements(ends[last], rate, np.add.reduceat(settled.hours, first), settled.price[last])


def _intervals(stamps: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
    """Hours (K,) that each settlement covers, to the minute, and the number of holes among them."""
    minutes = np.round(np.diff(stamps) / 60e9)
    hours = np.r_[np.nan, minutes / 60.0]
    holes = hours > LONGEST_NS / HOUR_NS
    known = pd.Series(np.where(holes, np.nan, hours)).ffill()
    return np.asarray(known, dtype=np.float64), int(holes.sum())
