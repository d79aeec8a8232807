"""An account on several venues in plain Python, by another hand than `tests/oracle/linear` and
the kernel: written from `docs/specification.md` alone, with its numbers beside each rule.

It covers isolated wallets of linear contracts: settlements on clocks of their own, decisions on
equal parts or on one capital, the margin keeper of the wallets, every limit of section 7, fills,
transfers that take time, venues that freeze and fail, partial liquidations and interest. It leaves
out what has no part in that: loans that are called or scarce, impact that lasts, auto-deleveraging,
the keeper of the equity, and the reward.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fundenv.market.layout import FAILED, FAILED_SPOT, FAILED_WHOLE, FROZEN
from tests.oracle.venue_closing import Closing
from tests.oracle.venue_orders import Orders
from tests.oracle.venue_state import Asset, Hour

PARTS = (
    "spot_pnl perp_pnl funding fees spread impact borrow_interest cash_interest liquidation_loss"
).split()


class VenueAccount(Orders, Closing):
    """The account of one episode; `step` walks one decision."""

    # spec 3 ---------------------------------------------------------------------------------------

    def step(self, moves: list[tuple[float, float, float] | None]) -> dict[str, Any]:
        self.parts = dict.fromkeys(PARTS, 0.0)
        self.liquidated = [0] * len(self.assets)
        ruined, walked = False, 0
        while walked < self.decision and not ruined:
            self.row += 1
            self._bar(moves if walked == 0 else None)
            walked += 1
            low = self.c.ruin_fraction * self.c.initial_equity
            ruined = self.equity(self.now) <= low
        self.steps += 1
        over = self.row + self.decision > self.end - 1
        over = over or (
            self.length > 0 and self.steps * self.decision + self.decision > self.length
        )
        held = self.assets
        return {
            "equity": self.equity(self.now),
            "parts": self.parts,
            "cash": self.cash,
            "spot": np.array([a.held["spot"] for a in held]),
            "perp": np.array([a.held["perp"] for a in held]),
            "entry": np.array([a.entry for a in held]),
            "margin": np.array([a.wallet for a in held]),
            "sent": np.array([a.travels for a in held]),
            "liquidated": np.array(self.liquidated),
            "terminated": ruined,
            "truncated": over and not ruined,
        }

    def _bar(self, moves: list[tuple[float, float, float] | None] | None) -> None:
        self.last = [Hour(row) for row in self.market.bars[self.row - 1]]
        self.now = [Hour(row) for row in self.market.bars[self.row]]
        for asset in self.assets:
            asset.order = {"spot": 0.0, "perp": 0.0}
            asset.ordered, asset.forced, asset.closes_unlisted = "", False, False
        self.at_close = max(self.equity(self.last), 0.0)  # E of 9.5
        self._arrive()
        self._fail()
        self._settle()
        sized = max(self.equity(self.last), 0.0)  # E of 6.1
        for index in range(len(self.assets)):
            self._liquidate(index, at_open=True)
        if moves is not None:
            self._decide(moves, sized)
        self._after_liquidation(sized)
        self._keep()
        self._unlisted()
        self._limit()
        self._book("spot_open", "perp_open", self.last, "spot_close", "mark_close")
        for index, asset in enumerate(self.assets):
            for leg in ("spot", "perp"):
                self._fill(index, leg, asset.order[leg])
        self._clear_owed()
        self._transfer()
        for index in range(len(self.assets)):
            self._liquidate(index, at_open=False)
        self._book("spot_close", "mark_close", self.now, "spot_open", "perp_open")
        self._interest()

    def _book(self, spot: str, perp: str, before: list[Hour], spot0: str, perp0: str) -> None:
        """Spec 13.2: the price profit of what is held, from one price to another of this bar."""
        for asset, now, was in zip(self.assets, self.now, before, strict=True):
            rise = getattr(now, spot) - getattr(was, spot0)
            self.parts["spot_pnl"] += asset.held["spot"] * rise
            rise = getattr(now, perp) - getattr(was, perp0)
            self.parts["perp_pnl"] += asset.held["perp"] * rise

    # spec 9.4, 10.13, 4 ---------------------------------------------------------------------------

    def _arrive(self) -> None:
        for asset in self.assets:
            if asset.arrives_in > 0:
                asset.arrives_in -= 1
                if asset.arrives_in == 0:
                    if asset.travels > 0:
                        asset.wallet += asset.travels
                    else:
                        self.cash -= asset.travels
                    asset.travels = 0.0

    def _fail(self) -> None:
        """Spec 10.13."""
        lost_share, before, own, loss = self.c.failure_loss, max(self.cash, 0.0), False, 0.0
        for asset, now, last in zip(self.assets, self.now, self.last, strict=True):
            place = asset.place
            if now.state in (FAILED, FAILED_WHOLE):
                wallet = asset.wallet + asset.profit(last.mark_close)
                borne = max(-wallet, 0.0) * (1 - self.c.deficit_share)
                taken = lost_share * (max(wallet, 0.0) + max(asset.travels, 0.0))
                self.cash += wallet + borne + max(asset.travels, 0.0) - taken
                loss += taken - borne
                if asset.travels > 0:
                    asset.travels, asset.arrives_in = 0.0, 0
                asset.held["perp"] = asset.entry = asset.wallet = 0.0
                own = own or not place.is_elsewhere
            if now.state in (FAILED_SPOT, FAILED_WHOLE):
                if asset.held["spot"] > 0:
                    loss += lost_share * asset.held["spot"] * last.spot_close
                    asset.held["spot"] *= 1 - lost_share
                own = own or not place.coins_elsewhere
            if now.state in (FAILED, FAILED_WHOLE, FAILED_SPOT):
                asset.carry, asset.owes = 0.0, ""
        if own:
            self.cash -= lost_share * before
            loss += lost_share * before
        self.parts["liquidation_loss"] -= loss

    def _settle(self) -> None:
        for index, (asset, now) in enumerate(zip(self.assets, self.now, strict=True)):
            if now.settle_price <= 0:
                continue
            last = self.last[index].spot_close
            price = last if asset.place.pays_on_spot else now.settle_price
            rate = self.c.funding_scale * now.settle_rate
            received = -asset.held["perp"] * price * rate
            self.parts["funding"] += received
            if self.is_away(asset, now):
                asset.wallet += received
            elif received >= 0:
                self.cash += received
            else:
                there = max(self.free([hour.spot_close for hour in self.last]), 0.0)
                from_cash = min(-received, there)
                self.cash -= from_cash
                asset.wallet += received + from_cash

    # spec 9 ---------------------------------------------------------------------------------------

    def _transfer(self) -> None:
        named = [
            (asset, now)
            for asset, now in zip(self.assets, self.now, strict=True)
            if asset.ordered and not self.is_away(asset, now)
        ]
        takes: list[tuple[Asset, float]] = []
        for asset, now in named:
            price = now.perp_open
            value = abs(asset.held["perp"]) * price
            keeps = min(max(asset.wallet, 0.0), asset.place.maintenance(value))
            wanted = max(value / asset.leverage - asset.profit(price), keeps)
            if asset.held["perp"] == 0 or wanted <= asset.wallet:
                self.cash += asset.wallet - wanted
                asset.wallet = wanted
            else:
                takes.append((asset, wanted - asset.wallet))
        for asset, lacks in takes:
            given = min(lacks, max(self.free([hour.spot_open for hour in self.now]), 0.0))
            self.cash -= given
            asset.wallet += given
        for asset, now in zip(self.assets, self.now, strict=True):
            frozen = now.state == FROZEN or self.home_is_frozen()
            if asset.ordered and self.delay and asset.place.is_elsewhere and not frozen:
                self._send(asset, now)

    def _send(self, asset: Asset, now: Hour) -> None:
        """Spec 9.5."""
        if asset.held["perp"] == 0 and asset.wallet < 0:
            self.cash += asset.wallet
            asset.wallet = 0.0
            return
        if asset.arrives_in:
            return
        parts = 1 if self.c.capital == "shared" else len(self.assets)
        price = now.perp_open
        value = abs(asset.held["perp"]) * price
        gross = asset.leverage / (1 + asset.leverage)
        needed = max(abs(asset.carry) * self.at_close * gross / parts, value) / asset.leverage
        keeps = min(max(asset.wallet, 0.0), asset.place.maintenance(value))
        d = max(needed - asset.profit(price), keeps) - asset.wallet
        if d > 0:
            d = min(d, max(self.free([hour.spot_open for hour in self.now]), 0.0))
        if abs(d) <= self.c.transfer_cost:
            return
        if needed > 0 and abs(d) <= self.c.rebalance_band * self.at_close / parts:
            return
        if d > 0:
            self.cash -= d
        else:
            asset.wallet += d
        self.parts["fees"] -= self.c.transfer_cost
        asset.travels = d - math.copysign(self.c.transfer_cost, d)
        asset.arrives_in = self.delay

    # spec 11 --------------------------------------------------------------------------------------

    def _interest(self) -> None:
        free = self.free([hour.spot_close for hour in self.now])
        earned = max(free, 0.0) * self.c.cash_rate * self.bar_years
        paid = max(-self.cash, 0.0) * self.quote_rate
        for asset, now in zip(self.assets, self.now, strict=True):
            owed = max(-asset.held["spot"], 0.0) * now.spot_close
            paid += owed * asset.place.base_rate
        for asset in self.assets:  # 11.3
            there = max(asset.wallet, 0.0) * asset.place.wallet_rate * self.bar_years
            asset.wallet += there
            self.parts["cash_interest"] += there
        self.cash += earned - paid * self.bar_years
        self.parts["cash_interest"] += earned
        self.parts["borrow_interest"] -= paid * self.bar_years
