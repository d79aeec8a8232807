"""Fees, brackets and other numbers of an asset on its venues: spec 2.11, 8.3 and 10."""

from __future__ import annotations

import datetime as dt
import math
from typing import NamedTuple

from fundenv.config import EnvConfig
from fundenv.venues import Venue, load_venue
from tests.oracle.linear.legs import Stress


class Costs(NamedTuple):
    """Fee rate and half-spread of a leg: where orders may wait in the book, and where not."""

    fee: float
    half_spread: float
    forced_fee: float
    forced_spread: float

    def of(self, stress: Stress) -> tuple[float, float]:
        """Fee rate, and half-spread before it is multiplied by `stress.spread`."""
        if stress.waits:
            return self.fee, self.half_spread
        return self.forced_fee, max(self.forced_spread, self.half_spread / stress.spread)


def places(asset: str, account: Venue, config: EnvConfig) -> list[tuple[Venue, str]]:
    """Venue and symbol of perpetual and spot of an asset, spec 2.11."""
    own = {venue.name: venue for venue in map(load_venue, config.venues)}
    perp, _, spot = asset.partition("@")
    found = []
    for place in (perp, spot or perp):
        venue, _, symbol = place.rpartition(":")
        found.append((account if not venue else own.get(venue) or load_venue(venue), symbol))
    return found


class Rules:
    """Numbers of one asset on the venues of its legs after the user's overrides, spec 2.11."""

    def __init__(self, account: Venue, config: EnvConfig, asset: str, date: dt.date) -> None:
        (venue, symbol), (market, pair) = places(asset, account, config)

        def given(override: float | None, section: str, key: str) -> float:
            of = market if "spot" in key or key == "base_annual" else venue
            of = account if key == "quote_annual" else of
            return of.value(section, key) if override is None else override

        def costs(override: float | None, leg: str, half_spread_bp: float) -> Costs:
            """Spec 8.3, 8.11."""
            section = "fees" if config.fee_tier == "base" else "fees_high"
            maker, taker = (
                given(override, section, f"{leg}_{kind}") for kind in ("maker", "taker")
            )
            filled = config.maker_share * config.maker_fill
            fee = maker * filled + taker * (1 - filled)
            if override is None:
                fee = max(fee, 0.0)
            spread = half_spread_bp * (1 - filled)
            spread += (config.maker_share - filled) * config.maker_missed
            scale = config.fee_scale
            return Costs(fee * scale, spread / 1e4, taker * scale, half_spread_bp / 1e4)

        half_spread = venue.value("execution", "half_spread_perp_bp", symbol)
        self.perp_costs = costs(config.perp_fee, "perp", half_spread)
        half_spread = market.value("execution", "half_spread_spot_bp", pair)
        self.spot_costs = costs(config.spot_fee, "spot", half_spread)
        self.settles_on_spot = venue.choice("funding", "price") != "mark"
        self.procedure = venue.choice("liquidation", "procedure")
        self.partial_above = venue.value("liquidation", "partial_above")
        self.entry_margin = venue.choice("liquidation", "maintenance_on") == "entry"
        self.liquidation_fee = venue.value("liquidation", "fee") * config.fee_scale
        self.quote_borrow_rate = given(config.quote_borrow_rate, "borrow", "quote_annual")
        self.base_borrow_rate = given(config.base_borrow_rate, "borrow", "base_annual")
        self.impact = venue.value("execution", "impact_coefficient", symbol)
        self.lot_perp = venue.value("execution", "lot_perp", symbol)
        self.lot_spot = market.value("execution", "lot_spot", pair)
        self.min_notional_perp = venue.value("execution", "min_notional_perp", symbol)
        self.min_notional_spot = market.value("execution", "min_notional_spot", pair)
        self.collateral_rate = market.value("collateral", "", pair)
        self.brackets = venue.brackets(symbol, date)
        self.perp_venue, self.spot_venue = venue.name, market.name
        self.at_home = venue == account
        self.coins_at_home = market == account
        self.inverse = venue.contract == "inverse"
        self.wallet_rate = 0.0 if self.at_home else venue.value("wallet", "annual", date=date)

    def maintenance(self, notional: float) -> float:
        bracket = [b for b in self.brackets if b.floor <= notional][-1]
        return notional * bracket.rate - bracket.amount

    def largest(self, leverage: float) -> float:
        """Largest position value allowed at a leverage, spec 7.2."""
        return min(
            (b.floor for b in self.brackets if b.max_leverage < leverage * (1 - 1e-6)),
            default=math.inf,
        )

    def needed(self, perp: float, entry: float, mark: float) -> float:
        """Maintenance margin of a position, on its value at mark or at entry, spec 10.4."""
        return self.maintenance(abs(perp) * (entry if self.entry_margin else mark))

    def closed_share(self, value: float, balance: float, first: bool) -> float:
        """Share of a position worth `value` that a liquidation closes now."""
        if self.procedure == "whole" or value <= self.partial_above:
            return 1.0
        if self.procedure == "fifth":
            return 0.2 if first else 1.0
        floors = [b.floor for b in self.brackets]
        held = max(k for k, floor in enumerate(floors) if floor <= value)
        left = held - {"tier": 1, "two_tiers": 2}[self.procedure]
        if left < 0 or balance <= value * self.brackets[0].rate:
            return 1.0
        return 1.0 - floors[left + 1] * (1 - 1e-9) / value

    def liquidation_price(self, perp: float, entry: float, margin: float) -> float:
        """Spec 10.1: the x with margin + perp (x - entry) = maintenance(|perp| x), solved in the
        bracket that holds at x.
        """
        if self.entry_margin:
            return entry - (margin - self.maintenance(abs(perp) * entry)) / perp
        ceilings = [b.floor for b in self.brackets[1:]] + [math.inf]
        for bracket, ceiling in zip(self.brackets, ceilings, strict=True):
            x = (perp * entry - margin - bracket.amount) / (perp - abs(perp) * bracket.rate)
            if bracket.floor * (1 - 1e-12) <= abs(perp) * x <= ceiling * (1 + 1e-12):
                return x
        raise AssertionError("the balance meets maintenance at no positive price")
