"""How sure a forecast is: quantiles of its own past errors, scaled by how much funding moves now,
and corrected by how often the rate fell outside before.

The correction is the quantile tracker of Angelopoulos, Candes and Tibshirani, "Conformal PID
control for time series prediction" (NeurIPS 2023): after each settled target the quantile moves up
by step x level, or down by step x (1 - level), so that in the long run each level is met whatever
the process. It uses targets that were settled at the origin, no later ones.
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
STEP = 0.10  # of the tracker, in scaled errors
_SPANS = (3, 15, 90)  # of the exponential means of absolute changes
_LEAST_SCALE = 0.02  # bp


def drivers(rate: Array) -> Array:
    """(K, 5) what the size of an error may grow with: mean absolute changes, distance of the rate
    from its slow mean, a constant. All are at least 0, known at each settlement.
    """
    series = pd.Series(rate)
    moves = series.diff().abs().fillna(0.0)
    slow = series.ewm(span=45, adjust=True).mean()
    columns = [moves.ewm(span=span, adjust=True).mean() for span in _SPANS]
    return np.column_stack([*columns, (series - slow).abs(), np.ones(len(rate))])


class Width:
    """Quantiles of the errors of one forecaster."""

    def __init__(self) -> None:
        self.weights: Array = np.zeros((0, 0))  # (H, 5) of the drivers
        self.start: Array = np.zeros((0, 0))  # (H, 5) quantiles of scaled errors at the fit

    @property
    def known(self) -> bool:
        """Whether `fit` was called."""
        return self.weights.size > 0

    def fit(self, panel: Panel, means: Sequence[Array], since: int = 0) -> None:
        """Learn from the errors of `means` (K, H) at origins whose targets settled in the panel."""
        from scipy.optimize import nnls

        errors, x = [], []
        for history, mean in zip(panel, means, strict=True):
            rows = history.ns >= since
            errors.append((history.targets() - mean)[rows])
            x.append(drivers(history.rate)[rows])
        error, driver = np.concatenate(errors), np.concatenate(x)
        weights = np.zeros((len(HORIZONS), driver.shape[1]))
        start = np.zeros((len(HORIZONS), len(LEVELS)))
        for j, h in enumerate(HORIZONS):
            known = np.isfinite(error[:, j])
            if known.sum() < 50:
                raise ForecastError(
                    f"{int(known.sum())} settled forecasts over {h} settlements in the span; the"
                    " quantiles need at least 50; give a longer one"
                )
            size = np.abs(error[known, j])
            # relative errors: a wild month does not decide alone
            relative = 1.0 / np.maximum(driver[known, 1] + size.mean(), _LEAST_SCALE)
            weights[j] = nnls(driver[known] * relative[:, None], size * relative)[0]
            start[j] = np.quantile(error[known, j] / self._scale(driver[known], weights[j]), LEVELS)
        self.weights, self.start = weights, start

    @staticmethod
    def _scale(driver: Array, weights: Array) -> Array:
        return np.maximum(driver @ weights, _LEAST_SCALE)

    def quantiles(self, history: History, mean: Array, since: int) -> Array:
        """(K, H, 5) quantiles at every origin; errors of origins after `since` move them."""
        driver = drivers(history.rate)
        scale = np.maximum(driver @ self.weights.T, _LEAST_SCALE)  # (K, H)
        scaled = (history.targets() - mean) / scale
        first = int(np.searchsorted(history.ns, since, side="right"))
        settled = np.full(scaled.shape, np.nan)  # at k the error whose target settled at k
        for j, h in enumerate(HORIZONS):
            settled[first + h :, j] = scaled[first : max(first, len(scaled) - h), j]
        tracked = _tracked(settled, self.start)
        return np.sort(mean[:, :, None] + scale[:, :, None] * tracked, axis=2)

    def state(self) -> dict[str, NDArray[Any]]:
        """As arrays."""
        return {"width_weights": self.weights, "width_start": self.start}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take back what `state` returned."""
        self.weights, self.start = state["width_weights"], state["width_start"]


def _tracked(settled: Array, start: Array) -> Array:
    """(K, H, 5) quantiles of scaled errors, moved by those settled at k (K, H); NaN moves none."""
    # targets that overlap repeat each other, so that longer horizons move in smaller steps
    step = np.where(np.isnan(settled), 0.0, STEP / np.sqrt(np.array(HORIZONS, dtype=np.float64)))
    levels, now = np.array(LEVELS), start.copy()
    out = np.empty((len(settled), *start.shape))
    error = np.nan_to_num(settled)[:, :, None]
    move = step[:, :, None]
    for k in range(len(settled)):
        now = now + move[k] * (levels - (error[k] <= now))
        out[k] = now
    return np.sort(out, axis=2)
