"""The margin that the venue requires of a position, by the rules in force for the account and not
by the present ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.params import AgentError
from agents.rules.of_batch import OfBatch
from fundenv.optima.env_terms import rule_of_books

Array = NDArray[np.float64]


class OfEpisode(OfBatch):
    """Numbers of the venue for each environment of a batch, by the rules in force when its episode
    began. read: gives them as (books, A) for `batch.world.symbols`, the books of rules.
    """

    left_out = ("_batch", "_world")

    def __init__(self, batch: Any, read: Callable[[Any], Array]) -> None:
        super().__init__(batch)
        self._read = read
        self._world: Any = None
        self._numbers, self._same = np.zeros((1, 1)), True

    def of(self, count: int) -> Array:
        """(A,) where all environments have the same numbers, else (count, A).

        Raises `AgentError` where they differ and `count` is not the number of environments.
        """
        if self._world is not self._batch.world:  # a refreshed market
            self._world, self._numbers = self._batch.world, self._read(self._batch)
            self._same = bool((self._numbers == self._numbers[0]).all())
        numbers = self._numbers
        if self._same:
            return np.asarray(numbers[0])
        book = self._batch.book
        if (book == book[0]).all():
            return np.asarray(numbers[book[0]])
        if count != len(book):
            raise AgentError(
                f"the rule is bound to {len(book)} environments of different coins or days and got"
                f" {count} observations; bind it to the env that it acts in"
            )
        return np.asarray(numbers[book])


def maintenance_rates(batch: Any) -> Array:
    """Highest maintenance rate of the brackets up to the initial equity, (books, A)."""
    tiers = batch.world.tiers
    within = tiers[..., 0] <= batch.config.initial_equity
    highest = np.where(within, tiers[..., 1], 0.0).max(axis=1)
    return np.asarray(highest[batch.world.symbols])


def highest_maintenance(batch: Any) -> Array:
    """The highest of these among all coins of the market at the same time, (books, 1)."""
    rates = maintenance_rates(batch).reshape(len(batch.world.eras), -1)
    return np.asarray(rates.max(axis=1).repeat(batch.market.n_paths)[:, None])


def collateral_rates(batch: Any) -> Array:
    """Share of a coin's value that counts as collateral, (books, A); 0 outside portfolio margin."""
    if batch.config.margin_mode != "portfolio":
        return np.zeros(batch.world.symbols.shape)
    return rule_of_books(batch, "collateral_rate")
