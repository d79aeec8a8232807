"""A market feature of the user's own, computed from the bars and checked for look-ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout
from fundenv.market.build import scaled
from fundenv.market.files.schema import DataError
from fundenv.market.market import Feature, Market

COLUMNS = tuple(
    name.lower()
    for name, place in sorted(
        (
            (n, p)
            for n, p in vars(layout).items()
            if n.isupper() and n != "N_COLUMNS" and isinstance(p, int)
        ),
        key=lambda item: item[1],
    )
)
FeatureFunction = Callable[[pd.DataFrame], Any]
_CUTS = (0.31, 0.67, 0.89)  # shares of a path after which the function is asked again


def add_feature(
    market: Market,
    function: FeatureFunction,
    *,
    name: str,
    scale: float,
    unit: str = "1",
    meaning: str = "",
) -> Market:
    """The same market with one more feature, which every observation then shows.

    The function gets the bars of one asset on one path: a frame with the columns of
    `fundenv.market.layout` in lower case, indexed by the close time (UTC). It returns one number
    per row, from what that row and the rows before it hold. Leading NaN are its look-back: the path
    begins after them. The observation is clip(value / scale, -10, 10).

    The check calls the function again with the first part of every path. Raises `DataError` if a
    row then differs (look-ahead), for a NaN after the first number, and for a name that is in use.
    """
    taken = [feature.name for feature in market.table]
    if name in taken or name.startswith("funding_") or not name.isidentifier():
        raise DataError(
            f"feature {name!r}: the name is taken, begins with funding_ or is no identifier;"
            " choose another"
        )
    if not 0.0 < scale < float("inf"):
        raise DataError(
            f"feature {name}: scale = {scale!r}; expected a number > 0, a typical value"
        )
    raw = np.zeros(market.features.shape[:2])
    paths = market.paths.copy()
    for path, (first, last) in enumerate(market.paths.tolist()):
        for asset in range(market.n_assets):
            values = _values(market, function, name, path, asset)
            known = np.flatnonzero(~np.isnan(values))
            start = int(known[0]) if len(known) else len(values)
            raw[first + start : last, asset] = values[start:]
            paths[path, 0] = max(paths[path, 0], first + start)
        if last - paths[path, 0] < 2:
            raise DataError(
                f"feature {name}: no number on path {path} ({last - first} bars); shorten its"
                " look-back or give more data"
            )
    feature = Feature(name, meaning or "own feature", unit, -10.0, 10.0, float(scale))
    column = scaled(raw[:, :, None], (feature,))
    return replace(
        market,
        features=np.concatenate([market.features, column], axis=2),
        paths=paths,
        table=(*market.table, feature),
    )


def _values(
    market: Market, function: FeatureFunction, name: str, path: int, asset: int
) -> NDArray[np.float64]:
    first, last = market.paths[path]
    bars = pd.DataFrame(
        market.bars[first:last, asset], index=market.times(path), columns=list(COLUMNS)
    )
    where = f"feature {name} on {market.symbols[path][asset]}"
    values = _asked(function, bars, where)
    for share in _CUTS:
        end = int(share * len(bars))
        early = _asked(function, bars.iloc[:end], where) if end else values[:0]
        odd = np.flatnonzero(~np.isclose(early, values[:end], rtol=1e-9, atol=0, equal_nan=True))
        if len(odd):
            raise DataError(
                f"{where} looks ahead: at {bars.index[odd[0]]:%Y-%m-%d %H:%M} it is"
                f" {values[odd[0]]:g} with later rows and {early[odd[0]]:g} without; use only rows"
                " up to the row itself"
            )
    known = np.flatnonzero(~np.isnan(values))
    bad = np.flatnonzero(~np.isfinite(values[known[0] :])) + known[0] if len(known) else known
    if len(bad):
        raise DataError(
            f"{where} is {values[bad[0]]:g} at {bars.index[bad[0]]:%Y-%m-%d %H:%M}; return a finite"
            " number after the look-back"
        )
    return values


def _asked(function: FeatureFunction, bars: pd.DataFrame, where: str) -> NDArray[np.float64]:
    values = np.array(function(bars.copy()), dtype=np.float64)
    if values.shape != (len(bars),):
        raise DataError(
            f"{where} has shape {values.shape} for {len(bars)} bars; return one number per row"
        )
    return values
