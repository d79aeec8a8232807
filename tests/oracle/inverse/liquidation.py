"""Liquidation: spec 15.14."""

from __future__ import annotations

from typing import Any

from tests.oracle.inverse.profit import inverse_profit


class InverseLiquidation:
    """Methods of `InverseAccount`."""

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
