"""Quantiles of a forecast, from the past errors of the same forecaster at the same horizon. They
are scaled by the recent changes of funding and by the forecaster's recent errors, then corrected by
how often the rate was outside them.

The correction is the quantile tracker of Angelopoulos, Candes and Tibshirani, "Conformal PID
control for time series prediction" (NeurIPS 2023): after each settled target the quantile moves up
by step x level, or down by step x (1 - level). So each level is met in the long run, for any
process. The tracker uses only targets that were settled at the origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.errors import ForecastError
from fundenv.forecast.history import HORIZONS, Array, History, Panel

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
OUTER, INNER = 0.20, 0.10  # steps of the tracker, in scaled errors
_MOVES = (3, 15, 90)  # spans of the exponential means of absolute changes
_ERRORS = (15, 45, 135)  # spans of the exponential means of settled absolute errors
_HALF_LIFE = 1095.0  # in 8 h, a year: an error of this age has half the weight in the fit
_KEPT = 400  # number of errors of the fit that later forecasts use
_LEAST_SCALE = 0.02  # bp
_EIGHT_HOURS_NS = 8 * 3_600_000_000_000


def drivers(rate: Array) -> Array:
    """(K, 5) what the size of an error may depend on: mean absolute changes, the distance of the
    rate from its slow mean, a constant. All are at least 0 and known at each settlement.
    """
    series = pd.Series(rate)
    moves = series.diff().abs().fillna(0.0)
    slow = series.ewm(span=45, adjust=True).mean()
    columns = [moves.ewm(span=span, adjust=True).mean() for span in _MOVES]
    return np.column_stack([*columns, (series - slow).abs(), np.ones(len(rate))])


def settled(error: Array, horizon: int) -> Array:
    """(K, 3) exponential means of the absolute errors (K,) of one horizon. Row k uses the errors
    whose targets were settled at k; the newest is that of row k - horizon. NaN before the first.
    """
    known = pd.Series(np.abs(error)).shift(horizon)
    means = [known.ewm(span=span, adjust=True, ignore_na=True).mean() for span in _ERRORS]
    return np.column_stack(means)


class Width:
    """Quantiles of the errors of one forecaster."""

    def __init__(self) -> None:
        self.weights: Array = np.zeros((0, 0))  # (H, 8) of the drivers and of the settled errors
        self.start: Array = np.zeros((0, 0))  # (H, 5) quantiles of scaled errors at the fit
        self.usual: Array = np.zeros(0)  # (H,) mean absolute error, where none has settled yet
        self.errors: dict[str, tuple[NDArray[np.int64], Array]] = {}  # symbol -> ns, (n, H)

    @property
    def known(self) -> bool:
        """Whether `fit` was called."""
        return self.weights.size > 0

    def fit(self, panel: Panel, means: Sequence[Array], since: int = 0) -> None:
        """Learn from the errors of `means` (K, H) at origins from `since` on whose targets settled
        in the panel. An error that is a year old has half the weight, because their distribution
        changes.
        """
        found = []
        for history, mean in zip(panel, means, strict=True):
            error = history.targets() - mean
            later = history.ns >= since
            self.errors[history.symbol] = history.ns[later][-_KEPT:], error[later][-_KEPT:]
            error[~later] = np.nan
            found.append(error)
        end = max(int(history.ns[-1]) for history in panel)
        age = np.concatenate([(end - history.ns) / _EIGHT_HOURS_NS for history in panel])
        moves = np.concatenate([drivers(history.rate) for history in panel])
        rows = []
        for j, horizon in enumerate(HORIZONS):
            own = np.concatenate([settled(error[:, j], horizon) for error in found])
            error = np.concatenate([each[:, j] for each in found])
            rows.append(_fit_horizon(horizon, error, np.column_stack([moves, own]), age))
        self.weights, self.start, self.usual = (np.array(each) for each in zip(*rows, strict=True))

    def quantiles(
        self, history: History, mean: Array, since: int, *, tracked: bool = True
    ) -> Array:
        """(K, H, 5) quantiles at every origin; with `tracked` the errors of origins after `since`
        move them.
        """
        first = int(np.searchsorted(history.ns, since, side="right"))
        error = self._errors(history, mean, first)
        moves = drivers(history.rate)
        scale = np.empty(error.shape)
        moved = np.full(error.shape, np.nan)  # at k the scaled error whose target settled at k
        for j, h in enumerate(HORIZONS):
            own = settled(error[:, j], h)
            driver = np.column_stack([moves, np.where(np.isnan(own), self.usual[j], own)])
            scale[:, j] = _scale(driver, self.weights[j])
            last = max(first, len(error) - h)
            moved[first + h :, j] = error[first:last, j] / scale[first:last, j]
        level = _tracked(moved, self.start) if tracked else np.sort(self.start, axis=1)
        return np.sort(mean[:, :, None] + scale[:, :, None] * level, axis=2)

    def _errors(self, history: History, mean: Array, first: int) -> Array:
        """(K, H) errors. Before row `first` they are those that the fit measured, because the
        errors at settlements of the training span are too small. A target that had not settled at
        the fit was not used in training: its error is taken as it is.
        """
        error = history.targets() - mean
        if history.symbol in self.errors:
            ns, known = self.errors[history.symbol]
            row = np.minimum(np.searchsorted(ns, history.ns[:first]), len(ns) - 1)
            same = (ns[row] == history.ns[:first])[:, None]
            measured = np.where(np.isnan(known[row]), error[:first], known[row])
            error[:first] = np.where(same, measured, np.nan)
        return error

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that `fit` found, as arrays."""
        found: dict[str, NDArray[Any]] = {
            "weights": self.weights,
            "start": self.start,
            "usual": self.usual,
        }
        for symbol, (ns, error) in self.errors.items():
            found |= {f"ns:{symbol}": ns, f"error:{symbol}": error}
        return {f"width_{name}": value for name, value in found.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Set what `fit` found from the arrays that `state` returned."""
        self.weights, self.start, self.usual = (
            state[f"width_{name}"] for name in ("weights", "start", "usual")
        )
        symbols = [name[9:] for name in state if name.startswith("width_ns:")]
        self.errors = {s: (state[f"width_ns:{s}"], state[f"width_error:{s}"]) for s in symbols}


def _scale(driver: Array, weights: Array) -> Array:
    return np.maximum(driver @ weights, _LEAST_SCALE)


def _fit_horizon(
    horizon: int, error: Array, driver: Array, age: Array
) -> tuple[Array, Array, float]:
    """Weights of the drivers, quantiles of the scaled errors, mean absolute error."""
    from scipy.optimize import nnls

    known = np.isfinite(error) & np.isfinite(driver).all(axis=1)
    if known.sum() < 50:
        raise ForecastError(
            f"{int(known.sum())} settled forecasts over {horizon} settlements in the span; the"
            " quantiles need at least 50; give a longer one"
        )
    error, driver, recent = error[known], driver[known], 0.5 ** (age[known] / _HALF_LIFE)
    size = np.abs(error)
    usual = float(np.average(size, weights=recent))
    # relative errors: one volatile month must not set the fit
    relative = np.sqrt(recent) / np.maximum(driver[:, 1] + usual, _LEAST_SCALE)
    weights = nnls(driver * relative[:, None], size * relative)[0]
    scaled = error / _scale(driver, weights)
    order = np.argsort(scaled)
    share = np.cumsum(recent[order])
    return weights, np.interp(LEVELS, share / share[-1], scaled[order]), usual


def _tracked(moved: Array, start: Array) -> Array:
    """(K, H, 5) quantiles of scaled errors, moved by those settled at k (K, H); NaN moves none."""
    # overlapping targets repeat each other, so longer horizons move in smaller steps. The outer
    # levels, which determine the coverage, move faster. A median that followed each run of errors,
    # h settlements late, would be worse than a constant one
    h = np.array(HORIZONS, dtype=np.float64)
    outer, inner = OUTER / np.sqrt(h), INNER / h
    steps = np.column_stack([outer, inner, inner, inner, outer])
    up, now = steps * np.array(LEVELS), start.copy()
    out = np.empty((len(moved), *start.shape))
    live = np.isfinite(moved)
    first = int(live.any(axis=1).argmax()) if live.any() else len(moved)
    out[:first] = start
    error = np.where(live, moved, np.inf)[:, :, None]  # above every quantile
    still = np.where(live[:, :, None], up, 0.0)
    for k in range(first, len(moved)):
        now = now + still[k] - steps * (error[k] <= now)
        out[k] = now
    return np.sort(out, axis=2)
