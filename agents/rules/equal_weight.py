"""Equal weight: always the same share of one capital in every coin, rebalanced outside a band."""

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
from agents.rules.capital import Capital, OneCapital, Shares


@dataclass(frozen=True, kw_only=True)
class EqualWeightParams(Params):
    """Parameters of equal weight."""

    leverage: Annotated[float, Range(1, 125, "times")] = 1.0
    """Perpetual notional over perpetual wallet; portfolio margin: notional over equity is L / (1 +
    (1 - collateral rate) L).
    """
    band: Annotated[float, Range(0, 10, "of a coin's share")] = 0.5
    """The rule restores the notional of a coin when it differs by more than this part of the coin's
    share of the equity; 0: only the env's margin keeper acts.
    """


class EqualWeight(OneCapital, Rule):
    """Holds carry 1/N in each of the N coins of one capital that trade. It returns a coin to its
    target when its notional has left the band, and all coins when N changes, because one is listed
    or delisted. With one coin: always-on carry with a rebalancing band.

    A notional changes with the price of its coin, while the equity of a hedged account does not.
    """

    name = "equal_weight"
    parameters = EqualWeightParams
    params: EqualWeightParams

    def look_up(self, batch: Any) -> None:
        """Find the columns, and the margin that each coin needs in this margin mode."""
        self.carry, self.pending, self.weight = (
            observed(batch.observation_table, name) for name in ("carry", "pending", "perp_weight")
        )
        self.capital, self.shares = Capital(batch), Shares()
        self.memories = [self.shares]

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Enter flat coins, restore notionals outside the band, else hold."""
        self.capital.see(obs)
        p, carry, pending = self.p, self.carry.of(obs), self.pending.of(obs) != 0
        trades, inside = self.capital.available, carry > HELD / carry.shape[1]
        share, changed = self.shares.see(trades | inside)
        wanted = share * self.capital.notional(p.leverage)
        off = np.abs(-self.weight.of(obs) - wanted) > np.asarray(p.band) * share
        off = inside & ((off & np.greater(p.band, 0.0)) | changed)
        hold = (inside & ~off) | pending | ~trades
        self.reasons = first_reason(
            [pending, ~trades, off, inside],
            [Reason.PENDING, Reason.CLOSED, Reason.LEVER, Reason.HOLD],
            Reason.ENTER,
        )
        return targets(hold, np.broadcast_to(share, carry.shape), leverage=p.leverage)
