"""Reverse carry: short borrowed spot, long perpetual, while funding is negative enough to pay for
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.reasons import Reason, first_reason
from agents.rules.actions import HELD, targets
from agents.rules.base import BP_PER_YEAR, Rule
from agents.rules.ewma import EwmaParams
from agents.rules.loans import Loans
from agents.rules.memory import Mean, Settled


@dataclass(frozen=True, kw_only=True)
class ReverseParams(EwmaParams):
    """The parameters of the EWMA rule; the signal is minus the mean of settled rates, minus the
    hurdle, in bp per 8 h.
    """


class Reverse(Rule):
    """Enters reverse carry where minus mean funding exceeds the hurdle by `enter`, and leaves it
    where the excess is below `exit`.

    Proceeds of the borrowed coins are locked and earn nothing, so a notional N forgoes the cash
    rate only on its margin N / L, and pays the borrow rate on N. So the hurdle is r / L + borrow
    rate, with the borrow rate of full reverse carry at the present volatility.
    """

    name = "reverse"
    parameters = ReverseParams
    params: ReverseParams

    def look_up(self, batch: Any) -> None:
        """Find the columns, and the cost of loans."""
        table = batch.observation_table
        self.carry, self.pending, self.cash_rate = (
            observed(table, name) for name in ("carry", "pending", "cash_rate")
        )
        self.loans = Loans(batch)
        self.settled, self.mean = Settled(table), Mean(table)
        self.memories = [self.settled, self.mean]

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The rule, for each asset on its own."""
        p = self.p
        self.loans.look(obs)
        owed = p.leverage / (1.0 + np.asarray(p.leverage)) / self.carry.of(obs).shape[1]
        hurdle = (self.cash_rate.of(obs) / p.leverage + self.loans.coins(owed)) * BP_PER_YEAR
        signal = -self.mean.see(obs, *self.settled.see(obs), p.span) - hurdle
        inside, pending = self.carry.of(obs) < -HELD, self.pending.of(obs) != 0
        target = np.where(inside, signal >= p.exit, signal > p.enter)
        hold = (target == inside) | pending
        self.reasons = first_reason(
            [pending, target & ~inside, inside & ~target, inside],
            [Reason.PENDING, Reason.ENTER, Reason.EXIT, Reason.HOLD],
            Reason.NEUTRAL,
        )
        return targets(hold, -1.0 * target, leverage=p.leverage)
