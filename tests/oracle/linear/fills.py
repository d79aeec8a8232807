"""Prices of orders, their impact and how they are booked: spec 8."""

from __future__ import annotations

import math

from fundenv.config import hours
from tests.oracle.linear.legs import Stress


class Fills:
    """Methods of `ReferenceAccount`."""

    def _spot_fill(self, a: int, order: float) -> tuple[float, float, float, float]:
        bar, rules = self.now[a], self.rules[a]
        return self._price(
            order,
            bar.spot_open,
            "spot",
            *rules.spot_costs.of(self.legs[a].stress),
            a,
            self.legs[a].stress,
        )

    def _perp_fill(self, a: int, order: float) -> tuple[float, float, float, float]:
        bar, rules = self.now[a], self.rules[a]
        return self._price(
            order,
            bar.perp_open,
            "perp",
            *rules.perp_costs.of(self.legs[a].stress),
            a,
            self.legs[a].stress,
        )

    def _price(
        self,
        order: float,
        start: float,
        which: str,
        fee_rate: float,
        half_spread: float,
        a: int,
        stress: Stress,
        forced: bool = False,
    ) -> tuple[float, ...]:
        """Fill price, then spread, impact and fee in quote; only impact that goes back on earlier
        orders, and a maker's fee, may be below 0.
        """
        half_spread = min(half_spread * self.config.cost_scale * stress.spread, 1.0)
        impact = min(self._impact(a, which, order, stress.impact, forced), 1.0 - half_spread)
        price = start * (1 + math.copysign(1.0, order) * (half_spread + impact))
        return (
            price,
            abs(order) * start * half_spread,
            abs(order) * start * impact,
            fee_rate * abs(order) * price,
        )

    def _thin(self, a: int, which: str) -> float:
        """k: impact of one base unit from rest, as a fraction of the price."""
        bar = self.now[a]
        volume = bar.spot_day_volume if which == "spot" else bar.perp_day_volume
        if volume <= 0:
            return 0.0
        return self.rules[a].impact * bar.sigma_day / volume**self.config.impact_exponent

    def _pays_in(self, a: int, which: str) -> float:
        """What one base unit is worth in the money in which the leg pays."""
        return self.now[a].spot_open if which == "spot" else self.now[a].perp_open

    def _depth(self, a: int, which: str) -> float:
        c = self.config
        return c.impact_lasting * self._thin(a, which) * c.cost_scale * self._pays_in(a, which)

    def _deposit(self, a: int, which: str) -> float:
        return self.legs[a].deposit_spot if which == "spot" else self.legs[a].deposit_perp

    def _volume(self, a: int, which: str) -> float:
        """Displaced volume; call it with a depth alone."""
        deposit, power = self._deposit(a, which), 1 / (1 + self.config.impact_exponent)
        size = (abs(deposit) / self._depth(a, which)) ** power
        return size if deposit > 0 else -size

    def _moved_deposit(self, a: int, which: str, order: float) -> float:
        volume = self._volume(a, which) + order
        size = self._depth(a, which) * abs(volume) ** (1 + self.config.impact_exponent)
        return size if volume > 0 else -size

    def _impact(self, a: int, which: str, order: float, stress: float, forced: bool) -> float:
        """Impact of an order in base as a fraction of the price, spec 8.2 and 8.7; forced: that of
        a liquidation, spec 8.9.
        """
        c, size = self.config, abs(order)
        rest = self._thin(a, which) * size**c.impact_exponent * c.cost_scale * stress
        if not size or not self._depth(a, which):
            return rest * (1 - c.impact_lasting) if not forced else rest
        change = abs(self._moved_deposit(a, which, order)) - abs(self._deposit(a, which))
        change *= stress if change > 0 else 1.0
        share = self._as_slip(
            a,
            which,
            order,
            (1 - c.impact_lasting) * rest + change / size / self._pays_in(a, which),
        )
        return max(share, rest) if forced else max(share, -0.5)

    def _as_slip(self, a: int, which: str, order: float, share: float) -> float:
        """A cost over the value of an order as a part of the fill price."""
        return share

    def _remember(self, a: int, which: str, order: float, paid: float) -> None:
        """The deposit after an order that paid so much for its impact."""
        if not self._depth(a, which):
            return
        after = self._moved_deposit(a, which, order)
        size = min(abs(after), max(abs(self._deposit(a, which)) + paid, 0.0))
        size = size if after > 0 else -size
        if which == "spot":
            self.legs[a].deposit_spot = size
        else:
            self.legs[a].deposit_perp = size

    def _fade(self) -> None:
        c = self.config
        if c.impact_half_life is not None:
            kept = 0.5 ** (self.years * 8760 / hours(c.impact_half_life, ""))
            for leg in self.legs:
                leg.deposit_spot *= kept ** (1 + c.impact_exponent)
                leg.deposit_perp *= kept ** (1 + c.impact_exponent)

    def _displaced(self, a: int, which: str) -> float:
        """Displacement of the price as a fraction of it, spec 8.10."""
        c = self.config
        if not self._depth(a, which):
            return 0.0
        volume, n = self._volume(a, which), c.impact_exponent
        moved = c.impact_lasting * c.cost_scale * self._thin(a, which) * (1 + n) * abs(volume) ** n
        return min(moved, 1.0) if volume > 0 else -min(moved, 1.0)

    def _displaced_rate(self, a: int) -> float:
        """What own orders take off the settled rate, spec 4.6."""
        premium = self._displaced(a, "perp") - self._displaced(a, "spot")
        return self.config.funding_response * premium if premium * self.legs[a].perp > 0 else 0.0

    def _fill(self) -> None:
        for a in range(self.n):
            self._fill_leg(a)

    def _fill_leg(self, a: int) -> None:
        leg = self.legs[a]
        if leg.order_spot:
            price, spread, impact, fee = self._spot_fill(a, leg.order_spot)
            self._remember(a, "spot", leg.order_spot, impact)
            self._book_cost(a, 0, leg.order_spot, price, spread, impact, fee)
            self.cash -= leg.order_spot * price + fee
            leg.spot += leg.order_spot
        if leg.order_perp:
            price, spread, impact, fee = self._perp_fill(a, leg.order_perp)
            self._remember(a, "perp", leg.order_perp, impact)
            self._book_cost(a, 1, leg.order_perp, price, spread, impact, fee)
            self.margin[self._wallet(a)] += self._trade_perp(a, price) - fee

    def _trade_perp(self, a: int, price: float) -> float:
        """Fill the perpetual order of a leg at `price`; returns the realised profit."""
        leg = self.legs[a]
        before, after = leg.perp, leg.perp + leg.order_perp
        leg.perp = after
        if before == 0 or before * leg.order_perp > 0:  # opens or adds
            leg.entry = (before * leg.entry + leg.order_perp * price) / after
            return 0.0
        if before * after > 0:  # closes a part
            return -leg.order_perp * (price - leg.entry)
        profit = before * (price - leg.entry)  # closes whole; what is beyond opens at the fill
        leg.entry = price if after else 0.0
        return profit

    def _book_cost(
        self,
        a: int,
        which: int,
        order: float,
        price: float,
        spread: float,
        impact: float,
        fee: float,
    ) -> None:
        self.parts["spread"] -= spread
        self.parts["impact"] -= impact
        self.parts["fees"] -= fee
        self.filled[a][which] += order
        self.values[a][2 * which] += abs(order) * price
        self.values[a][2 * which + 1] += abs(order)
