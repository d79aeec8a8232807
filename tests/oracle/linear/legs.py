"""What the account reads in a bar and holds of an asset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
