"""Lay the tables of one symbol on one grid of bars.

A bar is genuine where both legs traded: its file has the row (all the rows, where bars were
resampled), the volume is not zero and the row is not in `KNOWN_DEFECTS`. Any other bar is HALTED:
nothing fills in it, and for valuation
- a spot leg without a price keeps its last genuine close,
- a perpetual without a price takes the mark price of that bar where there is one, else its last
  close,
- missing mark prices are the perpetual's own.
Nothing is interpolated, nothing looks ahead, and whatever was done is told in `Aligned.notes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout
from fundenv.market.files.defects import known_bad
from fundenv.market.files.frames import (
    GENERATED,
    HOUR_NS,
    SymbolFrames,
    floats,
    step_name,
    step_ns,
    times_ns,
)
from fundenv.market.files.schema import PRICES, DataError
from fundenv.market.files.settlements import Settlements, read_settlements

SIGMA_HALF_LIFE_DAYS = 3.0
DAY_NS = 24 * HOUR_NS


@dataclass(frozen=True, eq=False)
class Aligned:
    """One symbol on its grid of T bars.

    Attributes:
        symbol: its name. bar_ns: length of a bar. open_ns: (T,) int64, when each bar opens. bars:
        (T, 16) float64, columns of `fundenv.market.layout`; SIGMA_DAY is NaN until two returns are
        known. basis: (T,) perp close / spot close - 1, the last genuine one on halted bars. spread:
        (T,) (high - low) / close of the perpetual, the last genuine one on halted bars. turnover:
        (T,) spot + perp volume x close of this bar, quote units; 0 where unknown. settlements:
        every settlement of the file that lies before the end of the grid. funded: (T,) False inside
        holes of the funding file. extras: extra columns, name -> table (time, column). legs: perp,
        spot, mark -> bars (T rows: open, high, low, close, ..), NaN where not genuine. notes: what
        was masked, carried or resampled.
    """

    symbol: str
    bar_ns: int
    open_ns: NDArray[np.int64]
    bars: NDArray[np.float64]
    basis: NDArray[np.float64]
    spread: NDArray[np.float64]
    turnover: NDArray[np.float64]
    settlements: Settlements
    funded: NDArray[np.bool_]
    extras: Mapping[str, pd.DataFrame]
    legs: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]

    @property
    def close_ns(self) -> NDArray[np.int64]:
        """(T,) when each bar closes."""
        return self.open_ns + self.bar_ns


def native_bar_ns(frames: SymbolFrames) -> int:
    """The coarser of the steps of perp and spot, in ns."""
    return max(step_ns(frames.perp, frames.name("perp")), step_ns(frames.spot, frames.name("spot")))


def align(
    frames: SymbolFrames, *, venue: str, bar_ns: int | None = None, volume_required: bool = True
) -> Aligned:
    """Put one symbol on bars of `bar_ns` (default: `native_bar_ns`). `venue` selects the known
    defects.

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


