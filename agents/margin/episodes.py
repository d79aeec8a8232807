"""Many tries (sets of weights) of the learned rule on the same episodes, in one batch; and what
every comparison of accounts on one capital needs: random starts and coins, and what they earned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.margin.params import LearnedMarginParams
from agents.margin.rule import SHAPE, LearnedMarginCarry
from agents.rules.capital import Array
from fundenv.config import EnvConfig, hours
from fundenv.envs.portfolio import by_asset
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import Market

# from cash to the end of the path
WHOLE_PATH = {"episode": None, "random_start": False, "start_invested": 0.0}
WALKED = WHOLE_PATH | {"reward": "log_growth"}

_WORST = -1.0  # lowest merit before liquidations, so that no episode outweighs all others


class Played(NamedTuple):
    """The results of the tries (C) in each episode (E)."""

    growth: Array  # (C, E) growth a year above cash
    fall: Array  # (C, E) deepest fall, as a share of the highest equity before
    liquidations: Array  # (C, E) number of liquidated legs


def starts(
    paths: NDArray[np.int64], bars: int, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(path, row within it) (n,) of random episodes of `bars` bars."""
    room = np.diff(paths)[:, 0] - bars
    path = rng.choice(np.flatnonzero(room >= 0), n)
    return path, (rng.random(n) * (room[path] + 1)).astype(np.int64)


def hidden(
    n: int, fewest: int, assets: int, rng: np.random.Generator, whole: slice | None = None
) -> NDArray[np.bool_]:
    """Which coins (n, assets) each episode hides: at least `fewest` are shown. The number of shown
    coins is uniform; then the coins are drawn. `whole`: the episodes that hide none.
    """
    shown = rng.integers(min(fewest, assets), assets, n, endpoint=True)
    if whole is not None:
        shown[whole] = assets
    return np.asarray(rng.random((n, assets)).argsort(axis=1) >= shown[:, None])


def mask(hides: NDArray[np.bool_], rows: NDArray[np.int64], columns: int) -> NDArray[np.float32]:
    """(n, columns) that sets the observations of hidden coins to 0, as of coins that are not
    listed. rows: (A, .) columns of each coin.
    """
    shown = np.ones((len(hides), columns), np.float32)
    episodes, coins = np.nonzero(hides)
    shown[episodes[:, None], rows[coins]] = 0.0
    return shown


class Earned:
    """Growth, deepest fall and liquidated legs of accounts (n,) that are stepped together, each
    until its first episode ends.
    """

    def __init__(self, batch: Any, cash: Array) -> None:
        """cash: (n,) cash rate."""
        self.batch, self.cash = batch, cash
        self.years_of_a_step = hours(batch.config.decision_interval, "decision_interval") / 8760
        self.liquidated = observed(batch.observation_table, "liquidated")
        # logarithms of equity; a count
        self.grown, self.top, self.fall, self.lost, self.years = np.zeros((5, len(cash)))
        self.active = np.ones(len(cash), bool)

    def add(self) -> None:
        """Count the step that the batch has just made."""
        batch, active = self.batch, self.active
        self.years += active * self.years_of_a_step
        self.grown += active * batch.reward / 1e3
        equity = self.grown + self.years * self.cash
        self.top = np.maximum(self.top, equity)
        self.fall = np.maximum(self.fall, -np.expm1(equity - self.top))
        ends = batch.terminated | batch.truncated
        closed = (self.liquidated.of(batch.obs) > 0).sum(axis=1)
        self.lost += active * np.where(ends, batch.terminated, closed)
        self.active = active & ~ends

    def played(self, shape: tuple[int, int]) -> Played:
        """The results so far."""
        found = self.grown / self.years, self.fall, self.lost
        return Played(*(values.reshape(shape) for values in found))


class Episodes:
    """Runs rounds in which every try gets the same paths, starts, terms and coins."""

    def __init__(
        self,
        market: Market,
        settings: dict[str, Any],
        per_env: dict[str, Array],
        params: LearnedMarginParams,
        tries: int,
        rule: LearnedMarginCarry,
    ) -> None:
        """per_env: terms (E,) of the episodes."""
        self.params, self.tries, self.rule = params, tries, rule
        env = FundingHedgeVectorEnv(
            tries * params.n_envs,
            autoreset_mode="same_step",
            copy=False,
            threads=params.threads,
            market=market,
            per_env={name: np.tile(values, tries) for name, values in per_env.items()},
            **settings | WALKED,
        )
        self.batch: Any = env.batch
        rule.look_up(self.batch)
        config: EnvConfig = self.batch.config
        step = hours(config.decision_interval, "decision_interval")
        self.bars = round(step / market.bar_hours)
        self.paths = np.asarray(market.paths)
        longest = int(np.diff(self.paths).max()) // self.bars - 2
        self.length = max(1, min(round(24 * params.episode_days / step), longest))
        self.cash = np.tile(per_env["cash_rate"], tries)
        self.columns, self.assets = len(self.batch.observation_table), market.n_assets
        self.rows, _ = by_asset(np.arange(self.columns), self.assets, config.observe)

    @property
    def steps(self) -> int:
        """Environment steps of a round."""
        return self.tries * self.params.n_envs * self.length

    def play(
        self, weights: Array, rng: np.random.Generator, tell: Callable[[int], bool]
    ) -> Played | None:
        """Run a round. weights: (C, K F). tell: called after each decision with its number; if it
        returns False, the round stops and the result is None.
        """
        count, batch = self.params.n_envs, self.batch
        path, start = starts(self.paths, (self.length + 2) * self.bars, count, rng)
        hides = np.tile(hidden(count, self.params.fewest_coins, self.assets, rng), (self.tries, 1))
        batch.reset(
            int(rng.integers(2**31)),
            paths=np.tile(path, self.tries),
            starts=np.tile(start, self.tries),
        )
        self.rule.weights = np.repeat(weights.reshape(-1, *SHAPE), count, axis=0)
        self.rule.reset()
        shown = mask(hides, self.rows, self.columns)
        earned = Earned(batch, self.cash)
        for number in range(self.length):
            batch.step(self.rule.act(batch.obs * shown))
            earned.add()
            if not tell(number):
                return None
        return earned.played((self.tries, count))


def merits(played: Played, params: LearnedMarginParams) -> Array:
    """The merit of each try in each episode (C, E), where the first try is the rule: its growth
    relative to that of the rule, less the charges.

    The charge for a fall counts the part that is deeper than both the limit and the rule's own
    fall.
    """
    base = played.growth[:1]
    gain = (played.growth - base) / (params.small + np.abs(base))
    deeper = played.fall - np.maximum(played.fall[:1], params.fall_limit)
    charge = params.fall_charge * np.maximum(deeper, 0.0)
    lost = params.liquidation_charge * (played.liquidations > 0)
    return np.asarray(np.maximum(gain - charge, _WORST) - lost)
