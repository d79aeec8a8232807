"""The forecasts of a span, each with its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts
from fundenv.forecast.base import Forecaster, Span, one_thread
from fundenv.forecast.history import Array, Panel
from fundenv.market import Market


class Explained(NamedTuple):
    """The parts of the forecasts of one history."""

    symbol: str
    ns: NDArray[np.int64]  # (n,) settlement after which each was made
    mean: Array  # (n, H) the forecast
    parts: Parts

    def groups(self) -> dict[str, Array]:
        """(n, H) of every group of inputs."""
        found: dict[str, Array] = {}
        for (group, _), value in self.parts.values.items():
            found[group] = found.get(group, 0.0) + value
        return found


def explain(forecaster: Forecaster, market: Market | Panel, span: Span = None) -> list[Explained]:
    """The parts of the forecasts that `predict` makes for the same span.

    Raises `ForecastError` where the forecaster is not fitted or cannot name its parts.
    """
    panel, start = forecaster.asked_panel(market, span)
    with one_thread():
        parts = forecaster.explain(panel, start)
        means = forecaster.means(panel)
    found = []
    for history, mean, each in zip(panel, means, parts, strict=True):
        rows = history.ns >= start
        found.append(Explained(history.symbol, history.ns[rows], mean[rows], each))
    return found


def parts_table(found: Sequence[Explained], horizons: Sequence[int]) -> pd.DataFrame:
    """One row for each coin, settlement, horizon and input: symbol, time, horizon, group, input,
    value in bp per 8 h; the base is the input `base` of the group `base`.
    """
    rows = []
    for each in found:
        times = pd.to_datetime(each.ns, utc=True)
        for (group, name), value in {
            ("base", "base"): each.parts.base,
            **each.parts.values,
        }.items():
            for j, horizon in enumerate(horizons):
                columns: dict[str, Any] = {"symbol": each.symbol, "time": times}
                columns |= {"horizon": horizon, "group": group, "input": name}
                rows.append(pd.DataFrame(columns | {"value": value[:, j]}))
    return pd.concat(rows, ignore_index=True)
