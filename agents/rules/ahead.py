"""The forecast columns of a market, as rules read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Observed, observed
from agents.params import AgentError

HORIZONS = (1, 3, 9, 21, 63)  # settlements, as `fundenv.forecast.HORIZONS`
BETWEEN = 2.0 * 1.6448536269514722  # deviations of a Gaussian between its 5 and 95 % quantiles


class Ahead:
    """Mean and spread of forecast funding, of a horizon that may differ between environments."""

    def __init__(self, table: Any, owner: str, horizons: Any) -> None:
        names = {column.name.split(":")[-1] for column in table}
        wanted = sorted(set(np.asarray(horizons, dtype=int).ravel().tolist()))
        for horizon in wanted:
            if f"forecast_{horizon}" not in names:
                have = ", ".join(str(h) for h in HORIZONS if f"forecast_{h}" in names) or "none"
                raise AgentError(
                    f"agent {owner}: the market has no column forecast_{horizon} (horizons there:"
                    f" {have}); give --forecast NAME and --forecast-horizons, in Python"
                    " fundenv.forecast.observed.with_forecast_columns"
                )
        self._columns: dict[int, tuple[Observed, Observed, Observed]] = {
            h: (
                observed(table, f"forecast_{h}"),
                observed(table, f"forecast_{h}_low"),
                observed(table, f"forecast_{h}_high"),
            )
            for h in wanted
        }

    def mean(self, obs: NDArray[np.float32], horizon: Any) -> NDArray[np.float64]:
        """Forecast mean rate of the next `horizon` settlements (n, A), bp per 8 h."""
        return self._of(obs, horizon, lambda mean, low, high: mean)

    def deviation(self, obs: NDArray[np.float32], horizon: Any) -> NDArray[np.float64]:
        """How unsure it is: the width of the 90 % interval in standard deviations, bp per 8 h."""
        return self._of(obs, horizon, lambda mean, low, high: (high - low) / BETWEEN)

    def _of(self, obs: NDArray[np.float32], horizon: Any, what: Any) -> NDArray[np.float64]:
        made = {
            h: np.asarray(what(*(column.of(obs) for column in columns)), dtype=np.float64)
            for h, columns in self._columns.items()
        }
        if len(made) == 1:
            return next(iter(made.values()))
        shape = next(iter(made.values())).shape
        chosen = np.broadcast_to(np.asarray(horizon, dtype=int), shape)
        return np.select([chosen == h for h in made], list(made.values()))
