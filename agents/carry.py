"""Always-on carry: long spot, short perpetual, held for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents._target import HELD, targets
from agents.base import Agent, observed
from agents.params import Params, Range


@dataclass(frozen=True, kw_only=True)
class CarryParams(Params):
    """Parameters of always-on carry."""

    leverage: Annotated[float, Range(1, 125)] = 3.0  # perp notional over perp wallet


class Carry(Agent):
    """Enters full carry once and holds; the env's margin keeper does the rest. Enters again when flat, e.g. after a liquidation."""

    name = "carry"
    parameters = CarryParams
    params: CarryParams

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        self.carry, self.pending = (observed(batch.observation_table, name) for name in ("carry", "pending"))

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Full carry where flat, else hold."""
        carry = self.carry.of(obs)
        hold = (carry > HELD) | (self.pending.of(obs) != 0)
        return targets(hold, np.ones_like(carry), leverage=self.params.leverage)
