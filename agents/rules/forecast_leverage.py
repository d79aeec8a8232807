"""Dynamic leverage by forecast: higher when the forecast is high and its interval narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.params import Params, Range
from agents.rules.ahead import Ahead
from agents.rules.dynamic_leverage import DynamicLeverage
from agents.rules.memory import Deviation


@dataclass(frozen=True, kw_only=True)
class ForecastLeverageParams(Params):
    """Parameters of dynamic leverage by forecast."""

    horizon: Annotated[int, Range(1, 63, "settlements")] = 63
    """Horizon of the forecast that it reads, the columns forecast_<horizon>, _low and _high."""
    enter: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.5
    """Enter when the forecast minus the hurdle, at the chosen leverage, is above this."""
    exit: Annotated[float, Range(-100, 100, "bp per 8 h")] = -0.5
    """Leave when the forecast minus the hurdle is below this."""
    gain: Annotated[float, Range(0.01, 1000, "times")] = 4.0
    """Leverage for each unit of forecast mean over its spread, the 90 % interval in deviations."""
    liquidation: Annotated[float, Range(1e-6, 0.5, "probability")] = 0.001
    """Largest allowed probability of a liquidation within `days`; it limits the leverage."""
    days: Annotated[float, Range(0.04, 365, "days")] = 1.0
    """Time for which that probability holds."""
    highest: Annotated[float, Range(1, 125, "times")] = 6.0
    """Highest leverage; the lowest is 1."""
    step: Annotated[float, Range(1, 10, "factor")] = 1.3
    """The rule changes the leverage of a position when the wanted leverage differs by this factor.
    """
    below: ClassVar = (("exit", "enter"),)


class ForecastLeverage(DynamicLeverage):
    """As `dynamic_leverage`, with mean and risk of funding from the forecast columns of the market:
    leverage = gain x mean / spread, at most what keeps the probability of liquidation below
    `liquidation`. A wide interval lowers the leverage even if the mean is high.
    """

    name = "forecast_leverage"
    parameters = ForecastLeverageParams
    params: ForecastLeverageParams

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        super().look_up(batch)
        self.memories = []
        self.ahead = Ahead(batch.observation_table, self.name, self.p.horizon)

    def within_days(self) -> Any:
        """Days for which the probability of a liquidation holds."""
        return self.p.days

    def wanted(self, obs: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(leverage (n, A), forecast funding (n, A) in bp per 8 h)."""
        p = self.p
        mean = self.ahead.mean(obs, p.horizon)
        spread = np.maximum(self.ahead.deviation(obs, p.horizon), Deviation.FLOOR)
        leverage = np.minimum(p.gain * mean / spread, self.limit(self.volatility.of(obs)))
        return np.clip(leverage, 1.0, p.highest), mean
