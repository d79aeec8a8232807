"""What the account of `tests/oracle/venues.py` reads and holds: bars, assets and cash; and how an
order is filled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fundenv.config import EnvConfig, hours
from fundenv.market.layout import FROZEN, FROZEN_SPOT, UNLISTED
from fundenv.market.market import Market
from fundenv.venues import load_venue
from tests.oracle.venue_rules import Place

COLUMNS = (
    "spot_open spot_close perp_open perp_close mark_open mark_high mark_low mark_close"
    " settle_rate settle_price spot_volume perp_volume spot_day_volume perp_day_volume"
    " sigma_day state"
).split()


class Hour:
    """One bar of one asset."""

    def __init__(self, numbers: Any) -> None:
        for name, value in zip(COLUMNS, numbers, strict=True):
            setattr(self, name, float(value))

    def __getattr__(self, name: str) -> float:  # every column is set in __init__
        raise AttributeError(name)

    def opens(self, leg: str) -> float:
        return self.spot_open if leg == "spot" else self.perp_open

    @property
    def is_listed(self) -> bool:
        return self.state < UNLISTED


@dataclass
class Asset:
    """What is held of one asset, what was asked for, and the orders of the bar."""

    place: Place
    held: dict[str, float] = field(default_factory=lambda: {"spot": 0.0, "perp": 0.0})
    entry: float = 0.0
    wallet: float = 0.0
    carry: float = 0.0
    hedge: float = 1.0
    leverage: float = 1.0
    owes: str = ""  # flatten or rehedge, spec 6.6
    travels: float = 0.0  # spec 9.4, + towards the wallet
    arrives_in: int = 0
    # of the bar
    order: dict[str, float] = field(default_factory=lambda: {"spot": 0.0, "perp": 0.0})
    ordered: str = ""  # which paragraph gave the orders; "" none
    forced: bool = False
    closes_unlisted: bool = False

    def profit(self, price: float) -> float:
        return self.held["perp"] * (price - self.entry)

    def maintenance(self, price: float) -> float:
        at = self.entry if self.place.on_entry else price
        return self.place.maintenance(abs(self.held["perp"]) * at)


class Books:
    """The account of one episode from the close of row `start` of a path on."""

    last: list[Hour]
    now: list[Hour]
    parts: dict[str, float]
    liquidated: list[int]
    at_close: float

    def __init__(self, market: Market, config: EnvConfig, path: int, start: int) -> None:
        first, end = (int(edge) for edge in market.paths[path])
        self.market, self.c, self.row, self.end = market, config, first + start, end
        self.account_venue = load_venue(config.venue)
        day = pd.Timestamp(int(market.close_ns[self.row])).date()
        self.assets = [
            Asset(Place(name, self.account_venue, config, day)) for name in market.symbols[path]
        ]
        self.bar_years = market.bar_hours / 8760.0
        self.cash = config.initial_equity
        self.steps = 0

        def bars(text: str | None) -> int:
            return round(hours(text, "") / market.bar_hours) if text else 0

        self.decision, self.keeper = bars(config.decision_interval), bars(config.keeper_interval)
        self.delay, self.length = bars(config.transfer_delay), bars(config.episode)
        rate = config.quote_borrow_rate
        own = self.account_venue.value("borrow", "quote_annual")
        self.quote_rate = own if rate is None else rate
        several = any(asset.place.any_elsewhere for asset in self.assets) or market.shocked
        self.crash = (2.5 if several else 0.0) if config.crash_sigma is None else config.crash_sigma

    # spec 2.6, 2.7 --------------------------------------------------------------------------------

    def equity(self, hours_: list[Hour]) -> float:
        total = self.cash
        for asset, hour in zip(self.assets, hours_, strict=True):
            total += asset.held["spot"] * hour.spot_close + asset.wallet + abs(asset.travels)
            total += asset.profit(hour.mark_close)
        return total

    def free(self, prices: list[float]) -> float:
        owed = sum(
            max(-a.held["spot"], 0.0) * price for a, price in zip(self.assets, prices, strict=True)
        )
        return self.cash - owed

    def home_is_frozen(self) -> bool:
        """Spec 9.10: whether cash cannot leave the venue of the account."""
        return any(
            (now.state == FROZEN and not asset.place.is_elsewhere)
            or (now.state == FROZEN_SPOT and not asset.place.coins_elsewhere)
            for asset, now in zip(self.assets, self.now, strict=True)
        )

    def is_away(self, asset: Asset, now: Hour) -> bool:
        """Spec 9.4, 9.10."""
        travels = self.delay > 0 and asset.place.is_elsewhere
        return travels or now.state == FROZEN or self.home_is_frozen()

    def stops(self, asset: Asset, now: Hour) -> bool:
        """Spec 7.1, 9.10: whether nothing of an asset fills."""
        place = asset.place
        coins = now.state == FROZEN_SPOT or (
            now.state == FROZEN and place.perp_venue.name == place.spot_venue.name
        )
        return now.state > 0 or ((coins or self.home_is_frozen()) and place.coins_elsewhere)

    # spec 8 ---------------------------------------------------------------------------------------

    def _slips(self, index: int, leg: str, order: float, forced: bool) -> tuple[float, float]:
        """Half-spread and impact of 8.2 as fractions of the price."""
        asset, now, last = self.assets[index], self.now[index], self.last[index]
        crashed = (
            self.crash > 0 and last.mark_high / last.mark_low - 1 > self.crash * last.sigma_day
        )
        stress = self.c.stress_multiplier if forced else 1.0
        times = {"half": stress, "impact": stress}
        if crashed:
            times = {
                "half": max(self.c.crash_spread, stress),
                "impact": max(self.c.crash_impact, stress),
            }
        costs = asset.place.forced if forced or crashed else asset.place.waits
        half = costs[leg].half * self.c.cost_scale * times["half"]
        half = min(max(half, asset.place.waits[leg].half * self.c.cost_scale), 1.0)
        volume = now.spot_day_volume if leg == "spot" else now.perp_day_volume
        impact = 0.0
        if volume > 0:
            impact = asset.place.impact * now.sigma_day * math.sqrt(abs(order) / volume)
            impact *= self.c.cost_scale * times["impact"]
        return half, min(impact, 1.0 - half)

    def cost(self, index: int, leg: str, order: float) -> tuple[float, float, float]:
        """Half-spread, impact and fee of an order [quote]."""
        asset, now, last = self.assets[index], self.now[index], self.last[index]
        half, impact = self._slips(index, leg, order, asset.forced)
        crashed = (
            self.crash > 0 and last.mark_high / last.mark_low - 1 > self.crash * last.sigma_day
        )
        costs = asset.place.forced if asset.forced or crashed else asset.place.waits
        value = abs(order) * now.opens(leg)
        price = 1 + math.copysign(half + impact, order)
        return value * half, value * impact, value * price * costs[leg].fee * self.c.fee_scale

    def _fill(self, index: int, leg: str, order: float) -> None:
        if order == 0:
            return
        asset, now = self.assets[index], self.now[index]
        spread, impact, fee = self.cost(index, leg, order)
        paid = order * now.opens(leg) + spread + impact
        price = paid / order
        for part, amount in (("spread", spread), ("impact", impact), ("fees", fee)):
            self.parts[part] -= amount
        if leg == "spot":
            asset.held["spot"] += order
            self.cash -= paid + fee
            return
        held = asset.held["perp"]
        after = held + order
        if held * order >= 0:
            asset.entry = (held * asset.entry + order * price) / after
        else:
            closed = math.copysign(min(abs(order), abs(held)), held)
            asset.wallet += closed * (price - asset.entry)
            if after * held < 0:
                asset.entry = price
            elif after == 0:
                asset.entry = 0.0
        asset.held["perp"] = after
        asset.wallet -= fee
