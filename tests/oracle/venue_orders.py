"""Who orders what, and what the market allows of it, for the account of `tests/oracle/venues.py`:
`docs/specification.md`, sections 6 and 7.
"""

from __future__ import annotations

import math

from tests.oracle.venue_funds import Shortage, hedged, sized
from tests.oracle.venue_state import Asset, Books, Hour


class Orders(Books):
    """The orders of a bar."""

    # spec 6 ---------------------------------------------------------------------------------------

    def _decide(self, moves: list[tuple[float, float, float] | None], equity: float) -> None:
        shared = self.c.capital == "shared"
        used = [
            self._used(asset, last, equity)
            for asset, last in zip(self.assets, self.last, strict=True)
        ]
        grant = 1.0
        if shared:
            asked = sum(
                abs(move[0])
                for move, last in zip(moves, self.last, strict=True)
                if move is not None and last.is_listed
            )
            room = max(1.0 - sum(u for u, move in zip(used, moves, strict=True) if move is None), 0)
            grant = min(1.0, room / asked) if asked > 0 else 1.0
        for index, (asset, move) in enumerate(zip(self.assets, moves, strict=True)):
            if move is None:
                continue
            asset.forced = asset.owes != ""
            if not self.stops(asset, self.now[index]):
                asset.owes = ""
            asset.carry, asset.hedge, asset.leverage = move[0] * grant, move[1], move[2]
            width = 1.0
            if len(self.assets) > 1:
                width = 1.0 / len(self.assets)
                if shared:
                    width = min(max(used[index], abs(asset.carry)), 1.0)
            self._to_target(index, equity, self.c.rebalance_band * width)
            asset.ordered = "decision"

    def _used(self, asset: Asset, last: Hour, equity: float) -> float:
        value = abs(asset.held["perp"]) * last.mark_close
        if equity <= 0:
            return 0.0
        return value * (1 + asset.leverage) / asset.leverage / equity

    def _to_target(self, index: int, equity: float, band: float) -> None:
        """Spec 6.2, 6.4, 6.5."""
        asset, last = self.assets[index], self.last[index]
        parts = 1 if self.c.capital == "shared" else len(self.assets)
        gross = (1 + asset.leverage) / asset.leverage
        perp = -asset.carry * equity / gross / parts / last.mark_close
        spot = -asset.hedge * perp
        if spot < 0 and not self.c.allow_short_spot:
            perp = spot = 0.0
        asset.order = {"spot": spot - asset.held["spot"], "perp": perp - asset.held["perp"]}
        small = (
            abs(asset.order["perp"]) * last.mark_close <= band * equity
            and abs(asset.order["spot"]) * last.spot_close <= band * equity
        )
        if small and asset.carry != 0:
            asset.order = {"spot": 0.0, "perp": 0.0}

    def _after_liquidation(self, equity: float) -> None:
        """Spec 6.6, 6.8."""
        for index, asset in enumerate(self.assets):
            if not asset.owes or asset.ordered:
                continue
            asset.ordered, asset.forced = asset.owes, True
            if asset.owes == "flatten":
                target = -asset.hedge * asset.held["perp"]
                asset.order = {"spot": target - asset.held["spot"], "perp": 0.0}
            else:
                self._to_target(index, equity, 0.0)

    def _clear_owed(self) -> None:
        for asset, now in zip(self.assets, self.now, strict=True):
            if asset.ordered == "rehedge" and not self.stops(asset, now):
                asset.owes = ""
            if asset.owes == "flatten":
                tried = asset.ordered == "flatten" and not self.stops(asset, now)
                tried = tried and asset.held["perp"] != 0
                if tried or asset.held["spot"] == 0:
                    asset.owes = ""

    def _keep(self) -> None:
        """Spec 6.10 to 6.12, 9.8."""
        bar_ns = round(self.market.bar_hours * 3_600_000_000_000)
        number = (int(self.market.close_ns[self.row]) - bar_ns) // bar_ns
        if not self.keeper or number % self.keeper:
            return
        for asset, last, now in zip(self.assets, self.last, self.now, strict=True):
            if asset.held["perp"] == 0 or asset.ordered:
                continue
            balance = asset.wallet + asset.profit(last.mark_close)
            margin = abs(asset.held["perp"]) * last.mark_close / asset.leverage
            spot = max(asset.held["spot"], 0.0) * last.spot_close
            high = margin / self.c.keeper_down if self.c.keeper_down > 0 else math.inf
            if margin / self.c.keeper_up <= balance <= high:
                continue
            away = self.is_away(asset, now)
            if balance < margin and not away:
                there = max(self.free([hour.spot_close for hour in self.last]), 0.0)
                moved = min(margin - balance, there)
                self.cash -= moved
                asset.wallet += moved
                balance += moved
            if abs(balance - margin) <= 1e-9 * margin:
                continue
            f = (spot + max(balance, 0.0)) / (spot + margin)
            if away:
                f = min(max(balance, 0.0) / margin, 1.0)
            asset.order = {leg: (f - 1) * asset.held[leg] for leg in ("spot", "perp")}
            asset.ordered = "keeper"

    def _unlisted(self) -> None:
        """Spec 6.17, 6.18."""
        for asset, last, now in zip(self.assets, self.last, self.now, strict=True):
            if not now.is_listed:
                asset.order = {leg: -asset.held[leg] for leg in ("spot", "perp")}
                asset.closes_unlisted = asset.forced = True
                if any(asset.order.values()):
                    asset.ordered = asset.ordered or "unlisted"
            elif not last.is_listed:
                asset.order = {"spot": 0.0, "perp": 0.0}
            if not (now.is_listed and last.is_listed):
                asset.carry, asset.owes = 0.0, ""

    # spec 7 ---------------------------------------------------------------------------------------

    def _limit(self) -> None:
        most = self.c.max_participation
        for asset, last, now in zip(self.assets, self.last, self.now, strict=True):
            order = asset.order
            for leg in ("spot", "perp"):  # an order to within 1e-9 of the position held is none
                if abs(order[leg]) <= 1e-9 * abs(asset.held[leg]):
                    order[leg] = 0.0
            if asset.closes_unlisted or not any(order.values()):
                continue
            if self.stops(asset, now):  # 7.1
                asset.order = {"spot": 0.0, "perp": 0.0}
                continue
            limit = asset.place.largest(asset.leverage) / last.mark_close
            shares = [self._within(asset, limit)]  # 7.2
            if self.is_away(asset, now):  # 9.6
                backed = max(asset.wallet + asset.profit(now.perp_open), 0.0)
                shares.append(self._within(asset, backed * asset.leverage / now.perp_open))
            if min(shares) < 1.0:
                for leg in ("spot", "perp"):
                    target = min(shares) * (asset.held[leg] + order[leg])
                    order[leg] = target - asset.held[leg]
                    if abs(order[leg]) <= 1e-9 * abs(asset.held[leg]):
                        order[leg] = 0.0
            if most > 0:  # 7.3
                factor = 1.0
                for leg, volume in (("spot", now.spot_volume), ("perp", now.perp_volume)):
                    if abs(order[leg]) > most * volume:
                        factor = min(factor, most * volume / abs(order[leg]))
                order = {leg: factor * size for leg, size in order.items()}
            asset.order = sized(asset, last, hedged(asset, last, order))
        Shortage(self).solve()

    def _within(self, asset: Asset, limit: float) -> float:
        """m of 7.2, 1 where the order does not make the position larger than the limit."""
        held, target = asset.held["perp"], asset.held["perp"] + asset.order["perp"]
        if abs(target) <= limit or abs(target) <= abs(held):
            return 1.0
        kept = abs(held) if held * target > 0 else 0.0
        return max(limit, kept) / abs(target)
