"""The data that a forecaster reads: the settlements of each coin, and the bars between them.

A forecast is made at an origin: `delay` after a settlement (0: at its instant). It may use rates
settled up to the origin and bars closed up to it. Rates are bp per 8 h, whatever the interval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.errors import ForecastError
from fundenv.forecast.extra import as_of
from fundenv.forecast.scale import Scale, scale_of
from fundenv.market import Market, layout

Array = NDArray[np.float64]
HOUR_NS = 3_600_000_000_000
HORIZONS = (1, 3, 9, 21, 63)  # settlements ahead; the target is the mean of their rates
LEAST = 400  # fewest settlements of a history for a fit or a forecast
_INTERVAL_NS = 8 * HOUR_NS


@dataclass(frozen=True, eq=False)
class History:
    """One coin on one path: K settlements, T bars.

    Attributes:
        symbol: its name. ns: (K,) int64 instant of each settlement. rate: (K,) settled rate, bp per
        8 h. delay_ns: how long after the settlement a forecast is made. close_ns: (T,) int64 when
        each bar closes. columns: name -> (T,) values that are public at that close: the features of
        the market in their units, `perp` and `spot` (closes), `user:NAME` for a user's columns.
    """

    symbol: str
    ns: NDArray[np.int64]
    rate: Array
    delay_ns: int
    close_ns: NDArray[np.int64]
    columns: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ns)

    @property
    def origins(self) -> NDArray[np.int64]:
        """(K,) when each forecast is made."""
        return self.ns + self.delay_ns

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(K,) the last bar that has closed at each origin, -1 where there is none."""
        return np.searchsorted(self.close_ns, self.origins, side="right") - 1

    @cached_property
    def scale(self) -> Scale:
        """Slow mean and size of the changes of the rate, each (K,)."""
        return scale_of(self.rate)

    def at_origins(self, values: Array) -> Array:
        """A column of the bars (T,) as it stood at each origin (K,), NaN before the first bar."""
        out = np.full(len(self), np.nan)
        known = self.rows >= 0
        out[known] = values[self.rows[known]]
        return out

    def targets(self, horizons: Sequence[int] = HORIZONS) -> Array:
        """(K, H) mean rate of the next h settlements; NaN where they are not settled yet."""
        total = np.r_[0.0, np.cumsum(self.rate)]
        out = np.full((len(self), len(horizons)), np.nan)
        for column, h in enumerate(horizons):
            n = len(self) - h
            if n > 0:
                out[:n, column] = (total[h + 1 :] - total[1 : n + 1]) / h
        return out

    def until(self, ns: int) -> History:
        """The part that was known at the instant `ns`: bars that close up to it, and settlements
        whose origin is not later.
        """
        k, t = (int(np.searchsorted(a, ns, side="right")) for a in (self.origins, self.close_ns))
        return self.cut(0, k, 0, t)

    def cut(self, k0: int, k1: int, t0: int, t1: int) -> History:
        """Settlements k0 .. k1 and bars t0 .. t1."""
        columns = {name: values[t0:t1] for name, values in self.columns.items()}
        return replace(
            self,
            ns=self.ns[k0:k1],
            rate=self.rate[k0:k1],
            close_ns=self.close_ns[t0:t1],
            columns=columns,
        )


