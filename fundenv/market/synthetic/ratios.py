"""Bars as ratios, so that pieces of a history can be cut out, changed and laid one behind another,
and a market be built of them again.

A cut history keeps its returns, basis, ranges and volumes in money; price levels follow from the
start. What a market does not hold, the range of the perpetual's last price, is taken from the mark
price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout as c
from fundenv.market.build import assemble
from fundenv.market.files.bar_matrix import Aligned, lay
from fundenv.market.files.frames import HOUR_NS
from fundenv.market.files.settlements import LONGEST_NS, Settlements
from fundenv.market.join import joint
from fundenv.market.market import Market
from fundenv.market.split import SplitError
from fundenv.market.table import NAMES
from fundenv.venues import Rulebook, Venue

Array = NDArray[np.float64]
PRICES = [
    c.SPOT_OPEN,
    c.SPOT_CLOSE,
    c.PERP_OPEN,
    c.PERP_CLOSE,
    c.MARK_OPEN,
    c.MARK_HIGH,
    c.MARK_LOW,
    c.MARK_CLOSE,
    c.SETTLE_PRICE,
]
_BAR_PRICES = PRICES[:-1]
VOLUMES = [c.SPOT_VOLUME, c.PERP_VOLUME]


class TapeError(SplitError):
    """A history that cannot be cut or laid so; the message says why and what would do."""


def whole_venues(market: Market) -> None:
    """Raise `TapeError` where a venue of the market fails: its rows are no history to cut up."""
    if market.has_failures:
        raise TapeError("a venue of this market fails; let it fail last, with fail_venue()")


class Tape(NamedTuple):
    """n consecutive bars of A assets, relative to the spot close before each."""

    # (n, A, 16) columns of the layout: prices as ratios to the last spot close, volumes in quote
    # units
    bars: Array
    # (n, A) hours that the settlement at the open of each bar closes; 0 where there is none
    closed: NDArray[np.float64]


def unroll(market: Market, path: int) -> tuple[Tape, Array]:
    """The bars of one path from its second row on, and the spot close (A,) of its first."""
    check_features(market)
    first, last = (int(edge) for edge in market.paths[path])
    bars = market.bars[first + 1 : last].copy()
    before = market.bars[first : last - 1, :, c.SPOT_CLOSE]
    bars[:, :, PRICES] /= before[:, :, None]
    bars[:, :, VOLUMES] *= before[:, :, None]
    return relaid(bars, market.bar_hours), before[0].copy()


def relaid(bars: Array, bar_hours: float) -> Tape:
    """A tape of bars (n, A, 16) in ratios, the intervals of its settlements read from where they
    stand.
    """
    return Tape(bars, _closed(bars, bar_hours))


def check_features(market: Market) -> None:
    """Raise `TapeError` where the market has features that cannot be computed from its bars."""
    extra = [feature.name for feature in market.table if feature.name not in NAMES]
    if extra:
        raise TapeError(
            f"the market has the extra column {extra[0]!r}, which its bars do not hold; load it"
            " without `extra`"
        )


def roll(
    tape: Tape,
    start: Array,
    opens: int,
    symbols: Sequence[str],
    *,
    bar_hours: float,
    venue: str | Path | Venue,
) -> Market:
    """The market of a tape whose spot stands at `start` (A,) when its first bar opens at `opens`
    [ns]; its first 30 days only feed the features.

    Raises `DataError` where the tape is too short for them.
    """
    book = Rulebook.read(venue)
    coins = [
        _aligned(tape, asset, float(start[asset]), opens, name, bar_hours)
        for asset, name in enumerate(symbols)
    ]
    market = assemble(coins, book, {})
    return joint(market, symbols, common=True) if len(symbols) > 1 else market


def _closed(bars: Array, bar_hours: float) -> Array:
    """Hours since the settlement before, at most eight, for each settlement of (n, A, 16)."""
    longest = LONGEST_NS / HOUR_NS
    closed = np.zeros(bars.shape[:2])
    for asset in range(bars.shape[1]):
        rows = np.flatnonzero(bars[:, asset, c.SETTLE_PRICE] > 0.0)
        closed[rows, asset] = np.minimum(np.diff(rows, prepend=-10_000) * bar_hours, longest)
    return closed


def _aligned(
    tape: Tape, asset: int, start: float, opens: int, symbol: str, bar_hours: float
) -> Aligned:
    bars, bar_ns = tape.bars[:, asset].copy(), round(bar_hours * HOUR_NS)
    before = start * np.cumprod(np.r_[1.0, bars[:-1, c.SPOT_CLOSE]])
    bars[:, PRICES] *= before[:, None]
    bars[:, VOLUMES] /= before[:, None]
    open_ns = opens + np.arange(len(bars)) * bar_ns
    settlements = _settlements(bars, tape.closed[:, asset], open_ns)
    aligned = lay(
        symbol, bar_ns, settlements=settlements, extras={}, notes=(), **_tables(bars, open_ns)
    )
    # a halted bar keeps the prices by which it was valued
    aligned.bars[:, _BAR_PRICES] = bars[:, _BAR_PRICES]
    return aligned


def _settlements(bars: Array, closed: Array, open_ns: NDArray[np.int64]) -> Settlements:
    rows = np.flatnonzero(closed)
    return Settlements(
        open_ns[rows], bars[rows, c.SETTLE_RATE], closed[rows], bars[rows, c.SETTLE_PRICE]
    )


def _tables(bars: Array, open_ns: NDArray[np.int64]) -> Mapping[str, pd.DataFrame]:
    """Bars of spot, perp and mark; halted ones are not genuine."""
    genuine = bars[:, c.HALTED] == 0.0

    def table(first: int, last: int, volume: int, high: Array, low: Array) -> pd.DataFrame:
        ends = bars[:, [first, last]]
        high, low = np.maximum(high, ends.max(axis=1)), np.minimum(low, ends.min(axis=1))
        columns = {
            "open": ends[:, 0],
            "high": high,
            "low": low,
            "close": ends[:, 1],
            "volume": bars[:, volume],
        }
        return pd.DataFrame(
            {name: np.where(genuine, values, np.nan) for name, values in columns.items()},
            index=open_ns,
        )

    mark = {"open": c.MARK_OPEN, "high": c.MARK_HIGH, "low": c.MARK_LOW, "close": c.MARK_CLOSE}
    spread = bars[:, c.MARK_HIGH], bars[:, c.MARK_LOW]
    own = bars[:, c.SPOT_CLOSE], bars[:, c.SPOT_CLOSE]
    return {
        "spot": table(c.SPOT_OPEN, c.SPOT_CLOSE, c.SPOT_VOLUME, *own),
        "perp": table(c.PERP_OPEN, c.PERP_CLOSE, c.PERP_VOLUME, *spread),
        "mark": pd.DataFrame(
            {name: bars[:, column] for name, column in mark.items()}, index=open_ns
        ),
    }
