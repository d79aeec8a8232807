"""No change: every forecast is the last settled rate."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fundenv.forecast.attribution import Parts, of_lags
from fundenv.forecast.base import HORIZONS, Forecaster
from fundenv.forecast.history import Array, Panel


class NoChange(Forecaster):
    """The last settled rate, over every horizon."""

    name: ClassVar[str] = "no_change"

    def learn(self, panel: Panel) -> None:
        """Nothing is learned."""

    def means(self, panel: Panel) -> list[Array]:
        """The last rate (K, H)."""
        return [np.repeat(history.rate[:, None], len(HORIZONS), axis=1) for history in panel]

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """One part: the last rate."""
        h = len(HORIZONS)
        return [of_lags(history, since, np.zeros(h), np.ones((h, 1))) for history in panel]
