"""HAR whose errors follow a GARCH(1,1) (arch). The weights are fitted by maximum likelihood, so
days of high variance count less than in least squares.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts, of_lags
from fundenv.forecast.base import Forecaster
from fundenv.forecast.estimators.ar import effects, iterated
from fundenv.forecast.estimators.har import WINDOWS
from fundenv.forecast.history import Array, Panel

_RECENT = 3285  # settlements, three years


class Garch(Forecaster):
    """HAR mean with GARCH(1,1) errors by maximum likelihood on the last three years, coin by coin,
    iterated over the horizon.
    """

    name: ClassVar[str] = "garch"

    def learn(self, panel: Panel) -> None:
        """Fit the constant, the HAR weights and the variance parameters of every coin."""
        from arch.univariate import GARCH, HARX

        self.fitted: dict[str, Array] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the optimiser's, and one about the scale of bp
            for history in panel:
                model = HARX(history.rate[-_RECENT:], lags=list(WINDOWS), rescale=False)
                model.volatility = GARCH(1, 0, 1)
                result = model.fit(disp="off")
                self.fitted[history.symbol] = np.asarray(result.params, dtype=np.float64)
        self.fitted[""] = np.mean(list(self.fitted.values()), axis=0)

    def means(self, panel: Panel) -> list[Array]:
        """Forecasts (K, H)."""
        found = []
        for history in panel:
            params = self.fitted.get(history.symbol, self.fitted[""])
            found.append(iterated(history.rate, float(params[0]), lag_weights(params[1:5])))
        return found

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """Parts by the age of the rates; exact, as the mean is linear in them."""
        found = []
        for history in panel:
            params = self.fitted.get(history.symbol, self.fitted[""])
            linear = effects(float(params[0]), lag_weights(params[1:5]))
            found.append(of_lags(history, since, *linear))
        return found

    def state(self) -> dict[str, NDArray[Any]]:
        """The parameters of every coin."""
        return {f"garch:{symbol}": params for symbol, params in self.fitted.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.fitted = {n[6:]: value for n, value in state.items() if n.startswith("garch:")}


def lag_weights(har: Array) -> Array:
    """(90,) weights of the single lags, from the HAR weights of the means over `WINDOWS`."""
    out = np.zeros(max(WINDOWS))
    for weight, window in zip(har, WINDOWS, strict=True):
        out[:window] += weight / window
    return out
