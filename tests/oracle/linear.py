"""A slow account in plain Python, written from `docs/specification.md` alone: the oracle that the
kernel is held against.

It shares no code with the kernel. "spec 6.2" is a paragraph of the specification; names follow it.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fundenv.config import EnvConfig, hours
from fundenv.market.market import Market
from fundenv.venues import Venue, load_venue

PARTS = (
    "spot_pnl",
    "perp_pnl",
    "funding",
    "fees",
    "spread",
    "impact",
    "borrow_interest",
    "cash_interest",
    "liquidation_loss",
)
Target = tuple[float, float, float]  # carry, hedge, leverage
GONE = 2.0  # `halted` of a coin that is not listed, spec 3.3
# of one whose venue lets no money go, spec 9.10, and that fails, spec 10.13, with its coins; the
# same of the venue of the coins alone
FROZEN, FAILED, FAILED_WHOLE = -1.0, 3.0, 4.0
FROZEN_SPOT, FAILED_SPOT = -2.0, 5.0


class Bar(NamedTuple):
    """One row of `Market.bars`, in the order of fundenv.market.layout."""

    spot_open: float
    spot_close: float
    perp_open: float
    perp_close: float
    mark_open: float
    mark_high: float
    mark_low: float
    mark_close: float
    settle_rate: float
    settle_price: float
    spot_volume: float
    perp_volume: float
    spot_day_volume: float
    perp_day_volume: float
    sigma_day: float
    halted: float

    @property
    def gone(self) -> bool:
        """Not listed, or its venue fails in this bar."""
        return self.halted >= GONE


class Stress(NamedTuple):
    """Multipliers of half-spread and impact, and whether the order may wait in the book."""

    spread: float = 1.0
    impact: float = 1.0
    waits: bool = True


CALM = Stress()


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


@dataclass
class Leg:
    """Spot and perpetual of one asset, its remembered target and what it does in the current
    bar.
    """

    spot: float = 0.0
    perp: float = 0.0
    entry: float = 0.0
    carry: float = 0.0
    hedge: float = 1.0
    leverage: float = 1.0
    pending: str = ""  # "", "flatten" or "rehedge"
    order_spot: float = 0.0
    order_perp: float = 0.0
    stress: Stress = CALM
    # spec 8.7: what is paid for the displaced price of spot and perp, + where it is held up
    deposit_spot: float = 0.0
    deposit_perp: float = 0.0
    attempt: bool = (
        False  # a flatten order that only restores the hedge of what a partial liquidation left
    )

    def unrealised(self, price: float) -> float:
        return self.perp * (price - self.entry)


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


class ReferenceAccount:
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

    # --- the step ---------------------------------------------------------------------------------

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

    # --- spec 4: settlement -----------------------------------------------------------------------

    def _settle(self) -> None:
        # specification 4.1: what is held before the trade of this instant; a position opened by it
        # is behind the venue's seconds of grace
        for a, bar in enumerate(self.now):
            if bar.settle_price > 0:
                self._settle_leg(a, bar.settle_rate + self._displaced_rate(a))

    def _settle_leg(self, a: int, rate: float) -> None:
        received = -self.legs[a].perp * self._settle_price(a) * rate
        self.parts["funding"] += received
        if self.portfolio:
            self.cash += received
        elif self.config.margin_mode == "cross" or self._is_away(self._wallet(a)):  # spec 9.7
            self.margin[self._wallet(a)] += received
        elif received >= 0:
            self.cash += received
        else:
            from_cash = min(-received, max(0.0, self._free([b.spot_close for b in self.last])))
            self.cash -= from_cash
            self.margin[a] -= -received - from_cash

    def _settle_price(self, a: int) -> float:
        """Mark of the settlement, or the last spot close where the venue settles on its oracle or
        index.
        """
        return (
            self.last[a].spot_close if self.rules[a].settles_on_spot else self.now[a].settle_price
        )

    # --- spec 6: orders ---------------------------------------------------------------------------

    def _decide(self, targets: list[Target | None], equity: float, first: bool) -> set[int]:
        """Orders of decisions (spec 6.2 to 6.5) and after liquidations (spec 6.6 to 6.8); returns
        the assets whose wallets are set afterwards.
        """
        moved: set[int] = set()
        granted = self._granted(targets, equity) if first else 1.0
        for a, (leg, target) in enumerate(zip(self.legs, targets, strict=True)):
            if first and target is None:
                self.reasons[a] = "hold"
            leg.attempt = leg.perp != 0
            if leg.pending:
                leg.stress = self._forced(a)
            if target is not None:
                used = self._used(a, equity)  # at the leverage until now
                leg.carry, leg.hedge, leg.leverage = target
                leg.carry *= granted
                if not self._stopped(a):
                    leg.pending = ""
                self._order_to_target(a, equity, self._band(used, abs(leg.carry)))
                moved.add(a)
            elif leg.pending == "flatten":
                leg.order_spot = -leg.hedge * leg.perp - leg.spot
                moved.add(a)
            elif leg.pending == "rehedge":
                self._order_to_target(a, equity, band=0.0)
                moved.add(a)
        return moved

    def _parts_of_capital(self) -> int:
        return 1 if self.config.capital == "shared" else self.n

    def _gross(self, a: int) -> float:
        """Equity that one quote of perpetual ties up, spec 6.2 and 15."""
        unbacked = 1 - self.rules[a].collateral_rate if self.portfolio else 1.0
        return (1 + unbacked * self.legs[a].leverage) / self.legs[a].leverage

    def _value(self, a: int) -> float:
        """Notional at the last mark."""
        return abs(self.legs[a].perp) * self.last[a].mark_close

    def _used(self, a: int, equity: float) -> float:
        return self._value(a) * self._gross(a) / equity if equity > 0 else 0.0

    def _granted(self, targets: list[Target | None], equity: float) -> float:
        """Spec 6.15: what every carry is multiplied with where the capital is shared."""
        if self.config.capital != "shared":
            return 1.0
        kept = sum(self._used(a, equity) for a, t in enumerate(targets) if t is None)
        asked = sum(
            abs(t[0])
            for t, last in zip(targets, self.last, strict=True)
            if t is not None and not last.gone
        )
        room = max(1.0 - kept, 0.0)
        return 1.0 if asked <= room else room / asked

    def _band(self, used: float, asked: float) -> float:
        """Spec 6.5: the part of the equity up to which nothing is traded."""
        if self.n == 1:
            share = 1.0
        elif self.config.capital == "shared":
            share = min(max(used, asked), 1.0)
        else:
            share = 1 / self.n
        return share * self.config.rebalance_band

    def _order_to_target(self, a: int, equity: float, band: float) -> None:
        leg, last = self.legs[a], self.last[a]
        perp = -leg.carry * equity / self._gross(a) / self._parts_of_capital() / last.mark_close
        spot = -leg.hedge * perp
        if spot < 0 and not self.config.allow_short_spot:
            perp = spot = 0.0
            self.reasons[a] = "no borrow"
        leg.order_perp, leg.order_spot = perp - leg.perp, spot - leg.spot
        largest = max(abs(leg.order_perp) * last.mark_close, abs(leg.order_spot) * last.spot_close)
        if leg.carry != 0 and largest <= band * equity:
            if leg.order_perp or leg.order_spot:
                self.reasons[a] = "inside the band"
            leg.order_perp = leg.order_spot = 0.0

    def _keep_exposure(self, busy: set[int], equity: float) -> set[int]:
        """The margin keeper that watches the equity, spec 6.16."""
        held = [a for a, leg in enumerate(self.legs) if leg.perp]
        waits = any(self._stopped(a) and not bar.gone for a, bar in enumerate(self.now))
        if busy or waits or any(self.now[a].gone for a in held) or not held:
            return set()
        used = sum(self._used(a, equity) for a in held)
        asked = sum(abs(self.legs[a].carry) for a in held) / self._parts_of_capital()
        low, high = self.config.keeper_down * asked, self.config.keeper_up * asked
        if used <= 0 or low <= used <= high:
            return set()
        for a in held:
            self._order_to_target(a, max(equity, 0.0), band=0.0)
        return set(held)

    def _keep(self, busy: set[int], equity: float) -> set[int]:
        """The margin keeper, spec 6.10 to 6.12; returns the assets that it trades."""
        bar_ns = round(self.market.bar_hours * 3600e9)
        opened = (int(self.market.close_ns[self.row]) - bar_ns) // bar_ns
        if (
            (self.portfolio and self.config.keeper_watches == "wallet")
            or not self.keeper_bars
            or opened % self.keeper_bars
        ):
            return set()
        if self.config.keeper_watches == "equity":
            return self._keep_exposure(busy, equity)
        traded: set[int] = set()
        for w, members in enumerate(self.wallets):
            traded |= self._keep_wallet(w, members, busy)
        return traded

    def _keep_wallet(self, w: int, members: list[int], busy: set[int]) -> set[int]:
        legs = [(self.legs[a], self.last[a]) for a in members]
        if busy & set(members) or all(leg.perp == 0 for leg, _ in legs):
            return set()
        balance = self.margin[w] + sum(leg.unrealised(last.mark_close) for leg, last in legs)
        required = sum(abs(leg.perp) * last.mark_close / leg.leverage for leg, last in legs)
        spot_value = sum(max(leg.spot, 0.0) * last.spot_close for leg, last in legs)
        too_low = balance < required / self.config.keeper_up
        too_high = self.config.keeper_down > 0 and balance > required / self.config.keeper_down
        if not too_low and not too_high:
            return set()
        if balance < required and not self._is_away(w):
            moved = min(required - balance, max(0.0, self._free([b.spot_close for b in self.last])))
            self.cash -= moved
            self.margin[w] += moved
            balance += moved
        if abs(balance - required) > 1e-9 * required:
            f = (spot_value + max(balance, 0.0)) / (spot_value + required)
            if self._is_away(w):  # spec 9.8
                f = min(max(balance, 0.0) / required, 1.0)
            for leg, _ in legs:
                leg.order_spot, leg.order_perp = (f - 1) * leg.spot, (f - 1) * leg.perp
            return set(members)
        return set()

    def _call_loans(self) -> set[int]:
        """Spec 6.13: below its margin level the spot account buys the coins back that it owes, and
        the perpetuals beside them are closed.
        """
        values = [
            leg.spot * last.spot_close for leg, last in zip(self.legs, self.last, strict=True)
        ]
        owned = max(self.cash, 0.0) + sum(v for v in values if v > 0)
        owed = max(-self.cash, 0.0) - sum(v for v in values if v < 0)
        rounding = 1e-9 * self.config.initial_equity
        if (
            self.config.margin_level <= 0
            or owed <= rounding
            or owned / owed > self.config.margin_level
        ):
            return set()
        called = {a for a, value in enumerate(values) if -value > rounding}
        for a in called:
            leg = self.legs[a]
            leg.order_spot, leg.order_perp, leg.carry = -leg.spot, -leg.perp, 0.0
            leg.stress = self._forced(a)
            self.reasons[a] = "loan called"
        return called

    def _close_unlisted(self, first: bool) -> set[int]:
        """Spec 6.17 and 6.18: what is held of a coin that is gone is closed, and one that had no
        price at the last close takes no order.
        """
        closed: set[int] = set()
        for a, (leg, last, now) in enumerate(zip(self.legs, self.last, self.now, strict=True)):
            if not (last.gone or now.gone):
                continue
            held = self._hedge_held(a)
            leg.order_spot, leg.order_perp, leg.pending = -held, -leg.perp, ""
            if held or leg.perp:
                leg.stress = self._forced(a)
                failed = now.halted in (FAILED, FAILED_WHOLE, FAILED_SPOT)
                self.reasons[a] = "the venue failed" if failed else "delisted"
                closed.add(a)
            elif first and leg.carry:
                self.reasons[a] = "not listed"
            leg.carry = 0.0
            if last.gone:
                self.requested[a] = (0.0, 0.0)
        return closed

    def _lent(self, sigma: float) -> float:
        """Spec 11.2: share of a pool that others ask for."""
        return self.config.borrow_used * max(sigma / self.config.borrow_norm, 1.0)

    def _left(self, sigma: float, supply: float) -> float:
        """What they leave of it."""
        return max(supply - supply * self._lent(sigma), 0.0)

    def _calm(self) -> float:
        """Daily volatility by which the pool of quote goes."""
        listed = [bar.sigma_day for bar in self.now if not bar.gone]
        return sum(listed) / max(len(listed), 1)

    def _limit_loans(self) -> set[int]:
        """Spec 6.19: an asset owes no more coins than the pool has; what it owes beyond that the
        lender takes back.
        """
        supply, recalled = self.config.base_supply, set()
        for a, (leg, last, bar) in enumerate(zip(self.legs, self.last, self.now, strict=True)):
            left = self._left(bar.sigma_day, supply) / last.spot_close
            least = left * (1 + 1e-9) + 1e-9 * self.config.initial_equity / last.spot_close
            held = self._hedge_held(a)
            target = (held + leg.order_spot, leg.perp + leg.order_perp)
            if supply <= 0 or -target[0] <= least:
                continue
            m = left / -target[0]
            leg.order_spot, leg.order_perp = m * target[0] - held, m * target[1] - leg.perp
            self.reasons[a] = "no more coins to borrow"
            if -held > least:
                self.reasons[a] = "loan recalled"
                leg.stress = self._forced(a)
                leg.carry *= m
                recalled.add(a)
        return recalled

    def _stress_crashes(self) -> None:
        """Spec 6.14: orders behind a bar in which mark ranged far pay the costs of a crash."""
        for a, leg in enumerate(self.legs):
            if self._crashed(a) and leg.stress.waits:
                leg.stress = Stress(self.config.crash_spread, self.config.crash_impact, False)

    def _crashed(self, a: int) -> bool:
        last, most = self.last[a], self.config.crash_sigma
        if most is None:
            most = 2.5 if self.several_venues or self.market.shocked else 0.0
        return most > 0 and last.mark_high / last.mark_low - 1 > most * last.sigma_day

    def _forced(self, a: int) -> Stress:
        """Spec 6.7, and 6.14 where the bar before was a crash."""
        c = self.config
        spread, impact = (c.crash_spread, c.crash_impact) if self._crashed(a) else (1.0, 1.0)
        return Stress(max(c.stress_multiplier, spread), max(c.stress_multiplier, impact), False)

    def _deleverage(self) -> None:
        """Spec 10.12: the venue takes a share of a winner off where mark runs far in its favour."""
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            if self.config.adl_sigma <= 0 or leg.perp == 0:
                continue
            p = bar.mark_open * max(
                1 + math.copysign(self.config.adl_sigma * bar.sigma_day, leg.perp), 0.0
            )
            reached = bar.mark_high >= p if leg.perp > 0 else bar.mark_low <= p
            if p > 0 and reached and self._gain(a, leg.entry, p) > 0:
                closed = leg.perp * self.config.adl_share
                gain = self._gain(a, leg.entry, p) * self.config.adl_share
                booked = self._gain(a, bar.perp_open, p) * self.config.adl_share
                self.margin[self._wallet(a)] += gain
                self.parts["perp_pnl"] += booked * self._coin_worth(a)
                self._after_closing(a, closed, self.config.adl_share)
        if self.portfolio:
            self._empty()

    def _gain(self, a: int, start: float, end: float) -> float:
        """Profit of the whole perpetual between two prices, in the currency of its wallet."""
        return self.legs[a].perp * (end - start)

    def _coin_worth(self, a: int) -> float:
        """Quote per unit of the wallet's currency inside the bar."""
        return 1.0

    def _empty(self) -> None:
        """Portfolio: no wallet keeps anything."""
        self.cash, self.margin[0] = self.cash + self.margin[0], 0.0

    def _limit(self, moved: set[int]) -> None:
        """What the market (spec 7.1 to 7.5) and the funds (spec 7.6 to 7.11) allow of the
        orders.
        """
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            if self._stopped(a):
                if not bar.gone:
                    why = "halted" if bar.halted > 0 else "the coins are frozen"
                    self._cut(a, 0.0, 0.0, why)
                continue
            _, base = self._sizes(a)
            after = leg.perp + leg.order_perp
            limit = self.rules[a].largest(leg.leverage)
            held = abs(leg.perp) if leg.perp * after > 0 else 0.0
            allowed = max(limit / self._bracket_value(a, 1.0), held)
            reason = "leverage limit of the bracket"
            if self._is_away(self._wallet(a)):  # spec 9.6
                backed = max(self._unused(a), 0.0) * leg.leverage / bar.perp_open
                backed = max(backed, held)
                if backed < allowed:
                    allowed, reason = backed, "not enough funds"
            if abs(after) > abs(leg.perp) and abs(after) > allowed:
                part, held = allowed / abs(after), self._hedge_held(a)
                spot, perp = (
                    _order(held, part * (held + leg.order_spot)),
                    _order(leg.perp, part * after),
                )
                self._cut(a, spot, perp, reason)
            if self.config.max_participation > 0:
                factor = 1.0
                for order, volume in (
                    (leg.order_spot, bar.spot_volume),
                    (leg.order_perp * base, bar.perp_volume),
                ):
                    if abs(order) > self.config.max_participation * volume:
                        factor = min(factor, self.config.max_participation * volume / abs(order))
                if factor < 1:
                    self._cut(a, leg.order_spot * factor, leg.order_perp * factor, "participation")
            self._keep_hedged(a)
            if self._round(a):
                self.reasons[a] = "below lot or minimum notional"
        self._afford(moved)

    def _afford(self, moved: set[int]) -> None:
        """Spec 7.6 to 7.11: smaller targets where the purse is too small, and in the end nothing
        but what closes.
        """
        equity = self.equity_at(
            [b.spot_close for b in self.last], [b.mark_close for b in self.last]
        )
        rounding = 1e-12 * max(equity, self.config.initial_equity)

        def free(orders: list[tuple[float, float]]) -> float:
            return (
                self._free_collateral_after(orders)
                if self.portfolio
                else self._free_after(orders, moved)
            )

        def short() -> bool:
            return free(self._orders()) < -rounding

        needy: set[int] | None = None
        for time in range(1, 10):
            if not short():
                return
            least, whole = self._least_orders(), self._orders()
            if needy is None:
                needy = set(range(self.n)) if self.portfolio else self._needy(least, whole, moved)
            few = [least[a] if a in needy else whole[a] for a in range(self.n)]
            at_least, shortage = free(few), -free(whole) * 2 ** (time - 1)
            if -free(whole) <= -at_least:
                break
            k = at_least / (at_least + shortage) if at_least > 0 and time < 9 else 0.0
            for a in needy:
                self._shrink(
                    a,
                    _between(least[a], whole[a], k if k >= 1e-9 else 0.0),
                    unchanged=least[a] == whole[a],
                )
        if short():
            for a, leg in enumerate(self.legs):
                self._cut(
                    a,
                    _closing(leg.order_spot, self._hedge_held(a)),
                    _closing(leg.order_perp, leg.perp),
                    "not enough funds",
                )

    def _orders(self) -> list[tuple[float, float]]:
        return [(leg.order_spot, leg.order_perp) for leg in self.legs]

    def _shrink(self, a: int, orders: tuple[float, float], unchanged: bool) -> None:
        """Smaller orders, in lots; a leg that they close does not stay open for the sake of a
        lot.
        """
        leg = self.legs[a]
        if unchanged or orders == (leg.order_spot, leg.order_perp):
            return
        self._cut(a, *orders, "not enough funds")
        self._round(a)
        if abs(leg.order_spot) < abs(leg.spot) and -math.copysign(1.0, leg.spot) * orders[0] >= abs(
            leg.spot
        ):
            leg.order_spot = -leg.spot
        if abs(leg.order_perp) < abs(leg.perp) and -math.copysign(1.0, leg.perp) * orders[1] >= abs(
            leg.perp
        ):
            leg.order_perp = -leg.perp

    def _least_orders(self) -> list[tuple[float, float]]:
        """Spec 7.7: orders towards the part of every target, in its own proportions, that is held
        already on both legs.
        """
        least = []
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            held = (self._hedge_held(a), leg.perp)
            target = (held[0] + leg.order_spot, held[1] + leg.order_perp)
            part = min(
                (
                    min(max(x / y, 0.0), 1.0)
                    for x, y in zip(held, target, strict=True)
                    if abs(y) > 1e-9 * abs(x)
                ),
                default=1.0,
            )
            if part > 1 - 1e-9:
                least.append((leg.order_spot, leg.order_perp))
                continue
            sizes = [_order(x, part * y) for x, y in zip(held, target, strict=True)]
            limits = [bar.spot_volume, bar.perp_volume / self._sizes(a)[1]]
            if self.config.max_participation > 0:
                limits = [limit * self.config.max_participation for limit in limits]
                sizes = [
                    math.copysign(min(abs(x), limit), x)
                    for x, limit in zip(sizes, limits, strict=True)
                ]
            least.append((sizes[0], sizes[1]))
        return least

    def _hedge_held(self, a: int) -> float:
        """What stands beside the perpetual of an asset, base units."""
        return self.legs[a].spot

    def _needy(
        self, least: list[tuple[float, float]], whole: list[tuple[float, float]], moved: set[int]
    ) -> set[int]:
        """Spec 7.8: assets whose whole orders leave less free cash than least orders all round,
        where the others have those.
        """

        def free(which: set[int]) -> float:
            return self._free_after(
                [whole[a] if a in which else least[a] for a in range(self.n)], moved
            )

        return {a for a in range(self.n) if free({a}) < free(set())}

    def _keep_hedged(self, a: int) -> None:
        """Spec 7.12: where lots leave no order of the perp, spot is ordered for the perp held."""
        leg = self.legs[a]
        perp = _whole_lots(leg.order_perp, self.rules[a].lot_perp, leg.perp)
        small = abs(perp) * self._sizes(a)[0] < self.rules[a].min_notional_perp
        left_out = perp == 0 or (small and perp != -leg.perp)
        if leg.order_perp and left_out and self.reasons[a] != "loan recalled":
            needed, wanted = self._hedge_order(a), leg.order_spot
            if abs(needed + leg.spot) <= 1e-9 * abs(leg.spot):
                needed = -leg.spot
            leg.order_spot = (
                min(max(needed, 0.0), wanted) if wanted > 0 else max(min(needed, 0.0), wanted)
            )

    def _hedge_order(self, a: int) -> float:
        """Spot order after which the perp that is held is hedged."""
        return -self.legs[a].hedge * self.legs[a].perp - self.legs[a].spot

    def _round(self, a: int) -> bool:
        """Lots (spec 7.4) and minimum notional (spec 7.5); says whether a leg is dropped."""
        leg, last, rules = self.legs[a], self.last[a], self.rules[a]
        spot = _whole_lots(leg.order_spot, rules.lot_spot, leg.spot)
        perp = _whole_lots(leg.order_perp, rules.lot_perp, leg.perp)
        if abs(spot) * last.spot_close < rules.min_notional_spot and spot != -leg.spot:
            spot = 0.0
        if abs(perp) * self._sizes(a)[0] < rules.min_notional_perp and perp != -leg.perp:
            perp = 0.0
        dropped = bool((leg.order_spot and not spot) or (leg.order_perp and not perp))
        leg.order_spot, leg.order_perp = spot, perp
        return dropped

    def _cut(self, a: int, spot: float, perp: float, reason: str) -> None:
        leg = self.legs[a]
        if spot != leg.order_spot or perp != leg.order_perp:
            self.reasons[a] = reason
        leg.order_spot, leg.order_perp = spot, perp

    def _sizes(self, a: int) -> tuple[float, float]:
        """Value [quote] of one unit of perp at the last mark, and base units of it."""
        return self.last[a].mark_close, 1.0

    def _bracket_value(self, a: int, perp: float) -> float:
        """What the venue's brackets see of a position at the last mark."""
        return abs(perp) * self.last[a].mark_close

    def _free_after(self, orders: list[tuple[float, float]], moved: set[int]) -> float:
        """f: free cash at open prices once the (spot, perp) orders are filled and the wallets are
        set.
        """
        free = self.cash
        for a in range(self.n):
            free += self._free_of_asset(a, orders[a], moved)
        for w, members in enumerate(self.wallets):
            if moved & set(members) and not self._is_away(w):
                free += self._free_of_wallet(w, members, orders)
        return free

    def _free_of_asset(self, a: int, orders: tuple[float, float], moved: set[int]) -> float:
        """What the spot order of an asset adds to f."""
        leg, bar, order = self.legs[a], self.now[a], orders[0]
        _, spread, impact, fee = self._spot_fill(a, order)
        paid = order * bar.spot_open + fee + spread + impact
        return -paid - max(-(leg.spot + order), 0.0) * bar.spot_open

    def _free_of_wallet(
        self, w: int, members: list[int], orders: list[tuple[float, float]]
    ) -> float:
        """What a wallet that gets a transfer adds to f."""
        unrealised = left = cost = required = needed = 0.0
        for a in members:
            leg, bar, order = self.legs[a], self.now[a], orders[a][1]
            _, spread, impact, fee = self._perp_fill(a, order)
            share = max(0.0, 1 - abs(order / leg.perp)) if leg.perp * order < 0 else 1.0
            unrealised += leg.unrealised(bar.perp_open)
            left += leg.unrealised(bar.perp_open) * share
            cost += fee + spread + impact
            required += abs(leg.perp + order) * bar.perp_open / leg.leverage
            needed += self.rules[a].maintenance(abs(leg.perp + order) * bar.perp_open)
        balance = self.margin[w] + unrealised - cost
        return balance - max(left + min(max(balance - left, 0.0), needed), required)

    def _free_collateral_after(self, orders: list[tuple[float, float]]) -> float:
        """f in portfolio mode: adjusted equity less the initial margin of all legs, at open
        prices.
        """
        free, paid = self.cash, 0.0
        for a, (leg, bar, rules) in enumerate(zip(self.legs, self.now, self.rules, strict=True)):
            spot, perp = orders[a]
            _, *spot_costs = self._spot_fill(a, spot)
            _, *perp_costs = self._perp_fill(a, perp)
            paid += spot * bar.spot_open + sum(spot_costs) + sum(perp_costs)
            spot_value = (leg.spot + spot) * bar.spot_open
            free += (
                min(spot_value, spot_value * rules.collateral_rate)
                - spot * bar.spot_open
                - sum(spot_costs)
                - sum(perp_costs)
            )
            free += (
                leg.unrealised(bar.perp_open) - abs(leg.perp + perp) * bar.perp_open / leg.leverage
            )
        return self._within_loan(free, paid)

    def _within_loan(self, free: float, paid: float) -> float:
        """Spec 8.6: the lower of f and the quote that is there or can be borrowed."""
        supply = self.config.quote_supply
        if supply <= 0:
            return free
        return min(free, self.cash - paid + self._left(self._calm(), supply))

    def _spot_fill(self, a: int, order: float) -> tuple[float, float, float, float]:
        bar, rules = self.now[a], self.rules[a]
        return self._price(
            order,
            bar.spot_open,
            "spot",
            *rules.spot_costs.of(self.legs[a].stress),
            a,
            self.legs[a].stress,
        )

    def _perp_fill(self, a: int, order: float) -> tuple[float, float, float, float]:
        bar, rules = self.now[a], self.rules[a]
        return self._price(
            order,
            bar.perp_open,
            "perp",
            *rules.perp_costs.of(self.legs[a].stress),
            a,
            self.legs[a].stress,
        )

    def _price(
        self,
        order: float,
        start: float,
        which: str,
        fee_rate: float,
        half_spread: float,
        a: int,
        stress: Stress,
        forced: bool = False,
    ) -> tuple[float, ...]:
        """Fill price, then spread, impact and fee in quote; only impact that goes back on earlier
        orders, and a maker's fee, may be below 0.
        """
        half_spread = min(half_spread * self.config.cost_scale * stress.spread, 1.0)
        impact = min(self._impact(a, which, order, stress.impact, forced), 1.0 - half_spread)
        price = start * (1 + math.copysign(1.0, order) * (half_spread + impact))
        return (
            price,
            abs(order) * start * half_spread,
            abs(order) * start * impact,
            fee_rate * abs(order) * price,
        )

    # --- spec 8.2, 8.7 to 8.10: impact ------------------------------------------------------------

    def _thin(self, a: int, which: str) -> float:
        """k: impact of one base unit from rest, as a fraction of the price."""
        bar = self.now[a]
        volume = bar.spot_day_volume if which == "spot" else bar.perp_day_volume
        if volume <= 0:
            return 0.0
        return self.rules[a].impact * bar.sigma_day / volume**self.config.impact_exponent

    def _pays_in(self, a: int, which: str) -> float:
        """What one base unit is worth in the money in which the leg pays."""
        return self.now[a].spot_open if which == "spot" else self.now[a].perp_open

    def _depth(self, a: int, which: str) -> float:
        c = self.config
        return c.impact_lasting * self._thin(a, which) * c.cost_scale * self._pays_in(a, which)

    def _deposit(self, a: int, which: str) -> float:
        return self.legs[a].deposit_spot if which == "spot" else self.legs[a].deposit_perp

    def _volume(self, a: int, which: str) -> float:
        """Displaced volume; call it with a depth alone."""
        deposit, power = self._deposit(a, which), 1 / (1 + self.config.impact_exponent)
        size = (abs(deposit) / self._depth(a, which)) ** power
        return size if deposit > 0 else -size

    def _moved_deposit(self, a: int, which: str, order: float) -> float:
        volume = self._volume(a, which) + order
        size = self._depth(a, which) * abs(volume) ** (1 + self.config.impact_exponent)
        return size if volume > 0 else -size

    def _impact(self, a: int, which: str, order: float, stress: float, forced: bool) -> float:
        """Impact of an order in base as a fraction of the price, spec 8.2 and 8.7; forced: that of
        a liquidation, spec 8.9.
        """
        c, size = self.config, abs(order)
        rest = self._thin(a, which) * size**c.impact_exponent * c.cost_scale * stress
        if not size or not self._depth(a, which):
            return rest * (1 - c.impact_lasting) if not forced else rest
        change = abs(self._moved_deposit(a, which, order)) - abs(self._deposit(a, which))
        change *= stress if change > 0 else 1.0
        share = self._as_slip(
            a,
            which,
            order,
            (1 - c.impact_lasting) * rest + change / size / self._pays_in(a, which),
        )
        return max(share, rest) if forced else max(share, -0.5)

    def _as_slip(self, a: int, which: str, order: float, share: float) -> float:
        """A cost over the value of an order as a part of the fill price."""
        return share

    def _remember(self, a: int, which: str, order: float, paid: float) -> None:
        """The deposit after an order that paid so much for its impact."""
        if not self._depth(a, which):
            return
        after = self._moved_deposit(a, which, order)
        size = min(abs(after), max(abs(self._deposit(a, which)) + paid, 0.0))
        size = size if after > 0 else -size
        if which == "spot":
            self.legs[a].deposit_spot = size
        else:
            self.legs[a].deposit_perp = size

    def _fade(self) -> None:
        c = self.config
        if c.impact_half_life is not None:
            kept = 0.5 ** (self.years * 8760 / hours(c.impact_half_life, ""))
            for leg in self.legs:
                leg.deposit_spot *= kept ** (1 + c.impact_exponent)
                leg.deposit_perp *= kept ** (1 + c.impact_exponent)

    def _displaced(self, a: int, which: str) -> float:
        """Displacement of the price as a fraction of it, spec 8.10."""
        c = self.config
        if not self._depth(a, which):
            return 0.0
        volume, n = self._volume(a, which), c.impact_exponent
        moved = c.impact_lasting * c.cost_scale * self._thin(a, which) * (1 + n) * abs(volume) ** n
        return min(moved, 1.0) if volume > 0 else -min(moved, 1.0)

    def _displaced_rate(self, a: int) -> float:
        """What own orders take off the settled rate, spec 4.6."""
        premium = self._displaced(a, "perp") - self._displaced(a, "spot")
        return self.config.funding_response * premium if premium * self.legs[a].perp > 0 else 0.0

    def _fill(self) -> None:
        for a in range(self.n):
            self._fill_leg(a)

    def _fill_leg(self, a: int) -> None:
        leg = self.legs[a]
        if leg.order_spot:
            price, spread, impact, fee = self._spot_fill(a, leg.order_spot)
            self._remember(a, "spot", leg.order_spot, impact)
            self._book_cost(a, 0, leg.order_spot, price, spread, impact, fee)
            self.cash -= leg.order_spot * price + fee
            leg.spot += leg.order_spot
        if leg.order_perp:
            price, spread, impact, fee = self._perp_fill(a, leg.order_perp)
            self._remember(a, "perp", leg.order_perp, impact)
            self._book_cost(a, 1, leg.order_perp, price, spread, impact, fee)
            self.margin[self._wallet(a)] += self._trade_perp(a, price) - fee

    def _trade_perp(self, a: int, price: float) -> float:
        """Fill the perpetual order of a leg at `price`; returns the realised profit."""
        leg = self.legs[a]
        before, after = leg.perp, leg.perp + leg.order_perp
        leg.perp = after
        if before == 0 or before * leg.order_perp > 0:  # opens or adds
            leg.entry = (before * leg.entry + leg.order_perp * price) / after
            return 0.0
        if before * after > 0:  # closes a part
            return -leg.order_perp * (price - leg.entry)
        profit = before * (price - leg.entry)  # closes whole; what is beyond opens at the fill
        leg.entry = price if after else 0.0
        return profit

    def _book_cost(
        self,
        a: int,
        which: int,
        order: float,
        price: float,
        spread: float,
        impact: float,
        fee: float,
    ) -> None:
        self.parts["spread"] -= spread
        self.parts["impact"] -= impact
        self.parts["fees"] -= fee
        self.filled[a][which] += order
        self.values[a][2 * which] += abs(order) * price
        self.values[a][2 * which + 1] += abs(order)

    # --- spec 9: transfers ------------------------------------------------------------------------

    def _transfer(self, moved: set[int]) -> None:
        if self.portfolio:
            self.cash, self.margin[0] = self.cash + self.margin[0], 0.0
            return
        self._set_wallets(moved)
        self._send_all(moved)

    def _set_wallets(self, moved: set[int]) -> None:
        """Spec 9.1 to 9.3."""
        wanted: dict[int, float] = {}
        for w, members in enumerate(self.wallets):
            if moved & set(members) and not self._is_away(w) and not self._in_coins(w):
                required = sum(
                    abs(self.legs[a].perp) * self.now[a].perp_open / self.legs[a].leverage
                    for a in members
                )
                unrealised = sum(self.legs[a].unrealised(self.now[a].perp_open) for a in members)
                needed = sum(
                    self.rules[a].maintenance(abs(self.legs[a].perp) * self.now[a].perp_open)
                    for a in members
                )
                kept = min(max(self.margin[w], 0.0), needed)
                wanted[w] = max(kept, required - unrealised) - self.margin[w]
        taking = {
            w
            for w, top_up in wanted.items()
            if top_up > 0 and any(self.legs[a].perp for a in self.wallets[w])
        }
        for w, top_up in sorted(wanted.items(), key=lambda item: item[0] in taking):
            if w in taking:
                top_up = min(top_up, max(0.0, self._free([b.spot_open for b in self.now])))
            self.cash -= top_up
            self.margin[w] += top_up

    def _send_all(self, moved: set[int]) -> None:
        for w, members in enumerate(self.wallets):
            if moved & set(members) and self.away[w] and not self._frozen(w):
                self._send(w, members)

    def _in_coins(self, w: int) -> bool:
        """Whether a wallet holds coins."""
        return False

    def _send(self, w: int, members: list[int]) -> None:
        """Spec 9.5."""
        legs = [(self.legs[a], self.now[a].perp_open, self.rules[a]) for a in members]
        if all(leg.perp == 0 for leg, _, _ in legs) and self.margin[w] < 0:
            self.cash, self.margin[w] = self.cash + self.margin[w], 0.0
            return
        if self.due[w]:
            return
        parts, wanted = self._parts_of_capital(), 0.0
        for leg, price, _ in legs:
            target = abs(leg.carry) * self.before * leg.leverage / (1 + leg.leverage) / parts
            wanted += max(target, abs(leg.perp) * price) / leg.leverage
        needed = sum(rules.maintenance(abs(leg.perp) * price) for leg, price, rules in legs)
        kept = min(max(self.margin[w], 0.0), needed)
        profit = sum(leg.unrealised(price) for leg, price, _ in legs)
        d = max(wanted - profit, kept) - self.margin[w]
        if d > 0:
            d = min(d, max(0.0, self._free([b.spot_open for b in self.now])))
        small = wanted > 0 and abs(d) <= self.config.rebalance_band * self.before / parts
        cost = self.config.transfer_cost
        if abs(d) <= cost or small:
            return
        if d > 0:
            self.cash -= d
        else:
            self.margin[w] += d
        self.sent[w], self.due[w] = math.copysign(abs(d) - cost, d), self.travels
        self.parts["fees"] -= cost

    def _unused(self, a: int) -> float:
        """Spec 9.6: what the wallet of an asset has beyond the margin of its other assets."""
        w = self._wallet(a)
        left = self.margin[w]
        for b in self.wallets[w]:
            leg, price = self.legs[b], self.now[b].perp_open
            left += leg.unrealised(price)
            if b != a:
                size = leg.perp + (leg.order_perp if b < a else 0.0)
                left -= abs(size) * price / leg.leverage
        return left

    def _home_frozen(self) -> bool:
        states = [(bar.halted, rules) for bar, rules in zip(self.now, self.rules, strict=True)]
        return any(
            (state == FROZEN and rules.at_home) or (state == FROZEN_SPOT and rules.coins_at_home)
            for state, rules in states
        )

    def _frozen(self, w: int) -> bool:
        """Spec 9.10: its venue, or that of the account, lets no money go."""
        return self._home_frozen() or any(self.now[a].halted == FROZEN for a in self.wallets[w])

    def _is_away(self, w: int) -> bool:
        """Spec 9.4, 9.10: of linear contracts, which alone have such wallets."""
        return self.away[w] or self._frozen(w)

    def _stopped(self, a: int) -> bool:
        """Nothing fills, spec 7.1 and 9.10."""
        state, rules = self.now[a].halted, self.rules[a]
        there = state == FROZEN_SPOT or (state == FROZEN and rules.perp_venue == rules.spot_venue)
        return state > 0 or ((there or self._home_frozen()) and not rules.coins_at_home)

    def _fail(self) -> None:
        """Spec 10.13."""
        share, cash, lost = self.config.failure_loss, max(self.cash, 0.0), 0.0
        state = [bar.halted for bar in self.now]
        gone = [a for a in range(self.n) if state[a] in (FAILED, FAILED_WHOLE)]
        coins = [a for a in range(self.n) if state[a] in (FAILED_SPOT, FAILED_WHOLE)]
        for a in gone:
            leg = self.legs[a]
            self.margin[self._wallet(a)] += leg.unrealised(self.last[a].mark_close)
            leg.perp = leg.entry = leg.carry = 0.0
            leg.pending = ""
        for w in sorted({self._wallet(a) for a in gone}):
            wallet, arriving = self.margin[w], max(self.sent[w], 0.0)
            if wallet < 0:
                self.cash += wallet + self._forgiven(wallet)
                lost -= self._forgiven(wallet)
            else:
                self.cash += wallet * (1 - share)
                lost += wallet * share
            self.margin[w] = 0.0
            if arriving:
                self.cash += arriving * (1 - share)
                lost += arriving * share
                self.sent[w], self.due[w] = 0.0, 0
        for a in coins:
            leg = self.legs[a]
            if leg.spot > 0:
                lost += share * leg.spot * self.last[a].spot_close
                leg.spot *= 1 - share
        own = any(self.rules[a].at_home for a in gone)
        if own or any(self.rules[a].coins_at_home for a in coins):
            self.cash -= share * cash
            lost += share * cash
        self.parts["liquidation_loss"] -= lost

    def _arrive(self) -> None:
        """Spec 9.4."""
        for w in range(len(self.wallets)):
            if self.due[w]:
                self.due[w] -= 1
                if not self.due[w]:
                    self.margin[w] += max(self.sent[w], 0.0)
                    self.cash += max(-self.sent[w], 0.0)
                    self.sent[w] = 0.0

    # --- spec 5 and 10: liquidation ---------------------------------------------------------------

    def _liquidate_at_the_open(self) -> None:
        for w, members in enumerate(self.wallets):
            self._liquidate_wallet(w, members, at_open=True)

    def _liquidate(self) -> None:
        for w, members in enumerate(self.wallets):
            self._liquidate_wallet(w, members, at_open=False)

    def _liquidate_wallet(self, w: int, members: list[int], at_open: bool) -> None:
        opens = {a: self.now[a].mark_open for a in members}
        booked_at = (
            [b.mark_close for b in self.last] if at_open else [b.perp_open for b in self.now]
        )
        start, first = 0.0, True  # share of the way from the mark opens to the adverse extremes
        while held := [a for a in members if self.legs[a].perp != 0]:
            worst = {
                a: self.now[a].mark_low if self.legs[a].perp > 0 else self.now[a].mark_high
                for a in held
            }
            if at_open:
                worst = {a: opens[a] for a in held}
            if self._excess(w, worst) > 0:
                break
            start, prices = self._trigger(w, {a: opens[a] for a in held}, worst, start)
            self.worst = worst
            reduced = self._reduce(w, prices, first, booked_at)
            first = False
            if not reduced:
                self._close_wallet(w, prices, booked_at)
        if self.portfolio:
            self.cash, self.margin[w] = self.cash + self.margin[w], 0.0

    def _trigger(
        self, w: int, opens: dict[int, float], worst: dict[int, float], start: float
    ) -> tuple[float, dict[int, float]]:
        """Where on the way from the opens to the extremes, from `start` on, the wallet fails its
        test.
        """

        def at(s: float) -> dict[int, float]:
            return {a: opens[a] + s * (worst[a] - opens[a]) for a in opens}

        if self._excess(w, at(start)) <= 0:
            return start, at(start)
        if self.config.margin_mode == "isolated":
            (a,) = opens
            price = self.rules[a].liquidation_price(
                self.legs[a].perp, self.legs[a].entry, self.margin[w]
            )
            return (price - opens[a]) / (worst[a] - opens[a]), {a: price}
        s = self._root(w, at, opens, worst, start)
        return s, at(s)

    def _root(
        self, w: int, at: Any, opens: dict[int, float], worst: dict[int, float], start: float
    ) -> float:
        """The excess is linear between the points at which a leg changes its bracket."""
        knots = [start, 1.0]
        for a in opens:
            for bracket in self.rules[a].brackets:
                if worst[a] != opens[a]:
                    s = (bracket.floor / abs(self.legs[a].perp) - opens[a]) / (worst[a] - opens[a])
                    knots += [s] if start < s < 1 else []
        knots.sort()
        for left, right in zip(knots, knots[1:], strict=False):
            high, low = self._excess(w, at(left)), self._excess(w, at(right))
            if low <= 0:
                return left + (right - left) * high / (high - low)
        raise AssertionError("no root although the excess changes sign")

    def _reduce(
        self, w: int, prices: dict[int, float], first: bool, booked_at: list[float]
    ) -> bool:
        """Spec 10.5 to 10.7: close what can be closed partially; False where nothing can. In cross
        mode a leg sees what the legs before it left.
        """
        reduced = False
        for a, price in prices.items():
            leg, rules = self.legs[a], self.rules[a]
            needed = rules.needed(leg.perp, leg.entry, price)
            share = rules.closed_share(
                abs(leg.perp) * price, self._excess(w, prices) + needed, first
            )
            if share < 1:
                self._close(w, a, price, share, booked_at[a])
                reduced = True
        return reduced

    def _excess(self, w: int, prices: dict[int, float]) -> float:
        """Margin balance less maintenance at the given marks."""
        balance = self.margin[w] + sum(self.legs[a].unrealised(x) for a, x in prices.items())
        needed = sum(
            self.rules[a].needed(self.legs[a].perp, self.legs[a].entry, x)
            for a, x in prices.items()
        )
        if not self.portfolio:
            return balance - needed
        for a, (leg, bar) in enumerate(zip(self.legs, self.now, strict=True)):
            value = leg.spot * bar.spot_open * prices.get(a, bar.mark_open) / bar.mark_open
            balance += min(value, value * self.rules[a].collateral_rate)
        return self.cash + balance - 1.05 * needed

    def _close(self, w: int, a: int, p: float, share: float, booked_at: float) -> None:
        leg, rules = self.legs[a], self.rules[a]
        closed, there = leg.perp * share, self._gap_price(p, self.worst[a])
        fill, spread, impact, _ = self._price(
            -closed,
            there,
            "perp",
            0.0,
            rules.perp_costs.of(self._forced(a))[1],
            a,
            self._forced(a),
            forced=True,
        )
        self._remember(a, "perp", -closed, impact)
        fee = rules.liquidation_fee * abs(closed) * fill
        self.margin[w] += closed * (fill - leg.entry) - fee
        self.parts["perp_pnl"] += closed * (p - booked_at)
        self.parts["liquidation_loss"] -= spread + impact + fee + abs(closed * (there - p))
        self._after_closing(a, closed, share)

    def _gap_price(self, p: float, worst: float) -> float:
        """Spec 10.9: where mark stands when the venue fills."""
        gap = self.config.liquidation_gap
        return (1 - gap) * p + gap * worst

    def _after_closing(self, a: int, closed: float, share: float) -> None:
        leg = self.legs[a]
        leg.perp = leg.perp - closed if share < 1 else 0.0
        leg.entry = leg.entry if share < 1 else 0.0
        after = self.config.after_liquidation
        leg.pending = (
            "" if after == "naked" or (after == "flatten" and self._unhedged(a)) else after
        )
        self.liquidated[a] += 1

    def _unhedged(self, a: int) -> bool:
        """Whether a liquidated leg leaves no spot to flatten."""
        return self.legs[a].spot == 0

    def _gone(self, a: int) -> bool:
        """Whether a flatten order is done."""
        return self.legs[a].spot == 0

    def _close_wallet(self, w: int, prices: dict[int, float], booked_at: list[float]) -> None:
        """Close every leg of a wallet; the price profit of each is booked up to the price in
        `booked_at`.
        """
        for a, p in prices.items():
            self._close(w, a, p, 1.0, booked_at[a])
        if self.portfolio:
            return
        if self.margin[w] < 0:  # of which the venue bears a part
            self.parts["liquidation_loss"] += self._forgiven(self.margin[w])
            self.margin[w] += self._forgiven(self.margin[w])
        elif self._is_away(w):  # spec 9.9
            return
        self.cash += self.margin[w]
        self.margin[w] = 0.0

    def _forgiven(self, wallet: float) -> float:
        """Spec 10.11: what the venue bears of a negative wallet."""
        return -wallet * (1 - self.config.deficit_share)

    # --- spec 11: interest, and the rest ----------------------------------------------------------

    def _accrue(self) -> None:
        free = self._free([b.spot_close for b in self.now])
        earned = max(free, 0.0) * self.config.cash_rate * self.years
        debt, rate = max(-self.cash, 0.0), self.rules[0].quote_borrow_rate
        if self.portfolio:
            rate += self._scarcity(self.config.quote_supply, self._calm(), debt)
        paid = debt * rate * self.years
        for a, (leg, bar, rules) in enumerate(zip(self.legs, self.now, self.rules, strict=True)):
            debt = max(-leg.spot, 0.0) * self.last[a].spot_close
            rate = self._scarcity(self.config.base_supply, bar.sigma_day, debt)
            owed = max(-leg.spot, 0.0) * bar.spot_close
            paid += owed * (rules.base_borrow_rate + rate) * self.years
        self.parts["cash_interest"] += earned
        self.parts["borrow_interest"] -= paid
        self.cash += earned - paid
        self._earn_away()

    def _earn_away(self) -> None:
        """Spec 11.3."""
        for w, members in enumerate(self.wallets):
            earned = max(self.margin[w], 0.0) * self.rules[members[0]].wallet_rate * self.years
            self.margin[w] += earned
            self.parts["cash_interest"] += earned

    def _scarcity(self, supply: float, sigma: float, debt: float) -> float:
        """Spec 11.2: annual rate beyond the flat one."""
        if supply <= 0:
            return 0.0
        used = self._lent(sigma) + debt / supply
        return self.config.borrow_steep * max(used - 0.8, 0.0) / 0.2

    def _book_price_profit(
        self,
        spot_from: list[float],
        spot_to: list[float],
        perp_from: list[float],
        perp_to: list[float],
    ) -> None:
        for a in range(self.n):
            self._book_leg(a, (spot_from[a], spot_to[a]), (perp_from[a], perp_to[a]))

    def _book_leg(self, a: int, spot: tuple[float, float], perp: tuple[float, float]) -> None:
        leg, rise = self.legs[a], spot[1] - spot[0]
        self.parts["spot_pnl"] += leg.spot * rise
        self.expected_pnl += (leg.spot + leg.perp) * rise
        self.parts["perp_pnl"] += leg.perp * (perp[1] - perp[0])

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

    # --- what a step returns ----------------------------------------------------------------------

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


def _order(held: float, target: float) -> float:
    """None where rounding alone tells the sizes apart."""
    return target - held if abs(target - held) > 1e-9 * abs(held) else 0.0


def _between(
    few: tuple[float, float], all_: tuple[float, float], way: float
) -> tuple[float, float]:
    return few[0] + way * (all_[0] - few[0]), few[1] + way * (all_[1] - few[1])


def _closing(order: float, held: float) -> float:
    """What an order takes off what is held."""
    return -min(max(-order, 0.0), held) if held > 0 else min(max(order, 0.0), -held)


def _whole_lots(order: float, lot: float, position: float) -> float:
    if lot == 0 or order == -position:
        return order
    return math.copysign(math.floor(abs(order) / lot * (1 + 1e-12)) * lot, order)
