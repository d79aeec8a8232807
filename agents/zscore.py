"""The z-score rule: carry while settled funding stands far from its mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents._rule import Rule
from agents._target import HELD, targets
from agents.base import observed
from agents.params import Params, Range


@dataclass(frozen=True, kw_only=True)
class ZScoreParams(Params):
    """Parameters of the z-score rule; z is the observation `funding_z` (sample standard deviation over 90 settlements)."""

    entry: Annotated[float, Range(0, 20)] = 2.5  # enter at |z| >= entry
    exit: Annotated[float, Range(-20, 20)] = 0.5  # leave at z < exit in the direction of the position; below `entry`
    two_sided: bool = False  # True: also reverse carry (short spot, long perp) at z <= -entry
    invalidation: bool = True  # leave when the last settled rate has turned against the position
    leverage: Annotated[float, Range(1, 125)] = 3.0  # perp notional over perp wallet
    below: ClassVar = (("exit", "entry"),)


class ZScore(Rule):
    """Enters carry at z >= entry and positive settled funding (two-sided: the mirror image too), leaves at z < exit or when funding flips.

    Keeps no memory: whether it is in the market stands in the observation `carry`.
    """

    name = "zscore"
    parameters = ZScoreParams
    params: ZScoreParams

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        table = batch.observation_table
        self.z, self.funding = observed(table, "funding_z"), observed(table, "funding_last")
        self.carry, self.pending = observed(table, "carry"), observed(table, "pending")

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The rule, for each asset on its own."""
        p = self.p
        z, funding, carry = self.z.of(obs), self.funding.of(obs), self.carry.of(obs)
        position = np.where(np.abs(carry) > HELD, np.sign(carry), 0.0)
        leave = position * z < p.exit
        leave |= (position * funding < 0) & p.invalidation
        keep = (position != 0) & ~leave
        enter = (z >= p.entry) & (funding > 0)
        enter_reverse = (z <= -p.entry) & (funding < 0) & p.two_sided
        target = np.where(keep, position, enter.astype(np.float64) - enter_reverse)
        hold = (target == position) | (self.pending.of(obs) != 0)
        return targets(hold, target, leverage=p.leverage)
