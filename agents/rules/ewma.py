"""EWMA with hysteresis: carry while mean funding is far enough above what idle cash would earn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.rules.base import BP_PER_YEAR
from agents.rules.hysteresis import Hysteresis
from agents.rules.memory import Mean, Settled


@dataclass(frozen=True, kw_only=True)
class EwmaParams(Params):
    """Parameters of the EWMA rule; its signal is the mean of settled rates minus the hurdle, in bp
    per 8 h.
    """

    span: Annotated[float, Range(1, 2000, "settlements")] = 9.0
    """Span of the exponential mean of settled rates."""
    enter: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.5
    """Enter when the signal is above this."""
    exit: Annotated[float, Range(-100, 100, "bp per 8 h")] = -0.5
    """Leave when the signal is below this."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""
    below: ClassVar = (("exit", "enter"),)


class Ewma(Hysteresis):
    """Enters full carry where mean funding exceeds the hurdle by `enter`, and leaves it where the
    excess is below `exit`.

    Full carry at leverage L earns funding on L / (1 + L) of equity and forgoes the cash rate r on
    all of it: it pays where funding exceeds the hurdle r (1 + L) / L. The margin keeper of the env
    restores the leverage.
    """

    name = "ewma"
    parameters: ClassVar[type[Params]] = EwmaParams
    params: Any

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        table = batch.observation_table
        self.carry, self.pending, self.cash_rate = (
            observed(table, name) for name in ("carry", "pending", "cash_rate")
        )
        self.settled, self.mean = Settled(table), Mean(table)
        self.memories = [self.settled, self.mean]

    def signal(self, obs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean funding minus the hurdle (n, A), bp per 8 h."""
        hurdle = self.cash_rate.of(obs) * BP_PER_YEAR * (1.0 + self.p.leverage) / self.p.leverage
        mean = self.mean.see(obs, *self.settled.see(obs), self.p.span)
        return np.asarray(mean - hurdle)

    def thresholds(self) -> tuple[Any, Any]:
        """bp per 8 h."""
        return self.p.enter, self.p.exit