@dataclass(frozen=True, eq=False)
class Panel:
    """The histories of several coins, all of one market."""

    histories: tuple[History, ...]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.histories)

    def __len__(self) -> int:
        return len(self.histories)

    def until(self, instant: int | pd.Timestamp) -> Panel:
        """Every history as it was known at an instant; those that are too short are left out."""
        ns = instant if isinstance(instant, int) else int(instant.as_unit("ns").value)
        cut = tuple(history.until(ns) for history in self.histories)
        return Panel(tuple(history for history in cut if len(history) >= LEAST))

    def since(self, instant: int | pd.Timestamp) -> Panel:
        """Every history from an instant on; those that are too short are left out."""
        ns = instant if isinstance(instant, int) else int(instant.as_unit("ns").value)
        cut = []
        for each in self.histories:
            k, t = (int(np.searchsorted(a, ns)) for a in (each.ns, each.close_ns))
            cut.append(each.cut(k, len(each), t, len(each.close_ns)))
        return Panel(tuple(history for history in cut if len(history) >= LEAST))

    def tail(self, settlements: int) -> Panel:
        """The last settlements of every history and their bars: enough for the newest forecast."""
        cut = []
        for each in self.histories:
            k = max(0, len(each) - settlements)
            t = int(np.searchsorted(each.close_ns, each.ns[k] - _INTERVAL_NS))
            cut.append(each.cut(k, len(each), t, len(each.close_ns)))
        return Panel(tuple(cut))

    @cached_property
    def made(self) -> dict[Any, Any]:
        """Results that were computed from this panel and are used again: inputs by their groups."""
        return {}

    @cached_property
    def hash(self) -> str:
        """Twelve hex digits of the SHA-256 over every number and name."""
        digest = hashlib.sha256()
        for each in self.histories:
            digest.update(repr((each.symbol, each.delay_ns, sorted(each.columns))).encode())
            arrays = (each.ns, each.rate, each.close_ns)
            for array in (*arrays, *(each.columns[name] for name in sorted(each.columns))):
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:12]


def panel_of(
    market: Market | Panel, *, delay_hours: float = 0.0, extra: pd.DataFrame | None = None
) -> Panel:
    """The histories of a market, one for each coin and path of at least `LEAST` settlements.

    Args:
        market: the market whose histories are wanted; a `Panel` is returned as it is.
        delay_hours: how long after a settlement a forecast is made; below the interval.
        extra: the user's columns, as `read_extra` returns them.

    Raises `ForecastError` where every history is too short.
    """
    if isinstance(market, Panel):
        return market
    histories, short = [], []
    for path, (first, last) in enumerate(market.paths.tolist()):
        for asset, symbol in enumerate(market.symbols[path]):
            made = _history(market, first, last, asset, symbol, int(delay_hours * HOUR_NS))
            if len(made) < LEAST:
                short.append(f"{symbol} {len(made)}")
                continue
            histories.append(made if extra is None else _with_extra(made, extra))
    if not histories:
        raise ForecastError(
            f"settlements per history: {', '.join(short)}; a forecast needs at least {LEAST} in a"
            " row with bars; give a longer span"
        )
    return Panel(tuple(histories))


def _history(
    market: Market, first: int, last: int, asset: int, symbol: str, delay_ns: int
) -> History:
    bars = market.bars[first:last, asset]
    rows = np.flatnonzero(bars[:, layout.SETTLE_PRICE] > 0)
    bar_ns = round(market.bar_hours * HOUR_NS)
    close_ns = market.close_ns[first:last].astype(np.int64)
    ns = close_ns[rows] - bar_ns
    gaps = np.diff(ns)
    gaps = np.r_[gaps[:1], gaps] if len(gaps) else np.full(len(ns), _INTERVAL_NS)
    if len(gaps) and not 0 <= delay_ns < gaps.min():
        raise ForecastError(
            f"delay of {delay_ns / HOUR_NS:g} h: {symbol} settles every {gaps.min() / HOUR_NS:g} h;"
            " give 0 or more, and less than that"
        )
    rate = bars[rows, layout.SETTLE_RATE] * 1e4 / (gaps / _INTERVAL_NS)
    columns = {
        feature.name: market.features[first:last, asset, f].astype(np.float64) * feature.scale
        for f, feature in enumerate(market.table)
    }
    columns["perp"], columns["spot"] = bars[:, layout.PERP_CLOSE], bars[:, layout.SPOT_CLOSE]
    return History(symbol, ns, rate, delay_ns, close_ns, columns)


def _with_extra(history: History, extra: pd.DataFrame) -> History:
    """The history with the user's columns: at each close the newest known row, at most 24 h old."""
    columns = dict(history.columns) | as_of(extra, history.symbol, history.close_ns)
    return replace(history, columns=columns)
