"""Orders and what cuts them: spec 15.5 to 15.10, 15.12."""

from __future__ import annotations

from tests.oracle.inverse.profit import inverse_profit
from tests.oracle.linear import Target


class InverseOrders:
    """Methods of `InverseAccount`."""

    def _decide(self, targets: list[Target | None], equity: float, first: bool) -> set[int]:
        moved = super()._decide(targets, equity, first)
        for a in moved:
            leg = self.legs[a]
            if self._in_coins(a) and leg.pending == "flatten" and (targets[a] is None or not first):
                self._order_coins(a, leg.perp, 0.0)
        return moved

    def _order_coins(self, a: int, perp: float, least: float) -> None:
        """All coins of the asset become the hedge of `perp` contracts, but at least `least`."""
        mark = self.last[a].mark_close
        wanted = (
            max(-self.legs[a].hedge * perp / mark, least)
            if least
            else -self.legs[a].hedge * perp / mark
        )
        self.legs[a].order_spot = wanted - self._coins(a, mark)

    def _gross(self, a: int) -> float:
        return super()._gross(a) if self.portfolio else 1.0

    def _value(self, a: int) -> float:
        return abs(self.legs[a].perp)

    def _order_to_target(self, a: int, equity: float, band: float) -> None:
        leg, last = self.legs[a], self.last[a]
        perp = -leg.carry * equity / self._gross(a) / self._parts_of_capital()
        if leg.hedge * perp > 0 and not self.config.allow_short_spot:
            perp = 0.0
            self.reasons[a] = "no borrow"
        leg.order_perp = perp - leg.perp
        self._order_coins(
            a,
            perp,
            0.0
            if self.config.allow_short_spot
            else self._required(perp, last.mark_close, leg.leverage),
        )
        largest = max(abs(leg.order_perp), abs(leg.order_spot) * last.spot_close)
        if leg.carry != 0 and largest <= band * equity:
            if leg.order_perp or leg.order_spot:
                self.reasons[a] = "inside the band"
            leg.order_perp = leg.order_spot = 0.0

    def _hedge_order(self, a: int) -> float:
        leg, mark = self.legs[a], self.last[a].mark_close
        wanted = leg.order_spot
        self._order_coins(
            a,
            leg.perp,
            0.0 if self.config.allow_short_spot else self._required(leg.perp, mark, leg.leverage),
        )
        needed, leg.order_spot = leg.order_spot, wanted
        return needed

    def _lendable(self, a: int, prices: list[float]) -> float:
        """Free coins, and those that free cash can borrow."""
        free = max(self._free(prices), 0.0) / prices[a] if self.config.allow_short_spot else 0.0
        return max(self.legs[a].spot, 0.0) + free

    def _keep(self, busy: set[int], equity: float) -> set[int]:
        bar_ns = round(self.market.bar_hours * 3600e9)
        opened = (int(self.market.close_ns[self.row]) - bar_ns) // bar_ns
        if not self.keeper_bars or opened % self.keeper_bars:
            return set()
        if self.config.keeper_watches == "equity":
            return self._keep_exposure(busy, equity)
        if self.portfolio:
            return set()
        touched: set[int] = set()
        for a in range(self.n):
            touched |= self._keep_wallet(a, [a], busy)
        return touched

    def _keep_wallet(self, w: int, members: list[int], busy: set[int]) -> set[int]:
        leg, mark = self.legs[w], self.last[w].mark_close
        if w in busy or leg.perp == 0:
            return set()
        required = self._required(leg.perp, mark, leg.leverage)
        balance = self._coins(w, mark) - leg.spot
        if abs(balance - required) <= 1e-9 * required:
            return set()
        if balance < required / self.config.keeper_up:
            moved = min(required - balance, self._lendable(w, [b.spot_close for b in self.last]))
            leg.spot -= moved
            self.margin[w] += moved
            balance += moved
            if balance < required * (1 - 1e-9):
                share = max(balance, 0.0) / required - 1
                leg.order_perp = share * leg.perp
                leg.order_spot = share * min(self._coins(w, mark), 0.0)
                return {w}
        elif self.isolated and balance * self.config.keeper_down > required:
            return {w}
        return set()

    def _sizes(self, a: int) -> tuple[float, float]:
        """Value [quote] of one unit of perp, and base units of it at the open."""
        return 1.0, 1.0 / self.now[a].perp_open

    def _bracket_value(self, a: int, perp: float) -> float:
        return abs(perp) / self.last[a].mark_close

    def _hedge_held(self, a: int) -> float:
        """All coins, which loans are limited by too, spec 15.17."""
        return self._coins(a, self.last[a].mark_close)

    def _free_of_asset(self, a: int, orders: tuple[float, float], moved: set[int]) -> float:
        leg, bar = self.legs[a], self.now[a]
        released = self._released(a, orders[1]) if a in moved else 0.0
        spot = self._covered(a, *orders)
        _, *costs = self._spot_fill(a, spot)
        paid = spot * bar.spot_open + sum(costs)
        return -paid - max(-(leg.spot + spot + released), 0.0) * bar.spot_open

    def _free_of_wallet(
        self, w: int, members: list[int], orders: list[tuple[float, float]]
    ) -> float:
        return 0.0

    def _released(self, a: int, perp: float) -> float:
        """Coins that the wallet need not hold after a perpetual order."""
        leg, price = self.legs[a], self.now[a].perp_open
        profit = inverse_profit(leg.perp, leg.entry, price)
        left = profit * max(0.0, 1 - abs(perp / leg.perp)) if leg.perp * perp < 0 else profit
        needed = self.rules[a].maintenance(abs(leg.perp + perp) / price)
        wallet = self.margin[a] + profit - self._coin_cost(a, perp)
        return wallet - max(
            left + min(max(wallet - left, 0.0), needed),
            self._required(leg.perp + perp, price, leg.leverage),
        )

    def _covered(self, a: int, spot: float, perp: float) -> float:
        """A spot order that sells coins that are there, where nobody lends any."""
        if self.config.allow_short_spot or self.portfolio or spot >= 0:
            return spot
        there = max(self.legs[a].spot + max(self._released(a, perp), 0.0), 0.0)
        return -there if -spot > there * (1 + 1e-9) else spot

    def _limit(self, moved: set[int]) -> None:
        super()._limit(moved)
        for a, leg in enumerate(self.legs):
            if not self._in_coins(a):
                continue
            self._cut(
                a,
                self._covered(a, leg.order_spot, leg.order_perp),
                leg.order_perp,
                "not enough funds",
            )

    def _coin_cost(self, a: int, perp: float) -> float:
        _, spread, impact, fee = self._perp_fill(a, perp)
        return (spread + impact + fee) / self.now[a].spot_open

    def _free_collateral_after(self, orders: list[tuple[float, float]]) -> float:
        free, paid = self.cash, 0.0
        for a, (leg, bar, rules) in enumerate(zip(self.legs, self.now, self.rules, strict=True)):
            spot, perp = orders[a]
            _, *costs = self._spot_fill(a, spot)
            paid += spot * bar.spot_open + sum(costs)
            coins = self._coins(a, bar.perp_open) + spot - self._coin_cost(a, perp)
            value = coins * bar.spot_open
            required = self._required(leg.perp + perp, bar.perp_open, leg.leverage)
            free += (
                min(value, value * rules.collateral_rate)
                - required * bar.spot_open
                - spot * bar.spot_open
                - sum(costs)
            )
        return self._within_loan(free, paid)
