"""Rotation: the whole capital in the coin whose mean funding is highest, with hysteresis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.rules.actions import HELD, explained, targets
from agents.rules.base import BP_PER_YEAR, Rule
from agents.rules.capital import Capital, OneCapital
from agents.rules.memory import Mean, Settled


@dataclass(frozen=True, kw_only=True)
class RotationParams(Params):
    """Parameters of the rotation rule; its signal is the mean of settled rates minus the hurdle, in
    bp per 8 h.
    """

    span: Annotated[float, Range(1, 2000, "settlements")] = 90.0
    """Span of the exponential mean of settled rates."""
    enter: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.2
    """Enter the best coin when its signal is above this."""
    exit: Annotated[float, Range(-100, 100, "bp per 8 h")] = -0.2
    """Leave a coin when its signal is below this."""
    swap: Annotated[float, Range(0, 100, "bp per 8 h")] = 0.8
    """Change to the best coin when its signal exceeds that of the held coin by more than this."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet; portfolio margin: see the hurdle."""
    band: Annotated[float, Range(0, 10, "of equity")] = 0.0
    """The rule restores the notional of the held coin when it differs by more than this; 0: only
    the env's margin keeper acts.
    """
    below: ClassVar = (("exit", "enter"),)


class Rotation(OneCapital, Rule):
    """Holds full carry in at most one coin of a shared capital.

    The hurdle is the cost of one quote of notional a year. Isolated and cross margin: the cash rate
    on spot and margin, (1 + L) / L. Portfolio margin: notional / equity is L / (1 + (1 - collateral
    rate) L); cash pays for the spot up to the equity, borrowed quote for the rest. The rule keeps a
    held coin while it is halted.
    """

    name = "rotation"
    parameters: ClassVar[type[Params]] = RotationParams
    params: Any

    def look_up(self, batch: Any) -> None:
        """Find the columns, and the margin that each coin needs in portfolio margin."""
        table = batch.observation_table
        self.carry, self.pending, self.cash_rate = (
            observed(table, name) for name in ("carry", "pending", "cash_rate")
        )
        self.settled, self.mean = Settled(table), Mean(table)
        self.memories = [self.settled, self.mean]
        self.weight = observed(table, "perp_weight")
        self.capital = Capital(batch)

    def signal(self, obs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean funding minus the hurdle (n, A), bp per 8 h."""
        mean = self.mean.see(obs, *self.settled.see(obs), self.p.span)
        return np.asarray(mean - self.hurdle(self.cash_rate.of(obs)) * BP_PER_YEAR)

    def hurdle(self, cash_rate: NDArray[np.float32]) -> NDArray[np.float64]:
        """Cost of one quote of notional (n, A) at the cash rate (n, 1), both per year."""
        return self.capital.hurdle(self.p.leverage, cash_rate)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Stay, change the coin, enter or leave; wait for orders that a liquidation has left."""
        self.capital.see(obs)
        signal, carry, pending = self.signal(obs), self.carry.of(obs), self.pending.of(obs) != 0
        inside, trades = carry > HELD, self.capital.available
        coins = np.arange(signal.shape[1])
        signal = np.where(trades, signal, np.where(inside, np.inf, -np.inf))  # kept in a halt
        best = signal.argmax(axis=1)[:, None]
        kept = np.where(inside, signal, -np.inf).argmax(axis=1)[:, None]
        top, own = (np.take_along_axis(signal, at, axis=1) for at in (best, kept))
        invested = inside.any(axis=1, keepdims=True)
        halted = invested & (own == np.inf)
        better = np.subtract(top, own, out=np.zeros_like(top), where=~halted & np.isfinite(own))
        stays = invested & (own >= self.p.exit) & (better <= self.p.swap)
        enters = ~stays & (top > self.p.enter)
        wanted = (stays & (coins == kept)) | (enters & (coins == best))
        off = np.abs(-self.weight.of(obs) - self.capital.notional(self.p.leverage)) > self.p.band
        off &= wanted & inside & np.greater(self.p.band, 0.0)
        hold = ((wanted == inside) & ~off) | pending | ~trades
        self.reasons = explained(
            pending=pending,
            closed=~trades,
            enters=wanted & ~inside,
            leaves=inside & ~wanted,
            levers=off,
            inside=inside,
        )
        return targets(hold, wanted, leverage=self.p.leverage)
