"""The clairvoyant of the portfolio: follows a linear programme over the future that it knows. It is
a bound, not a baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.rules.actions import targets
from agents.rules.capital import Capital, OneCapital
from agents.rules.foreseeing import Foreseeing
from fundenv.optima.portfolio import PortfolioForesight


@dataclass(frozen=True, kw_only=True)
class PortfolioClairvoyantParams(Params):
    """What the clairvoyant of the portfolio may hold."""

    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Target leverage; all coins together hold at most its notional, L / (1 + (1 - collateral rate)
    L) of the equity.
    """


class PortfolioClairvoyant(OneCapital, Foreseeing):
    """Trades one capital over several coins in portfolio margin, borrowing included, as the linear
    programme of `fundenv.optima.portfolio` plans it over the rest of each episode.

    It reads the future from the batch that it is bound to, so it can act in that batch alone. The
    plan has no impact and no liquidation, so the agent's growth differs a little from its value.
    """

    name = "portfolio_clairvoyant"
    parameters = PortfolioClairvoyantParams
    params: PortfolioClairvoyantParams

    def env_settings(self) -> dict[str, Any]:
        """Target actions on one capital in portfolio margin."""
        return super().env_settings() | {"margin_mode": "portfolio"}

    def look_up(self, batch: Any) -> None:
        """Find the columns; plans are made at the first `act` of each episode."""
        self.pending = observed(batch.observation_table, "pending")
        self.weight = observed(batch.observation_table, "perp_weight")
        self.capital = Capital(batch)
        self.foresee(PortfolioForesight, batch, self.params.leverage)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The planned trades."""
        self.look_ahead(obs)
        self.capital.see(obs)
        wanted, trades = self.foresight.choice()
        leverage = self.params.leverage
        carry = np.clip(wanted * self.capital.gross(leverage), 0.0, 1.0)
        hold = ~trades | (self.pending.of(obs) != 0) | ~self.capital.available
        return targets(hold, np.where(carry < 1e-4, 0.0, carry), leverage=leverage)
