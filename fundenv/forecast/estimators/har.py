"""Heterogeneous autoregression of funding (Corsi, J. Financial Econometrics 7(2), 2009): least
squares on the means of the last 1, 3, 21 and 90 rates, for each coin and horizon.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts
from fundenv.forecast.base import Forecaster
from fundenv.forecast.history import Array, History, Panel
from fundenv.forecast.scale import trailing_means

WINDOWS = (1, 3, 21, 90)
LOW, HIGH = -5.0, 6.0  # bp per 8 h; from the screening of Binance BTC and ETH


class Har(Forecaster):
    """Least squares on the means of the last 1, 3, 21 and 90 rates, coin by coin."""

    name: ClassVar[str] = "har"
    low: ClassVar[float] = -np.inf
    high: ClassVar[float] = np.inf

    def learn(self, panel: Panel) -> None:
        """Fit the weights (5,) of every coin and horizon, and those of all coins together, which
        serve a coin that is not in the panel.
        """
        self.weights: dict[str, Array] = {}
        inputs, targets = zip(*(self._data(history) for history in panel), strict=True)
        groups: dict[str, list[int]] = {"": list(range(len(panel)))}
        for i, history in enumerate(panel):
            groups.setdefault(history.symbol, []).append(i)
        for symbol, members in groups.items():
            x = np.concatenate([inputs[i] for i in members])
            y = np.concatenate([targets[i] for i in members])
            self.weights[symbol] = least_squares(x, y)

    def _data(self, history: History) -> tuple[Array, Array]:
        rate = np.clip(history.rate, self.low, self.high)
        clipped = History(history.symbol, history.ns, rate, 0, history.close_ns)
        return trailing_means(rate, WINDOWS), clipped.targets()

    def means(self, panel: Panel) -> list[Array]:
        """Forecasts (K, H)."""
        found = []
        for history in panel:
            x = self._data(history)[0]
            weights = self.weights.get(history.symbol, self.weights[""])
            found.append(weights[:, 0] + x @ weights[:, 1:].T)
        return found

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """What each mean adds, measured from the slow mean of the rate; exact."""
        found = []
        for history in panel:
            rows = history.ns >= since
            slow = history.scale.mean[rows]
            away = self._data(history)[0][rows] - slow[:, None]
            weights = self.weights.get(history.symbol, self.weights[""])
            base = weights[:, 0] + slow[:, None] * weights[:, 1:].sum(axis=1)
            values = {
                ("funding", f"mean of {w}"): away[:, i, None] * weights[:, 1 + i]
                for i, w in enumerate(WINDOWS)
            }
            found.append(Parts(base, values))
        return found

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights of every coin."""
        return {f"har:{symbol}": weights for symbol, weights in self.weights.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.weights = {
            name.removeprefix("har:"): value
            for name, value in state.items()
            if name.startswith("har:")
        }


class ClippedHar(Har):
    """HAR with rates clipped to -5 .. 6 bp in inputs and targets: the base of the comparison."""

    name: ClassVar[str] = "clipped_har"
    low: ClassVar[float] = LOW
    high: ClassVar[float] = HIGH


def least_squares(x: Array, y: Array) -> Array:
    """(H, 1 + F) constant and weights of each target column, fitted to the rows in which the target
    is known.
    """
    design = np.column_stack([np.ones(len(x)), x])
    out = np.zeros((y.shape[1], design.shape[1]))
    for j in range(y.shape[1]):
        known = np.isfinite(y[:, j])
        out[j] = np.linalg.lstsq(design[known], y[known, j], rcond=None)[0]
    return out
