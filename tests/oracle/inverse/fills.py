"""Prices of orders, impact and bookings: spec 15.11."""

from __future__ import annotations

import math

from tests.oracle.inverse.profit import inverse_profit
from tests.oracle.linear import Stress


class InverseFills:
    """Methods of `InverseAccount`."""

    def _perp_fill(self, a: int, order: float) -> tuple[float, float, float, float]:
        """Fill price; spread, impact and fee in quote: coin at the spot open. Half-spread and
        impact are together at most 1/2.
        """
        bar = self.now[a]
        stress = self.legs[a].stress
        costs = self.rules[a].perp_costs.of(stress)
        return self._coin_price(a, order, bar.perp_open, bar.spot_open, stress, *costs)

    def _coin_price(
        self,
        a: int,
        order: float,
        start: float,
        worth: float,
        stress: Stress,
        fee_rate: float,
        half_spread: float,
        forced: bool = False,
    ) -> tuple[float, ...]:
        bar = self.now[a]
        half_spread = min(half_spread * self.config.cost_scale * stress.spread, 0.5)
        impact = self._impact(a, "perp", order / bar.perp_open, stress.impact, forced)
        impact = min(impact, 0.5 - half_spread)
        price = start * (1 + math.copysign(1.0, order) * (half_spread + impact))
        coin = abs(order) / price * worth
        return price, coin * half_spread, coin * impact, coin * fee_rate

    def _pays_in(self, a: int, which: str) -> float:
        return 1.0 if which == "perp" else super()._pays_in(a, which)

    def _as_slip(self, a: int, which: str, order: float, share: float) -> float:
        """Spec 15.18: the part s of the fill price that costs the coins c of every coin traded."""
        if which == "spot":
            return share
        coins = max(min(share, 1 / 3), -1 / 3)
        return coins / (1 - coins) if order > 0 else coins / (1 + coins)

    def _remember_contracts(self, a: int, order: float, start: float, price: float) -> None:
        """The deposit after an order whose price without half-spread is `price`."""
        paid = order / start - order / price
        self._remember(a, "perp", order / self.now[a].perp_open, paid)

    def _impact_alone(self, a: int, order: float, start: float, impact: float) -> None:
        share = impact if order > 0 else -impact
        self._remember_contracts(a, order, start, start * (1 + share))

    def _fill_leg(self, a: int) -> None:
        leg, bar = self.legs[a], self.now[a]
        if leg.order_perp:
            before = leg.perp
            price, spread, impact, fee = self._perp_fill(a, leg.order_perp)
            coin = abs(leg.order_perp) / price * bar.spot_open
            self._impact_alone(a, leg.order_perp, bar.perp_open, impact / coin)
            self._book_cost(a, 1, leg.order_perp, price, spread, impact, fee)
            self.margin[a] += self._trade_perp(a, price) - fee / bar.spot_open
            if before and not leg.perp and leg.order_spot:
                leg.spot, self.margin[a] = leg.spot + self.margin[a], 0.0
                leg.order_spot = -leg.spot
        if leg.order_spot:
            price, spread, impact, fee = self._spot_fill(a, leg.order_spot)
            self._remember(a, "spot", leg.order_spot, impact)
            self._book_cost(a, 0, leg.order_spot, price, spread, impact, fee)
            self.cash -= leg.order_spot * price + fee
            leg.spot += leg.order_spot

    def _trade_perp(self, a: int, price: float) -> float:
        """Fill the contracts ordered at `price`; returns the realised coin."""
        leg = self.legs[a]
        before, after = leg.perp, leg.perp + leg.order_perp
        leg.perp = after
        if before == 0:
            leg.entry = price
            return 0.0
        if before * leg.order_perp > 0:  # adds: 1 / entry is averaged
            leg.entry = after / (before / leg.entry + leg.order_perp / price)
            return 0.0
        if before * after > 0:
            return inverse_profit(-leg.order_perp, leg.entry, price)
        profit = inverse_profit(before, leg.entry, price)
        leg.entry = price if after else 0.0
        return profit
