"""Carry of each coin on one of its venues: chosen once, or changed with the spread of the rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.params import Params, Range
from agents.rules.across_venues import VenueRule
from agents.rules.actions import HELD, explained, targets
from agents.rules.venue_rules import any_of


@dataclass(frozen=True, kw_only=True)
class StaticVenueParams(Params):
    """Parameters of the choice made once."""

    span: Annotated[float, Range(1, 2000, "settlements")] = 90.0
    """Span of the exponential mean of settled rates."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""


@dataclass(frozen=True, kw_only=True)
class VenueSpreadParams(StaticVenueParams):
    """Parameters of the choice that follows the spread."""

    swap: Annotated[float, Range(0, 100, "bp per 8 h")] = 0.0
    """Change to the venue whose mean rate exceeds that of the held one by more than this."""


class StaticVenue(VenueRule):
    """Holds full carry of every coin, always, on the venue whose mean funding was highest when the
    episode began; it chooses anew only where that venue no longer has the coin.

    The capital is split in equal parts over the coins that trade or are held. The rule changes
    nothing while a perpetual is halted, or an order after a liquidation is pending. A coin that is
    on one venue alone is held there.
    """

    name = "static_venue"
    parameters: ClassVar[type[Params]] = StaticVenueParams
    params: Any

    def swap(self) -> Any:
        """By how much [bp per 8 h] another venue has to pay more before the rule changes."""
        return np.inf

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Stay where each coin is, change its venue, or enter."""
        self.capital.see(obs)
        mean = self.mean.see(obs, *self.settled.see(obs), self.p.span)
        trades = self.capital.available
        inside, pending = self.carry.of(obs) > HELD, self.pending.of(obs) != 0
        wanted = np.zeros(inside.shape, dtype=bool)
        for coin in self.coins:
            wanted[:, coin] = self._chosen(mean[:, coin], inside[:, coin], trades[:, coin])
        share, changed = self.shares.see(any_of(trades | inside, self.coins))
        hold = ((wanted == inside) & ~changed) | (~wanted & ~inside) | pending | ~trades
        self.reasons = explained(
            pending=pending,
            closed=~trades,
            enters=wanted & ~inside,
            leaves=inside & ~wanted,
            inside=inside,
        )
        return targets(hold, np.where(wanted, share, 0.0), leverage=self.p.leverage)

    def _chosen(
        self, mean: NDArray[np.float64], inside: NDArray[np.bool_], trades: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of the assets of one coin (n, V) is held from now on."""
        rank = np.arange(mean.shape[1])
        offered = np.where(trades, mean, -np.inf)
        best = offered.argmax(axis=1)[:, None]
        own = np.where(inside, mean, -np.inf).argmax(axis=1)[:, None]
        held = inside.any(axis=1, keepdims=True)
        top, now = (np.take_along_axis(a, b, axis=1) for a, b in ((offered, best), (mean, own)))
        stuck = held & ~np.take_along_axis(trades, own, axis=1)  # it cannot leave a halted one
        stays = held & (stuck | ~(top - now > self.swap()))
        return np.asarray(np.where(stays, rank == own, (rank == best) & np.isfinite(top)))


class VenueSpread(StaticVenue):
    """Holds full carry of every coin on the venue whose mean funding is highest now: a warning, not
    advice.

    The spread of one day says little about the next week, and each change costs two fees and two
    spreads. On BTC and ETH over Binance and Hyperliquid, 2024-01 to 2025-06, it earns 10.20 and
    6.31 % a year where the choice made once earns 9.85 and 7.59 (docs: Several venues in one
    account).
    """

    name = "venue_spread"
    parameters: ClassVar[type[Params]] = VenueSpreadParams

    def swap(self) -> Any:
        """The parameter."""
        return self.p.swap
