"""Stress tests: a named shock laid over any history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from fundenv.market import layout as c
from fundenv.market.files.frames import to_ns
from fundenv.market.market import Market
from fundenv.market.split import stack
from fundenv.market.synthetic.ratios import TapeError, relaid, roll, unroll
from fundenv.market.synthetic.shocks import SHOCKS, Shock
from fundenv.market.table import NAMES
from fundenv.venues import Venue

LEAD_HOURS = 31 * 24  # of the path before the shock: the features after it look back so far
_BP = 1e-4


def splice(
    market: Market,
    shock: str | Shock,
    *,
    at: str | pd.Timestamp | int | Sequence[int] | None = None,
    seed: int = 0,
    scale: float = 1.0,
    venue: str | Path | Venue | None = None,
) -> Market:
    """The market with a shock on every path: its hours take the place of as many of the history,
    and all prices after it follow from where it ends.

    market: of bars of 1 h. shock: 2020-03-12, 2021-05-19, 2022-11-09, 2025-10-10
    (`fundenv.market.synthetic.shocks`), or one's own. at: the instant (UTC) at which it begins, or
    the row of the path at whose close it does, or one row for each path; None draws a row for each
    path by (seed, path). scale: multiplies the logarithm of all moves, the basis and the rates. All
    assets of a path are hit alike. Depth acts as volume, which limits fills. venue: whose funding
    constants the features use, by default the market's own.

    Rows up to the shock keep their numbers, features included. Raises `TapeError` for an unknown
    shock, a place with less than 31 days before or no hour after it, or bars of another length.
    """
    given = _known(shock)
    if market.bar_hours != 1:
        raise TapeError(
            f"bars of {market.bar_hours:g} h; shocks are hourly: load or generate the market with"
            " bars of 1 h"
        )
    if market.has_listings:
        raise TapeError(
            "coins of the market are not listed in some bars, which a shock would carry on; lay it"
            " over the market first and use fundenv.market.listed behind it"
        )
    if not 0.0 < scale <= 2.0:
        raise TapeError(f"scale = {scale:g} is outside 0 .. 2; set it within")
    rows = [_row(market, path, given, at, seed) for path in range(market.n_paths)]
    parts = [
        _struck(market, path, given, row, scale, venue or market.venue)
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
    return replace(stack(parts), notes=market.notes + notes, cautions=market.cautions)


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
    return row


def _struck(
    market: Market, path: int, shock: Shock, row: int, scale: float, venue: str | Path | Venue
) -> Market:
    """One path with the shock from the close of its `row` on."""
    first, last = (int(edge) for edge in market.paths[path])
    tape, start = unroll(market, path)
    bars = tape.bars.copy()
    span = slice(row, row + shock.hours)
    bars[span] = _shocked(bars[row - 1 : row + shock.hours], shock, scale)
    new = roll(
        relaid(bars, market.bar_hours),
        start,
        int(market.close_ns[first]),
        market.symbols[path],
        bar_hours=1.0,
        venue=venue,
    )
    keep = row + 1  # rows of the path that stay
    after = last - first - keep
    later = _completed(new.features[-after:], market.features[last - after : last], shock.hours)
    features = np.concatenate([market.features[first : first + keep], later])
    return replace(
        new,
        bars=np.concatenate([market.bars[first : first + keep], new.bars[-after:]]),
        features=features,
        paths=np.array([[0, last - first]]),
        close_ns=market.close_ns[first:last],
        table=market.table,
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


def _shocked(bars: NDArray[np.float64], shock: Shock, scale: float) -> NDArray[np.float64]:
    """The hours of the shock in ratios to the last spot close, (n, A, 16); bars (1 + n, A, 16): the
    history's, from the hour before it on.
    """
    hours = _spread(shock)
    move, basis = (1.0 + 0.01 * hours.returns) ** scale, 1.0 + scale * _BP * hours.basis
    mark_basis = 1.0 + scale * _BP * shock.mark_share * hours.basis
    out = bars[1:].copy()
    for asset in range(out.shape[1]):
        at, before = out[:, asset], bars[0, asset]
        last, mark = (
            before[column] / before[c.SPOT_CLOSE] for column in (c.PERP_CLOSE, c.MARK_CLOSE)
        )
        at[:, c.SPOT_OPEN], at[:, c.SPOT_CLOSE] = 1.0, move
        at[:, c.PERP_OPEN], at[:, c.PERP_CLOSE] = np.r_[last, basis[:-1]], move * basis
        at[:, c.MARK_OPEN], at[:, c.MARK_CLOSE] = np.r_[mark, mark_basis[:-1]], move * mark_basis
        ends = at[:, [c.MARK_OPEN, c.MARK_CLOSE]]
        at[:, c.MARK_LOW] = np.minimum(ends.min(axis=1), (1.0 + 0.01 * hours.low) ** scale)
        at[:, c.MARK_HIGH] = np.maximum(ends.max(axis=1), (1.0 + 0.01 * hours.high) ** scale)
        at[:, [c.SPOT_VOLUME, c.PERP_VOLUME]] *= hours.depth[:, None]
        settles = at[:, c.SETTLE_PRICE] > 0.0
        if shock.settle_hours is not None:
            settles = np.arange(len(at)) % shock.settle_hours == 0
        at[:, c.SETTLE_RATE] = np.where(settles, scale * _BP * hours.rate, 0.0)
        at[:, c.SETTLE_PRICE] = np.where(settles, at[:, c.MARK_OPEN], 0.0)
        at[:, c.HALTED] = 0.0
    return out


class _Hours(NamedTuple):
    """Columns of a shock, (n,) each, in the units of `Shock`."""

    returns: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    basis: NDArray[np.float64]
    rate: NDArray[np.float64]
    depth: NDArray[np.float64]


def _spread(shock: Shock) -> _Hours:
    n = shock.hours

    def held(values: tuple[float, ...]) -> NDArray[np.float64]:
        return np.array([values[min(k, len(values) - 1)] for k in range(n)])

    def named(values: dict[int, float]) -> NDArray[np.float64]:
        return np.array([values.get(k, 0.0) for k in range(n)])

    return _Hours(
        held(shock.returns),
        named(shock.lows),
        named(shock.highs),
        held(shock.basis),
        held(shock.rates),
        held(shock.depth),
    )
