"""Check and clean the rows of a source: epochs to milliseconds, order, duplicates, impossible bars,
gaps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.download.series import KINDS, DownloadError, Series, Span, stamp
from fundenv.market.files.schema import MAX_FUNDING, PRICES

JITTER_MS = (
    60_000  # exchanges stamp a settlement some milliseconds late; two within a minute are one
)
_FEW_BAD = (
    3  # rows of a table, or one in a hundred, that may be impossible before all of it is refused
)
_ROUNDING = 1e-9  # relative, of a high or low against open and close


def to_ms(stamps: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """Epochs in ms, µs or ns, whose unit follows from their size, as ms. Raises `DownloadError` for
    instants outside 2001 .. 2100.
    """
    out = np.zeros_like(stamps)
    known = np.zeros(len(stamps), dtype=bool)
    for divisor in (1, 1_000, 1_000_000):
        fits = (stamps >= 1e12 * divisor) & (stamps < 4.2e12 * divisor)
        out[fits] = stamps[fits] // divisor
        known |= fits
    if not known.all():
        row = int((~known).argmax())
        raise DownloadError(
            f"{name}: row {row}: epoch {stamps[row]}; expected milliseconds or microseconds since"
            " 1970"
        )
    return out


def tidy(table: pd.DataFrame, series: Series, name: str) -> tuple[pd.DataFrame, list[str]]:
    """A copy with the rows in order and without repetitions, and a sentence for each correction.

    Rows that repeat another one are dropped, and also a few bars with an impossible price or off
    the grid. Raises `DownloadError` where there are many of them, or where two rows of one instant
    differ, because then no row of the table is reliable.
    """
    notes: list[str] = []
    columns = ["time", *(c for c in table.columns if c != "time")]
    out = table[columns].sort_values("time", kind="stable").drop_duplicates(ignore_index=True)
    if (table["time"].to_numpy()[1:] < table["time"].to_numpy()[:-1]).any():
        notes.append(f"{name}: rows were out of order")
    if len(out) < len(table):
        notes.append(f"{name}: {len(table) - len(out)} repeated row(s) dropped")
    out = _one_a_settlement(out) if series.kind == "funding" else out
    times = out["time"].to_numpy()
    twice = times[1:] == times[:-1]
    if twice.any():
        raise DownloadError(
            f"{name}: two different rows at {stamp(int(times[1:][twice][0]))}; the source"
            " contradicts itself"
        )
    bad = _impossible(out, series)
    if series.step_ms:
        bad |= times % series.step_ms != 0
    if bad.sum() > max(_FEW_BAD, len(bad) // 100) or (bad.any() and bad.all()):
        raise DownloadError(
            f"{name}: {int(bad.sum())} of {len(bad)} rows hold no possible value; the format may"
            " have changed"
        )
    if bad.any():
        notes.append(
            f"{name}: {int(bad.sum())} row(s) with an impossible value dropped, the first at"
            f" {stamp(int(times[bad.argmax()]))}"
        )
    return out[~bad].reset_index(drop=True), notes


def _one_a_settlement(table: pd.DataFrame) -> pd.DataFrame:
    """The rows without settlements that repeat another one within a minute."""
    same = (table["time"].diff() <= JITTER_MS) & (table["rate"].diff() == 0.0)
    close = (table["time"].diff() <= JITTER_MS) & ~same & (table["time"].diff() > 0)
    if close.any():
        raise DownloadError(
            f"two different settlements at {stamp(int(table.loc[close, 'time'].iloc[0]))}; the"
            " source contradicts itself"
        )
    return table[~same].reset_index(drop=True)


def _impossible(table: pd.DataFrame, series: Series) -> NDArray[np.bool_]:
    """Which rows (n,) the market would refuse."""
    if series.kind == "funding":
        return ~(table["rate"].abs() <= MAX_FUNDING).to_numpy()
    if series.kind == "metrics":
        return ~(table["open_interest"] > 0).to_numpy()
    opened, high, low, closed = (table[c].to_numpy() for c in PRICES)
    top, bottom = np.maximum(opened, closed), np.minimum(opened, closed)
    room = _ROUNDING * np.maximum(np.abs(top), np.abs(bottom))
    bad = ~np.isfinite(opened + high + low + closed) | (high < top - room) | (low > bottom + room)
    if series.kind != "premium":
        bad |= (opened <= 0) | (high <= 0) | (low <= 0) | (closed <= 0)
    if "volume" in table.columns:
        volume = table["volume"].to_numpy()
        bad |= ~(volume >= 0) | np.isinf(volume)
    return np.asarray(bad, dtype=bool)


def merge(
    kept: pd.DataFrame | None, fresh: pd.DataFrame, name: str
) -> tuple[pd.DataFrame, list[str]]:
    """The rows of both tables in order, and a sentence for differences. Where both have a row, that
    of `kept` stays.
    """
    if kept is None or kept.empty:
        return fresh, []
    both = kept.merge(fresh, on="time", suffixes=("", " fresh"))
    values = [c for c in kept.columns if f"{c} fresh" in both.columns]
    differ = sum(
        ~np.isclose(both[c], both[f"{c} fresh"], rtol=1e-9, equal_nan=True) for c in values
    )
    count = int(np.count_nonzero(differ))
    notes = (
        [f"{name}: {count} row(s) differ from what an earlier source gave, which was kept"]
        if count
        else []
    )
    out = pd.concat([kept, fresh[~fresh["time"].isin(kept["time"])]], ignore_index=True)
    return out.sort_values("time", ignore_index=True), notes


def gaps(times: NDArray[np.int64], series: Series, span: Span) -> list[Span]:
    """The parts of `span` without rows; `times` (n,) int64 ms: those of the rows. For bars a part
    goes from the first missing open to the next one present.
    """
    longest, inside = series.longest_ms, times[(times >= span.start) & (times < span.end)]
    regular = bool(series.step_ms)
    before = span.start - (longest if regular else 1)
    edges = np.r_[before, inside, span.end]
    wide = np.flatnonzero(np.diff(edges) > longest + (0 if regular else JITTER_MS))
    found = [Span(int(edges[i]) + (longest if regular else 1), int(edges[i + 1])) for i in wide]
    return [gap for gap in found if gap.start < gap.end]


def join(tables: Sequence[pd.DataFrame], series: Series) -> pd.DataFrame:
    """All rows of some tables; an empty one with the right columns where there is none."""
    some = [table for table in tables if len(table)]
    if some:
        return pd.concat(some, ignore_index=True)
    empty = {"time": np.zeros(0, np.int64)} | {c: np.zeros(0) for c in KINDS[series.kind].columns}
    return pd.DataFrame(empty)


def stored(table: pd.DataFrame, series: Series) -> pd.DataFrame:
    """A tidy table in its stored form: `time` as UTC datetimes, shifted to the instant from which a
    row is known if the kind says so, and the stored column names.
    """
    layout = KINDS[series.kind]
    out = table.rename(columns={c: layout.prefix + c for c in layout.columns})
    out["time"] = pd.to_datetime(out["time"] + series.shift_ms, unit="ms", utc=True).astype(
        "datetime64[ms, UTC]"
    )
    return out


def unstored(table: pd.DataFrame, series: Series) -> pd.DataFrame:
    """The inverse of `stored`."""
    layout = KINDS[series.kind]
    out = table.rename(columns={layout.prefix + c: c for c in layout.columns})
    out["time"] = out["time"].astype("datetime64[ms, UTC]").astype("int64") - series.shift_ms
    return out
