"""Volatility bands: always-on carry whose size is a distance to liquidation in daily volatilities,
and that is rebalanced where the distance leaves a band.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.reasons import Reason, first_reason
from agents.rules.actions import HELD, targets
from agents.rules.base import Rule
from agents.rules.capital import Capital, OneCapital, Shares


@dataclass(frozen=True, kw_only=True)
class VolatilityBandsParams(Params):
    """Parameters of the volatility bands; distances in daily volatilities (the higher of 7 and 30
    days).
    """

    distance: Annotated[float, Range(0.1, 1000, "daily volatilities")] = 25.0
    """Distance to liquidation at the notional that an order asks for."""
    near: Annotated[float, Range(0, 1000, "daily volatilities")] = 12.0
    """The rule restores all notionals when the account is nearer to liquidation than this."""
    far: Annotated[float, Range(0.1, 10000, "daily volatilities")] = 60.0
    """The rule restores all notionals when the account is farther from liquidation than this."""
    highest: Annotated[float, Range(0.01, 20, "of equity")] = 0.95
    """Highest notional over equity; above 1 quote is borrowed in portfolio margin."""
    below: ClassVar = (("near", "distance"), ("distance", "far"))


class VolatilityBands(OneCapital, Rule):
    """Holds every coin that trades with an equal share of one capital, at the notional that stands
    `distance` daily volatilities from liquidation, at most `highest`; trades when the distance is
    outside `near` .. `far`.

    Portfolio margin: the account's distance, where all coins rise together. Isolated and cross
    margin: the nearest wallet's. Leverage for a target distance to liquidation: A. Moreira and T.
    Muir, "Volatility-Managed Portfolios", J. Finance 72(4), 2017, scale exposure with the inverse
    of volatility; here the distance takes the place of their variance target.
    """

    name = "volatility_bands"
    parameters = VolatilityBandsParams
    params: VolatilityBandsParams

    def look_up(self, batch: Any) -> None:
        """Find the columns, and what the margin mode asks of each coin."""
        names = "carry pending perp_weight margin_distance volatility_7d volatility_30d"
        self.column = {name: observed(batch.observation_table, name) for name in names.split()}
        self.capital, self.shares = Capital(batch), Shares()
        self.memories = [self.shares]

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Enter flat coins, restore all when the distance is outside the band, else hold."""
        self.capital.see(obs)
        see = {name: column.of(obs).astype(np.float64) for name, column in self.column.items()}
        inside, pending = see["carry"] > HELD / see["carry"].shape[1], see["pending"] != 0
        trades = self.capital.available
        share, changed = self.shares.see(trades | inside)
        volatility = np.maximum(see["volatility_7d"], see["volatility_30d"])
        size = np.minimum(self.capital.notional_at(self.p.distance, volatility), self.p.highest)
        asked, leverage = self.capital.asked(size, share)
        held = np.maximum(-see["perp_weight"], 0.0)
        if self.capital.portfolio:
            distance = self.capital.distance(held, volatility)
        else:
            distance = see["margin_distance"].min(axis=1, keepdims=True)
        # where `highest` limits the notional, the account stands farther away from the start
        capped = size >= np.asarray(self.p.highest)
        small = held < 0.5 * share * size
        off = inside & (
            changed | (distance < self.p.near) | ((distance > self.p.far) & (~capped | small))
        )
        hold = (inside & ~off) | pending | ~trades
        self.reasons = first_reason(
            [pending, ~trades, off, inside],
            [Reason.PENDING, Reason.CLOSED, Reason.LEVER, Reason.HOLD],
            Reason.ENTER,
        )
        return targets(hold, asked, leverage=leverage)