def lay(
    symbol: str,
    bar_ns: int,
    *,
    perp: pd.DataFrame,
    spot: pd.DataFrame,
    mark: pd.DataFrame,
    settlements: Settlements,
    extras: Mapping[str, pd.DataFrame],
    notes: Sequence[str],
) -> Aligned:
    """One symbol from bars that are on their grid: tables (T rows, index open_ns) with open, high,
    low, close, volume, NaN where not genuine.
    """
    open_ns = np.asarray(spot.index, dtype=np.int64)
    notes = list(notes)
    bars = _bars(perp, spot, mark, bar_ns)
    _settle(bars, open_ns, settlements)
    _note_halts(open_ns, spot["close"].isna().to_numpy(), perp["close"].isna().to_numpy(), notes)
    basis = floats((perp["close"] / spot["close"] - 1.0).ffill())  # NaN where a leg is not genuine
    spread = floats(((perp["high"] - perp["low"]) / perp["close"]).ffill())
    turnover = floats(
        (perp["volume"] * perp["close"]).fillna(0.0) + (spot["volume"] * spot["close"]).fillna(0.0)
    )
    funded = settlements.funded(open_ns)
    if not funded.all():
        notes.append(
            f"{(~funded).sum()} bars without a settlement in the 8 h before (start or hole of the"
            " funding file) are left out"
        )
    return Aligned(
        symbol,
        bar_ns,
        open_ns,
        bars,
        basis,
        spread,
        turnover,
        settlements,
        funded,
        extras,
        {"perp": perp, "spot": spot, "mark": mark},
        tuple(notes),
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
    """Whether the mark prices, which are optional, can make the bars; told where they cannot."""
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
    opens = times_ns(table)
    bad, reasons = known_bad(
        "" if frames.symbol.startswith(GENERATED) else venue, kind, frames.symbol, step, opens
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


def _bars(
    perp: pd.DataFrame, spot: pd.DataFrame, mark: pd.DataFrame, bar_ns: int
) -> NDArray[np.float64]:
    """The (T, 16) matrix without settlements."""
    halted = (spot["close"].isna() | perp["close"].isna()).to_numpy()
    spot_close = spot["close"].ffill()
    perp_close = perp["close"].fillna(mark["close"]).ffill()
    perp_open = perp["open"].fillna(mark["open"]).fillna(perp_close.shift(1))
    bars = np.zeros((len(spot), layout.N_COLUMNS))
    bars[:, layout.SPOT_OPEN] = spot["open"].fillna(spot_close.shift(1))
    bars[:, layout.SPOT_CLOSE] = spot_close
    bars[:, layout.PERP_OPEN] = perp_open
    bars[:, layout.PERP_CLOSE] = perp_close
    bars[:, layout.MARK_OPEN] = mark["open"].fillna(perp_open)
    bars[:, layout.MARK_CLOSE] = mark["close"].fillna(perp_close)
    bars[:, layout.MARK_HIGH] = (
        mark["high"]
        .fillna(perp["high"])
        .fillna(pd.concat([perp_open, perp_close], axis=1).max(axis=1))
    )
    bars[:, layout.MARK_LOW] = (
        mark["low"]
        .fillna(perp["low"])
        .fillna(pd.concat([perp_open, perp_close], axis=1).min(axis=1))
    )
    day = DAY_NS // bar_ns
    for leg, column, day_column in (
        (spot, layout.SPOT_VOLUME, layout.SPOT_DAY_VOLUME),
        (perp, layout.PERP_VOLUME, layout.PERP_DAY_VOLUME),
    ):
        volume = leg["volume"].fillna(0.0)
        bars[:, column] = np.where(halted, 0.0, volume)
        bars[:, day_column] = (
            volume.rolling(day, min_periods=1).sum().shift(1).fillna(0.0).clip(lower=0.0)
        )
    squared = np.log(spot_close).diff() ** 2
    variance = squared.ewm(halflife=SIGMA_HALF_LIFE_DAYS * day).mean().shift(1) * day
    bars[:, layout.SIGMA_DAY] = np.sqrt(variance)
    bars[:, layout.HALTED] = halted
    return bars


def _settle(
    bars: NDArray[np.float64], open_ns: NDArray[np.int64], settlements: Settlements
) -> None:
    """Write rate and price of each settlement into the bar that opens at its instant."""
    rows = np.searchsorted(open_ns, settlements.ns)
    inside = (rows < len(open_ns)) & (settlements.ns >= open_ns[0])
    rows, price = rows[inside], settlements.price[inside]
    known = np.isfinite(price) & (price > 0)
    bars[rows, layout.SETTLE_RATE] = settlements.rate[inside]
    bars[rows, layout.SETTLE_PRICE] = np.where(known, price, bars[rows, layout.MARK_OPEN])


def _note_halts(
    open_ns: NDArray[np.int64], spot: NDArray[np.bool_], perp: NDArray[np.bool_], notes: list[str]
) -> None:
    for leg, missing in (("spot", spot), ("perp", perp)):
        if missing.any():
            starts = np.flatnonzero(missing & ~np.r_[False, missing[:-1]])
            when = ", ".join(f"{pd.Timestamp(open_ns[row]):%Y-%m-%d %H:%M}" for row in starts[:20])
            more = f" and {len(starts) - 20} more" if len(starts) > 20 else ""
            notes.append(
                f"{missing.sum()} bars in {len(starts)} spans have no genuine {leg} price and are"
                f" halted (from {when}{more})"
            )
