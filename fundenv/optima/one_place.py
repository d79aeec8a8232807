"""The best schedule of one capital that is in one asset at a time, or in none, for a trader who
knows the future: dynamic programming on the environment's own prices, rates and costs.

    V_t(a) = b_t(a) + max over c of [ g_t(c) - leave_t(a) - enter_t(c) + V_(t+1)(c) ]

a, c: an asset or none; b_t: what is earned until the orders of decision t fill, g_t: from the fill
to the end of the step, less the interest on the cash that is bound; both per quote of notional. The
last decision sells what is held where `closed` says so. No asset is held in a step in which it is
not listed.

Left out: impact, the drift of the notional, the keeper, liquidations, and the time that money needs
between venues. `fundenv.optima.portfolio.portfolio_bound` is the bound that no account exceeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.optima.env_terms import param
from fundenv.optima.portfolio import inputs

Array = NDArray[np.float64]


class Paper(NamedTuple):
    """What one quote of notional earns and costs: K decisions of A assets."""

    before: Array  # (K, A) held before the orders, until they fill
    move: Array  # (K, A) held after them, to the end of the step
    up: Array  # (K, A) cost of entering
    down: Array  # (K, A) cost of leaving


def paper_of(batch: Batch, first: int, steps: int, env: int = 0) -> Paper:
    """The account on paper of environment `env` from row `first` of the market on, at its own fees,
    spreads and rates; -infinity in `move` where an asset may not be held.
    """
    data = inputs(batch, 0, first, steps, int(batch.world.codes[t.DECISION_BARS]), env)
    move = data.move / data.last
    if data.open is not None:
        move = np.where(data.open, move, -np.inf)
    return Paper(data.before / data.last, move, data.up / data.last, data.down / data.last)


def schedule(
    account: Paper, hold: float, notional: float, *, closed: bool = False
) -> NDArray[np.int64]:
    """The best asset of each decision (K,), -1 for none.

    hold: cost of being invested for a step, over equity. notional: of the asset over equity.
    """
    steps, assets = account.move.shape
    value = -notional * np.append(account.down[-1], 0.0) * closed
    choice = np.zeros((steps, assets + 1), dtype=np.int64)
    for k in range(steps - 1, -1, -1):
        after = np.append(notional * account.move[k] - hold, 0.0) + value
        enter, leave = np.append(account.up[k], 0.0), np.append(account.down[k], 0.0)
        change = notional * (leave[:, None] + enter[None, :])
        np.fill_diagonal(change, 0.0)
        worth = after[None, :] - change
        choice[k] = worth.argmax(axis=1)
        value = worth.max(axis=1) + notional * np.append(account.before[k], 0.0)
    held, path = assets, np.zeros(steps, dtype=np.int64)
    for k in range(steps):
        held = choice[k, held]
        path[k] = held
    return np.where(path == assets, -1, path)


def earned(
    account: Paper, path: NDArray[np.int64], hold: float, notional: float, *, closed: bool = False
) -> float:
    """Sum of what a schedule earns above cash, over equity."""
    total, held = 0.0, -1
    for k, asset in enumerate(path):
        total += notional * account.before[k, held] if held >= 0 else 0.0
        if asset != held:
            total -= notional * account.down[k, held] if held >= 0 else 0.0
            total -= notional * account.up[k, asset] if asset >= 0 else 0.0
        total += notional * account.move[k, asset] - hold if asset >= 0 else 0.0
        held = int(asset)
    if closed and held >= 0:
        total -= notional * account.down[-1, held]
    return total


class PlaceForesight:
    """The schedule of every environment of a batch, solved anew whenever an episode begins; see
    `update`.
    """

    def __init__(self, batch: Batch, leverage: float) -> None:
        if batch.world.contract in (t.INVERSE, t.MIXED):
            raise ValueError(
                f"venue = {batch.config.venue!r} trades inverse contracts, which the plan does not"
                " cover; use one of linear ones"
            )
        if batch.world.codes[t.CAPITAL] != t.CAPITAL_SHARED and batch.n_assets > 1:
            raise ValueError("capital = 'parts': the plan moves one capital; use 'shared'")
        self.batch, self.notional = batch, leverage / (1.0 + leverage)
        self._key = np.full((batch.num_envs, 2), -1, dtype=np.int64)
        self._plans: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * batch.num_envs

    def update(self) -> None:
        """Solve for the environments whose episode has changed."""
        batch = self.batch
        episode, stride = batch.store.episode, int(batch.world.codes[t.DECISION_BARS])
        first = episode[:, t.ROW] - stride * episode[:, t.DECISION]
        key = np.stack([episode[:, t.PATH], first], axis=1)
        most = int(batch.world.codes[t.EPISODE_STEPS]) or np.iinfo(np.int64).max
        for env in np.flatnonzero((key != self._key).any(axis=1)):
            steps = min(int(episode[env, t.LAST_ROW] - first[env]) // stride, most)
            years = stride * param(batch, "bar_years", int(env))
            hold = param(batch, "cash_rate", int(env)) * years
            account = paper_of(batch, int(first[env]), steps, int(env))
            self._plans[env] = schedule(account, hold, self.notional)
        self._key = key

    def choice(self) -> NDArray[np.int64]:
        """The asset (n,) in which each environment is to be now; -1 for none."""
        at = self.batch.store.episode[:, t.DECISION]
        return np.array(
            [
                plan[min(int(k), len(plan) - 1)] if len(plan) else -1
                for plan, k in zip(self._plans, at, strict=True)
            ]
        )
