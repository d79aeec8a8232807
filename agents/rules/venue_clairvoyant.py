"""The clairvoyant over venues: one capital in the best asset of each moment, with the future known.
It is a bound, not a baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.rules.actions import HELD, targets
from agents.rules.capital import Capital, OneCapital
from agents.rules.foreseeing import Foreseeing
from fundenv.optima.one_place import PlaceForesight


@dataclass(frozen=True, kw_only=True)
class VenueClairvoyantParams(Params):
    """What the clairvoyant over venues may hold."""

    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""


class VenueClairvoyant(OneCapital, Foreseeing):
    """Puts one capital into the coin and venue that `fundenv.optima.one_place` names for each
    decision, or into cash.

    It reads the future from the batch that it is bound to, so it can act in that batch alone, and
    it leaves a venue before that fails. The plan has no impact, no keeper and no time that money
    needs between venues, so the agent's growth differs a little from its value.
    """

    name = "venue_clairvoyant"
    parameters = VenueClairvoyantParams
    params: VenueClairvoyantParams

    def look_up(self, batch: Any) -> None:
        """Find the columns; plans are made at the first `act` of each episode."""
        table = batch.observation_table
        self.carry, self.pending = (observed(table, name) for name in ("carry", "pending"))
        self.capital = Capital(batch)
        self.foresee(PlaceForesight, batch, self.params.leverage)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The planned trades."""
        self.look_ahead(obs)
        self.capital.see(obs)
        inside = self.carry.of(obs) > HELD
        wanted = np.arange(inside.shape[1]) == self.foresight.choice()[:, None]
        closed = (self.pending.of(obs) != 0) | ~self.capital.available
        return targets((wanted == inside) | closed, wanted, leverage=self.params.leverage)
