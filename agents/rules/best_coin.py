"""Best coin: one capital that is always invested, in the coin whose mean funding is highest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from agents.params import Params, Range
from agents.rules.rotation import Rotation

NEVER = -1000.0  # bp per 8 h: no signal lies below it


@dataclass(frozen=True, kw_only=True)
class BestCoinParams(Params):
    """Parameters of the best coin."""

    span: Annotated[float, Range(1, 2000, "settlements")] = 90.0
    """Span of the exponential mean of settled rates."""
    swap: Annotated[float, Range(0, 100, "bp per 8 h")] = 0.8
    """Change to the best coin when its signal exceeds that of the held coin by more than this."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet; portfolio margin: as for rotation."""
    band: Annotated[float, Range(0, 10, "of equity")] = 0.0
    """The rule restores the notional of the held coin when it differs by more than this; 0: only
    the env's margin keeper acts.
    """


class BestCoin(Rotation):
    """Holds full carry, always, in the coin whose mean funding less its hurdle is highest.

    It changes coins as `rotation` does, but never leaves the market.
    """

    name = "best_coin"
    parameters = BestCoinParams

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._always()

    def vary(self, values: Mapping[str, Any]) -> None:
        """See `Rule.vary`."""
        super().vary(values)
        self._always()

    def _always(self) -> None:
        self.p.enter = self.p.exit = NEVER
