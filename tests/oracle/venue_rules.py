"""What the venues of one asset ask, for the account of `tests/oracle/venues.py`: read from the
venue files by the paragraphs of `docs/specification.md`.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from fundenv.config import EnvConfig
from fundenv.venues import Venue, load_venue

BP = 1e-4


@dataclass(frozen=True)
class Cost:
    """Fee rate and half-spread of one leg."""

    fee: float
    half: float


@dataclass(frozen=True)
class Lot:
    """Step and least value of an order."""

    step: float
    least: float


class Place:
    """The two venues of an asset, spec 2.11."""

    def __init__(self, name: str, account: Venue, config: EnvConfig, day: dt.date) -> None:
        own = {venue.name: venue for venue in (load_venue(path) for path in config.venues)}
        first, _, second = name.partition("@")

        def split(text: str) -> tuple[Venue, str]:
            if ":" not in text:
                return account, text
            venue, symbol = text.split(":")
            return own[venue] if venue in own else load_venue(venue), symbol

        self.perp_venue, self.perp_symbol = split(first)
        self.spot_venue, self.spot_symbol = split(second or first)
        self.config, self.account = config, account
        self.is_elsewhere = self.perp_venue.name != account.name
        self.coins_elsewhere = self.spot_venue.name != account.name
        self.any_elsewhere = self.is_elsewhere or self.coins_elsewhere
        asks = self.perp_venue
        self.pays_on_spot = asks.choice("funding", "price") != "mark"
        self.procedure = asks.choice("liquidation", "procedure")
        self.whole_below = asks.value("liquidation", "partial_above")
        self.on_entry = asks.choice("liquidation", "maintenance_on") == "entry"
        self.liquidation_fee = asks.value("liquidation", "fee")
        self.impact = asks.value("execution", "impact_coefficient", self.perp_symbol)
        self.brackets = asks.brackets(self.perp_symbol, day)
        self.wallet_rate = asks.value("wallet", "annual") if self.is_elsewhere else 0.0
        self.base_rate = config.base_borrow_rate
        if self.base_rate is None:
            self.base_rate = self.spot_venue.value("borrow", "base_annual")
        self.lots = {
            "perp": self._lot(self.perp_venue, "perp", self.perp_symbol),
            "spot": self._lot(self.spot_venue, "spot", self.spot_symbol),
        }
        self.waits = {leg: self._cost(leg, waits=True) for leg in ("perp", "spot")}
        self.forced = {leg: self._cost(leg, waits=False) for leg in ("perp", "spot")}

    @staticmethod
    def _lot(venue: Venue, leg: str, symbol: str) -> Lot:
        return Lot(
            venue.value("execution", f"lot_{leg}", symbol),
            venue.value("execution", f"min_notional_{leg}", symbol),
        )

    def _cost(self, leg: str, waits: bool) -> Cost:
        """Spec 8.11."""
        venue, symbol = (
            (self.perp_venue, self.perp_symbol)
            if leg == "perp"
            else (self.spot_venue, self.spot_symbol)
        )
        given = self.config.perp_fee if leg == "perp" else self.config.spot_fee
        section = {"base": "fees", "high": "fees_high"}[self.config.fee_tier]
        maker, taker = (venue.value(section, f"{leg}_{who}") for who in ("maker", "taker"))
        half = venue.value("execution", f"half_spread_{leg}_bp", symbol) * BP
        m = self.config.maker_share if waits else 0.0
        c = self.config.maker_fill
        fee = max(m * c * maker + (1 - m * c) * taker, 0.0) if given is None else given
        half = (1 - m * c) * half + m * (1 - c) * self.config.maker_missed * BP
        return Cost(fee, half)

    def maintenance(self, value: float) -> float:
        """Spec 10.4."""
        holds = max((b for b in self.brackets if b.floor <= value), key=lambda b: b.floor)
        return value * holds.rate - holds.amount

    def largest(self, leverage: float) -> float:
        """Spec 7.2: the position value that this leverage allows."""
        below = [b.floor for b in self.brackets if b.max_leverage < leverage]
        return min(below) if below else math.inf

    def share_closed(self, value: float, balance: float, first: bool) -> float:
        """Spec 10.5 and 10.6: share of a position that a liquidation closes."""
        if self.procedure == "whole" or value <= self.whole_below:
            return 1.0
        if self.procedure == "fifth":
            return 0.2 if first else 1.0
        below = sorted((b.floor for b in self.brackets if b.floor <= value), reverse=True)
        steps = {"tier": 0, "two_tiers": 1}[self.procedure]
        floor = below[steps] if steps < len(below) else 0.0
        if floor <= 0.0 or balance <= value * self.brackets[0].rate:
            return 1.0
        return 1.0 - floor * (1 - 1e-9) / value
