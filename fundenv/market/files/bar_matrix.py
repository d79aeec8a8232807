"""The matrix of bars of one symbol, from tables that are on one grid.

A bar in which a leg has no genuine price is HALTED: nothing fills in it, and for valuation
- a spot leg without a price keeps its last genuine close,
- a perpetual without a price takes the mark price of that bar where there is one, else its last
  close,
- missing mark prices are the perpetual's own.
Nothing is interpolated and nothing looks ahead. `Aligned.notes` lists what was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout
from fundenv.market.files.frames import HOUR_NS, floats
from fundenv.market.files.settlements import Settlements

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
