"""The data of the checks: prices on one grid of bars, and one symbol with its tables and venue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fundenv.market.files.bar_matrix import Aligned
from fundenv.market.files.frames import HOUR_NS, SymbolFrames, floats
from fundenv.venues import Venue

Floats = NDArray[np.float64]


class Compared:
    """Prices of a coin at the same closes: the logarithms of some legs' closes, NaN where the bar
    is not genuine, on the grid of bars that open at `open_ns` (T,); `pairs`: the legs that are
    compared.
    """

    def __init__(
        self,
        symbol: str,
        open_ns: NDArray[np.int64],
        bar_ns: int,
        closes: Mapping[str, Floats],
        pairs: tuple[tuple[str, str], ...],
        names: Mapping[str, str],
    ) -> None:
        self.symbol, self.open_ns = symbol, open_ns
        self.step_hours = bar_ns / HOUR_NS
        self.bars_a_day = max(1, round(24.0 / self.step_hours))
        self._closes, self.pairs, self._names = closes, pairs, names

    def close(self, leg: str) -> Floats:
        """log close (T,), NaN where the bar is not genuine."""
        return self._closes[leg]

    def ratio(self, pair: tuple[str, str]) -> Floats:
        """log(first / second) at the closes (T,), NaN where one of them is not genuine."""
        return self.close(pair[0]) - self.close(pair[1])

    @cached_property
    def levels(self) -> dict[tuple[str, str], tuple[NDArray[np.int64], Floats]]:
        """Pair -> (rows at which its ratio is known, medians of it over days of such rows, the last
        one of what is left); pairs without such a row are left out.
        """
        found = {}
        for pair in self.pairs:
            ratio = self.ratio(pair)
            rows = np.flatnonzero(np.isfinite(ratio))
            if len(rows):
                found[pair] = rows, daily_median(ratio[rows], self.bars_a_day)
        return found

    def name(self, leg: str, column: str = "") -> str:
        """File and column as messages call them."""
        name = self._names[leg]
        return f"{name}: column {column}" if column else name


class Subject(Compared):
    """frames: the tables; bars: the same aligned at their own step; venue: whose rules hold."""

    def __init__(self, frames: SymbolFrames, bars: Aligned, venue: Venue) -> None:
        self.frames, self.bars, self.venue = frames, bars, venue
        with_mark = (("perp", "spot"), ("perp", "mark")) if self.has_mark else (("perp", "spot"),)
        closes = {leg: self.log(leg, "close") for leg in ("perp", "spot", "mark")}
        super().__init__(frames.symbol, bars.open_ns, bars.bar_ns, closes, with_mark, {})

    @cached_property
    def has_mark(self) -> bool:
        """Whether any mark price is on the grid."""
        return bool(self.bars.legs["mark"]["close"].notna().any())

    def log(self, leg: str, column: str) -> Floats:
        """Logarithm of a price (T,), NaN where the bar is not genuine."""
        return np.asarray(np.log(floats(self.bars.legs[leg][column])), dtype=np.float64)

    def name(self, leg: str, column: str = "") -> str:
        """File and column as messages call them."""
        name = self.frames.name(leg)
        return f"{name}: column {column}" if column else name


def daily_median(values: Floats, a_day: int) -> Floats:
    """Medians of consecutive days, (D,); the last one of what is left."""
    whole = len(values) // a_day * a_day
    days = np.median(values[:whole].reshape(-1, a_day), axis=1)
    rest = [float(np.median(values[whole:]))] if whole < len(values) else []
    return np.asarray(np.r_[days, rest], dtype=np.float64)
