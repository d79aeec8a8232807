"""Align the tables of one symbol on one grid of bars.

A bar is genuine where both legs traded: its file has the row (all the rows, where bars were
resampled), the volume is not zero and the row is not in `KNOWN_DEFECTS`.
`fundenv.market.files.bar_matrix` describes the values of all other bars.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.files.bar_matrix import DAY_NS, Aligned, lay
from fundenv.market.files.defects import known_bad
from fundenv.market.files.frames import (
    GENERATED,
    SymbolFrames,
    step_name,
    step_ns,
    times_ns,
)
from fundenv.market.files.schema import PRICES, DataError
from fundenv.market.files.settlements import read_settlements


def native_bar_ns(frames: SymbolFrames) -> int:
    """The coarser of the steps of perp and spot, in ns."""
    return max(step_ns(frames.perp, frames.name("perp")), step_ns(frames.spot, frames.name("spot")))


def align(
    frames: SymbolFrames, *, venue: str, bar_ns: int | None = None, volume_required: bool = True
) -> Aligned:
    """Put one symbol on bars of `bar_ns` (default: `native_bar_ns`). `venue` selects the known
    defects of tables whose names say no other.

    Raises `DataError` where bars do not fit, volumes are missing though required, or a settlement
    does not fall on the open of a bar.
    """
    bar_ns = bar_ns or native_bar_ns(frames)
    if bar_ns > DAY_NS or DAY_NS % bar_ns:
        raise DataError(
            f"{frames.symbol}: bars of {step_name(bar_ns)} do not divide a day; choose 1h, 2h, 4h"
            " or 8h"
        )
    notes = list(frames.notes)
    for kind in ("perp", "spot"):
        _check_volume(frames, kind, volume_required, notes)
    phase = _phase(frames, bar_ns)
    perp, spot = (_on_bars(frames, kind, venue, bar_ns, phase, notes) for kind in ("perp", "spot"))
    open_ns = _grid(perp, spot, bar_ns, frames.symbol)
    perp, spot = perp.reindex(open_ns), spot.reindex(open_ns)
    used = frames.mark is not None and _nests(frames, bar_ns, phase, notes)
    mark = _on_bars(frames, "mark", venue, bar_ns, phase, notes) if used else perp.iloc[:0]
    mark = mark.reindex(open_ns)
    if used and mark["close"].isna().any():
        notes.append(
            f"{mark['close'].isna().sum()} bars without a mark price use the perpetual's own"
        )
    settlements = read_settlements(frames, open_ns, bar_ns, notes)
    return lay(
        frames.symbol,
        bar_ns,
        perp=perp,
        spot=spot,
        mark=mark,
        settlements=settlements,
        extras=frames.extras,
        notes=notes,
    )


def _check_volume(frames: SymbolFrames, kind: str, required: bool, notes: list[str]) -> None:
    table = getattr(frames, kind)
    if "volume" in table.columns and table["volume"].notna().all():
        return
    if required:
        what = (
            "column volume is missing"
            if "volume" not in table.columns
            else f"column volume, row {int(table['volume'].isna().argmax())}: empty"
        )
        raise DataError(
            f"{frames.name(kind)}: {what}; capacity and impact need volumes in base units; add them"
            " or pass volume_required=False"
        )
    notes.append(f"the {kind} file lacks volumes; they stand as 0, which means unknown")


def _phase(frames: SymbolFrames, bar_ns: int) -> int:
    """Offset of the bars' opens from midnight UTC: that of a table which already has this step,
    else 0.
    """
    phases = {}
    for kind in ("perp", "spot"):
        table = getattr(frames, kind)
        step = step_ns(table, frames.name(kind))
        if bar_ns % step:
            have, want = step_name(step), step_name(bar_ns)
            raise DataError(
                f"{frames.name(kind)}: bars of {have} cannot make bars of {want}; pass bar={have!r}"
                " or a multiple"
            )
        if step == bar_ns:
            phases[kind] = int(times_ns(table)[0]) % bar_ns
    if len(set(phases.values())) > 1:
        raise DataError(
            f"{frames.symbol}: perp and spot bars of {step_name(bar_ns)} open at different minutes;"
            " shift neither, get shorter bars"
        )
    return next(iter(phases.values()), 0)


def _nests(frames: SymbolFrames, bar_ns: int, phase: int, notes: list[str]) -> bool:
    """Whether bars can be made of the mark prices, which are optional; a note says if not."""
    assert frames.mark is not None
    step = step_ns(frames.mark, frames.name("mark"))
    off = (int(times_ns(frames.mark)[0]) - phase) % step
    if bar_ns % step or off:
        notes.append(
            f"{frames.name('mark')}: mark bars of {step_name(step)} do not nest in bars of"
            f" {step_name(bar_ns)} and are passed over; the perpetual's own prices stand in"
        )
        return False
    return True


def _on_bars(
    frames: SymbolFrames, kind: str, venue: str, bar_ns: int, phase: int, notes: list[str]
) -> pd.DataFrame:
    """Genuine bars of one table, indexed by open_ns: known defects and bars without trades removed,
    shorter bars merged.
    """
    table: pd.DataFrame = getattr(frames, kind)
    step = step_ns(table, frames.name(kind))
    opens, place = times_ns(table), frames.place(kind)
    bad, reasons = known_bad(
        "" if frames.symbol.startswith(GENERATED) else place.venue or venue,
        kind,
        place.symbol,
        step,
        opens,
    )
    notes.extend(f"{kind} bar masked: {reason}" for reason in reasons)
    table = table.assign(volume=table["volume"] if "volume" in table.columns else np.nan)
    keep = ~bad & (table["volume"] != 0.0).to_numpy()
    table, opens = table.loc[keep, [*PRICES, "volume"]], opens[keep]
    if step == bar_ns:
        return table.set_axis(opens, axis=0)
    if bar_ns % step or ((opens - phase) % step).any():
        have, want = step_name(step), step_name(bar_ns)
        raise DataError(
            f"{frames.name(kind)}: bars of {have} do not nest in bars of {want}; give bars that"
            " divide them"
        )
    notes.append(f"{kind} bars of {step_name(step)} merged into {step_name(bar_ns)}")
    groups = table.groupby((opens - phase) // bar_ns * bar_ns + phase)
    merged: pd.DataFrame = groups.agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    return merged[(groups.size() == bar_ns // step).to_numpy()]


def _grid(perp: pd.DataFrame, spot: pd.DataFrame, bar_ns: int, symbol: str) -> NDArray[np.int64]:
    """Opens from the first bar in which both legs are genuine to the last bar up to which both
    files reach.
    """
    both = perp.index.intersection(spot.index)
    if both.empty:
        raise DataError(f"{symbol}: perp and spot have no bar in common; give spans that overlap")
    last = min(int(perp.index[-1]), int(spot.index[-1]))
    return np.arange(int(both[0]), last + 1, bar_ns, dtype=np.int64)
