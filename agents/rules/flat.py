"""Never trades: the account earns the cash rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.reasons import Reason
from agents.rules.actions import targets
from agents.rules.base import Rule


class Flat(Rule):
    """Holds nothing; a position given at the start of an episode is closed."""

    name = "flat"

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        self.carry = observed(batch.observation_table, "carry")

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Close what there is, else hold."""
        carry = self.carry.of(obs)
        self.reasons = np.where(carry == 0, Reason.NEUTRAL, Reason.CLOSE).astype(np.int8)
        return targets(carry == 0, np.zeros_like(carry))
