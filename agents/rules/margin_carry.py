"""Margin carry: the invested share of one capital and the loan, decided by the funding of the carry
and by the distance to liquidation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.rules.actions import HELD, explained, targets
from agents.rules.base import BP_PER_YEAR, Rule
from agents.rules.capital import Array, Capital, OneCapital
from agents.rules.memory import Mean, Settled

_KEPT = 1e9  # bp: above any mean
_LEVERED = 1.02  # times `own`: a larger target notional is one that borrows


@dataclass(frozen=True, kw_only=True)
class MarginCarryParams(Params):
    """Parameters of margin carry. The forecast of funding is the exponential mean of settled rates;
    thresholds are in bp per 8 h.
    """

    span: Annotated[float, Range(1, 2000, "settlements")] = 90.0
    """Span of the mean."""
    enter: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.2
    """Enter the best coin when its mean minus the cash rate is above this."""
    exit: Annotated[float, Range(-100, 100, "bp per 8 h")] = -0.2
    """Leave a coin when its mean minus the cash rate is below this."""
    swap: Annotated[float, Range(0, 100, "bp per 8 h")] = 0.8
    """Change to another coin when its mean is higher by more than this."""
    borrow: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.2
    """Borrow when the mean minus the interest on borrowed quote is above this."""
    repay: Annotated[float, Range(-100, 100, "bp per 8 h")] = -0.2
    """Pay the loan back when the mean minus the interest is below this."""
    own: Annotated[float, Range(0.01, 1, "of equity")] = 0.95
    """Notional over equity without borrowing."""
    highest: Annotated[float, Range(0.01, 20, "of equity")] = 2.0
    """Highest notional over equity with borrowing."""
    distance: Annotated[float, Range(0.1, 1000, "daily volatilities")] = 20.0
    """Smallest distance to liquidation after an order; it limits both notionals."""
    near: Annotated[float, Range(0, 1000, "daily volatilities")] = 8.0
    """The rule restores the notional of a position that is nearer to liquidation than this."""
    low: Annotated[float, Range(0, 1, "of the notional")] = 0.5
    """The rule restores a notional that has fallen below this part of its target."""
    compare: Annotated[float, Range(0, 1)] = 0.0
    """How coins are compared: 0 by their mean; 1 by what the equity would grow with each, at the
    notional that the distance allows and with the interest on its loan; between them, a mix.
    """
    coins: Annotated[int, Range(1, 32, "coins")] = 1
    """Number of coins to hold (fewer if fewer trade); each gets an equal share of the capital."""
    below: ClassVar = (("exit", "enter"), ("repay", "borrow"), ("near", "distance"))


class Seen(NamedTuple):
    """The inputs of one decision, each (n, A)."""

    mean: Array  # forecast, bp per 8 h
    cash: Array  # cash rate, bp per 8 h
    notional: Array  # held, over equity
    volatility: Array
    inside: NDArray[np.bool_]
    levered: NDArray[np.bool_]  # whether the last target borrows
    trades: NDArray[np.bool_]


class MarginCarry(OneCapital, Rule):
    """Holds carry in the best coins of one capital in portfolio margin: with its own capital while
    funding pays more than cash, with borrowed quote while it pays more than the interest.

    Enter, leave and change coins as in rotation. The notional is `own`, or `highest` where the
    forecast pays the interest, but at most the notional that is `distance` daily volatilities (the
    higher of 7 and 30 days) from liquidation. The rule gives no order for a position until the
    account is nearer than `near`, or a fall of the price has reduced the notional below `low` of
    its target: every order costs both legs, and a hedged notional changes with the price alone. The
    interest is that of the whole loan, which rises with the loan where the pool of quote is
    limited. Isolated and cross margin have no loans of quote: there, `highest` is the notional of a
    higher target leverage.
    """

    name = "margin_carry"
    parameters = MarginCarryParams
    params: MarginCarryParams

    def look_up(self, batch: Any) -> None:
        """Find the columns, and the margin that each coin needs in this margin mode."""
        table = batch.observation_table
        names = (
            "carry pending cash_rate perp_weight target_carry target_leverage volatility_7d"
            " volatility_30d"
        )
        self.column = {name: observed(table, name) for name in names.split()}
        self.settled, self.mean = Settled(table), Mean(table)
        self.memories = [self.settled, self.mean]
        self.capital = Capital(batch)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Choose the coins and their notionals, and give the orders that are needed."""
        self.capital.see(obs)
        see = self.see(obs)
        wanted = self.coins_wanted(see)
        there = np.maximum((see.trades | see.inside).sum(axis=1, keepdims=True), 1)
        share = 1.0 / np.minimum(self.p.coins, there)
        levered, size = self.sizes(see)
        asked, leverage = self.capital.asked(size, share)
        kept = wanted & see.inside
        turned = kept & (levered != see.levered)
        near = self.capital.distance(see.notional, see.volatility) < self.p.near
        off = kept & (near | (see.notional < self.p.low * share * size))
        pending = self.column["pending"].of(obs) != 0
        hold = ((wanted == see.inside) & ~turned & ~off) | pending | ~see.trades
        self.reasons = explained(
            pending=pending,
            closed=~see.trades,
            enters=wanted & ~see.inside,
            leaves=see.inside & ~wanted,
            levers=turned | off,
            inside=see.inside,
        )
        return targets(hold, np.where(wanted, asked, 0.0), leverage=leverage)

    def see(self, obs: NDArray[np.float32]) -> Seen:
        """The inputs of one decision."""
        see = {name: column.of(obs).astype(np.float64) for name, column in self.column.items()}
        mean = self.mean.see(obs, *self.settled.see(obs), self.p.span)
        inside = see["carry"] > HELD
        target = see["target_carry"] * self.capital.notional(
            np.maximum(see["target_leverage"], 1.0)
        )
        together = np.where(inside, target, 0.0).sum(axis=1, keepdims=True)
        return Seen(
            mean=mean,
            cash=np.broadcast_to(see["cash_rate"] * BP_PER_YEAR, mean.shape),
            notional=np.maximum(-see["perp_weight"], 0.0),
            volatility=np.maximum(see["volatility_7d"], see["volatility_30d"]),
            inside=inside,
            levered=inside & (together > _LEVERED * self.p.own),
            trades=self.capital.available,
        )

    def coins_wanted(self, see: Seen) -> NDArray[np.bool_]:
        """The coins to hold (n, A): held ones above `exit` first, as if their mean were `swap`
        better, then the best of those above `enter`.
        """
        net = see.mean - see.cash
        stays = see.inside & (net >= self.p.exit)
        worth = self.worth(see)
        worth = np.where(stays, worth + self.p.swap, worth)
        worth = np.where(stays | (net > self.p.enter), worth, -np.inf)
        # a held coin is kept while it is halted, and counts among `coins`
        worth = np.where(see.trades, worth, np.where(see.inside, _KEPT, -np.inf))
        rank = (-worth).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        return np.asarray(np.isfinite(worth) & (rank < self.p.coins))

    def worth(self, see: Seen) -> Array:
        """The figure by which coins are compared (n, A), bp of equity per 8 h."""
        p = self.p
        if np.ndim(p.compare) == 0 and p.compare == 0.0:
            return see.mean
        size = np.minimum(
            np.maximum(p.highest, p.own), self.capital.notional_at(p.distance, see.volatility)
        )
        borrowed = np.maximum(size - 1.0, 0.0)
        pays = np.maximum(see.mean - self.capital.interest(size), 0.0)
        return np.asarray(see.mean + p.compare * borrowed * pays)

    def sizes(self, see: Seen) -> tuple[NDArray[np.bool_], Array]:
        """(whether to borrow, notional over the coin's share of the equity), (n, A)."""
        p = self.p
        safe = self.capital.notional_at(p.distance, see.volatility)
        most = np.maximum(p.highest, p.own)
        pays = see.mean - self.capital.interest(np.minimum(most, safe))
        levered = np.where(see.levered, pays >= p.repay, pays > p.borrow)
        size = np.where(levered, most, p.own)
        return levered & (safe > _LEVERED * np.asarray(p.own)), np.minimum(size, safe)
