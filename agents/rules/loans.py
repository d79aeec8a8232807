"""The cost of loans in rules: the account's own rate, which rises with the loan and with volatility
where the pools of the env are limited (specification 11.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import AgentError
from agents.rules.of_batch import OfBatch
from agents.rules.venue_rules import venues_of
from fundenv.optima.env_terms import first_day, params
from fundenv.venues import Venue

Array = NDArray[np.float64]
KINK = 0.8  # share of a pool up to which its rate is flat
_DAYS = 365.0
_TINY = 1e-12  # of `borrow_slope`
# The account's daily volatility is an exponential mean of squared returns with a half-life of three
# days; in it the last day, the days 2 to 7 and those before weigh .21, .59 and .20. These are the
# weights of the variances over 1, 7 and 30 days that say the same.
_RECENT, _WEEK = 1.0 - 0.5 ** (1 / 3), 0.5 ** (1 / 3) - 0.5 ** (7 / 3)
_WEIGHTS = {
    "volatility_1d": _RECENT - _WEEK / 6,
    "volatility_7d": _WEEK * 7 / 6 - 0.5 ** (7 / 3) * 7 / 23,
    "volatility_30d": 0.5 ** (7 / 3) * 30 / 23,
}
VOLATILITIES = tuple(_WEIGHTS)


def daily(seen: Mapping[str, Array]) -> Array:
    """The account's daily volatility from those over `VOLATILITIES`, per square-root year."""
    variance = sum(weight * seen[name] ** 2 for name, weight in _WEIGHTS.items())
    return np.asarray(np.sqrt(np.maximum(variance, 0.0) / _DAYS))


class Loans(OfBatch):
    """Rates a year of loans of coins and of quote in the env of a batch, at the volatilities that a
    rule observes.

    Loans are divided by the equity. The ratio of a pool to the equity is assumed to be that at the
    initial equity, because no observation shows how much the equity has grown.
    """

    def __init__(self, batch: Any) -> None:
        super().__init__(batch)
        config, day = batch.config, first_day(batch)

        def flat(given: float | None, name: str, venues: list[Venue]) -> float:
            if given is not None:
                return float(given)
            return max(float(venue.value("borrow", name, date=day)) for venue in venues)

        # the most expensive venue of the coins
        self.coin_rate = flat(config.base_borrow_rate, "base_annual", venues_of(batch, "spot"))
        self.quote_rate = flat(config.quote_borrow_rate, "quote_annual", [batch.venue])
        self._norm_of_all = config.borrow_norm
        self._own(batch.num_envs)
        table = batch.observation_table
        self._columns = {name: observed(table, name) for name in _WEIGHTS}
        self._lent: Any = self._used

    def look(self, obs: NDArray[np.float32], listed: Any = True) -> None:
        """Read the volatilities of an observation (n, D); listed: (n, A), the coins that count for
        the pool of quote.
        """
        if len(self._batch.store.params) > 1:
            self._own(len(obs))
        if not np.any(self._coins) and not np.any(self._quote):
            return
        seen = {name: column.of(obs).astype(np.float64) for name, column in self._columns.items()}
        sigma = daily(seen)
        self._lent = self._share(sigma)
        count = np.broadcast_to(listed, sigma.shape)
        mean = np.where(count, sigma, 0.0).sum(axis=1, keepdims=True)
        self._quote_lent = self._share(mean / np.maximum(count.sum(axis=1, keepdims=True), 1))

    def _share(self, sigma: Array) -> Array:
        return np.asarray(self._used * np.maximum(sigma / self._norm, 1.0))

    def coins(self, owed: Any) -> Any:
        """Rate of a loan of coins worth `owed` of the equity, (n, A)."""
        return self.coin_rate + self._scarce(self._lent, owed, self._coins)

    def dearer(self, seen: Mapping[str, Array], owed: Any) -> Array:
        """The cost of such a loan above the flat rate at given volatilities, in their
        shape.
        """
        return np.asarray(self._scarce(self._share(daily(seen)), owed, self._coins))

    def quote(self, owed: Any) -> Any:
        """Rate of a loan of `owed` of the equity in quote, (n, A) or (n, 1); portfolio margin."""
        if not np.any(self._quote):
            return self.quote_rate
        return self.quote_rate + self._scarce(self._quote_lent, owed, self._quote)

    def _scarce(self, lent: Any, owed: Any, supply: Any) -> Any:
        if not np.any(supply):
            return 0.0
        endless = np.asarray(supply) == 0.0
        used = lent + np.asarray(owed) / np.where(endless, 1.0, supply)
        extra = self._steep * np.maximum(used - KINK, 0.0) / (1.0 - KINK)
        return np.where((np.asarray(owed) > 0.0) & ~endless, extra, 0.0)

    def _own(self, count: int) -> None:
        """Read the environments' own rates and pools, which `per_env` and `randomize` may set:
        numbers where all have the same, else (n, 1).

        Raises `AgentError` where they differ and `count` is not the number of environments.
        """

        def of(name: str) -> Any:
            column = params(self._batch, range(self._batch.num_envs), name)[:, :, 0]
            if (column == column[0]).all():
                return float(column[0, 0])
            if count != len(column):
                raise AgentError(
                    f"the rule is bound to {len(column)} environments of different {name} and got"
                    f" {count} observations; bind it to the env that it acts in"
                )
            return column

        equity, self.quote_rate = of("initial_equity"), of("quote_borrow_rate")
        self._coins, self._quote = of("base_supply") / equity, of("quote_supply") / equity
        self._used, self._steep, slope = of("borrow_used"), of("borrow_steep"), of("borrow_slope")
        self._norm = self._norm_of_all
        if np.any(slope != self._used / self._norm):
            self._norm = self._used / np.maximum(slope, _TINY)
