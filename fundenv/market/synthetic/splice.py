"""Stress tests: a named shock laid over any history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from fundenv.market import layout as c
from fundenv.market.files.frames import to_ns
from fundenv.market.join import single
from fundenv.market.market import Market
from fundenv.market.split import stack
from fundenv.market.synthetic.ratios import (
    PRICES,
    VOLUMES,
    TapeError,
    relaid,
    roll,
    unroll,
    whole_venues,
)
from fundenv.market.synthetic.shocked import shocked
from fundenv.market.synthetic.shocks import SHOCKS, Shock
from fundenv.market.table import NAMES
from fundenv.venues import Venue

LEAD_HOURS = 31 * 24  # of the path before the shock: the features after it look back so far
Array = NDArray[np.float64]
_KNOWN = [c.SPOT_DAY_VOLUME, c.PERP_DAY_VOLUME, c.SIGMA_DAY]


def splice(
    market: Market,
    shock: str | Shock,
    *,
    at: str | pd.Timestamp | int | Sequence[int] | None = None,
    seed: int = 0,
    scale: float = 1.0,
    venue: str | Path | Venue | None = None,
) -> Market:
    """The market with a shock on every path: the hours of the shock replace the same number of
    hours of the history, and all later prices continue from its last price.

    market: of bars of 1 h. shock: 2020-03-12, 2021-05-19, 2022-11-09, 2025-10-10
    (`fundenv.market.synthetic.shocks`), or your own. at: the instant (UTC) at which it begins, or
    the row of the path at whose close it does, or one row for each path; None draws a row for each
    path by (seed, path). scale: multiplies the logarithm of all moves, the basis and the rates. All
    assets of a path get the same shock. A lower depth of the book appears as lower volume, which
    limits fills. venue: whose funding constants the features use, by default the market's own.

    Rows up to the shock keep their numbers, features included. A coin that is not listed then is
    not hit; one that is listed or delisted in the 31 days before the shock or during it bars the
    place. Raises `TapeError` for an unknown shock, a place that is barred, has less than 31 days
    before or no hour after it, or bars of another length.
    """
    whole_venues(market)
    given = _known(shock)
    if market.bar_hours != 1:
        raise TapeError(
            f"bars of {market.bar_hours:g} h; shocks are hourly: load or generate the market with"
            " bars of 1 h"
        )
    if not 0.0 < scale <= 2.0:
        raise TapeError(f"scale = {scale:g} is outside 0 .. 2; set it within")
    rows = [_row(market, path, given, at, seed) for path in range(market.n_paths)]
    strike = _struck_listed if market.has_listings else _struck
    parts = [
        strike(market, path, given, row, scale, venue or market.venue)
        for path, row in enumerate(rows)
    ]
    when = (
        pd.Timestamp(int(market.close_ns[market.paths[path, 0] + row]))
        for path, row in enumerate(rows)
    )
    notes = tuple(
        f"{'+'.join(names)}: {given.name} from {t:%Y-%m-%d %H:%M} UTC"
        for names, t in zip(market.symbols, when, strict=True)
    )
    return replace(stack(parts), notes=market.notes + notes, cautions=market.cautions, shocked=True)


def _known(shock: str | Shock) -> Shock:
    if isinstance(shock, str):
        if shock not in SHOCKS:
            raise TapeError(f"shock {shock!r}; expected one of {', '.join(SHOCKS)}")
        return SHOCKS[shock]
    return shock


def _row(
    market: Market,
    path: int,
    shock: Shock,
    at: str | pd.Timestamp | int | Sequence[int] | None,
    seed: int,
) -> int:
    """Row of the path at whose close the shock begins."""
    first, last = (int(edge) for edge in market.paths[path])
    latest = last - first - shock.hours - 2
    if at is None:
        settled = np.flatnonzero(market.bars[first + 1 : last, 0, c.SETTLE_PRICE] > 0.0)
        fit = settled[(settled >= LEAD_HOURS) & (settled <= latest)]
        if market.has_listings:
            fit = fit[[_barred(market, path, shock, int(row)) is None for row in fit]]
        row = int(fit[int(Generator(PCG64([seed, path])).random() * len(fit))]) if len(fit) else -1
    elif isinstance(at, (str, pd.Timestamp)):
        row = int(np.searchsorted(market.close_ns[first:last], to_ns(at)))
    else:
        row = int(at) if isinstance(at, (int, np.integer)) else int(at[path])
    if not LEAD_HOURS <= row <= latest:
        span = (
            f"rows {LEAD_HOURS} .. {latest}"
            if latest >= LEAD_HOURS
            else f"a longer path than {last - first} bars"
        )
        raise TapeError(
            f"{'+'.join(market.symbols[path])}: {shock.name} cannot begin at"
            f" {at if at is not None else 'any row'}; it needs {span}"
        )
    barred = _barred(market, path, shock, row) if market.has_listings else None
    if barred is not None:
        raise TapeError(
            f"{barred} is listed or delisted within 31 days before {shock.name} at row {row}, or"
            " during it; choose another place, or leave `at` out"
        )
    return row


def _barred(market: Market, path: int, shock: Shock, row: int) -> str | None:
    """A coin of the path that is listed in a part only of the rows that a shock at `row` needs."""
    first = int(market.paths[path, 0])
    span = slice(first + row - LEAD_HOURS, first + row + shock.hours + 2)
    listed = market.bars[span, :, c.HALTED] != c.UNLISTED
    part = np.flatnonzero(listed.any(axis=0) & ~listed.all(axis=0))
    return market.symbols[path][part[0]] if len(part) else None


def _struck(
    market: Market, path: int, shock: Shock, row: int, scale: float, venue: str | Path | Venue
) -> Market:
    """One path with the shock from the close of its `row` on."""
    first, last = (int(edge) for edge in market.paths[path])
    tape, start = unroll(market, path)
    bars = tape.bars.copy()
    span = slice(row, row + shock.hours)
    bars[span] = shocked(bars[row - 1 : row + shock.hours], shock, scale)
    new = roll(
        relaid(bars, market.bar_hours),
        start,
        int(market.close_ns[first]),
        market.symbols[path],
        bar_hours=1.0,
        venue=venue,
    )
    keep = first + row + 1  # rows of the market that stay
    old = market.bars[keep:last], market.features[keep:last]
    later, told, known = _laid(new, market.close_ns[keep:last], *old)
    if not known[: shock.hours].all():
        raise TapeError(
            f"{'+'.join(market.symbols[path])}: a halt of a day or more lies in the 31 days before"
            f" {shock.name} at row {row}; choose another place"
        )
    told = _completed(told, old[1], shock.hours)
    return replace(
        new,
        bars=np.concatenate([market.bars[first:keep], later]),
        features=np.concatenate([market.features[first:keep], told]),
        paths=np.array([[0, last - first]]),
        close_ns=market.close_ns[first:last],
        symbols=(market.symbols[path],),
        table=market.table,
    )


def _laid(
    new: Market, close_ns: NDArray[np.int64], bars: Array, features: NDArray[np.float32]
) -> tuple[Array, NDArray[np.float32], NDArray[np.bool_]]:
    """(bars, features, whether they are new) of the instants `close_ns` (n,): those of `new`, and
    where it has none, for want of prices, the history's, moved to its last price.
    """
    at = np.searchsorted(new.close_ns, close_ns)
    known = np.append(new.close_ns, -1)[at] == close_ns
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), 0))
    laid, told = bars.copy(), features.copy()
    laid[known], told[known] = new.bars[at[known]], new.features[at[known]]
    moved = (laid[last, :, c.SPOT_CLOSE] / bars[last, :, c.SPOT_CLOSE])[~known]
    _move(laid, ~known, moved)
    for column in _KNOWN:
        laid[~known, :, column] = laid[last[~known], :, column]
    return laid, told, known


def _move(bars: Array, rows: Any, moved: Any) -> None:
    """Multiply the prices of some rows of `bars` (.., 16), and keep their volumes in quote."""
    part = bars[rows]
    part[..., PRICES] *= np.asarray(moved)[..., None]
    part[..., [*VOLUMES, *_KNOWN[:2]]] /= np.asarray(moved)[..., None]
    bars[rows] = part


def _struck_listed(
    market: Market, path: int, shock: Shock, row: int, scale: float, venue: str | Path | Venue
) -> Market:
    """As `_struck`, for the coins of the path that are listed then, each over the rows for which it
    stays listed; what it has after a delisting follows from its last price.
    """
    first, last = (int(edge) for edge in market.paths[path])
    bars, features = market.bars[first:last].copy(), market.features[first:last].copy()
    listed = bars[:, :, c.HALTED] != c.UNLISTED
    for a in np.flatnonzero(listed[row]):
        edges = np.flatnonzero(~listed[:, a])
        begin = int(edges[edges < row].max(initial=-1)) + 1
        end = int(edges[edges > row].min(initial=last - first))
        alone = single(market, first + begin, first + end, int(a), market.symbols[path][a])
        new = _struck(alone, 0, shock, row - begin, scale, venue)
        moved = new.bars[-1, 0, c.SPOT_CLOSE] / bars[end - 1, a, c.SPOT_CLOSE]
        bars[begin:end, a], features[begin:end, a] = new.bars[:, 0], new.features[:, 0]
        back = int(np.flatnonzero(listed[end:, a]).min(initial=last - first - end)) + end
        _move(bars[:, a], slice(end, None), moved)
        bars[end:back, a, _KNOWN] = new.bars[-1, 0, _KNOWN]  # what a delisting is charged by
    return replace(
        market,
        bars=bars,
        features=features,
        paths=np.array([[0, last - first]]),
        close_ns=market.close_ns[first:last],
        symbols=(market.symbols[path],),
    )


def _completed(
    new: NDArray[np.float32], old: NDArray[np.float32], hours: int
) -> NDArray[np.float32]:
    """Features after the shock with what its bars do not hold: the mean funding of all coins has
    moved as much as that of the asset, and the spread is the history's again a day after the end.
    """
    mean, own, spread = (
        NAMES.index(name) for name in ("funding_market", "funding_last", "spread_proxy")
    )
    whole = new.copy()
    whole[:, :, mean] = np.clip(old[:, :, mean] + new[:, :, own] - old[:, :, own], -10.0, 10.0)
    whole[hours + 24 :, :, spread] = old[hours + 24 :, :, spread]
    return whole
