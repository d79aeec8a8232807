"""The arithmetic of the rules of one capital: the cost of a carry and its largest size in each
margin mode.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.rules.base import BP_PER_YEAR, Memory
from agents.rules.brackets import OfEpisode, collateral_rates, maintenance_rates
from agents.rules.loans import Loans

Array = NDArray[np.float64]
_CALL = 1.05  # portfolio margin: liquidation at 1.05 x maintenance (specification 10.3)
_DAYS = 365.0


class OneCapital:
    """Mixin of agents whose carries are shares of one capital. They observe which coins trade, and
    give no order for the others. A position in a halted coin is kept, with its share of the
    capital; a coin that is not listed is ignored.
    """

    def env_settings(self) -> dict[str, Any]:
        """Target actions on one capital, and the mask of the coins."""
        return {"actions": "target", "capital": "shared", "observe": ("available",)}


class Shares(Memory):
    """Equal shares of one capital for the coins that trade or are held."""

    def __init__(self) -> None:
        super().__init__()
        self._count = np.zeros((0, 1))

    def see(self, counts: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
        """(share of each of the coins that count (n, 1), whether their number has changed since the
        last decision (n, 1)); counts: (n, A).
        """
        count = np.maximum(counts.sum(axis=1, keepdims=True), 1).astype(np.float64)
        if self.arrive(len(counts)):
            self._count = count
        changed = (count != self._count) & ~self.fresh[:, None]
        self._count = count
        self.settle_in()
        return 1.0 / count, changed


class Capital:
    """Collateral, maintenance and interest of the coins of an env, each (A,), or (n, A) where its
    environments have different coins or days, by the rules in force when the episode began.

    `use` of a coin is the part of the equity that one quote of hedged notional needs as a margin
    against liquidation. Portfolio margin: (1 - collateral rate) + 1.05 x maintenance; the account
    is liquidated where the notionals times their `use` reach the equity. Isolated and cross margin
    have a wallet: see `notional_at`.
    """

    def __init__(self, batch: Any) -> None:
        config = batch.config
        self.portfolio = config.margin_mode == "portfolio"
        self.loans = Loans(batch)
        self._available = observed(batch.observation_table, "available")
        self.highest = float(config.max_leverage)
        self._maintenance = OfEpisode(batch, maintenance_rates)
        self._collateral = OfEpisode(batch, collateral_rates)
        self.look(batch.num_envs)

    def see(self, obs: NDArray[np.float32]) -> None:
        """Read observations (n, D): the coins that each environment has, which of them trade
        (`available`, (n, A)), and the cost of loans.
        """
        self.look(len(obs))
        self.available = self._available.of(obs) > 0.5
        self.loans.look(obs, self.available)

    def look(self, count: int) -> None:
        """Read the rules of the venue for each of `count` environments."""
        self.maintenance, self.collateral = self._maintenance.of(count), self._collateral.of(count)
        self.use = 1.0 - self.collateral + _CALL * self.maintenance

    def gross(self, leverage: Any) -> Array:
        """Equity that one quote of notional at this target leverage ties up, (n, A)."""
        leverage = np.asarray(leverage, float)
        if self.portfolio:
            return np.asarray((1.0 + leverage * (1.0 - self.collateral)) / leverage)
        return np.asarray((1.0 + leverage) / leverage)

    def notional(self, leverage: Any) -> Array:
        """Notional over equity of full carry at a target leverage."""
        return np.asarray(1.0 / self.gross(leverage))

    def leverage(self, notional: Any) -> Array:
        """The target leverage, 1 .. `max_leverage`, whose full carry has this notional."""
        left = 1.0 - np.asarray(notional) * (1.0 - self.collateral if self.portfolio else 1.0)
        wanted = notional / np.maximum(left, 1e-9)
        return np.asarray(np.clip(wanted, 1.0, self.highest))

    def asked(self, notional: Any, share: Any = 1.0) -> tuple[Array, Array]:
        """(carry, target leverage) that give a coin with `share` of the equity this notional over
        its share; below the notional of leverage 1 the carry is smaller than the share.
        """
        leverage = self.leverage(notional)
        return np.asarray(share * np.minimum(notional * self.gross(leverage), 1.0)), leverage

    def hurdle(self, leverage: Any, cash_rate: Any) -> Array:
        """Cost of one quote of notional a year: the cash rate on the part that the equity pays, the
        interest on the part that is borrowed. Isolated and cross: the cash rate on spot and margin.
        """
        gross = self.gross(leverage)
        if not self.portfolio:
            return np.asarray(cash_rate * gross)
        borrowed = np.maximum(1.0 - gross, 0.0)
        rate = self.loans.quote(borrowed / gross)
        return np.asarray(cash_rate * (1.0 - borrowed) + rate * borrowed)

    def interest(self, notional: Any) -> Any:
        """Interest on the quote that this notional over equity borrows, bp per 8 h; 0 in isolated
        and cross margin, which have no loans of quote.
        """
        if not self.portfolio:
            return 0.0
        return self.loans.quote(np.maximum(np.asarray(notional) - 1.0, 0.0)) * BP_PER_YEAR

    def distance(self, notional: Array, volatility: Any) -> Array:
        """Daily volatilities (n, 1) by which all coins have to rise together until an account in
        portfolio margin with these notionals over equity (n, A) is liquidated; infinite without a
        position. volatility: per square-root year (n, A).
        """
        used = notional * self.use
        moved = (used * volatility).sum(axis=1, keepdims=True) / np.sqrt(_DAYS)
        left = np.maximum(1.0 - used.sum(axis=1, keepdims=True), 0.0)
        return np.asarray(
            np.divide(left, moved, out=np.full(moved.shape, np.inf), where=moved > 0.0)
        )

    def notional_at(self, distance: Any, volatility: Any) -> Array:
        """Largest notional over equity that is `distance` daily volatilities from liquidation.

        A rise by x multiplies the notional with 1 + x and leaves the equity of a hedged account as
        it is, so portfolio margin allows 1 / (use (1 + x)). Isolated and cross: the rise of (1 / L
        - m) / (1 + m) that liquidates a short at leverage L, and L / (1 + L).
        """
        rise = distance * volatility / np.sqrt(_DAYS)
        if self.portfolio:
            return np.asarray(1.0 / (self.use * (1.0 + rise)))
        leverage = 1.0 / (self.maintenance + (1.0 + self.maintenance) * rise)
        leverage = np.clip(leverage, 1.0, self.highest)
        return np.asarray(leverage / (1.0 + leverage))
