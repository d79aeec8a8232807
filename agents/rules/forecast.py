"""Carry by forecast: enters when the funding forecast for the holding time pays for a round trip,
and leaves when staying costs more than a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.rules.ahead import Ahead
from agents.rules.base import BP_PER_YEAR
from agents.rules.hysteresis import Hysteresis
from agents.rules.venue_rules import venues_of
from fundenv.optima.env_terms import first_day


@dataclass(frozen=True, kw_only=True)
class ForecastParams(Params):
    """Parameters of the forecast rule; its signal is forecast funding less the hurdle, in bp per
    8 h.
    """

    horizon: Annotated[int, Range(1, 63, "settlements")] = 63
    """Horizon of the forecast that it reads, the column forecast_<horizon>. Choose about the
    holding time: with a shorter horizon the rule trades more than it earns.
    """
    hold: Annotated[float, Range(1, 2000, "settlements")] = 90.0
    """Expected holding time, over which the costs of a round trip must be earned."""
    cost: Annotated[float | None, Range(0, 1000, "bp of notional")] = None
    """Cost of a round trip of both legs; none: four taker fees of the env."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""


class Forecast(Hysteresis):
    """Full carry by forecast funding, net of the cash rate and of costs over the holding time.

    It enters where the forecast exceeds the hurdle r (1 + L) / L by cost / hold, leaves where it is
    below the hurdle by as much, and does nothing in between. The market needs the columns that
    --forecast adds (`fundenv.forecast.observed`).
    """

    name = "forecast"
    parameters: ClassVar[type[Params]] = ForecastParams
    params: Any

    def look_up(self, batch: Any) -> None:
        """Find the columns, and the cost of a round trip."""
        table = batch.observation_table
        self.ahead = Ahead(table, self.name, self.p.horizon)
        self.carry, self.pending, self.cash_rate = (
            observed(table, name) for name in ("carry", "pending", "cash_rate")
        )
        config, day = batch.config, first_day(batch)
        self.round_trip = 2e4 * sum(
            given
            if given is not None
            else max(
                venue.value("fees", f"{leg}_taker", date=day) for venue in venues_of(batch, leg)
            )
            for given, leg in ((config.perp_fee, "perp"), (config.spot_fee, "spot"))
        )

    def signal(self, obs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Forecast funding minus the hurdle (n, A), bp per 8 h."""
        leverage = self.p.leverage
        hurdle = self.cash_rate.of(obs) * BP_PER_YEAR * (1.0 + leverage) / leverage
        return np.asarray(self.ahead.mean(obs, self.p.horizon) - hurdle, dtype=np.float64)

    def thresholds(self) -> tuple[Any, Any]:
        """bp per 8 h."""
        cost = self.round_trip if self.params.cost is None else self.p.cost
        needed = cost / self.p.hold
        return needed, -needed
