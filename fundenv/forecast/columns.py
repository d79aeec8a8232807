"""Forecasts as columns of a market, for the observations of agents and for rules.

A row holds the newest forecast whose origin (a settlement plus the delay) is not later than the
open of its bar. So it holds nothing later than the other features of the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.base import Predicted
from fundenv.forecast.errors import ForecastError
from fundenv.forecast.history import HORIZONS, Array, Panel, panel_of
from fundenv.forecast.width import LEVELS
from fundenv.market import Feature, Market
from fundenv.market.build import scaled

SCALE = 3.0  # bp; of the observation, as that of the funding features


def names_of(horizon: int) -> tuple[str, str, str]:
    """The columns of one horizon: mean, low and high quantile."""
    return tuple(f"forecast_{horizon}{end}" for end in ("", "_low", "_high"))  # type: ignore[return-value]


def with_forecasts(
    market: Market, found: Sequence[Predicted], horizons: Sequence[int] = (1, 9, 63)
) -> Market:
    """The same market with the mean and the 5 and 95 % quantiles of `found` as features.

    Every path keeps the rows for which there is a forecast. Raises `ForecastError` where a path
    keeps fewer than two, and for an unknown horizon.
    """
    for horizon in horizons:
        if horizon not in HORIZONS:
            raise ForecastError(
                f"horizon {horizon}: give some of {', '.join(map(str, HORIZONS))} settlements"
            )
    places = [HORIZONS.index(horizon) for horizon in horizons]
    bar_ns = round(market.bar_hours * 3.6e12)
    raw = np.zeros((*market.features.shape[:2], 3 * len(horizons)))
    paths = market.paths.copy()
    for path, (first, last) in enumerate(market.paths.tolist()):
        opens = market.close_ns[first:last] - bar_ns
        for asset, symbol in enumerate(market.symbols[path]):
            made, values = _of(found, symbol, places)
            row = np.searchsorted(made, opens, side="right") - 1
            if len(made):
                raw[first:last, asset] = values[np.maximum(row, 0)]
            known = np.flatnonzero(row >= 0)
            start = int(known[0]) if len(known) else last - first
            paths[path, 0] = max(paths[path, 0], first + start)
        if last - paths[path, 0] < 2:
            raise ForecastError(
                f"no forecast on path {path} ({'+'.join(market.symbols[path])},"
                f" {pd.Timestamp(int(market.close_ns[first])):%Y-%m-%d} ..); forecast its span"
            )
    table = []
    for horizon in horizons:
        ahead = "the next settlement" if horizon == 1 else f"the next {horizon} settlements"
        for name, what in zip(names_of(horizon), ("mean", "5 %", "95 %"), strict=True):
            text = f"forecast of the mean rate of {ahead}, {what}"
            table.append(Feature(name, text, "bp per 8 h", -10.0, 10.0, SCALE))
    return replace(
        market,
        features=np.concatenate([market.features, scaled(raw, tuple(table))], axis=2),
        paths=paths,
        table=(*market.table, *table),
    )


def _of(
    found: Sequence[Predicted], symbol: str, places: Sequence[int]
) -> tuple[NDArray[np.int64], Array]:
    """When each forecast was made (K,), and mean, low and high of each horizon (K, 3 H) of one
    symbol.
    """
    own = sorted((e for e in found if e.symbol == symbol and len(e.ns)), key=lambda e: int(e.ns[0]))
    if not own:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 3 * len(places)))
    made = np.concatenate([each.ns + each.delay_ns for each in own])
    blocks = []
    for j in places:
        blocks.append(np.concatenate([each.mean[:, j] for each in own]))
        for level in (0, len(LEVELS) - 1):
            blocks.append(np.concatenate([each.quantiles[:, j, level] for each in own]))
    return made, np.column_stack(blocks)


def perfect(market: Market | Panel) -> list[Predicted]:
    """Forecasts with perfect foresight: the targets as means, and all quantiles equal to them. The
    last settlements, whose targets are not settled, keep the last known mean. For comparison only:
    no forecaster can have them.
    """
    found = []
    for history in panel_of(market):
        target = history.targets()
        mean = np.asarray(pd.DataFrame(target).ffill(), dtype=np.float64)
        quantiles = np.repeat(mean[:, :, None], len(LEVELS), axis=2)
        found.append(
            Predicted(history.symbol, history.ns, mean, quantiles, target, history.delay_ns)
        )
    return found
