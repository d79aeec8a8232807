"""Two perpetuals of one coin: short the dear one, long the cheap one, without spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.params import Params, Range
from agents.rules.across_venues import VenueRule
from agents.rules.actions import HELD, explained, targets
from agents.rules.venue_rules import any_of

Array = NDArray[np.float64]
_APART = 0.25  # a leg that differs from the other by more than this part is mended


@dataclass(frozen=True, kw_only=True)
class VenuePairParams(Params):
    """Parameters of the pair; its signal is the difference of the mean settled rates."""

    span: Annotated[float, Range(1, 2000, "settlements")] = 21.0
    """Span of the exponential mean of settled rates."""
    enter: Annotated[float, Range(0, 100, "bp per 8 h")] = 1.0
    """Enter where the difference is above this."""
    exit: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.0
    """Leave where that of the perpetuals held is below this."""
    leverage: Annotated[float, Range(1, 125, "times")] = 2.0
    """Notional of each perpetual over its wallet."""
    below: ClassVar = (("exit", "enter"),)


class VenuePair(VenueRule):
    """Shorts the perpetual of a coin that pays most and buys the one that pays least, in equal
    sizes, without spot (hedge ratio 0), while the difference of their mean rates lasts.

    Both legs of a coin have the same notional. Nothing but the other perpetual
    hedges a leg: where a venue liquidates or closes one, the rule closes the other at its next
    decision, and until then the account has the risk of the price. Legs that stand apart by more
    than a quarter are made equal again. The margin keeper adds cash to the leg that loses, and
    leaves the one that wins alone (`keeper_down = 0`).
    """

    name = "venue_pair"
    least = 2
    parameters: ClassVar[type[Params]] = VenuePairParams
    params: Any

    def env_settings(self) -> dict[str, Any]:
        """Target actions on one capital, and a keeper that does not enlarge the leg that wins: it
        would stand alone.
        """
        return super().env_settings() | {"keeper_down": 0.0}

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Enter, keep, mend or leave the pair of each coin."""
        self.capital.see(obs)
        mean = self.mean.see(obs, *self.settled.see(obs), self.p.span)
        carry, trades = self.carry.of(obs).astype(float), self.capital.available
        counts = any_of(trades | (np.abs(carry) > HELD), self.coins)
        share, _ = self.shares.see(counts)
        wanted = np.zeros(carry.shape)
        keeps = np.zeros(carry.shape, dtype=bool)
        for coin in self.coins:
            wanted[:, coin], keeps[:, coin] = self._pair(
                mean[:, coin], carry[:, coin], trades[:, coin], 0.5 * share
            )
        pending = self.pending.of(obs) != 0
        inside = np.abs(carry) > HELD
        hold = keeps | ((wanted == 0.0) & ~inside) | pending | ~trades
        self.reasons = explained(
            pending=pending,
            closed=~trades,
            enters=~hold & ~inside,
            leaves=~hold & (wanted == 0.0),
            levers=~hold,
            inside=inside,
        )
        return targets(hold, wanted, hedge=0.0, leverage=self.p.leverage)

    def _pair(
        self, mean: Array, carry: Array, trades: NDArray[np.bool_], size: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """(carry asked of the perpetuals of one coin (n, V), whether they stay as they are)."""
        rank = np.arange(mean.shape[1])
        short, long = carry > HELD, carry < -HELD
        dear = np.where(short.any(axis=1), short.argmax(axis=1), 0)[:, None]
        cheap = np.where(long.any(axis=1), long.argmax(axis=1), 0)[:, None]
        paired = (short.sum(axis=1) == 1) & (long.sum(axis=1) == 1)
        gap = np.take_along_axis(mean, dear, 1) - np.take_along_axis(mean, cheap, 1)
        stays = paired[:, None] & (gap >= self.p.exit)
        flat = ~(short | long).any(axis=1, keepdims=True)
        top = np.where(trades, mean, -np.inf).argmax(axis=1)[:, None]
        low = np.where(trades, mean, np.inf).argmin(axis=1)[:, None]
        wide = np.take_along_axis(mean, top, 1) - np.take_along_axis(mean, low, 1) > self.p.enter
        enters = flat & wide & (trades.sum(axis=1, keepdims=True) > 1)
        dear, cheap = np.where(stays, dear, top), np.where(stays, cheap, low)
        asked = size * ((rank == dear).astype(float) - (rank == cheap))
        wanted = np.where(stays | enters, asked, 0.0)
        legs = [np.abs(np.take_along_axis(carry, at, 1)) for at in (dear, cheap)]
        apart = np.abs(legs[0] - legs[1]) > _APART * np.maximum(*legs)
        return wanted, np.broadcast_to(stays & ~apart, carry.shape)
