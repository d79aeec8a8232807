"""Columns that a command adds to a market: the user's own, and forecasts made walk-forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fundenv.forecast.base import Predicted, check_causal
from fundenv.forecast.columns import with_forecasts
from fundenv.forecast.errors import ForecastError
from fundenv.forecast.extra import PREFIX, as_of
from fundenv.forecast.history import LEAST, Panel, panel_of
from fundenv.forecast.registry import make
from fundenv.market import Feature, Market, path_range, stack
from fundenv.market.build import scaled

FIRST = 540  # settlements of the first fit, half a year of 8 h
REFIT_MONTHS = 6
SHOWN = (1, 9, 63)  # horizons, settlements


def with_extra(market: Market, table: pd.DataFrame, scales: Mapping[str, float]) -> Market:
    """The same market with the columns of `read_extra` as features: at each close the newest value
    known then, or 0 where that is over 24 h old or missing.

    scales: typical size of a column, by which observations are divided; 1 where none is given.
    Raises `ForecastError` for a name that the market has already, an unknown name among the scales
    and a scale that is not above 0.
    """
    names = [name for name in table.columns if name not in ("time", "symbol")]
    taken = {feature.name for feature in market.table}
    for name in names:
        if name in taken or not str(name).isidentifier():
            raise ForecastError(
                f"extra column {name!r}: the market has a column of that name, or it is no"
                " identifier; rename it in the file"
            )
    for name, scale in scales.items():
        if name not in names:
            raise ForecastError(
                f"scale of {name!r}: the file has no such column (found {', '.join(names)})"
            )
        if not 0.0 < scale < np.inf:
            raise ForecastError(f"scale of {name} = {scale:g}: give a number above 0")
    raw = np.zeros((*market.features.shape[:2], len(names)))
    unknown: dict[str, int] = {}
    for path, (first, last) in enumerate(market.paths.tolist()):
        for asset, symbol in enumerate(market.symbols[path]):
            own = as_of(table, symbol, market.close_ns[first:last])
            for f, name in enumerate(names):
                values = own[f"{PREFIX}{name}"]
                key = f"{symbol}: {name}"
                unknown[key] = unknown.get(key, 0) + int(np.isnan(values).sum())
                raw[first:last, asset, f] = np.nan_to_num(values)
    added = tuple(
        Feature(name, "a column of the user's own", "1", -10.0, 10.0, float(scales.get(name, 1.0)))
        for name in names
    )
    notes = tuple(
        f"{key} unknown for more than 24 h at {count} closes, 0 there"
        for key, count in unknown.items()
        if count
    )
    return replace(
        market,
        features=np.concatenate([market.features, scaled(raw, added)], axis=2),
        table=(*market.table, *added),
        notes=(*market.notes, *notes),
    )


def forecast_ahead(
    panel: Panel, name: str, *, refit_months: int = REFIT_MONTHS, seed: int = 0
) -> list[Predicted]:
    """Forecasts at every settlement but the first `FIRST`. The forecaster is refitted every
    `refit_months` on the settlements before, so that no forecast comes from a fit on later data,
    not even within a training span.

    Raises `ForecastError` where the history is too short, and where the forecaster looks ahead.
    """
    if refit_months < 1:
        raise ForecastError(f"{refit_months} months between two fits: give at least 1")
    longest = max(len(history) for history in panel)
    if longest <= FIRST:
        raise ForecastError(
            f"{longest} settlements: forecasts as columns need more than {FIRST}, from which the"
            " first fit learns; give a longer span"
        )
    start = min(int(history.ns[FIRST]) for history in panel if len(history) > FIRST)
    last = max(int(history.ns[-1]) for history in panel) + 1
    edges = [pd.Timestamp(start, tz="UTC")]
    while int(edges[-1].value) < last:
        edges.append(edges[0] + pd.DateOffset(months=refit_months * len(edges)))
    found: list[Predicted] = []
    for fold, (begin, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        made = make(name, seed=seed).fit(panel, (None, begin))
        known = panel.until(int(end.value) - 1)
        if fold == 0:
            check_causal(made, known)
        found += made.predict(known, (begin, end))
    return found


def with_forecast_columns(
    market: Market,
    name: str,
    *,
    horizons: Sequence[int] = SHOWN,
    refit_months: int = REFIT_MONTHS,
    seed: int = 0,
    extra: pd.DataFrame | None = None,
) -> Market:
    """The market with the forecasts of `forecast_ahead` as features. Paths begin with their first
    forecast; those that have none are left out, with a note.

    extra: the user's columns, inputs `user` of the forecaster.
    """
    panel = panel_of(market, extra=extra)
    found = forecast_ahead(panel, name, refit_months=refit_months, seed=seed)
    first: dict[str, int] = {}
    for each in found:
        if len(each.ns):
            begin = int(each.ns[0])
            first[each.symbol] = min(begin, first.get(each.symbol, begin))
    bar_ns = round(market.bar_hours * 3.6e12)
    kept, dropped = [], []
    for path in range(market.n_paths):
        opens = market.close_ns[slice(*market.paths[path])] - bar_ns
        known = max(first.get(symbol, int(opens[-1]) + 1) for symbol in market.symbols[path])
        if int((opens >= known).sum()) >= 2:
            kept.append(path)
        else:
            dropped.append("+".join(market.symbols[path]))
    if not kept:
        raise ForecastError(
            f"forecaster {name}: no path has a forecast; each coin needs {LEAST} settlements in a"
            " row before the first one"
        )
    if dropped:
        market = stack([path_range(market, path, path + 1) for path in kept])
        note = f"{', '.join(dropped)}: no forecast of {name} on {len(dropped)} paths, left out"
        market = replace(market, notes=(*market.notes, note))
    return with_forecasts(market, found, horizons)
