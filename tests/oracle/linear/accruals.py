"""Settlement and interest, spec 4 and 11, and the booking of profits from prices."""

from __future__ import annotations


class Accruals:
    """Methods of `ReferenceAccount`."""

    def _settle(self) -> None:
        # specification 4.1: what is held before the trade of this instant; a position opened by it
        # is behind the venue's seconds of grace
        for a, bar in enumerate(self.now):
            if bar.settle_price > 0:
                self._settle_leg(a, bar.settle_rate + self._displaced_rate(a))

    def _settle_leg(self, a: int, rate: float) -> None:
        received = -self.legs[a].perp * self._settle_price(a) * rate
        self.parts["funding"] += received
        if self.portfolio:
            self.cash += received
        elif self.config.margin_mode == "cross" or self._is_away(self._wallet(a)):  # spec 9.7
            self.margin[self._wallet(a)] += received
        elif received >= 0:
            self.cash += received
        else:
            from_cash = min(-received, max(0.0, self._free([b.spot_close for b in self.last])))
            self.cash -= from_cash
            self.margin[a] -= -received - from_cash

    def _settle_price(self, a: int) -> float:
        """Mark of the settlement, or the last spot close where the venue settles on its oracle or
        index.
        """
        return (
            self.last[a].spot_close if self.rules[a].settles_on_spot else self.now[a].settle_price
        )

    def _accrue(self) -> None:
        free = self._free([b.spot_close for b in self.now])
        earned = max(free, 0.0) * self.config.cash_rate * self.years
        debt, rate = max(-self.cash, 0.0), self.rules[0].quote_borrow_rate
        if self.portfolio:
            rate += self._scarcity(self.config.quote_supply, self._calm(), debt)
        paid = debt * rate * self.years
        for a, (leg, bar, rules) in enumerate(zip(self.legs, self.now, self.rules, strict=True)):
            debt = max(-leg.spot, 0.0) * self.last[a].spot_close
            rate = self._scarcity(self.config.base_supply, bar.sigma_day, debt)
            owed = max(-leg.spot, 0.0) * bar.spot_close
            paid += owed * (rules.base_borrow_rate + rate) * self.years
        self.parts["cash_interest"] += earned
        self.parts["borrow_interest"] -= paid
        self.cash += earned - paid
        self._earn_away()

    def _earn_away(self) -> None:
        """Spec 11.3."""
        for w, members in enumerate(self.wallets):
            earned = max(self.margin[w], 0.0) * self.rules[members[0]].wallet_rate * self.years
            self.margin[w] += earned
            self.parts["cash_interest"] += earned

    def _scarcity(self, supply: float, sigma: float, debt: float) -> float:
        """Spec 11.2: annual rate beyond the flat one."""
        if supply <= 0:
            return 0.0
        used = self._lent(sigma) + debt / supply
        return self.config.borrow_steep * max(used - 0.8, 0.0) / 0.2

    def _book_price_profit(
        self,
        spot_from: list[float],
        spot_to: list[float],
        perp_from: list[float],
        perp_to: list[float],
    ) -> None:
        for a in range(self.n):
            self._book_leg(a, (spot_from[a], spot_to[a]), (perp_from[a], perp_to[a]))

    def _book_leg(self, a: int, spot: tuple[float, float], perp: tuple[float, float]) -> None:
        leg, rise = self.legs[a], spot[1] - spot[0]
        self.parts["spot_pnl"] += leg.spot * rise
        self.expected_pnl += (leg.spot + leg.perp) * rise
        self.parts["perp_pnl"] += leg.perp * (perp[1] - perp[0])
