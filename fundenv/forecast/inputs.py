"""Inputs of the forecasters, in groups that can be switched: each is causal, one row per origin.

Levels of funding and basis are measured from the slow mean of the coin's own rate and divided by
the scale of its changes, so that one set of weights serves calm and wild years and every coin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.errors import ForecastError
from fundenv.forecast.extra import PREFIX
from fundenv.forecast.history import History, Panel
from fundenv.market.files.frames import floats

Array = NDArray[np.float64]
GROUPS = {
    "funding": "the coin's own settled rates: last, means over 2 .. 90 settlements, scale",
    "premium": "running estimate of the pending rate, premium of the last hours",
    "basis": "perp / spot - 1 over the last hour, 8, 24 and 72 hours",
    "volatility": "realised volatility of spot over 1, 7 and 30 days",
    "returns": "spot returns over 1, 3, 7 and 14 days",
    "volume": "turnover of the last day over its 30-day mean",
    "open_interest": "changes of the column open_interest over 1 and 7 days",
    "others": "funding of the other coins: mean, dispersion, first component",
    "user": "columns of a file of the user's own",
}
FLOOR_BP = 0.05  # smallest scale: a rate that stands still is not riskless
SLOW = 90  # settlements; span of the mean that levels are measured from
_LIMIT = 8.0  # scaled inputs are clipped to +- this
_HOUR_NS = 3_600_000_000_000
_OLDEST_NS = 8 * _HOUR_NS  # another coin's rate older than this is not used


class Scale(NamedTuple):
    """Slow mean and size of the changes of a rate, each (K,) bp per 8 h."""

    mean: Array
    size: Array


def scale_of(rate: Array) -> Scale:
    """The slow exponential mean of a rate, and the size of its changes: the root of a mean square
    that is four parts fast (weight .27 on the newest, as a GARCH(1,1) fitted to funding has it) and
    one part slow (span 270). Both at k from rates up to k.
    """
    series = pd.Series(rate)
    squared = series.diff().fillna(0.0) ** 2
    fast = squared.ewm(alpha=0.27, adjust=True).mean().to_numpy()
    slow = squared.ewm(span=270, adjust=True).mean().to_numpy()
    size = np.sqrt(0.8 * fast + 0.2 * slow)
    return Scale(series.ewm(span=SLOW, adjust=True).mean().to_numpy(), np.maximum(size, FLOOR_BP))


def trailing_means(rate: Array, windows: Sequence[int]) -> Array:
    """(K, W) mean of the last w rates; of all rates where there are fewer."""
    series = pd.Series(rate)
    return np.column_stack([series.rolling(w, min_periods=1).mean().to_numpy() for w in windows])


def available(panel: Panel) -> tuple[str, ...]:
    """The groups whose data every history has."""
    names = set.intersection(*(set(history.columns) for history in panel))
    found = ["funding"]
    if {"perp", "spot"} <= names:
        found += ["premium", "basis"]
    found += [
        group
        for group, column in (
            ("volatility", "volatility_7d"),
            ("returns", "return_7d"),
            ("volume", "volume_ratio"),
            ("open_interest", "open_interest"),
        )
        if column in names
    ]
    if len({history.symbol for history in panel}) > 1:
        found.append("others")
    if any(name.startswith(PREFIX) for name in names):
        found.append("user")
    return tuple(found)


def check_groups(groups: Sequence[str], panel: Panel | None = None) -> tuple[str, ...]:
    """The groups, checked. Raises `ForecastError` for an unknown one and, with a panel, for one
    whose data are missing.
    """
    for group in groups:
        if group not in GROUPS:
            raise ForecastError(f"inputs {group!r} are unknown; known: {', '.join(GROUPS)}")
        if panel is not None and group not in available(panel):
            remedy = {
                "others": "load at least two coins",
                "user": "give the file with --extra FILE",
                "open_interest": "load the market with extra={'open_interest': scale}",
            }.get(group, "give perp and spot bars of every coin")
            raise ForecastError(f"inputs {group!r}: the data are missing; {remedy}")
    return tuple(groups)


def matrices(panel: Panel, groups: Sequence[str]) -> tuple[tuple[str, ...], list[Array]]:
    """Names (F,) and, for each history, the inputs (K, F); unknown values are 0, which is the
    middle of every input but the user's.
    """
    others = _others(panel) if "others" in groups else None
    names: tuple[str, ...] = ()
    out = []
    for i, history in enumerate(panel):
        scale = scale_of(history.rate)
        blocks: dict[str, Array] = {}
        for group in groups:
            if group == "others":
                assert others is not None
                blocks |= others[i]
            else:
                blocks |= _GROUP[group](history, scale)
        names = tuple(blocks)
        matrix = np.column_stack(list(blocks.values()))
        limit = np.array([np.inf if name.startswith(PREFIX) else _LIMIT for name in names])
        out.append(np.clip(np.nan_to_num(matrix, nan=0.0, posinf=0.0, neginf=0.0), -limit, limit))
    return names, out


def _funding(history: History, scale: Scale) -> dict[str, Array]:
    rate, (mean, size) = history.rate, scale
    windows = (2, 3, 9, 21, 90)
    means = trailing_means(rate, windows)
    found = {"funding_1": (rate - mean) / size, "funding_lag1": (_lag(rate, 1) - mean) / size}
    found |= {f"funding_{w}": (means[:, i] - mean) / size for i, w in enumerate(windows)}
    found["funding_level"] = (mean - 1.0) / size  # from the interest part of most venues, 1 bp
    found["funding_size"] = np.log(size)
    return found


def _lag(values: Array, by: int) -> Array:
    return np.concatenate([np.full(min(by, len(values)), values[0]), values[: len(values) - by]])


def _basis_bp(history: History) -> Array:
    return np.asarray((history.columns["perp"] / history.columns["spot"] - 1.0) * 1e4)


def _mean_over(history: History, values: Array, hours: float) -> Array:
    """Mean of a column over the last hours, at each origin."""
    step = np.median(np.diff(history.close_ns)) / _HOUR_NS if len(values) > 1 else 1.0
    bars = max(1, round(hours / float(step)))
    return history.at_origins(pd.Series(values).rolling(bars, min_periods=1).mean().to_numpy())


def _premium(history: History, scale: Scale) -> dict[str, Array]:
    """What the venue's formula makes of the premium since the last settlement: at its instant (a
    delay of 0) of the interval just ended, later of the one under way.
    """
    mean, size = scale
    basis = _basis_bp(history)
    week = _mean_over(history, basis, 168)
    found = {"premium_4": (_mean_over(history, basis, 4) - week) / size}
    if "funding_estimate" in history.columns:
        estimate = history.at_origins(history.columns["funding_estimate"])
        found["premium_estimate"] = (estimate - mean) / size
    return found


def _basis(history: History, scale: Scale) -> dict[str, Array]:
    basis = _basis_bp(history)
    week = _mean_over(history, basis, 168)
    found = {f"basis_{h}": (_mean_over(history, basis, h) - week) / scale.size for h in (1, 8, 24)}
    month = _mean_over(history, basis, 720)
    found["basis_72"] = (_mean_over(history, basis, 72) - month) / scale.size
    return found


def _volatility(history: History, scale: Scale) -> dict[str, Array]:
    return {
        f"volatility_{d}d": np.log(np.maximum(history.at_origins(_column(history, d)), 1e-3))
        for d in (1, 7, 30)
    }


def _column(history: History, days: int) -> Array:
    return history.columns[f"volatility_{days}d"]


def _returns(history: History, scale: Scale) -> dict[str, Array]:
    usual = np.maximum(history.at_origins(_column(history, 30)), 1e-3) / np.sqrt(365.0)
    return {
        f"return_{d}d": history.at_origins(history.columns[f"return_{d}d"]) / usual / np.sqrt(d)
        for d in (1, 3, 7, 14)
    }


def _volume(history: History, scale: Scale) -> dict[str, Array]:
    return {"volume_ratio": history.at_origins(history.columns["volume_ratio"])}


def _open_interest(history: History, scale: Scale) -> dict[str, Array]:
    level = history.at_origins(history.columns["open_interest"])
    logs = pd.Series(np.log(np.where(level > 0, level, np.nan)))
    per_day = max(1, round(24 * _HOUR_NS / float(np.median(np.diff(history.ns)))))
    return {f"open_interest_{d}d": floats(logs.diff(d * per_day)) * 10.0 for d in (1, 7)}


def _user(history: History, scale: Scale) -> dict[str, Array]:
    return {
        name: history.at_origins(values)
        for name, values in history.columns.items()
        if name.startswith(PREFIX)
    }


_GROUP = {
    "funding": _funding,
    "premium": _premium,
    "basis": _basis,
    "volatility": _volatility,
    "returns": _returns,
    "volume": _volume,
    "open_interest": _open_interest,
    "user": _user,
}


def _others(panel: Panel) -> list[dict[str, Array]]:
    """Mean, dispersion and first component of the other coins' scaled rates, at each origin of each
    history. The component's weights come from the 270 settlements before each origin.
    """
    known: dict[str, list[tuple[NDArray[np.int64], Array, Array]]] = {}
    for history in panel:
        slow, size = scale_of(history.rate)
        scaled = (history.rate - slow) / size
        known.setdefault(history.symbol, []).append((history.ns, scaled, history.rate))
    series = {
        name: [pd.Series(np.concatenate([part[i] for part in parts]),
                         pd.Index(np.concatenate([part[0] for part in parts]))) for i in (1, 2)]
        for name, parts in known.items()
    }  # fmt: skip
    found = []
    for history in panel:
        own_mean, own_size = scale_of(history.rate)
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
    """Score on the first component, its weights from the `window` rows before each block."""
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
