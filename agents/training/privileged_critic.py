"""An asymmetric critic: in training the value network also gets the future; the actor never does.

The value network is not used after training, so it may use the future (Pinto et al., Asymmetric
Actor Critic, RSS 2018). With it the network explains the noise in the returns, and the advantages
vary less. It gets two kinds of columns per asset: the value with hindsight of being invested less
that of being flat (the potential of `agents.training.hindsight_potential`), and the profit of a
carry over the next decisions, net of the cost of its capital. The market does not react to the
agent, so these columns depend on the path alone, not on the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.params import Params
from agents.training.hindsight_potential import Hindsight, earned
from agents.training.randomisation import LEVERAGE, EnvTerms, hindsight, priced
from fundenv.config import EnvConfig, hours
from fundenv.market import Market

Array = NDArray[np.float32]
AHEAD = (1, 3, 9, 27, 81)  # decisions over which the columns hold the profit of a carry
COLUMNS = 1 + len(AHEAD)  # per asset
LIMIT = 10.0  # columns are clipped to +- this


@dataclass(frozen=True, kw_only=True)
class PrivilegedParams(Params):
    """The inputs of PPO's critic in training."""

    critic: Literal["plain", "privileged"] = "plain"
    """Inputs of the critic in training: the observations, or also the future
    (agents/training/privileged_critic.py).
    """


class Future:
    """The columns that only the critic gets: per asset V(on) - V(off) with hindsight, and the
    profit of a full carry that is held over the next `AHEAD` decisions, in training rewards.
    """

    def __init__(
        self,
        batch: Any,
        *,
        inputs: tuple[Market, dict[str, Any], EnvTerms],
        of: Any,
        gamma: float,
        scale: float,
    ) -> None:
        """`inputs`: market, settings and terms of the training envs; `of` as for `Hindsight`."""
        market, settings, terms = inputs
        config = EnvConfig.from_dict(settings)
        self.batch, self.width = batch, COLUMNS * market.n_assets
        self.hindsight: Hindsight = hindsight(market, config, batch.rulebook, terms, gamma, of=of)
        self.prices = priced(market, config, batch.rulebook, terms)
        self.unit = 1e3 * scale * LEVERAGE / (1 + LEVERAGE) / market.n_assets
        bars = round(hours(config.decision_interval, "decision_interval") / market.bar_hours)
        gains = earned(market, bars)
        end = np.zeros_like(gains.due[:1])
        each = (
            gains.price,
            gains.after + np.concatenate([gains.due[1:], end]),
            gains.after_years + np.concatenate([gains.due_years[1:], end]),
        )
        # (T + 1, P, A): what was earned before decision k
        self.sums = [np.concatenate([end, np.cumsum(part, axis=0)]) for part in each]
        self.path, self.row = batch.where

    def begin(self, obs: Array) -> Array:
        """Columns (n, width) at the present rows of the environments."""
        self.path, self.row = self.batch.where
        return self._columns(self.path, self.row)

    def follow(self, obs: Array, ends: Array, ended: NDArray[np.bool_]) -> tuple[Array, Array]:
        """(columns at the present rows of the environments, columns at the last rows of the
        episodes that have `ended` (n,)).
        """
        path, row = self.path, self.row + self.hindsight.bars
        now = self.begin(obs)
        return now, self._columns(
            np.where(ended, path, self.path), np.where(ended, row, self.row)
        ) if ended.any() else now

    def state(self) -> dict[str, Any]:
        """Copies of the present paths and rows of the environments."""
        return {"path": self.path.copy(), "row": self.row.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the values that `state` returned."""
        self.path, self.row = state["path"].copy(), state["row"].copy()

    def _columns(self, path: NDArray[np.int64], row: NDArray[np.int64]) -> Array:
        known, prices = self.hindsight, self.prices
        path = known.of[path]
        last = known.count[path]
        at = np.minimum((row - known.first[path]) // known.bars, last)
        value = known.values[at, path, :, known.kind]
        columns = [value[..., 1] - value[..., 0]]
        for ahead in AHEAD:
            until = np.minimum(at + ahead, last)
            price, paid, years = (total[until, path] - total[at, path] for total in self.sums)
            scale, shift, hurdle = (
                each[:, None] for each in (prices.scale, prices.shift, prices.hurdle)
            )
            columns.append(price + scale * paid + shift * years - hurdle * (until - at)[:, None])
        told = np.clip(self.unit * np.stack(columns, axis=-1), -LIMIT, LIMIT)
        return told.reshape(len(path), -1).astype(np.float32)
