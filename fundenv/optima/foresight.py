"""The best schedule of carry for a trader who knows the future: dynamic programming on the
environment's own prices, rates and costs.

    V_t(w) = b_t w + max over w' of [ g_t(w') - cost_t(w' - w) + V_(t+1)(w') ]
    V = 0 at the end of the episode

w: carry as the perpetual notional sold over equity (+ = long spot, short perpetual), a grid; b_t:
what w earns until the orders of decision t fill (the settlement on that instant, and the gap to the
open); g_t: funding and change of the basis from the fill to the end of the step, less the cost of
the capital that w binds; all in log growth net of the cash rate. Left out: the drift of w between
trades, orders of the keeper, auto-deleveraging, and liquidation (a leverage that would not survive
a step is not chosen). So V is what such a plan is worth on paper; `fundenv.optima.bound` is never
exceeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.compiler.cache import cached_on_disk
from fundenv.dynamics import types as t
from fundenv.optima.carry_gains import Gains, carry_gains

Array = NDArray[np.float64]


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop that Python calls itself, unlike the rules of the kernel, and that calls none
    of them; cached beside the kernel.
    """
    with cached_on_disk("optima/*.py") as kept:
        return numba.njit(cache=kept, nogil=True, error_model="numpy")(function)


def solve(weights: Array, gains: Gains) -> tuple[Array, NDArray[np.int64]]:
    """(value (n, T + 1, W), choice (n, T, W)): V_t at every weight before the decision, and the
    index of the weight to trade to; O(n T W).

    weights: (W,) ascending. Ties go to not trading.
    """
    n, steps, size = gains.after.shape
    value, choice = np.zeros((n, steps + 1, size)), np.zeros((n, steps, size), dtype=np.int64)
    _solve(np.asarray(weights, float), *gains[:4], value, choice)
    return value, choice


@compiled
def _solve(weights, before, after, up, down, value, choice):  # type: ignore[no-untyped-def]
    n, steps, size = after.shape
    for i in range(n):
        for s in range(steps - 1, -1, -1):
            for k in range(size):
                value[i, s, k] = after[i, s, k] + value[i, s + 1, k]
                choice[i, s, k] = k
            best, at = value[i, s, size - 1], size - 1
            for k in range(size - 2, -1, -1):  # raise the weight
                best -= up[i, s] * (weights[k + 1] - weights[k])
                stay = after[i, s, k] + value[i, s + 1, k]
                if stay >= best:
                    best, at = stay, k
                value[i, s, k], choice[i, s, k] = best, at
            best, at = after[i, s, 0] + value[i, s + 1, 0], 0
            for k in range(1, size):  # or lower it
                best -= down[i, s] * (weights[k] - weights[k - 1])
                stay = after[i, s, k] + value[i, s + 1, k]
                if stay >= best:
                    best, at = stay, k
                if best > value[i, s, k]:
                    value[i, s, k], choice[i, s, k] = best, at
            for k in range(size):
                value[i, s, k] += before[i, s] * weights[k]


def grid(carries: Sequence[float], leverages: Sequence[float], assets: int = 1) -> Array:
    """Every weight that a carry and a leverage give, and 0, ascending: c L / (1 + L) / A."""
    found = [0.0] + [c * lev / (1.0 + lev) / assets for c in carries for lev in leverages]
    return np.unique(np.round(found, 15))


