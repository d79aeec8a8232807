"""Always-on carry: long spot, short perpetual, always held."""

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
class CarryParams(Params):
    """Parameters of always-on carry."""

    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""
    rebalance: Annotated[float, Range(0, 10, "fraction")] = 0.0
    """The rule restores the leverage when the effective leverage differs from it by more than this;
    0: only the env's margin keeper acts.
    """


class Carry(Rule):
    """Enters full carry once and holds. Enters again when flat, e.g. after a liquidation.

    The env's margin keeper guards the leverage between decisions; `rebalance` makes the rule
    restore it, with both legs, at its own decisions.
    """

    name = "carry"
    parameters = CarryParams
    params: CarryParams

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        self.carry, self.pending, self.leverage = (
            observed(batch.observation_table, name) for name in ("carry", "pending", "leverage")
        )

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Full carry where flat or where the leverage is off, else hold."""
        p, carry, pending = self.p, self.carry.of(obs), self.pending.of(obs) != 0
        inside = carry > HELD
        ratio = np.maximum(self.leverage.of(obs), 1e-6) / p.leverage
        off = (
            inside
            & (np.maximum(ratio, 1.0 / ratio) > 1.0 + np.asarray(p.rebalance))
            & np.greater(p.rebalance, 0.0)
        )
        hold = (inside & ~off) | pending
        self.reasons = first_reason(
            [pending, off, inside], [Reason.PENDING, Reason.LEVER, Reason.HOLD], Reason.ENTER
        )
        return targets(hold, np.ones_like(carry), leverage=p.leverage)
