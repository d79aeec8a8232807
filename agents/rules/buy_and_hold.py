"""Buy and hold: a long perpetual without a hedge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.reasons import Reason, first_reason
from agents.rules.actions import HELD, targets
from agents.rules.base import Rule


@dataclass(frozen=True, kw_only=True)
class BuyAndHoldParams(Params):
    """Parameters of buy and hold."""

    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Exposure when bought is L / (1 + L) of equity."""


class BuyAndHold(Rule):
    """Buys the perpetual once for L / (1 + L) of equity, pays or receives funding, and keeps the
    rest in cash. Buys again when flat.
    """

    name = "buy_and_hold"
    parameters = BuyAndHoldParams
    params: BuyAndHoldParams

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        self.weight, self.pending = (
            observed(batch.observation_table, name) for name in ("perp_weight", "pending")
        )

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Buy where flat, else hold."""
        inside, pending = self.weight.of(obs) > HELD, self.pending.of(obs) != 0
        self.reasons = first_reason([pending, inside], [Reason.PENDING, Reason.HOLD], Reason.ENTER)
        return targets(
            inside | pending, np.full(inside.shape, -1.0), hedge=0.0, leverage=self.p.leverage
        )
