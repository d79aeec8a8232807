"""The clairvoyant: follows the best schedule of carry for the future that it knows. It is a bound,
not a baseline, and a source of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.rules.actions import targets
from agents.rules.foreseeing import Foreseeing
from fundenv.optima.foresight import Foresight


@dataclass(frozen=True, kw_only=True)
class ClairvoyantParams(Params):
    """What the clairvoyant may hold."""

    carries: Annotated[tuple[float, ...], Range(-1, 1, "of full carry")] = (0.0, 1.0)
    """Carries to choose from, with -1 also reverse carry; flat is always possible."""
    leverages: Annotated[tuple[float, ...], Range(1, 125, "times")] = (3.0,)
    """Leverages to choose from; the clairvoyant takes the highest that survives each step."""


class Clairvoyant(Foreseeing):
    """Trades to where the dynamic programme of `fundenv.optima.foresight` says, over the rest of
    each episode, and holds otherwise.

    It reads the future from the batch that it is bound to, so it can act in that batch alone. The
    plan ignores the drift of the position between trades, so the agent's growth differs a little
    from the plan's value; `fundenv.optima.bound` computes a strict upper bound.
    """

    name = "clairvoyant"
    parameters = ClairvoyantParams
    params: ClairvoyantParams

    def look_up(self, batch: Any) -> None:
        """Find the columns; plans are made at the first `act` of each episode."""
        table = batch.observation_table
        self.weight, self.leverage = (
            observed(table, "perp_weight"),
            observed(table, "target_leverage"),
        )
        self.pending = observed(table, "pending")
        self.foresee(Foresight, batch, self.params.carries, self.params.leverages)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The planned trades, for each asset on its own."""
        self.look_ahead(obs)
        weight, leverage, same = self.foresight.choice(-self.weight.of(obs).astype(np.float64))
        kept = np.abs(self.leverage.of(obs) - leverage) < 1e-3
        hold = (same & (kept | (weight == 0))) | (self.pending.of(obs) != 0)
        held = np.where(weight == 0, 1.0, leverage)
        carry = np.clip(weight * (1.0 + held) / held * weight.shape[1], -1.0, 1.0)
        return targets(hold, carry, leverage=held)
