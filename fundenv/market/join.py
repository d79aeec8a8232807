"""Several symbols on one clock: one path of several assets, with every hour that any
of them has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout as c
from fundenv.market.files.frames import HOUR_NS
from fundenv.market.market import Market
from fundenv.market.split import SplitError, between, check_known, check_once, extent, stack

HALT_HOURS = 24  # a coin without bars for longer counts as delisted, until it has bars again
_SPOT, _PERP = (c.SPOT_OPEN, c.SPOT_CLOSE), (c.PERP_OPEN, c.PERP_CLOSE)
_MARK = (c.MARK_OPEN, c.MARK_HIGH, c.MARK_LOW, c.MARK_CLOSE)
_OF_THIS_BAR = (c.SETTLE_RATE, c.SETTLE_PRICE, c.SPOT_VOLUME, c.PERP_VOLUME)


def joint(market: Market, symbols: Sequence[str], *, common: bool = False) -> Market:
    """`symbols` side by side: one path of A = len(symbols) assets, more where the clock has holes.

    It has every bar that any of them has; `common`: those that all have. A coin has no genuine
    price in the others, and nothing is interpolated:
    - before its first bar it is `UNLISTED`: prices and volatility are 1, features 0;
    - for `HALT_HOURS` after its last bar it is halted: last prices, features as last known;
    - then it is `UNLISTED` (delisted): last prices, features 0; with its next bar it is back.
    So no row depends on later ones.

    `market` must have one asset per path. Raises `SplitError` for an unknown symbol, and for
    `common` spans without a common bar.
    """
    if market.n_assets != 1:
        raise SplitError(
            f"paths have {market.n_assets} assets already; join the market of single symbols"
        )
    check_once(symbols)
    check_known(market, symbols, {names[0] for names in market.symbols})
    rows = [_rows(market, symbol) for symbol in symbols]
    clock = rows[0].index
    for other in rows[1:]:
        clock = clock.intersection(other.index) if common else clock.union(other.index)
    if len(clock) < 2:
        raise SplitError(f"{', '.join(symbols)} have no span in common; {extent(market)}")
    close_ns = np.asarray(clock, dtype=np.int64)
    index = np.column_stack([each.reindex(clock, fill_value=-1) for each in rows])
    bars, features = market.bars[index, 0], market.features[index, 0]
    notes = []
    for a, symbol in enumerate(symbols):
        if (index[:, a] < 0).any():
            _fill(bars[:, a], features[:, a], index[:, a] >= 0, close_ns)
            notes.append(_note(symbol, bars[:, a, c.HALTED], index[:, a] >= 0, close_ns))
    cuts = np.flatnonzero(np.diff(close_ns) > round(market.bar_hours * HOUR_NS)) + 1
    edges = np.r_[0, cuts, len(close_ns)]
    return replace(
        market,
        bars=bars,
        features=features,
        paths=np.column_stack([edges[:-1], edges[1:]]).astype(np.int64),
        close_ns=close_ns,
        symbols=(tuple(symbols),) * (len(edges) - 1),
        notes=market.notes + tuple(notes),
    )


def listed(market: Market, spans: Mapping[str, tuple[pd.Timestamp, pd.Timestamp]]) -> Market:
    """A joint market in which coins have bars within their span alone: those that close in [start,
    end), symbol -> (start, end); coins that are not named have all. What `joint` makes of it.

    Raises `SplitError` where the market has one asset, or a coin no bar in its span.
    """
    if market.n_assets < 2:
        raise SplitError("listed() takes the market of several assets that joint() makes")
    made = []
    for path, names in enumerate(market.symbols):
        first, last = market.paths[path]
        own = [
            between(single(market, int(first), int(last), a, name), *spans.get(name, (None, None)))
            for a, name in enumerate(names)
        ]
        made.append(joint(stack(own), names))
    return stack(made)


def singles(market: Market) -> list[Market]:
    """The assets of the first path of a joint market, each a market of its own; bars in which a
    coin is not listed stay in it.
    """
    first, last = (int(edge) for edge in market.paths[0])
    return [single(market, first, last, a, name) for a, name in enumerate(market.symbols[0])]


def single(market: Market, first: int, last: int, asset: int, name: str) -> Market:
    """The rows first .. last - 1 of one asset."""
    return replace(
        market,
        bars=np.ascontiguousarray(market.bars[first:last, [asset]]),
        features=np.ascontiguousarray(market.features[first:last, [asset]]),
        paths=np.array([[0, last - first]], dtype=np.int64),
        close_ns=market.close_ns[first:last].copy(),
        symbols=((name,),),
    )


def _rows(market: Market, symbol: str) -> pd.Series:
    """Row numbers of one symbol, indexed by close_ns."""
    numbers = np.concatenate(
        [
            np.arange(*market.paths[path])
            for path, names in enumerate(market.symbols)
            if names == (symbol,)
        ]
    )
    return pd.Series(numbers, market.close_ns[numbers])


def _fill(
    bars: NDArray[np.float64],
    features: NDArray[np.float32],
    known: NDArray[np.bool_],
    close_ns: NDArray[np.int64],
) -> None:
    """Write the rows of one asset that are not `known`: bars (T, 16), features (T, F)."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    before, missing = last < 0, ~known & (last >= 0)
    bars[missing], features[missing] = bars[last[missing]], features[last[missing]]
    for columns, close in (
        (_SPOT, c.SPOT_CLOSE),
        (_PERP, c.PERP_CLOSE),
        (_MARK, c.MARK_CLOSE),
    ):
        for column in columns:
            bars[missing, column] = bars[last[missing], close]
    for column in _OF_THIS_BAR:
        bars[missing, column] = 0.0
    absent = np.where(before, 0, close_ns - close_ns[np.maximum(last, 0)])
    gone = missing & (absent > HALT_HOURS * HOUR_NS)
    bars[before] = 0.0
    for column in (*_SPOT, *_PERP, *_MARK, c.SIGMA_DAY):
        bars[before, column] = 1.0
    bars[missing, c.HALTED] = c.NO_PRICE
    bars[before | gone, c.HALTED] = c.UNLISTED
    features[before | gone] = 0.0


def _note(
    symbol: str,
    halted: NDArray[np.float64],
    known: NDArray[np.bool_],
    close_ns: NDArray[np.int64],
) -> str:
    """What the joint market lacks of one symbol."""
    first = pd.Timestamp(close_ns[known.argmax()])
    gone = halted[known.argmax() :] == c.UNLISTED
    ends = np.flatnonzero(np.diff(gone.astype(int)) > 0) + 1 + known.argmax()
    when = ", ".join(f"{pd.Timestamp(close_ns[row]):%Y-%m-%d %H:%M}" for row in ends[:20])
    delisted = f", delisted at {when}" if when else ""
    return (
        f"{symbol}: in the joint market from {first:%Y-%m-%d %H:%M}{delisted};"
        f" {int((~known).sum())} bars of others without it"
    )
