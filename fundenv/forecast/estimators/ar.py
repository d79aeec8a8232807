"""Autoregression of settled rates (statsmodels), iterated over the horizon; order chosen by BIC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts, of_lags
from fundenv.forecast.base import HORIZONS, Forecaster, ForecasterSettings
from fundenv.forecast.history import Array, Panel
from fundenv.settings import Range


@dataclass(frozen=True, kw_only=True)
class ArSettings(ForecasterSettings):
    """Parameters of the autoregression."""

    lags: Annotated[tuple[int, ...], Range(1, 90, "settlements")] = (1, 2, 3, 6, 9, 15, 21, 45)
    """Orders among which BIC chooses."""


class Ar(Forecaster):
    """Autoregression with the order that BIC chooses, coin by coin."""

    name: ClassVar[str] = "ar"
    parameters: ClassVar[type[ForecasterSettings]] = ArSettings

    def learn(self, panel: Panel) -> None:
        """Fit the constant and the lag weights of every coin."""
        from statsmodels.tsa.ar_model import AutoReg

        self.weights: dict[str, Array] = {}
        for history in panel:
            fits = [
                AutoReg(history.rate, lags=n, trend="c", hold_back=max(self.params.lags)).fit()
                for n in self.params.lags
            ]
            best = min(fits, key=lambda fit: float(fit.bic))
            self.weights[history.symbol] = np.asarray(best.params, dtype=np.float64)
        longest = max(map(len, self.weights.values()))
        padded = [np.pad(w, (0, longest - len(w))) for w in self.weights.values()]
        self.weights[""] = np.mean(padded, axis=0)

    def means(self, panel: Panel) -> list[Array]:
        """Forecasts (K, H)."""
        found = []
        for history in panel:
            weights = self.weights.get(history.symbol, self.weights[""])
            found.append(iterated(history.rate, weights[0], weights[1:]))
        return found

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """Parts by the age of the rates; exact, as an iterated autoregression is linear in them."""
        found = []
        for history in panel:
            weights = self.weights.get(history.symbol, self.weights[""])
            found.append(of_lags(history, since, *effects(weights[0], weights[1:])))
        return found

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights of every coin."""
        return {f"ar:{symbol}": weights for symbol, weights in self.weights.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.weights = {n[3:]: value for n, value in state.items() if n.startswith("ar:")}


def effects(constant: float, weights: Array) -> tuple[Array, Array]:
    """What the constant, (H,), and each of the last L rates, (H, L), newest first, add to the
    forecasts of `iterated`.
    """
    lags = max(1, len(weights))
    ones = [iterated(row, 0.0, weights)[-1] for row in np.eye(lags)[:, ::-1]]
    return iterated(np.zeros(lags), constant, weights)[-1], np.array(ones).T


def iterated(rate: Array, constant: float, weights: Array) -> Array:
    """(K, H) mean over the next h rates of an autoregression; each step is an input of the next."""
    order = max(1, len(weights))
    padded = np.r_[np.full(order - 1, rate[0]), rate]
    lags = np.lib.stride_tricks.sliding_window_view(padded, order)[:, ::-1].copy()  # newest first
    total = np.zeros(len(rate))
    out = np.empty((len(rate), len(HORIZONS)))
    for step in range(1, max(HORIZONS) + 1):
        ahead = constant + lags[:, : len(weights)] @ weights
        lags = np.column_stack([ahead, lags[:, :-1]])
        total += ahead
        if step in HORIZONS:
            out[:, HORIZONS.index(step)] = total / step
    return out