class Foresight:
    """The plan of a trader who knows the future of every environment of a batch, solved anew
    whenever an episode begins.

    `update()` after each reset or step; then `value(weights)` and `choice(weights)` answer for the
    moment at which each environment stands. With portfolio margin there is no leverage that limits
    the plan, so it is not supported.
    """

    def __init__(self, batch: Batch, carries: Sequence[float], leverages: Sequence[float]) -> None:
        if batch.world.contract in (t.INVERSE, t.MIXED):
            raise ValueError(
                f"venue = {batch.config.venue!r} trades inverse contracts, which the plan does not"
                " cover; use one of linear ones"
            )
        if batch.world.codes[t.MARGIN_MODE] == t.MARGIN_PORTFOLIO:
            raise ValueError(
                "margin_mode = 'portfolio' has no perp wallet that limits carry; use 'isolated' or"
                " 'cross'"
            )
        self.batch, self.leverages = batch, tuple(leverages)
        self.weights = grid(carries, leverages, batch.n_assets)
        self._key = np.full((batch.num_envs, 2), -1, dtype=np.int64)
        self._value: Array = np.zeros((batch.num_envs, batch.n_assets, 1, len(self.weights)))
        self._choice: NDArray[np.int64] = np.zeros(
            (batch.num_envs, batch.n_assets, 0, len(self.weights)), dtype=np.int64
        )
        self._leverage: Array = np.zeros((batch.num_envs, batch.n_assets, 0, 2))

    def update(self) -> None:
        """Solve for the environments whose episode has changed."""
        batch = self.batch
        episode, stride = batch.store.episode, int(batch.world.codes[t.DECISION_BARS])
        first = episode[:, t.ROW] - stride * episode[:, t.DECISION]
        key = np.stack([episode[:, t.PATH], first], axis=1)
        new = np.flatnonzero((key != self._key).any(axis=1))
        if not len(new):
            return
        steps = (episode[new, t.LAST_ROW] - first[new]) // stride
        if batch.world.codes[t.EPISODE_STEPS]:
            steps = np.minimum(steps, batch.world.codes[t.EPISODE_STEPS])
        gains = carry_gains(batch, new, first[new], int(steps.max()), self.weights, self.leverages)
        value, choice = solve(self.weights, gains)
        self._reserve(int(steps.max()))
        shape = (len(new), batch.n_assets)
        self._value[new], self._choice[new] = 0.0, 0
        self._value[new, :, : value.shape[1]] = value.reshape(*shape, *value.shape[1:])
        self._choice[new, :, : choice.shape[1]] = choice.reshape(*shape, *choice.shape[1:])
        self._leverage[new, :, : choice.shape[1]] = gains.leverage.reshape(*shape, -1, 2)
        self._key = key

    def _reserve(self, steps: int) -> None:
        missing = steps - self._choice.shape[2]
        if missing > 0:
            self._value, self._choice, self._leverage = (
                np.concatenate(
                    [old, np.zeros((*old.shape[:2], missing, old.shape[3]), old.dtype)], axis=2
                )
                for old in (self._value, self._choice, self._leverage)
            )

    def value(self, weight: Any) -> Array:
        """V (n, A) at the weights (n, A) held now, linear between the points of the grid: log
        growth net of the cash rate still to come.
        """
        at = self.batch.store.episode[:, t.DECISION]
        table = self._value[np.arange(len(at)), :, at]
        w = np.clip(weight, self.weights[0], self.weights[-1])
        k = np.clip(np.searchsorted(self.weights, w) - 1, 0, len(self.weights) - 2)
        share = (w - self.weights[k]) / (self.weights[k + 1] - self.weights[k])
        low, high = (
            np.take_along_axis(table, index[..., None], axis=-1)[..., 0] for index in (k, k + 1)
        )
        return np.asarray(low + share * (high - low))

    def choice(self, weight: Any) -> tuple[Array, Array, NDArray[np.bool_]]:
        """(weight to trade to, leverage at which it is held (0 = flat), whether that is the grid
        weight held now), each (n, A).
        """
        at = np.minimum(self.batch.store.episode[:, t.DECISION], self._choice.shape[2] - 1)
        n = np.arange(len(at))
        now = np.abs(np.asarray(weight)[..., None] - self.weights).argmin(axis=-1)
        to = np.take_along_axis(self._choice[n, :, at], now[..., None], axis=-1)[..., 0]
        target = self.weights[to]
        leverage = np.where(target < 0, self._leverage[n, :, at, 1], self._leverage[n, :, at, 0])
        return target, np.where(target == 0, 0.0, leverage), to == now
