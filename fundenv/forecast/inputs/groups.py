"""The groups of inputs that need one coin alone: name -> (K,), NaN where unknown."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.extra import PREFIX, RATE
from fundenv.forecast.history import HOUR_NS, History
from fundenv.forecast.scale import Scale, trailing_means
from fundenv.market.files.frames import floats

Array = NDArray[np.float64]


def _funding(history: History, scale: Scale) -> dict[str, Array]:
    rate, (mean, size) = history.rate, scale
    windows = (2, 3, 9, 21, 90)
    means = trailing_means(rate, windows)
    found = {"funding_1": (rate - mean) / size, "funding_lag1": (_lag(rate, 1) - mean) / size}
    found |= {f"funding_{w}": (means[:, i] - mean) / size for i, w in enumerate(windows)}
    found["funding_level"] = (mean - 1.0) / size  # less 1 bp, the interest rate of most venues
    found["funding_size"] = np.log(size)
    return found


def _lag(values: Array, by: int) -> Array:
    return np.concatenate([np.full(min(by, len(values)), values[0]), values[: len(values) - by]])


def _basis_bp(history: History) -> Array:
    return np.asarray((history.columns["perp"] / history.columns["spot"] - 1.0) * 1e4)


def _mean_over(history: History, values: Array, hours: float) -> Array:
    """Mean of a column over the last hours, at each origin."""
    step = np.median(np.diff(history.close_ns)) / HOUR_NS if len(values) > 1 else 1.0
    bars = max(1, round(hours / float(step)))
    return history.at_origins(pd.Series(values).rolling(bars, min_periods=1).mean().to_numpy())


def _premium(history: History, scale: Scale) -> dict[str, Array]:
    """The rate that the venue's formula gives for the premium since the last settlement: with a
    delay of 0 for the interval that just ended, with a longer one for the interval that runs.
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
    per_day = max(1, round(24 * HOUR_NS / float(np.median(np.diff(history.ns)))))
    return {f"open_interest_{d}d": floats(logs.diff(d * per_day)) * 10.0 for d in (1, 7)}


def _other_venue(history: History, scale: Scale) -> dict[str, Array]:
    """The last rate of the other venue and its mean over the last nine origins, measured from the
    slow mean of the coin's own rate.
    """
    found: dict[str, Array] = {}
    for name in (name for name in history.columns if name.startswith(RATE)):
        rate = history.at_origins(history.columns[name])
        nine = pd.Series(rate).rolling(9, min_periods=1).mean().to_numpy()
        own = name.removeprefix(PREFIX)
        found[own] = (rate - scale.mean) / scale.size
        found[f"{own}_9"] = (nine - scale.mean) / scale.size
    return found


def _user(history: History, scale: Scale) -> dict[str, Array]:
    return {
        name: history.at_origins(values)
        for name, values in history.columns.items()
        if name.startswith(PREFIX) and not name.startswith(RATE)
    }


OWN = {
    "funding": _funding,
    "premium": _premium,
    "basis": _basis,
    "volatility": _volatility,
    "returns": _returns,
    "volume": _volume,
    "open_interest": _open_interest,
    "other_venue": _other_venue,
    "user": _user,
}
