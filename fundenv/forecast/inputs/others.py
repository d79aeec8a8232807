"""Funding of the other coins as inputs of one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.history import HOUR_NS, Panel
from fundenv.market.files.frames import floats

Array = NDArray[np.float64]
_OLDEST_NS = 8 * HOUR_NS  # a rate of another coin that is older counts as unknown


def others(panel: Panel) -> list[dict[str, Array]]:
    """Mean, dispersion and first component of the other coins' scaled rates, at each origin of each
    history. The weights of the component come from the 270 settlements before each origin.
    """
    known: dict[str, list[tuple[NDArray[np.int64], Array, Array]]] = {}
    for history in panel:
        slow, size = history.scale
        scaled = (history.rate - slow) / size
        known.setdefault(history.symbol, []).append((history.ns, scaled, history.rate))
    series = {
        name: [pd.Series(np.concatenate([part[i] for part in parts]),
                         pd.Index(np.concatenate([part[0] for part in parts]))) for i in (1, 2)]
        for name, parts in known.items()
    }  # fmt: skip
    found = []
    for history in panel:
        own_mean, own_size = history.scale
        table, levels = (
            pd.DataFrame(
                {
                    name: _last_known(each[i], history.ns)
                    for name, each in series.items()
                    if name != history.symbol
                }
            )
            for i in (0, 1)
        )
        mean = table.mean(axis=1)
        found.append(
            {
                "others_mean": floats(mean),
                "others_mean_9": floats(mean.rolling(9, min_periods=1).mean()),
                "others_spread": floats(table.std(axis=1, ddof=0)),
                "others_level": (floats(levels.mean(axis=1)) - own_mean) / own_size,
                "others_component": _component(table.fillna(0.0).to_numpy()),
            }
        )
    return found


def _last_known(series: pd.Series, ns: NDArray[np.int64]) -> Array:
    series = series[~series.index.duplicated(keep="last")].sort_index()
    stamps = series.index.to_numpy(dtype=np.int64)
    row = np.searchsorted(stamps, ns, side="right") - 1
    fresh = (row >= 0) & (ns - stamps[np.maximum(row, 0)] <= _OLDEST_NS)
    out = np.full(len(ns), np.nan)
    out[fresh] = series.to_numpy()[row[fresh]]
    return out


def _component(table: Array, window: int = 270, every: int = 30) -> Array:
    """Score on the first principal component; its weights come from the `window` rows before each
    block of `every` rows.
    """
    out = np.zeros(len(table))
    for start in range(0, len(table), every):
        past = table[max(0, start - window) : start]
        weights = np.ones(table.shape[1]) / table.shape[1]
        if len(past) >= 90 and past.std() > 0:
            vector = np.linalg.eigh(np.atleast_2d(np.cov(past.T)))[1][:, -1]
            total = np.abs(vector).sum()
            weights = vector * np.sign(vector.sum() or 1.0) / total
        out[start : start + every] = table[start : start + every] @ weights
    return out
