"""Liquidations, for the account of `tests/oracle/venues.py`: `docs/specification.md`, sections 5
and 10.
"""

from __future__ import annotations

import math
from typing import Any

from tests.oracle.venue_state import Books


class Closing(Books):
    """What the venues close."""

    # spec 5, 10 -----------------------------------------------------------------------------------

    def _liquidate(self, index: int, at_open: bool) -> None:
        asset, now = self.assets[index], self.now[index]
        booked = self.last[index].mark_close if at_open else now.perp_open
        start, first = now.mark_open, True
        while asset.held["perp"] != 0:
            extreme = now.mark_high if asset.held["perp"] < 0 else now.mark_low
            extreme = now.mark_open if at_open else extreme

            def excess(price: float) -> float:
                return asset.wallet + asset.profit(price) - asset.maintenance(price)

            if excess(extreme) > 0:
                return
            p = start if excess(start) <= 0 else self._crossing(excess, start, extreme)
            start = p
            balance = asset.wallet + asset.profit(p)
            value = abs(asset.held["perp"]) * p
            share = asset.place.share_closed(value, balance, first)
            first = False
            self._close(index, p, extreme, share, booked)

    @staticmethod
    def _crossing(excess: Any, good: float, bad: float) -> float:
        """Where the test fails first between two marks: by halving."""
        for _ in range(200):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if excess(middle) > 0 else (good, middle)
        return bad

    def _close(self, index: int, p: float, extreme: float, share: float, booked: float) -> None:
        asset = self.assets[index]
        closed = share * asset.held["perp"]
        stands = p + self.c.liquidation_gap * (extreme - p)
        half, impact = self._slips(index, "perp", closed, forced=True)
        fill = stands * (1 - math.copysign(half + impact, closed))
        fee = asset.place.liquidation_fee * self.c.fee_scale * abs(closed) * fill
        asset.wallet += closed * (fill - asset.entry) - fee
        self.parts["perp_pnl"] += closed * (p - booked)
        self.parts["liquidation_loss"] -= abs(closed * (fill - p)) + fee
        self.liquidated[index] += 1
        after = self.c.after_liquidation
        if share < 1:
            asset.held["perp"] -= closed
        else:
            asset.held["perp"] = asset.entry = 0.0
        if after == "rehedge" or (after == "flatten" and asset.held["spot"] != 0):
            asset.owes = after
        else:
            asset.owes = ""
        if share < 1:
            return
        if asset.wallet < 0:  # 10.11
            borne = -asset.wallet * (1 - self.c.deficit_share)
            self.parts["liquidation_loss"] += borne
            self.cash += asset.wallet + borne
            asset.wallet = 0.0
        elif not self.is_away(asset, self.now[index]):  # 9.9
            self.cash += asset.wallet
            asset.wallet = 0.0
