"""ARIMA of settled rates (statsmodels): parameters by maximum likelihood, forecasts from the state
of the Kalman filter at every origin.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.base import HORIZONS, Forecaster, ForecasterSettings
from fundenv.forecast.history import Array, Panel
from fundenv.settings import Range

_RECENT = 3285  # settlements, three years; a longer fit takes long and changes the weights little


@dataclass(frozen=True, kw_only=True)
class ArimaSettings(ForecasterSettings):
    """Order of the model."""

    p: Annotated[int, Range(0, 10)] = 1
    """Order of the autoregression."""
    d: Annotated[int, Range(0, 1)] = 0
    """How often rates are differenced."""
    q: Annotated[int, Range(0, 10)] = 1
    """Order of the moving average."""


class Arima(Forecaster):
    """ARIMA(p, d, q) by maximum likelihood on the last three years, coin by coin."""

    name: ClassVar[str] = "arima"
    parameters: ClassVar[type[ForecasterSettings]] = ArimaSettings

    def _model(self, rate: Array) -> Any:
        from statsmodels.tsa.arima.model import ARIMA

        order = self.params.p, self.params.d, self.params.q
        return ARIMA(rate, order=order, trend="n" if self.params.d else "c")

    def learn(self, panel: Panel) -> None:
        """Fit the parameters of every coin."""
        self.fitted: dict[str, Array] = {}
        with warnings.catch_warnings():
            # statsmodels warns that it replaces start values that are not stationary
            warnings.simplefilter("ignore")
            for history in panel:
                result = self._model(history.rate[-_RECENT:]).fit(
                    method="statespace", low_memory=True
                )
                self.fitted[history.symbol] = np.asarray(result.params, dtype=np.float64)
        self.fitted[""] = np.mean(list(self.fitted.values()), axis=0)

    def means(self, panel: Panel) -> list[Array]:
        """Forecasts (K, H)."""
        return [self._ahead(h.rate, self.fitted.get(h.symbol, self.fitted[""])) for h in panel]

    def _ahead(self, rate: Array, params: Array) -> Array:
        filtered = self._model(rate).filter(params, return_ssm=True)  # only the states
        states = filtered.predicted_state[:, 1:]  # (m, K): predicted for the next settlement
        design = filtered.design[:, :, -1]
        transition, intercept = filtered.transition[:, :, -1], filtered.obs_intercept[0, -1]
        total, out = np.zeros(len(rate)), np.empty((len(rate), len(HORIZONS)))
        for step in range(1, max(HORIZONS) + 1):
            total += (design @ states)[0] + intercept
            states = transition @ states
            if step in HORIZONS:
                out[:, HORIZONS.index(step)] = total / step
        return out

    def state(self) -> dict[str, NDArray[Any]]:
        """The parameters of every coin."""
        return {f"arima:{symbol}": params for symbol, params in self.fitted.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.fitted = {n[6:]: value for n, value in state.items() if n.startswith("arima:")}
