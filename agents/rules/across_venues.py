"""What the rules share that look at all venues of a coin together."""

from __future__ import annotations

from typing import Any, ClassVar

from agents.base import observed
from agents.rules.base import Rule
from agents.rules.capital import Capital, OneCapital, Shares
from agents.rules.memory import Mean, Settled
from agents.rules.venue_rules import coins_of


class VenueRule(OneCapital, Rule):
    """A rule of one capital over coins each of which has an asset for every venue."""

    least: ClassVar[int] = 1  # perpetuals of every coin that it needs

    def look_up(self, batch: Any) -> None:
        """Find the columns, and the assets of each coin."""
        table = batch.observation_table
        self.carry, self.pending = (observed(table, name) for name in ("carry", "pending"))
        self.settled, self.mean = Settled(table), Mean(table)
        self.shares = Shares()
        self.memories = [self.settled, self.mean, self.shares]
        self.capital = Capital(batch)
        self.coins = coins_of(batch, self.name, self.least)
