"""Orders of the agent, of the margin keeper and of venue and lender: spec 6."""

from __future__ import annotations

import math

from tests.oracle.linear.legs import FAILED, FAILED_SPOT, FAILED_WHOLE, Stress, Target


class Orders:
    """Methods of `ReferenceAccount`."""

    def _decide(self, targets: list[Target | None], equity: float, first: bool) -> set[int]:
        """Orders of decisions (spec 6.2 to 6.5) and after liquidations (spec 6.6 to 6.8); returns
        the assets whose wallets are set afterwards.
        """
        moved: set[int] = set()
        granted = self._granted(targets, equity) if first else 1.0
        for a, (leg, target) in enumerate(zip(self.legs, targets, strict=True)):
            if first and target is None:
                self.reasons[a] = "hold"
            leg.attempt = leg.perp != 0
            if leg.pending:
                leg.stress = self._forced(a)
            if target is not None:
                used = self._used(a, equity)  # at the leverage until now
                leg.carry, leg.hedge, leg.leverage = target
                leg.carry *= granted
                if not self._stopped(a):
                    leg.pending = ""
                self._order_to_target(a, equity, self._band(used, abs(leg.carry)))
                moved.add(a)
            elif leg.pending == "flatten":
                leg.order_spot = -leg.hedge * leg.perp - leg.spot
                moved.add(a)
            elif leg.pending == "rehedge":
                self._order_to_target(a, equity, band=0.0)
                moved.add(a)
        return moved

    def _parts_of_capital(self) -> int:
        return 1 if self.config.capital == "shared" else self.n

    def _gross(self, a: int) -> float:
        """Equity that one quote of perpetual ties up, spec 6.2 and 15."""
        unbacked = 1 - self.rules[a].collateral_rate if self.portfolio else 1.0
        return (1 + unbacked * self.legs[a].leverage) / self.legs[a].leverage

    def _value(self, a: int) -> float:
        """Notional at the last mark."""
        return abs(self.legs[a].perp) * self.last[a].mark_close

    def _used(self, a: int, equity: float) -> float:
        return self._value(a) * self._gross(a) / equity if equity > 0 else 0.0

    def _granted(self, targets: list[Target | None], equity: float) -> float:
        """Spec 6.15: what every carry is multiplied with where the capital is shared."""
        if self.config.capital != "shared":
            return 1.0
        kept = sum(self._used(a, equity) for a, t in enumerate(targets) if t is None)
        asked = sum(
            abs(t[0])
            for t, last in zip(targets, self.last, strict=True)
            if t is not None and not last.gone
        )
        room = max(1.0 - kept, 0.0)
        return 1.0 if asked <= room else room / asked

    def _band(self, used: float, asked: float) -> float:
        """Spec 6.5: the part of the equity up to which nothing is traded."""
        if self.n == 1:
            share = 1.0
        elif self.config.capital == "shared":
            share = min(max(used, asked), 1.0)
        else:
            share = 1 / self.n
        return share * self.config.rebalance_band

    def _order_to_target(self, a: int, equity: float, band: float) -> None:
        leg, last = self.legs[a], self.last[a]
        perp = -leg.carry * equity / self._gross(a) / self._parts_of_capital() / last.mark_close
        spot = -leg.hedge * perp
        if spot < 0 and not self.config.allow_short_spot:
            perp = spot = 0.0
            self.reasons[a] = "no borrow"
        leg.order_perp, leg.order_spot = perp - leg.perp, spot - leg.spot
        largest = max(abs(leg.order_perp) * last.mark_close, abs(leg.order_spot) * last.spot_close)
        if leg.carry != 0 and largest <= band * equity:
            if leg.order_perp or leg.order_spot:
                self.reasons[a] = "inside the band"
            leg.order_perp = leg.order_spot = 0.0

    def _keep_exposure(self, busy: set[int], equity: float) -> set[int]:
        """The margin keeper that watches the equity, spec 6.16."""
        held = [a for a, leg in enumerate(self.legs) if leg.perp]
        waits = any(self._stopped(a) and not bar.gone for a, bar in enumerate(self.now))
        if busy or waits or any(self.now[a].gone for a in held) or not held:
            return set()
        used = sum(self._used(a, equity) for a in held)
        asked = sum(abs(self.legs[a].carry) for a in held) / self._parts_of_capital()
        low, high = self.config.keeper_down * asked, self.config.keeper_up * asked
        if used <= 0 or low <= used <= high:
            return set()
        for a in held:
            self._order_to_target(a, max(equity, 0.0), band=0.0)
        return set(held)

    def _keep(self, busy: set[int], equity: float) -> set[int]:
        """The margin keeper, spec 6.10 to 6.12; returns the assets that it trades."""
        bar_ns = round(self.market.bar_hours * 3600e9)
        opened = (int(self.market.close_ns[self.row]) - bar_ns) // bar_ns
        if (
            (self.portfolio and self.config.keeper_watches == "wallet")
            or not self.keeper_bars
            or opened % self.keeper_bars
        ):
            return set()
        if self.config.keeper_watches == "equity":
            return self._keep_exposure(busy, equity)
        traded: set[int] = set()
        for w, members in enumerate(self.wallets):
            traded |= self._keep_wallet(w, members, busy)
        return traded

    def _keep_wallet(self, w: int, members: list[int], busy: set[int]) -> set[int]:
        legs = [(self.legs[a], self.last[a]) for a in members]
        if busy & set(members) or all(leg.perp == 0 for leg, _ in legs):
            return set()
        balance = self.margin[w] + sum(leg.unrealised(last.mark_close) for leg, last in legs)
        required = sum(abs(leg.perp) * last.mark_close / leg.leverage for leg, last in legs)
        spot_value = sum(max(leg.spot, 0.0) * last.spot_close for leg, last in legs)
        too_low = balance < required / self.config.keeper_up
        too_high = self.config.keeper_down > 0 and balance > required / self.config.keeper_down
        if not too_low and not too_high:
            return set()
        if balance < required and not self._is_away(w):
            moved = min(required - balance, max(0.0, self._free([b.spot_close for b in self.last])))
            self.cash -= moved
            self.margin[w] += moved
            balance += moved
        if abs(balance - required) > 1e-9 * required:
            f = (spot_value + max(balance, 0.0)) / (spot_value + required)
            if self._is_away(w):  # spec 9.8
                f = min(max(balance, 0.0) / required, 1.0)
            for leg, _ in legs:
                leg.order_spot, leg.order_perp = (f - 1) * leg.spot, (f - 1) * leg.perp
            return set(members)
        return set()

    def _call_loans(self) -> set[int]:
        """Spec 6.13: below its margin level the spot account buys the coins back that it owes, and
        the perpetuals beside them are closed.
        """
        values = [
            leg.spot * last.spot_close for leg, last in zip(self.legs, self.last, strict=True)
        ]
        owned = max(self.cash, 0.0) + sum(v for v in values if v > 0)
        owed = max(-self.cash, 0.0) - sum(v for v in values if v < 0)
        rounding = 1e-9 * self.config.initial_equity
        if (
            self.config.margin_level <= 0
            or owed <= rounding
            or owned / owed > self.config.margin_level
        ):
            return set()
        called = {a for a, value in enumerate(values) if -value > rounding}
        for a in called:
            leg = self.legs[a]
            leg.order_spot, leg.order_perp, leg.carry = -leg.spot, -leg.perp, 0.0
            leg.stress = self._forced(a)
            self.reasons[a] = "loan called"
        return called

    def _close_unlisted(self, first: bool) -> set[int]:
        """Spec 6.17 and 6.18: what is held of a coin that is gone is closed, and one that had no
        price at the last close takes no order.
        """
        closed: set[int] = set()
        for a, (leg, last, now) in enumerate(zip(self.legs, self.last, self.now, strict=True)):
            if not (last.gone or now.gone):
                continue
            held = self._hedge_held(a)
            leg.order_spot, leg.order_perp, leg.pending = -held, -leg.perp, ""
            if held or leg.perp:
                leg.stress = self._forced(a)
                failed = now.halted in (FAILED, FAILED_WHOLE, FAILED_SPOT)
                self.reasons[a] = "the venue failed" if failed else "delisted"
                closed.add(a)
            elif first and leg.carry:
                self.reasons[a] = "not listed"
            leg.carry = 0.0
            if last.gone:
                self.requested[a] = (0.0, 0.0)
        return closed

    def _lent(self, sigma: float) -> float:
        """Spec 11.2: share of a pool that others ask for."""
        return self.config.borrow_used * max(sigma / self.config.borrow_norm, 1.0)

    def _left(self, sigma: float, supply: float) -> float:
        """What they leave of it."""
        return max(supply - supply * self._lent(sigma), 0.0)

    def _calm(self) -> float:
        """Daily volatility by which the pool of quote goes."""
        listed = [bar.sigma_day for bar in self.now if not bar.gone]
        return sum(listed) / max(len(listed), 1)

    def _limit_loans(self) -> set[int]:
        """Spec 6.19: an asset owes no more coins than the pool has; what it owes beyond that the
        lender takes back.
        """
        supply, recalled = self.config.base_supply, set()
        for a, (leg, last, bar) in enumerate(zip(self.legs, self.last, self.now, strict=True)):
            left = self._left(bar.sigma_day, supply) / last.spot_close
            least = left * (1 + 1e-9) + 1e-9 * self.config.initial_equity / last.spot_close
            held = self._hedge_held(a)
            target = (held + leg.order_spot, leg.perp + leg.order_perp)
            if supply <= 0 or -target[0] <= least:
                continue
            m = left / -target[0]
            leg.order_spot, leg.order_perp = m * target[0] - held, m * target[1] - leg.perp
            self.reasons[a] = "no more coins to borrow"
            if -held > least:
                self.reasons[a] = "loan recalled"
                leg.stress = self._forced(a)
                leg.carry *= m
                recalled.add(a)
        return recalled

    def _stress_crashes(self) -> None:
        """Spec 6.14: orders behind a bar in which mark ranged far pay the costs of a crash."""
        for a, leg in enumerate(self.legs):
            if self._crashed(a) and leg.stress.waits:
                leg.stress = Stress(self.config.crash_spread, self.config.crash_impact, False)

    def _crashed(self, a: int) -> bool:
        last, most = self.last[a], self.config.crash_sigma
        if most is None:
            most = 2.5 if self.several_venues or self.market.shocked else 0.0
        return most > 0 and last.mark_high / last.mark_low - 1 > most * last.sigma_day

    def _forced(self, a: int) -> Stress:
        """Spec 6.7, and 6.14 where the bar before was a crash."""
        c = self.config
        spread, impact = (c.crash_spread, c.crash_impact) if self._crashed(a) else (1.0, 1.0)
        return Stress(max(c.stress_multiplier, spread), max(c.stress_multiplier, impact), False)

    def _deleverage(self) -> None:
        """Spec 10.12: the venue takes a share of a winner off where mark runs far in its favour."""
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            if self.config.adl_sigma <= 0 or leg.perp == 0:
                continue
            p = bar.mark_open * max(
                1 + math.copysign(self.config.adl_sigma * bar.sigma_day, leg.perp), 0.0
            )
            reached = bar.mark_high >= p if leg.perp > 0 else bar.mark_low <= p
            if p > 0 and reached and self._gain(a, leg.entry, p) > 0:
                closed = leg.perp * self.config.adl_share
                gain = self._gain(a, leg.entry, p) * self.config.adl_share
                booked = self._gain(a, bar.perp_open, p) * self.config.adl_share
                self.margin[self._wallet(a)] += gain
                self.parts["perp_pnl"] += booked * self._coin_worth(a)
                self._after_closing(a, closed, self.config.adl_share)
        if self.portfolio:
            self._empty()
