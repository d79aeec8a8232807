"""Enter and leave full carry by a signal with two thresholds: the decision of all rules that differ
only in their signal.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.reasons import Reason, first_reason
from agents.rules.actions import HELD, targets
from agents.rules.base import Rule


class Hysteresis(Rule):
    """Full carry where the signal is above the upper threshold, flat where it is below the lower
    one, no order in between; each asset on its own.

    A subclass finds the columns `carry` and `pending`, and its parameters have `leverage`.
    """

    carry: Any
    pending: Any

    @abstractmethod
    def signal(self, obs: NDArray[np.float32]) -> NDArray[np.float64]:
        """The signal that is compared with the thresholds, (n, A)."""

    @abstractmethod
    def thresholds(self) -> tuple[Any, Any]:
        """(enter, exit) in the unit of the signal: numbers, or (n, 1)."""

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Target actions (n, A * 4)."""
        enter, leave = self.thresholds()
        signal, carry = self.signal(obs), self.carry.of(obs)
        inside, pending = carry > HELD, self.pending.of(obs) != 0
        target = np.where(inside, signal >= leave, signal > enter)
        hold = (target == inside) | pending
        self.reasons = first_reason(
            [pending, target & ~inside, inside & ~target, inside],
            [Reason.PENDING, Reason.ENTER, Reason.EXIT, Reason.HOLD],
            Reason.NEUTRAL,
        )
        return targets(hold, target, leverage=self.p.leverage)
