"""The slow account of inverse (coin-margined) contracts, written from section 15 of
`docs/specification.md` alone.

What differs from `ReferenceAccount`: `perp` is in quote (contracts x face), every asset has its own
pool of coins (free coins `spot`, a wallet, the unrealised profit), and profit, fees, funding and
maintenance are coin.
"""

from __future__ import annotations

import math
from typing import Any

from tests.oracle.linear import ReferenceAccount, Stress, Target


def inverse_profit(perp: float, start: float, end: float) -> float:
    """Coin earned by `perp` quote units of contracts between two prices."""
    return perp / start - perp / end if perp else 0.0


class InverseAccount(ReferenceAccount):
    """The account of one episode on a venue of inverse contracts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wallets = [[a] for a in range(self.n)]
        self.margin, self.away = [0.0] * self.n, [False] * self.n
        self.sent, self.due = [0.0] * self.n, [0] * self.n
        self.isolated = self.config.margin_mode == "isolated"

    # --- spec 15.1: coins -------------------------------------------------------------------------

    def _coins(self, a: int, price: float) -> float:
        leg = self.legs[a]
        return leg.spot + self.margin[a] + inverse_profit(leg.perp, leg.entry, price)

    def equity_at(self, spot_prices: list[float], marks: list[float]) -> float:
        return self.cash + sum(
            self._coins(a, m) * s for a, (s, m) in enumerate(zip(spot_prices, marks, strict=True))
        )

    def _required(self, perp: float, price: float, leverage: float) -> float:
        return abs(perp) / price / leverage

    # --- spec 15.4: settlement --------------------------------------------------------------------

    def _settle_leg(self, a: int, rate: float) -> None:
        leg = self.legs[a]
        coin = -leg.perp / self._settle_price(a) * rate
        self.parts["funding"] += coin * self.last[a].spot_close
        if self.config.margin_mode == "cross":
            self.margin[a] += coin
        elif self.portfolio or coin >= 0:
            leg.spot += coin
        else:
            from_free = min(-coin, max(leg.spot, 0.0))
            leg.spot -= from_free
            self.margin[a] -= -coin - from_free

    # --- spec 15.5 to 15.12: orders ---------------------------------------------------------------

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

    # --- spec 15.13: transfers --------------------------------------------------------------------

    def _transfer(self, moved: set[int]) -> None:
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            if not self._in_coins(a):
                continue
            if self.portfolio or (a in moved and leg.perp == 0):
                leg.spot, self.margin[a] = leg.spot + self.margin[a], 0.0
            elif a in moved:
                profit = inverse_profit(leg.perp, leg.entry, bar.perp_open)
                kept = min(
                    max(self.margin[a], 0.0),
                    self.rules[a].maintenance(abs(leg.perp) / bar.perp_open),
                )
                wanted = max(kept, self._required(leg.perp, bar.perp_open, leg.leverage) - profit)
                if not self.isolated:
                    wanted = max(wanted, leg.spot + self.margin[a])
                top_up = min(
                    wanted - self.margin[a], self._lendable(a, [b.spot_open for b in self.now])
                )
                leg.spot -= top_up
                self.margin[a] += top_up

    # --- spec 15.14: liquidation ------------------------------------------------------------------

    def _needed(self, a: int, mark: float) -> float:
        """Maintenance margin [coin]."""
        leg, rules = self.legs[a], self.rules[a]
        return rules.maintenance(abs(leg.perp) / (leg.entry if rules.entry_margin else mark))

    def _unhedged(self, a: int) -> bool:
        return False  # its coins may lie in the wallet

    def _gone(self, a: int) -> bool:
        return self.legs[a].spot == 0 and self.legs[a].perp == 0

    def _in_coins(self, w: int) -> bool:
        return True

    def _worst(self, a: int, at_open: bool) -> float:
        bar = self.now[a]
        if at_open:
            return bar.mark_open
        return bar.mark_low if self.legs[a].perp > 0 else bar.mark_high

    def _liquidate_wallet(self, w: int, members: list[int], at_open: bool) -> None:
        if not self.portfolio:
            self._liquidate_coins([w], at_open)
        elif w == 0:
            self._liquidate_coins(list(range(self.n)), at_open)

    def _liquidate_coins(self, assets: list[int], at_open: bool) -> None:
        """Legs that stand and fall together: one leg with its wallet, or all of a portfolio."""
        opens = {a: self.now[a].mark_open for a in assets}
        way, first = 0.0, True
        while held := [a for a in assets if self.legs[a].perp]:
            worst = {a: self._worst(a, at_open) for a in held}

            def at(
                s: float, held: list[int] = held, worst: dict[int, float] = worst
            ) -> dict[int, float]:
                return {a: opens[a] + s * (worst[a] - opens[a]) for a in held}

            if self._spare(assets, at(1.0)) > 0:
                break
            way = self._first_failure(assets, at, way)
            prices, reduced = at(way), False
            for a, price in prices.items():
                spot = self._spot_at(a, price) if self.portfolio else 1.0
                balance = self._spare(assets, at(way)) / spot + self._needed(a, price)
                share = self.rules[a].closed_share(abs(self.legs[a].perp) / price, balance, first)
                if share < 1:
                    self._close_coins(a, price, share, at_open)
                    reduced = True
            first = False
            if not reduced:
                for a, price in prices.items():
                    self._close_coins(a, price, 1.0, at_open)
                    if not self.portfolio and self.margin[a] < 0:
                        forgiven = self._forgiven(self.margin[a])
                        self.parts["liquidation_loss"] += forgiven * self._worth(a, at_open)
                        self.margin[a] += forgiven
                    self.legs[a].spot, self.margin[a] = self.legs[a].spot + self.margin[a], 0.0
        if self.portfolio:
            for a in assets:
                self.legs[a].spot, self.margin[a] = self.legs[a].spot + self.margin[a], 0.0

    def _worth(self, a: int, at_open: bool) -> float:
        return self.last[a].spot_close if at_open else self.now[a].spot_open

    def _spot_at(self, a: int, mark: float) -> float:
        return self.now[a].spot_open * mark / self.now[a].mark_open

    def _spare(self, assets: list[int], marks: dict[int, float]) -> float:
        """Margin balance less maintenance: coin of the one wallet, or quote of the portfolio."""
        if not self.portfolio:
            ((a, mark),) = marks.items()
            return self._coins(a, mark) - self.legs[a].spot - self._needed(a, mark)
        spare = self.cash
        for a in assets:
            mark = marks.get(a, self.now[a].mark_open)
            value = self._coins(a, mark) * self._spot_at(a, mark)
            needed = self._needed(a, mark) if self.legs[a].perp else 0.0
            spare += min(
                value, value * self.rules[a].collateral_rate
            ) - 1.05 * needed * self._spot_at(a, mark)
        return spare

    def _first_failure(self, assets: list[int], at: Any, way: float) -> float:
        """By halving: share of the way to the extremes at which the test fails first."""
        if self._spare(assets, at(way)) <= 0:
            return way
        low, high = way, 1.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if self._spare(assets, at(middle)) > 0 else (low, middle)
        return high

    def _close_coins(self, a: int, p: float, share: float, at_open: bool) -> None:
        leg, worth = self.legs[a], self._worth(a, at_open)
        closed = leg.perp * share
        there = self._gap_price(p, self._worst(a, at_open))
        fill, spread, impact, _ = self._coin_price(
            a,
            -closed,
            there,
            worth,
            self._forced(a),
            0.0,
            self.rules[a].perp_costs.of(self._forced(a))[1],
            forced=True,
        )
        self._impact_alone(a, -closed, there, impact / (abs(closed) / fill * worth))
        fee = self.rules[a].liquidation_fee * abs(closed) / fill
        self.margin[a] += inverse_profit(closed, leg.entry, fill) - fee
        booked = self.last[a].mark_close if at_open else self.now[a].perp_open
        self.parts["perp_pnl"] += inverse_profit(closed, booked, p) * worth
        gap = abs(inverse_profit(closed, p, there))
        self.parts["liquidation_loss"] -= spread + impact + (fee + gap) * worth
        self._after_closing(a, closed, share)

    def _earn_away(self) -> None:
        """Spec 11.3 is of linear contracts."""

    # --- spec 15.15, 15.16: parts and the reward `expected` ---------------------------------------

    def _book_leg(self, a: int, spot: tuple[float, float], perp: tuple[float, float]) -> None:
        leg, rise = self.legs[a], spot[1] - spot[0]
        self.parts["spot_pnl"] += self._coins(a, perp[0]) * rise
        self.parts["perp_pnl"] += inverse_profit(leg.perp, *perp) * spot[1]
        at_entry = leg.perp / leg.entry if leg.perp else 0.0
        self.expected_pnl += (leg.spot + self.margin[a] + at_entry) * rise

    def _basis_profit(self, a: int, deviation: float) -> float:
        return self.legs[a].perp * -self.basis_reverted * deviation

    def _wallet(self, a: int) -> int:
        return a

    def _gain(self, a: int, start: float, end: float) -> float:
        return inverse_profit(self.legs[a].perp, start, end)

    def _coin_worth(self, a: int) -> float:
        return self.now[a].spot_open

    def _empty(self) -> None:
        for a, leg in enumerate(self.legs):
            leg.spot, self.margin[a] = leg.spot + self.margin[a], 0.0
