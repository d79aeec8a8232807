"""Margin carry whose parameters are set anew at every decision, by a few numbers within -1 and 1.

All numbers zero is the rule itself, bit for bit. A learner gives these numbers; the rule turns them
into orders, with its own memory, hysteresis and limits.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.margin.params import start
from agents.rules.capital import Array
from agents.rules.margin_carry import MarginCarry, Seen


class Dial(NamedTuple):
    """What one number moves, and how far at +-1."""

    name: str
    reach: float  # added, or of the logarithm where `times`
    times: bool = False
    moves: tuple[str, ...] = ()  # parameters of margin carry that it moves alike


DIALS = (
    Dial("enter", 0.3, moves=("enter", "exit")),  # bp per 8 h
    Dial("swap", 1.0, True, ("swap",)),
    Dial("borrow", 0.3, moves=("borrow", "repay")),  # bp per 8 h
    Dial("highest", 0.5, True, ("highest",)),
    Dial("distance", 0.6, True, ("distance", "near")),
    Dial("own", 0.6, True, ("own",)),  # down only: the share of the capital at work
    Dial("low", 0.4, True, ("low",)),  # when a fallen notional is restored
    Dial("recent", 0.5),  # share of the mean of 9 settlements in the forecast
    Dial("calm", 0.3),  # bp per 8 h that a coin loses for each e-fold of volatility
)
_AT = {dial.name: number for number, dial in enumerate(DIALS)}
_LEAST = 1.1  # times `own`: below it `highest` would be no loan
_MOST_LOW = 0.95


class DialledCarry(MarginCarry):
    """`MarginCarry` with `dials` (n or 1, K), to be set before every decision."""

    dials: Array = np.zeros((1, len(DIALS)))

    @classmethod
    def of(cls, rule: str) -> DialledCarry:
        """The rule with parameters written as "compare=1 highest=4"."""
        return cls(start(rule))

    def look_up(self, batch: Any) -> None:
        """See `MarginCarry.look_up`."""
        super().look_up(batch)
        self.recent = observed(batch.observation_table, "funding_ewma_9")

    def see(self, obs: NDArray[np.float32]) -> Seen:
        """What the rule sees under the dials; sets the parameters of this decision."""
        self.p = SimpleNamespace(**self.params.to_dict())
        seen = super().see(obs)
        self.p = self._set()
        recent = self.recent.of(obs).astype(np.float64) - seen.mean
        mean = seen.mean + self._of("recent") * recent
        week = np.maximum(self.column["volatility_7d"].of(obs).astype(np.float64), 0.05)
        self._tilt = self._of("calm") * np.log(week / 0.8)
        return seen._replace(mean=mean)

    def worth(self, see: Seen) -> Array:
        """As the rule's, less the charge for volatility."""
        return np.asarray(super().worth(see) - self._tilt)

    def _of(self, name: str) -> Array:
        """One dial (n, 1) times its reach."""
        number = _AT[name]
        return np.asarray(DIALS[number].reach * self.dials[:, number, None])

    def _set(self) -> SimpleNamespace:
        """The parameters of this decision, each (n, 1)."""
        own = self.params
        found: dict[str, Any] = {}
        for dial in DIALS:
            for name in dial.moves:
                value, by = getattr(own, name), self._of(dial.name)
                found[name] = value * np.exp(by) if dial.times else value + by
        found["own"] = np.minimum(found["own"], own.own)
        found["low"] = np.minimum(found["low"], max(_MOST_LOW, own.low))
        found["highest"] = np.maximum(found["highest"], min(_LEAST * own.own, own.highest))
        return SimpleNamespace(**own.to_dict() | found)
