"""The account of one episode on a venue of inverse contracts."""

from __future__ import annotations

from typing import Any

from tests.oracle.inverse.fills import InverseFills
from tests.oracle.inverse.liquidation import InverseLiquidation
from tests.oracle.inverse.orders import InverseOrders
from tests.oracle.inverse.profit import inverse_profit
from tests.oracle.linear import ReferenceAccount


class InverseAccount(InverseOrders, InverseFills, InverseLiquidation, ReferenceAccount):
    """The account of one episode on a venue of inverse contracts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wallets = [[a] for a in range(self.n)]
        self.margin, self.away = [0.0] * self.n, [False] * self.n
        self.sent, self.due = [0.0] * self.n, [0] * self.n
        self.isolated = self.config.margin_mode == "isolated"

    def _coins(self, a: int, price: float) -> float:
        """Spec 15.1."""
        leg = self.legs[a]
        return leg.spot + self.margin[a] + inverse_profit(leg.perp, leg.entry, price)

    def equity_at(self, spot_prices: list[float], marks: list[float]) -> float:
        return self.cash + sum(
            self._coins(a, m) * s for a, (s, m) in enumerate(zip(spot_prices, marks, strict=True))
        )

    def _required(self, perp: float, price: float, leverage: float) -> float:
        return abs(perp) / price / leverage

    def _settle_leg(self, a: int, rate: float) -> None:
        """Spec 15.4."""
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

    def _transfer(self, moved: set[int]) -> None:
        """Spec 15.13."""
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

    def _earn_away(self) -> None:
        """Spec 11.3 is of linear contracts."""

    def _book_leg(self, a: int, spot: tuple[float, float], perp: tuple[float, float]) -> None:
        """Spec 15.15, 15.16."""
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
