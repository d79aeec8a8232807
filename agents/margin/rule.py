"""Margin carry whose parameters depend on the state: each is the rule's own value, changed by a
bounded function of the rule's observations of a coin.

The change of a parameter is `reach x tanh(weights . inputs)`. The weights are few, so they show
which input changed a decision. With all weights zero the agent equals the rule to the bit.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.rules.capital import Array
from agents.rules.margin_carry import MarginCarry, Seen


class Dial(NamedTuple):
    """The limits of one learned parameter."""

    name: str
    reach: float  # largest change: added (bp per 8 h), or of the logarithm where `times`
    times: bool
    moves: tuple[str, ...]  # parameters of margin carry that change by the same amount


DIALS = (
    Dial("swap", 1.0, True, ("swap",)),
    Dial("borrow", 0.2, False, ("borrow", "repay")),
    Dial("highest", 0.5, True, ("highest",)),
    Dial("distance", 0.6, True, ("distance", "near")),
)
INPUTS = (
    "constant",
    "forecast",  # mean of funding less the cash rate
    "recent",  # mean of the last 9 settlements less the forecast's
    "volatility",  # of 7 days, log
    "collateral",  # share of the equity that a notional needs, log
    "held",  # notional over equity
    "distance",  # to liquidation, daily volatilities
)
SHAPE = (len(DIALS), len(INPUTS))
_FAR = 3.0  # inputs lie within +-3
_LEAST = 1.1  # times `own`: below it `highest` would be no loan


class LearnedMarginCarry(MarginCarry):
    """`MarginCarry` with `weights` (n or 1, *SHAPE)."""

    weights: Array = np.zeros((1, *SHAPE))

    def look_up(self, batch: object) -> None:
        """See `MarginCarry.look_up`."""
        super().look_up(batch)
        table = batch.observation_table  # type: ignore[attr-defined]
        self.recent = observed(table, "funding_ewma_9")

    def see(self, obs: NDArray[np.float32]) -> Seen:
        """The rule's view of the observations; also sets the parameters of this decision."""
        seen = super().see(obs)
        self.inputs = self.look_at(obs, seen)
        # input by input, so that the sum of a coin is the same to the bit at every position
        told = np.zeros((1, 1, 1))
        for number in range(len(INPUTS)):
            told = told + self.inputs[..., number, None] * self.weights[:, None, :, number]
        self.p = self._set(np.moveaxis(np.tanh(told), -1, 0))
        return seen

    def look_at(self, obs: NDArray[np.float32], seen: Seen) -> Array:
        """The inputs (n, A, F), each within +-3."""
        net = seen.mean - seen.cash
        week = np.maximum(self.column["volatility_7d"].of(obs).astype(np.float64), 0.05)
        far = self.capital.distance(seen.notional, np.maximum(seen.volatility, 0.05))
        told = (
            1.0,
            net / 2.0,
            (self.recent.of(obs) - seen.mean) / 2.0,
            np.log(week / 0.8) * 2.0,
            np.log(self.capital.use / 0.15),
            seen.notional - 1.0,
            np.minimum(far, 60.0) / 20.0 - 1.5,
        )
        shape = seen.mean.shape
        every = np.stack([np.broadcast_to(each, shape) for each in told], axis=-1)
        return np.asarray(np.clip(every, -_FAR, _FAR))

    def _set(self, moved: Array) -> SimpleNamespace:
        """The parameters of this decision for dials (K, n, A) within +-1."""
        own = self.params
        found: dict[str, Array] = {}
        for dial, way in zip(DIALS, moved, strict=True):
            for name in dial.moves:
                value = getattr(own, name)
                by = dial.reach * way
                found[name] = value * np.exp(by) if dial.times else value + by
        found["highest"] = np.maximum(found["highest"], min(_LEAST * own.own, own.highest))
        return SimpleNamespace(**own.to_dict() | found)
