"""What a shortage of cash leaves of the orders, for the account of `tests/oracle/venues.py`:
`docs/specification.md` 7.6 to 7.12 and 8.5.
"""

from __future__ import annotations

import math
from typing import Any

LEGS = ("spot", "perp")
Orders = list[dict[str, float]]


def whole_lots(order: float, held: float, step: float) -> float:
    """Spec 7.4."""
    if step == 0 or order == -held:
        return order
    return math.copysign(math.floor(abs(order) / step * (1 + 1e-12)) * step, order)


def sized(asset: Any, last: Any, order: dict[str, float]) -> dict[str, float]:
    """Spec 7.4 and 7.5."""

    def cut(leg: str) -> float:
        lot, held = asset.place.lots[leg], asset.held[leg]
        price = last.spot_close if leg == "spot" else last.mark_close
        left = whole_lots(order[leg], held, lot.step)
        return left if left == -held or abs(left) * price >= lot.least else 0.0

    return {leg: cut(leg) for leg in LEGS}


def hedged(asset: Any, last: Any, order: dict[str, float]) -> dict[str, float]:
    """Spec 7.12."""
    spot, perp = order["spot"], order["perp"]
    if perp == 0 or sized(asset, last, order)["perp"] != 0:
        return order
    hedge = -asset.hedge * asset.held["perp"] - asset.held["spot"]
    if abs(hedge + asset.held["spot"]) <= 1e-9 * abs(asset.held["spot"]):
        hedge = -asset.held["spot"]
    cut = min(max(hedge, 0.0), spot) if spot > 0 else max(min(hedge, 0.0), spot)
    return {"spot": cut, "perp": perp}


class Shortage:
    """The orders of a bar against the free cash that they leave."""

    def __init__(self, account: Any) -> None:
        self.account = account

    def free(self, orders: Orders) -> float:
        """Spec 8.5: f."""
        books, total = self.account, self.account.cash
        for index, (asset, order) in enumerate(zip(books.assets, orders, strict=True)):
            now = books.now[index]
            spot_cost = sum(books.cost(index, "spot", order["spot"]))
            total -= order["spot"] * now.spot_open + spot_cost
            total -= max(-(asset.held["spot"] + order["spot"]), 0.0) * now.spot_open
            if not asset.ordered or books.is_away(asset, now):
                continue
            held, price = asset.held["perp"], now.perp_open
            after = held + order["perp"]
            profit = asset.profit(price)
            stays = 1.0
            if held * order["perp"] < 0:
                stays = max(1 - abs(order["perp"] / held), 0.0)
            cost = sum(books.cost(index, "perp", order["perp"]))
            balance = asset.wallet + profit - cost
            floor = asset.place.maintenance(abs(after) * price)
            floor = min(floor, max(balance - profit * stays, 0.0))
            total += balance - max(profit * stays + floor, abs(after) * price / asset.leverage)
        return total

    def least(self, index: int, wanted: dict[str, float]) -> dict[str, float]:
        """Spec 7.7: the least of the orders `wanted` of an asset."""
        asset, now = self.account.assets[index], self.account.now[index]
        share = 1.0
        for leg in LEGS:
            held, target = asset.held[leg], asset.held[leg] + wanted[leg]
            if abs(target) > 1e-9 * abs(held):
                share = min(share, max(held / target, 0.0))
        if asset.closes_unlisted or share > 1 - 1e-9:
            return dict(wanted)
        orders = {}
        for leg in LEGS:
            held = asset.held[leg]
            order = share * (held + wanted[leg]) - held
            order = 0.0 if abs(order) <= 1e-9 * abs(held) else order
            if self.account.c.max_participation > 0:
                volume = now.spot_volume if leg == "spot" else now.perp_volume
                most = self.account.c.max_participation * volume
                order = math.copysign(min(abs(order), most), order)
            orders[leg] = order
        return orders

    def solve(self) -> None:
        """Set the orders of the assets to what the cash allows."""
        books = self.account
        orders = [dict(asset.order) for asset in books.assets]
        rounding = 1e-12 * max(books.c.initial_equity, books.equity(books.last))
        uses: list[bool] = []
        for number in range(9):
            whole = self.free(orders)
            if whole >= -rounding:
                break
            least = [self.least(index, order) for index, order in enumerate(orders)]
            if not uses:
                uses = self._users(least, orders)
            none = self.free(
                [lo if use else all_ for lo, all_, use in zip(least, orders, uses, strict=True)]
            )
            if whole >= none:
                break
            way = none / (none - whole * 2.0**number) if none > 0 and number < 8 else 0.0
            way = way if way >= 1e-9 else 0.0
            orders = [
                self._again(index, lo, all_, way) if use else all_
                for index, (lo, all_, use) in enumerate(zip(least, orders, uses, strict=True))
            ]
        if self.free(orders) < -rounding:
            orders = [self._closing(index, order) for index, order in enumerate(orders)]
        for asset, order in zip(books.assets, orders, strict=True):
            asset.order = order

    def _users(self, least: Orders, orders: Orders) -> list[bool]:
        """Spec 7.8: which assets use cash."""
        bottom = self.free(least)
        return [
            self.free([order if k == index else least[k] for k in range(len(orders))]) < bottom
            for index, order in enumerate(orders)
        ]

    def _again(
        self, index: int, low: dict[str, float], high: dict[str, float], way: float
    ) -> dict[str, float]:
        """Spec 7.9: the orders at k, in lots; what they close they close exactly."""
        asset, last = self.account.assets[index], self.account.last[index]
        if low == high:
            return high
        order = {leg: low[leg] + way * (high[leg] - low[leg]) for leg in LEGS}
        found = sized(asset, last, order)
        for leg in LEGS:
            held = asset.held[leg]
            if (
                held != 0
                and order[leg] * held < 0
                and abs(order[leg]) >= abs(held) > abs(found[leg])
            ):
                found[leg] = -held
        return found

    def _closing(self, index: int, order: dict[str, float]) -> dict[str, float]:
        """Spec 7.10: the part of an order that closes a position."""
        held = self.account.assets[index].held
        found = {}
        for leg in LEGS:
            back = order[leg] * held[leg] < 0
            size = min(abs(order[leg]), abs(held[leg])) if back else 0.0
            found[leg] = math.copysign(size, order[leg])
        return found
