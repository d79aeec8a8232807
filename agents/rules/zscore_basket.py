"""The z-score rule over several coins of one capital, with a correlation check and a limit on what
one coin may take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Range
from agents.reasons import Reason
from agents.rules.actions import HELD, targets
from agents.rules.base import Memory
from agents.rules.capital import OneCapital
from agents.rules.memory import Array, Settled
from agents.rules.zscore import ZScore, ZScoreParams


@dataclass(frozen=True, kw_only=True)
class ZScoreBasketParams(ZScoreParams):
    """Parameters of the z-score rule and of the basket."""

    correlation: bool = True
    """Sizes / sqrt(1 + (A - 1) x mean correlation of the coins' funding over the window)."""
    most: Annotated[float, Range(0.01, 1, "of equity")] = 0.5
    """Most that one coin may take of the capital."""
    apart: Annotated[float, Range(-1, 1, "correlation")] = 0.8
    """A coin whose funding correlates more with that of a coin held is not entered; 1: not
    asked.
    """


class ZScoreBasket(OneCapital, ZScore):
    """Enters the coins that the z-score rule enters, each with at most `most` of one capital, but
    none whose funding moves with that of a coin held.

    Source: the published z-score strategy, which checks correlations before it adds a coin, cuts
    sizes where funding is high everywhere (`crowd`) and spreads the capital. Correlations are
    exponential, of settled rates, with the span of `window`. Of several coins that signal at once
    the one with the highest z enters first.
    """

    name = "zscore_basket"
    parameters: ClassVar[type[ZScoreParams]] = ZScoreBasketParams
    params: Any

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        super().look_up(batch)
        self.told, self.together = Settled(batch.observation_table), Together()
        self.memories += [self.told, self.together]
        self.holds, self.available = (
            observed(batch.observation_table, name) for name in ("carry", "available")
        )

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The z-score rule's wish for each coin, within the limits of the basket."""
        wish = super().act(obs, deterministic=deterministic).reshape(len(obs), -1, 4)
        correlation = self.together.see(*self.told.see(obs), self.p.window)
        hold, carry = wish[..., 0] > 0.5, np.clip(wish[..., 1], -self.p.most, self.p.most)
        inside = np.abs(self.holds.of(obs)) > HELD
        trades = self.available.of(obs) > 0.5
        hold |= ~trades
        leaves = ~hold & (carry == 0.0)
        taken = inside & ~leaves
        entering = ~hold & (carry != 0.0)
        assert self.reasons is not None
        self.reasons[~trades] = Reason.CLOSED
        order = np.argsort(np.where(entering, -np.abs(self.z), np.inf), axis=1, kind="stable")
        rows = np.arange(len(obs))
        for coin in order.T:  # the strongest signal first
            close = (correlation[rows, coin] > self._apart()) & taken
            close[rows, coin] = False
            barred = entering[rows, coin] & close.any(axis=1)
            carry[rows[barred], coin[barred]] = 0.0
            taken[rows, coin] |= entering[rows, coin] & ~barred
            self.reasons[rows[barred], coin[barred]] = Reason.UNCONFIRMED
        barred_now = entering & (carry == 0.0) & ~inside
        return targets(hold | barred_now, carry, hedge=wish[..., 2], leverage=wish[..., 3])

    def coins(self, obs: NDArray[np.float32], assets: int) -> Any:
        """The coins that trade."""
        return np.maximum((self.available.of(obs) > 0.5).sum(axis=1, keepdims=True), 1)

    def parts(self, assets: int) -> int:
        """A carry is a share of the whole capital."""
        return 1

    def _apart(self) -> Any:
        apart = np.asarray(self.p.apart, float)
        return np.where(apart >= 1.0, np.inf, apart)


class Together(Memory):
    """Exponential correlations of the coins' settled rates, (n, A, A); 0 until two rates are
    known.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mean: Array = np.zeros((0, 0))
        self._product: Array = np.zeros((0, 0, 0))
        self._seen: NDArray[np.int64] = np.zeros((0, 1), dtype=np.int64)

    def see(self, rate: Array, new: NDArray[np.bool_], span: Any) -> Array:
        """The correlations after the rates (n, A) of which `new` were settled now; coins that
        settle at other times count with their last rate.
        """
        n, coins = rate.shape
        if self.arrive(n):
            self._mean, self._product = np.zeros(rate.shape), np.zeros((n, coins, coins))
            self._seen = np.zeros((n, 1), dtype=np.int64)
        fresh = self.fresh[:, None]
        self._mean = np.where(fresh, rate, self._mean)
        self._product = np.where(fresh[..., None], 0.0, self._product)
        self._seen = np.where(fresh, 0, self._seen)
        weight = np.where(
            new.any(axis=1, keepdims=True) & ~fresh, 2.0 / (np.asarray(span) + 1.0), 0.0
        )
        moved = rate - self._mean
        self._mean = self._mean + weight * moved
        outer = moved[:, :, None] * moved[:, None, :]
        self._product = (1.0 - weight[..., None]) * (self._product + weight[..., None] * outer)
        self._seen = self._seen + (weight > 0.0)
        self.settle_in()
        spread = np.sqrt(np.maximum(np.einsum("naa->na", self._product), 0.0))
        scale = spread[:, :, None] * spread[:, None, :]
        return np.asarray(
            np.divide(self._product, scale, out=np.zeros_like(scale), where=scale > 1e-12)
        )
