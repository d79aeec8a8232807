"""Liquidation: spec 5 and 10."""

from __future__ import annotations

from typing import Any


class Liquidation:
    """Methods of `ReferenceAccount`."""

    def _liquidate_at_the_open(self) -> None:
        for w, members in enumerate(self.wallets):
            self._liquidate_wallet(w, members, at_open=True)

    def _liquidate(self) -> None:
        for w, members in enumerate(self.wallets):
            self._liquidate_wallet(w, members, at_open=False)

    def _liquidate_wallet(self, w: int, members: list[int], at_open: bool) -> None:
        opens = {a: self.now[a].mark_open for a in members}
        booked_at = (
            [b.mark_close for b in self.last] if at_open else [b.perp_open for b in self.now]
        )
        start, first = 0.0, True  # share of the way from the mark opens to the adverse extremes
        while held := [a for a in members if self.legs[a].perp != 0]:
            worst = {
                a: self.now[a].mark_low if self.legs[a].perp > 0 else self.now[a].mark_high
                for a in held
            }
            if at_open:
                worst = {a: opens[a] for a in held}
            if self._excess(w, worst) > 0:
                break
            start, prices = self._trigger(w, {a: opens[a] for a in held}, worst, start)
            self.worst = worst
            reduced = self._reduce(w, prices, first, booked_at)
            first = False
            if not reduced:
                self._close_wallet(w, prices, booked_at)
        if self.portfolio:
            self.cash, self.margin[w] = self.cash + self.margin[w], 0.0

    def _trigger(
        self, w: int, opens: dict[int, float], worst: dict[int, float], start: float
    ) -> tuple[float, dict[int, float]]:
        """Where on the way from the opens to the extremes, from `start` on, the wallet fails its
        test.
        """

        def at(s: float) -> dict[int, float]:
            return {a: opens[a] + s * (worst[a] - opens[a]) for a in opens}

        if self._excess(w, at(start)) <= 0:
            return start, at(start)
        if self.config.margin_mode == "isolated":
            (a,) = opens
            price = self.rules[a].liquidation_price(
                self.legs[a].perp, self.legs[a].entry, self.margin[w]
            )
            return (price - opens[a]) / (worst[a] - opens[a]), {a: price}
        s = self._root(w, at, opens, worst, start)
        return s, at(s)

    def _root(
        self, w: int, at: Any, opens: dict[int, float], worst: dict[int, float], start: float
    ) -> float:
        """The excess is linear between the points at which a leg changes its bracket."""
        knots = [start, 1.0]
        for a in opens:
            for bracket in self.rules[a].brackets:
                if worst[a] != opens[a]:
                    s = (bracket.floor / abs(self.legs[a].perp) - opens[a]) / (worst[a] - opens[a])
                    knots += [s] if start < s < 1 else []
        knots.sort()
        for left, right in zip(knots, knots[1:], strict=False):
            high, low = self._excess(w, at(left)), self._excess(w, at(right))
            if low <= 0:
                return left + (right - left) * high / (high - low)
        raise AssertionError("no root although the excess changes sign")

    def _reduce(
        self, w: int, prices: dict[int, float], first: bool, booked_at: list[float]
    ) -> bool:
        """Spec 10.5 to 10.7: close what can be closed partially; False where nothing can. In cross
        mode a leg sees what the legs before it left.
        """
        reduced = False
        for a, price in prices.items():
            leg, rules = self.legs[a], self.rules[a]
            needed = rules.needed(leg.perp, leg.entry, price)
            share = rules.closed_share(
                abs(leg.perp) * price, self._excess(w, prices) + needed, first
            )
            if share < 1:
                self._close(w, a, price, share, booked_at[a])
                reduced = True
        return reduced

    def _excess(self, w: int, prices: dict[int, float]) -> float:
        """Margin balance less maintenance at the given marks."""
        balance = self.margin[w] + sum(self.legs[a].unrealised(x) for a, x in prices.items())
        needed = sum(
            self.rules[a].needed(self.legs[a].perp, self.legs[a].entry, x)
            for a, x in prices.items()
        )
        if not self.portfolio:
            return balance - needed
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            value = leg.spot * bar.spot_open * prices.get(a, bar.mark_open) / bar.mark_open
            balance += min(value, value * self.rules[a].collateral_rate)
        return self.cash + balance - 1.05 * needed

    def _close(self, w: int, a: int, p: float, share: float, booked_at: float) -> None:
        leg, rules = self.legs[a], self.rules[a]
        closed, there = leg.perp * share, self._gap_price(p, self.worst[a])
        fill, spread, impact, _ = self._price(
            -closed,
            there,
            "perp",
            0.0,
            rules.perp_costs.of(self._forced(a))[1],
            a,
            self._forced(a),
            forced=True,
        )
        self._remember(a, "perp", -closed, impact)
        fee = rules.liquidation_fee * abs(closed) * fill
        self.margin[w] += closed * (fill - leg.entry) - fee
        self.parts["perp_pnl"] += closed * (p - booked_at)
        self.parts["liquidation_loss"] -= spread + impact + fee + abs(closed * (there - p))
        self._after_closing(a, closed, share)

    def _gap_price(self, p: float, worst: float) -> float:
        """Spec 10.9: where mark stands when the venue fills."""
        gap = self.config.liquidation_gap
        return (1 - gap) * p + gap * worst

    def _after_closing(self, a: int, closed: float, share: float) -> None:
        leg = self.legs[a]
        leg.perp = leg.perp - closed if share < 1 else 0.0
        leg.entry = leg.entry if share < 1 else 0.0
        after = self.config.after_liquidation
        leg.pending = (
            "" if after == "naked" or (after == "flatten" and self._unhedged(a)) else after
        )
        self.liquidated[a] += 1

    def _unhedged(self, a: int) -> bool:
        """Whether a liquidated leg leaves no spot to flatten."""
        return self.legs[a].spot == 0

    def _gone(self, a: int) -> bool:
        """Whether a flatten order is done."""
        return self.legs[a].spot == 0

    def _close_wallet(self, w: int, prices: dict[int, float], booked_at: list[float]) -> None:
        """Close every leg of a wallet; the price profit of each is booked up to the price in
        `booked_at`.
        """
        for a, p in prices.items():
            self._close(w, a, p, 1.0, booked_at[a])
        if self.portfolio:
            return
        if self.margin[w] < 0:  # of which the venue bears a part
            self.parts["liquidation_loss"] += self._forgiven(self.margin[w])
            self.margin[w] += self._forgiven(self.margin[w])
        elif self._is_away(w):  # spec 9.9
            return
        self.cash += self.margin[w]
        self.margin[w] = 0.0

    def _forgiven(self, wallet: float) -> float:
        """Spec 10.11: what the venue bears of a negative wallet."""
        return -wallet * (1 - self.config.deficit_share)
