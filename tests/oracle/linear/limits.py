"""What cuts an order: spec 7."""

from __future__ import annotations

import math

from tests.oracle.linear.sizes import between, closing, difference, whole_lots


class Limits:
    """Methods of `ReferenceAccount`."""

    def _gain(self, a: int, start: float, end: float) -> float:
        """Profit of the whole perpetual between two prices, in the currency of its wallet."""
        return self.legs[a].perp * (end - start)

    def _coin_worth(self, a: int) -> float:
        """Quote per unit of the wallet's currency inside the bar."""
        return 1.0

    def _empty(self) -> None:
        """Portfolio: no wallet keeps anything."""
        self.cash, self.margin[0] = self.cash + self.margin[0], 0.0

    def _limit(self, moved: set[int]) -> None:
        """What the market (spec 7.1 to 7.5) and the funds (spec 7.6 to 7.11) allow of the
        orders.
        """
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            if self._stopped(a):
                if not bar.gone:
                    why = "halted" if bar.halted > 0 else "the coins are frozen"
                    self._cut(a, 0.0, 0.0, why)
                continue
            _, base = self._sizes(a)
            after = leg.perp + leg.order_perp
            limit = self.rules[a].largest(leg.leverage)
            held = abs(leg.perp) if leg.perp * after > 0 else 0.0
            allowed = max(limit / self._bracket_value(a, 1.0), held)
            reason = "leverage limit of the bracket"
            if self._is_away(self._wallet(a)):  # spec 9.6
                backed = max(self._unused(a), 0.0) * leg.leverage / bar.perp_open
                backed = max(backed, held)
                if backed < allowed:
                    allowed, reason = backed, "not enough funds"
            if abs(after) > abs(leg.perp) and abs(after) > allowed:
                part, held = allowed / abs(after), self._hedge_held(a)
                spot, perp = (
                    difference(held, part * (held + leg.order_spot)),
                    difference(leg.perp, part * after),
                )
                self._cut(a, spot, perp, reason)
            if self.config.max_participation > 0:
                factor = 1.0
                for order, volume in (
                    (leg.order_spot, bar.spot_volume),
                    (leg.order_perp * base, bar.perp_volume),
                ):
                    if abs(order) > self.config.max_participation * volume:
                        factor = min(factor, self.config.max_participation * volume / abs(order))
                if factor < 1:
                    self._cut(a, leg.order_spot * factor, leg.order_perp * factor, "participation")
            self._keep_hedged(a)
            if self._round(a):
                self.reasons[a] = "below lot or minimum notional"
        self._afford(moved)

    def _afford(self, moved: set[int]) -> None:
        """Spec 7.6 to 7.11: smaller targets where the purse is too small, and in the end nothing
        but what closes.
        """
        equity = self.equity_at(
            [b.spot_close for b in self.last], [b.mark_close for b in self.last]
        )
        rounding = 1e-12 * max(equity, self.config.initial_equity)

        def free(orders: list[tuple[float, float]]) -> float:
            return (
                self._free_collateral_after(orders)
                if self.portfolio
                else self._free_after(orders, moved)
            )

        def short() -> bool:
            return free(self._orders()) < -rounding

        needy: set[int] | None = None
        for time in range(1, 10):
            if not short():
                return
            least, whole = self._least_orders(), self._orders()
            if needy is None:
                needy = set(range(self.n)) if self.portfolio else self._needy(least, whole, moved)
            few = [least[a] if a in needy else whole[a] for a in range(self.n)]
            at_least, shortage = free(few), -free(whole) * 2 ** (time - 1)
            if -free(whole) <= -at_least:
                break
            k = at_least / (at_least + shortage) if at_least > 0 and time < 9 else 0.0
            for a in needy:
                self._shrink(
                    a,
                    between(least[a], whole[a], k if k >= 1e-9 else 0.0),
                    unchanged=least[a] == whole[a],
                )
        if short():
            for a, leg in enumerate(self.legs):
                self._cut(
                    a,
                    closing(leg.order_spot, self._hedge_held(a)),
                    closing(leg.order_perp, leg.perp),
                    "not enough funds",
                )

    def _orders(self) -> list[tuple[float, float]]:
        return [(leg.order_spot, leg.order_perp) for leg in self.legs]

    def _shrink(self, a: int, orders: tuple[float, float], unchanged: bool) -> None:
        """Smaller orders, in lots; a leg that they close does not stay open for the sake of a
        lot.
        """
        leg = self.legs[a]
        if unchanged or orders == (leg.order_spot, leg.order_perp):
            return
        self._cut(a, *orders, "not enough funds")
        self._round(a)
        if abs(leg.order_spot) < abs(leg.spot) and -math.copysign(1.0, leg.spot) * orders[0] >= abs(
            leg.spot
        ):
            leg.order_spot = -leg.spot
        if abs(leg.order_perp) < abs(leg.perp) and -math.copysign(1.0, leg.perp) * orders[1] >= abs(
            leg.perp
        ):
            leg.order_perp = -leg.perp

    def _least_orders(self) -> list[tuple[float, float]]:
        """Spec 7.7: orders towards the part of every target, in its own proportions, that is held
        already on both legs.
        """
        least = []
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            held = (self._hedge_held(a), leg.perp)
            target = (held[0] + leg.order_spot, held[1] + leg.order_perp)
            part = min(
                (
                    min(max(x / y, 0.0), 1.0)
                    for x, y in zip(held, target, strict=True)
                    if abs(y) > 1e-9 * abs(x)
                ),
                default=1.0,
            )
            if part > 1 - 1e-9:
                least.append((leg.order_spot, leg.order_perp))
                continue
            sizes = [difference(x, part * y) for x, y in zip(held, target, strict=True)]
            limits = [bar.spot_volume, bar.perp_volume / self._sizes(a)[1]]
            if self.config.max_participation > 0:
                limits = [limit * self.config.max_participation for limit in limits]
                sizes = [
                    math.copysign(min(abs(x), limit), x)
                    for x, limit in zip(sizes, limits, strict=True)
                ]
            least.append((sizes[0], sizes[1]))
        return least

    def _hedge_held(self, a: int) -> float:
        """What stands beside the perpetual of an asset, base units."""
        return self.legs[a].spot

    def _needy(
        self, least: list[tuple[float, float]], whole: list[tuple[float, float]], moved: set[int]
    ) -> set[int]:
        """Spec 7.8: assets whose whole orders leave less free cash than least orders all round,
        where the others have those.
        """

        def free(which: set[int]) -> float:
            return self._free_after(
                [whole[a] if a in which else least[a] for a in range(self.n)], moved
            )

        return {a for a in range(self.n) if free({a}) < free(set())}

    def _keep_hedged(self, a: int) -> None:
        """Spec 7.12: where lots leave no order of the perp, spot is ordered for the perp held."""
        leg = self.legs[a]
        perp = whole_lots(leg.order_perp, self.rules[a].lot_perp, leg.perp)
        small = abs(perp) * self._sizes(a)[0] < self.rules[a].min_notional_perp
        left_out = perp == 0 or (small and perp != -leg.perp)
        if leg.order_perp and left_out and self.reasons[a] != "loan recalled":
            needed, wanted = self._hedge_order(a), leg.order_spot
            if abs(needed + leg.spot) <= 1e-9 * abs(leg.spot):
                needed = -leg.spot
            leg.order_spot = (
                min(max(needed, 0.0), wanted) if wanted > 0 else max(min(needed, 0.0), wanted)
            )

    def _hedge_order(self, a: int) -> float:
        """Spot order after which the perp that is held is hedged."""
        return -self.legs[a].hedge * self.legs[a].perp - self.legs[a].spot

    def _round(self, a: int) -> bool:
        """Lots (spec 7.4) and minimum notional (spec 7.5); says whether a leg is dropped."""
        leg, last, rules = self.legs[a], self.last[a], self.rules[a]
        spot = whole_lots(leg.order_spot, rules.lot_spot, leg.spot)
        perp = whole_lots(leg.order_perp, rules.lot_perp, leg.perp)
        if abs(spot) * last.spot_close < rules.min_notional_spot and spot != -leg.spot:
            spot = 0.0
        if abs(perp) * self._sizes(a)[0] < rules.min_notional_perp and perp != -leg.perp:
            perp = 0.0
        dropped = bool((leg.order_spot and not spot) or (leg.order_perp and not perp))
        leg.order_spot, leg.order_perp = spot, perp
        return dropped

    def _cut(self, a: int, spot: float, perp: float, reason: str) -> None:
        leg = self.legs[a]
        if spot != leg.order_spot or perp != leg.order_perp:
            self.reasons[a] = reason
        leg.order_spot, leg.order_perp = spot, perp

    def _sizes(self, a: int) -> tuple[float, float]:
        """Value [quote] of one unit of perp at the last mark, and base units of it."""
        return self.last[a].mark_close, 1.0

    def _bracket_value(self, a: int, perp: float) -> float:
        """What the venue's brackets see of a position at the last mark."""
        return abs(perp) * self.last[a].mark_close

    def _free_after(self, orders: list[tuple[float, float]], moved: set[int]) -> float:
        """f: free cash at open prices once the (spot, perp) orders are filled and the wallets are
        set.
        """
        free = self.cash
        for a in range(self.n):
            free += self._free_of_asset(a, orders[a], moved)
        for w, members in enumerate(self.wallets):
            if moved & set(members) and not self._is_away(w):
                free += self._free_of_wallet(w, members, orders)
        return free

    def _free_of_asset(self, a: int, orders: tuple[float, float], moved: set[int]) -> float:
        """What the spot order of an asset adds to f."""
        leg, bar, order = self.legs[a], self.now[a], orders[0]
        _, spread, impact, fee = self._spot_fill(a, order)
        paid = order * bar.spot_open + fee + spread + impact
        return -paid - max(-(leg.spot + order), 0.0) * bar.spot_open

    def _free_of_wallet(
        self, w: int, members: list[int], orders: list[tuple[float, float]]
    ) -> float:
        """What a wallet that gets a transfer adds to f."""
        unrealised = left = cost = required = needed = 0.0
        for a in members:
            leg, bar, order = self.legs[a], self.now[a], orders[a][1]
            _, spread, impact, fee = self._perp_fill(a, order)
            share = max(0.0, 1 - abs(order / leg.perp)) if leg.perp * order < 0 else 1.0
            unrealised += leg.unrealised(bar.perp_open)
            left += leg.unrealised(bar.perp_open) * share
            cost += fee + spread + impact
            required += abs(leg.perp + order) * bar.perp_open / leg.leverage
            needed += self.rules[a].maintenance(abs(leg.perp + order) * bar.perp_open)
        balance = self.margin[w] + unrealised - cost
        return balance - max(left + min(max(balance - left, 0.0), needed), required)

    def _free_collateral_after(self, orders: list[tuple[float, float]]) -> float:
        """f in portfolio mode: adjusted equity less the initial margin of all legs, at open
        prices.
        """
        free, paid = self.cash, 0.0
        for a, (leg, bar, rules) in enumerate(zip(self.legs, self.now, self.rules, strict=True)):
            spot, perp = orders[a]
            _, *spot_costs = self._spot_fill(a, spot)
            _, *perp_costs = self._perp_fill(a, perp)
            paid += spot * bar.spot_open + sum(spot_costs) + sum(perp_costs)
            spot_value = (leg.spot + spot) * bar.spot_open
            free += (
                min(spot_value, spot_value * rules.collateral_rate)
                - spot * bar.spot_open
                - sum(spot_costs)
                - sum(perp_costs)
            )
            free += (
                leg.unrealised(bar.perp_open) - abs(leg.perp + perp) * bar.perp_open / leg.leverage
            )
        return self._within_loan(free, paid)

    def _within_loan(self, free: float, paid: float) -> float:
        """Spec 8.6: the lower of f and the quote that is there or can be borrowed."""
        supply = self.config.quote_supply
        if supply <= 0:
            return free
        return min(free, self.cash - paid + self._left(self._calm(), supply))
