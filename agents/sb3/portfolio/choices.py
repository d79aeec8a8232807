"""The decisions of one capital as numbers: 0 stay, 1 all to cash, then the whole capital in coin i
at level l, as 2 + i L + l.

There are as many as the coins of the env need. Every coin may be chosen alone: on one capital the
optimum of a linear programme holds one coin at a time but for rare steps, because a share that
earns less always pays to be moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.reasons import Reason
from agents.rules.actions import HELD
from agents.rules.capital import Capital

STAY, CASH, COINS = 0, 1, 2  # the first two choices, and where the coins begin


def coin_of(choice: NDArray[Any], levels: int) -> NDArray[np.int64]:
    """The coin of each choice; below 0 for stay and cash."""
    return np.asarray((np.asarray(choice, np.int64) - COINS) // levels)


class Choices:
    """What the choices mean in the env of a batch."""

    def __init__(self, batch: Any, levels: tuple[float, ...], bands: tuple[float, ...]) -> None:
        """levels: notionals over equity. bands: values of `keeper_up`."""
        table = batch.observation_table
        self.assets = batch.market.n_assets
        self.levels, self.bands = np.array(levels), np.array(bands)
        names = "carry pending available perp_weight"
        self.column = {name: observed(table, name) for name in names.split()}
        self.capital = Capital(batch)
        self.reasons = np.zeros((0, self.assets), np.int8)
        self.width = len(table)

    @property
    def count(self) -> int:
        """Number of choices."""
        return int(COINS + self.assets * len(self.levels))

    def targets(
        self, obs: NDArray[np.float32], choice: NDArray[Any], band: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Target actions (n, 4 A + 1) of choices (n,) and numbers of bands (n,).

        A coin that does not trade, and one that waits for an order after a liquidation, gets no
        order; who chooses a coin that does not trade stays.
        """
        self.capital.look(len(obs))
        see = {name: column.of(obs) for name, column in self.column.items()}
        coins, each = np.arange(self.assets), len(self.levels)
        coin = coin_of(choice, each)[:, None]
        chosen = coins == coin
        closed = see["available"] == 0
        stays = (np.asarray(choice)[:, None] == STAY) | (chosen & closed).any(1, keepdims=True)
        size = self.levels[np.maximum(np.asarray(choice, np.int64) - COINS, 0) % each]
        carry, leverage = self.capital.asked(np.broadcast_to(size[:, None], closed.shape))
        inside = see["carry"] > HELD
        pending = see["pending"] != 0
        hold = stays | closed | pending | ~(chosen | inside)
        self.reasons = np.select(
            [pending, hold & inside, hold, chosen & inside, chosen],
            [Reason.PENDING, Reason.HOLD, Reason.NEUTRAL, Reason.LEVER, Reason.ENTER],
            Reason.EXIT,
        ).astype(np.int8)
        parts = np.broadcast_arrays(
            hold, np.where(chosen & ~hold, carry, 0.0), 1.0, np.where(chosen, leverage, 1.0)
        )
        actions = np.stack(parts, axis=-1).astype(np.float64).reshape(len(obs), -1)
        return np.column_stack([actions, self.bands[np.asarray(band, np.int64)]])

    def nearest(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """The choices (n,) that come nearest to target actions (n, 4 A) of a rule: of several
        coins the one with the largest notional.
        """
        hold, carry, _, leverage = np.moveaxis(
            np.asarray(actions, float).reshape(len(actions), self.assets, 4), 2, 0
        )
        self.capital.look(len(actions))
        asked = np.where(hold > 0.5, 0.0, carry * self.capital.notional(np.maximum(leverage, 1.0)))
        coin = asked.argmax(axis=1)
        size = np.take_along_axis(asked, coin[:, None], axis=1)[:, 0]
        ratio = np.log(np.maximum(size, 1e-9)[:, None] / self.levels)
        level = np.abs(ratio).argmin(axis=1)
        orders = (hold <= 0.5).any(axis=1)
        return np.where(
            size > HELD,
            COINS + coin * len(self.levels) + level,
            np.where(orders, CASH, STAY),
        )
