"""The account of one episode: the order of a bar, and what a step returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from fundenv.config import EnvConfig, hours
from fundenv.market.market import Market
from fundenv.venues import Venue, load_venue
from tests.oracle.linear.accruals import Accruals
from tests.oracle.linear.fills import Fills
from tests.oracle.linear.legs import PARTS, Bar, Leg, Stress, Target
from tests.oracle.linear.limits import Limits
from tests.oracle.linear.liquidation import Liquidation
from tests.oracle.linear.orders import Orders
from tests.oracle.linear.rules import Rules, places
from tests.oracle.linear.transfers import Transfers


class ReferenceAccount(Accruals, Orders, Limits, Fills, Transfers, Liquidation):
    """The account of one episode that starts at the close of row `start_row` of path `path`."""

    def __init__(
        self,
        market: Market,
        config: EnvConfig,
        path: int,
        start_row: int,
        venue: Venue | None = None,
    ) -> None:
        venue = venue or load_venue(config.venue)
        first, end = (int(v) for v in market.paths[path])
        self.market, self.config, self.portfolio = market, config, config.margin_mode == "portfolio"
        self.row, self.last_row = first + start_row, end - 1
        date = pd.Timestamp(int(market.close_ns[first + start_row])).date()
        self.rules = [Rules(venue, config, name, date) for name in market.symbols[path]]
        self.n = market.n_assets
        self.legs = [Leg() for _ in range(self.n)]
        # spec 2.3 to 2.5: the assets behind each wallet
        owners = [
            str(a) if config.margin_mode == "isolated" else "" if self.portfolio else r.perp_venue
            for a, r in enumerate(self.rules)
        ]
        self.wallets = [
            [a for a in range(self.n) if owners[a] == owner] for owner in dict.fromkeys(owners)
        ]
        self.several_venues = any(
            place != venue
            for name in market.symbols[path]
            for place, _ in places(name, venue, config)
        )
        self.margin = [0.0] * len(self.wallets)
        # spec 9.4: wallets on another venue, money on its way (+ to the wallet), bars to go
        self.away = [
            config.transfer_delay is not None and not self.rules[members[0]].at_home
            for members in self.wallets
        ]
        self.sent, self.due = [0.0] * len(self.wallets), [0] * len(self.wallets)
        self.travels = (
            round(hours(config.transfer_delay, "") / market.bar_hours)
            if config.transfer_delay
            else 0
        )
        self.cash = config.initial_equity
        self.decision_bars = round(hours(config.decision_interval, "") / market.bar_hours)
        self.keeper_bars = (
            round(hours(config.keeper_interval, "") / market.bar_hours)
            if config.keeper_interval
            else 0
        )
        self.episode_steps = (
            int(hours(config.episode, "") / hours(config.decision_interval, "") + 1e-9)
            if config.episode
            else 0
        )
        self.steps = 0
        self.years = market.bar_hours / 8760
        self.basis_reverted = 1 - 0.5 ** (market.bar_hours / hours(config.basis_half_life, ""))
        names = [f.name for f in market.table]
        self.basis_column = names.index("basis_deviation")
        self.basis_scale = market.table[self.basis_column].scale

    def step(self, targets: list[Target | None]) -> dict[str, Any]:
        """Walk `decision_interval` bars; `targets` has one entry per asset, None = hold."""
        self.parts = dict.fromkeys(PARTS, 0.0)
        self.expected_pnl = 0.0
        self.requested = [(0.0, 0.0)] * self.n
        self.filled = [[0.0, 0.0] for _ in range(self.n)]  # spot, perp
        # sum of |fill| x price and of |fill|, spot then perp
        self.values = [[0.0, 0.0, 0.0, 0.0] for _ in range(self.n)]
        self.reasons = ["none"] * self.n
        self.liquidated = [0] * self.n
        equity_before = self.equity()
        terminated, bars = False, 0
        while bars < self.decision_bars and not terminated:
            self.row += 1
            self._bar(targets if bars == 0 else [None] * self.n, first=bars == 0)
            bars += 1
            terminated = self.equity() <= self.config.ruin_fraction * self.config.initial_equity
        self.steps += 1
        over = (
            self.episode_steps > 0 and self.steps >= self.episode_steps
        ) or self.row + self.decision_bars > self.last_row
        return self._report(equity_before, bars, terminated, over and not terminated)

    def _bar(self, targets: list[Target | None], first: bool) -> None:
        self.last, self.now = self._read(self.row - 1), self._read(self.row)
        for leg in self.legs:
            leg.order_spot = leg.order_perp = 0.0
            leg.stress = Stress()
        closes = [b.spot_close for b in self.last], [b.mark_close for b in self.last]
        self.before = max(self.equity_at(*closes), 0.0)  # E of spec 9.5
        self._arrive()  # spec 9.4
        self._fade()  # spec 8.8
        self._fail()  # spec 10.13
        self._settle()  # spec 4.1 to 4.6
        equity = self.equity_at(
            [b.spot_close for b in self.last], [b.mark_close for b in self.last]
        )
        self._liquidate_at_the_open()  # spec 5.1, 5.2
        moved = self._decide(targets, max(equity, 0.0), first)  # spec 6.1 to 6.9
        moved |= self._keep(set(moved), equity)  # spec 6.10 to 6.12
        if first:
            self.requested = [
                (leg.order_spot, leg.order_perp) if t else (0.0, 0.0)
                for leg, t in zip(self.legs, targets, strict=True)
            ]
        moved |= self._call_loans()  # spec 6.13
        moved |= self._limit_loans()  # spec 6.19
        moved |= self._close_unlisted(first)  # spec 6.17, 6.18
        self._stress_crashes()  # spec 6.14
        self._limit(moved)  # spec 7.1 to 7.11
        self._book_price_profit(
            [b.spot_close for b in self.last],
            [b.spot_open for b in self.now],
            [b.mark_close for b in self.last],
            [b.perp_open for b in self.now],
        )
        self._fill()  # spec 8.1 to 8.6
        for a, leg in enumerate(self.legs):
            stopped = self._stopped(a)
            if (leg.pending == "flatten" and (self._gone(a) or (leg.attempt and not stopped))) or (
                leg.pending == "rehedge" and not stopped
            ):
                leg.pending = ""
        self._transfer(moved)  # spec 9.1 to 9.3
        for a, deviation in enumerate(self._basis_deviation()):
            self.expected_pnl += self._basis_profit(a, deviation)
        self._liquidate()  # spec 10.1 to 10.11
        self._deleverage()  # spec 10.12
        self._book_price_profit(
            [b.spot_open for b in self.now],
            [b.spot_close for b in self.now],
            [b.perp_open for b in self.now],
            [b.mark_close for b in self.now],
        )
        self._accrue()  # spec 11.1, 11.2

    def _free(self, spot_prices: list[float]) -> float:
        return self.cash - sum(
            max(-leg.spot, 0.0) * price for leg, price in zip(self.legs, spot_prices, strict=True)
        )

    def _wallet(self, a: int) -> int:
        return next(w for w, members in enumerate(self.wallets) if a in members)

    def _at_first(self, values: list[float]) -> np.ndarray[Any, Any]:
        """Numbers of the wallets, each at the first asset of the wallet."""
        found = np.zeros(self.n)
        found[[members[0] for members in self.wallets]] = values
        return found

    def _basis_profit(self, a: int, deviation: float) -> float:
        return self.legs[a].perp * self.last[a].spot_close * -self.basis_reverted * deviation

    def _read(self, row: int) -> list[Bar]:
        return [Bar(*self.market.bars[row, a].tolist()) for a in range(self.n)]

    def _basis_deviation(self) -> list[float]:
        """At the last close, as a fraction."""
        return [
            float(self.market.features[self.row - 1, a, self.basis_column]) * self.basis_scale / 1e4
            for a in range(self.n)
        ]

    def equity_at(self, spot_prices: list[float], marks: list[float]) -> float:
        held = sum(
            leg.spot * s + leg.unrealised(m)
            for leg, s, m in zip(self.legs, spot_prices, marks, strict=True)
        )
        return self.cash + held + sum(self.margin) + sum(map(abs, self.sent))

    def equity(self) -> float:
        """Equity at the close of the current row."""
        bars = self._read(self.row)
        return self.equity_at([b.spot_close for b in bars], [b.mark_close for b in bars])

    def _report(
        self, before: float, bars: int, terminated: bool, truncated: bool
    ) -> dict[str, Any]:
        now = self._read(self.row)
        # 0 without a fill
        averages = [(s / q if q else 0.0, p / r if r else 0.0) for s, q, p, r in self.values]
        return {
            "time": pd.Timestamp(int(self.market.close_ns[self.row]), tz="UTC"),
            "row": self.row,
            "equity": self.equity(),
            "parts": dict(self.parts),
            "account": {
                "cash": self.cash,
                "spot": np.array([leg.spot for leg in self.legs]),
                "perp": np.array([leg.perp for leg in self.legs]),
                "entry": np.array([leg.entry for leg in self.legs]),
                "margin": self._at_first(self.margin),
                "sent": self._at_first(self.sent),
            },
            "prices": {
                "spot": np.array([b.spot_close for b in now]),
                "perp": np.array([b.perp_close for b in now]),
                "mark": np.array([b.mark_close for b in now]),
                "fill_spot": np.array([s for s, _ in averages]),
                "fill_perp": np.array([p for _, p in averages]),
            },
            "trade": {
                "requested_spot": np.array([s for s, _ in self.requested]),
                "requested_perp": np.array([p for _, p in self.requested]),
                "filled_spot": np.array([s for s, _ in self.filled]),
                "filled_perp": np.array([p for _, p in self.filled]),
                "reason": list(self.reasons),
            },
            "liquidated": np.array(self.liquidated),
            "reward": self._reward(before, bars, terminated),
            "terminated": terminated,
            "truncated": truncated,
        }

    def _reward(self, before: float, bars: int, ruined: bool) -> float:
        config, idle = self.config, self.config.cash_rate * bars * self.years
        price_profit = self.parts["spot_pnl"] + self.parts["perp_pnl"]
        if config.reward == "expected" and not ruined and not any(self.liquidated):
            y = (sum(self.parts.values()) - price_profit + self.expected_pnl) / before
            return 1e3 * (math.log(max(1 + y, 0.01)) - idle)
        floor = 0.01 * config.initial_equity
        x = math.log(max(self.equity(), floor) / max(before, floor)) - idle
        penalty = (
            config.risk_aversion / 2 * (price_profit / before) ** 2
            if config.reward == "mean_variance"
            else 0.0
        )
        return 1e3 * (x - penalty)
