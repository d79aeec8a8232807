"""Many tries (sets of weights) of the learned rule on the same episodes, in one batch."""

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
        self.step_hours = hours(config.decision_interval, "decision_interval")
        self.bars = round(self.step_hours / market.bar_hours)
        self.paths = np.asarray(market.paths)
        longest = int(np.diff(self.paths).max()) // self.bars - 2
        self.length = max(1, min(round(24 * params.episode_days / self.step_hours), longest))
        self.cash = np.tile(per_env["cash_rate"], tries)
        table = self.batch.observation_table
        self.assets, self.liquidated = market.n_assets, observed(table, "liquidated")
        self.rows, _ = by_asset(np.arange(len(table)), self.assets, config.observe)

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
        path, start = self._starts(rng)
        hidden = np.tile(self._hidden(rng), (self.tries, 1))
        batch.reset(
            int(rng.integers(2**31)),
            paths=np.tile(path, self.tries),
            starts=np.tile(start, self.tries),
        )
        self.rule.weights = np.repeat(weights.reshape(-1, *SHAPE), count, axis=0)
        self.rule.reset()
        shown = np.ones(batch.obs.shape, np.float32)
        rows, coins = np.nonzero(hidden)
        shown[rows[:, None], self.rows[coins]] = 0.0  # as coins that are not listed
        grown, top, fall, lost = np.zeros((4, len(hidden)))  # logarithms of equity; a count
        active, years = np.ones(len(hidden), bool), np.zeros(len(hidden))
        for number in range(self.length):
            batch.step(self.rule.act(batch.obs * shown))
            years += active * self.step_hours / 8760
            grown += active * batch.reward / 1e3
            equity = grown + years * self.cash
            top = np.maximum(top, equity)
            fall = np.maximum(fall, -np.expm1(equity - top))
            ends = batch.terminated | batch.truncated
            closed = (self.liquidated.of(batch.obs) > 0).sum(axis=1)
            lost += active * np.where(ends, batch.terminated, closed)
            active &= ~ends
            if not tell(number):
                return None
        shape = (self.tries, count)
        return Played((grown / years).reshape(shape), fall.reshape(shape), lost.reshape(shape))

    def _starts(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(path, row within it) of each episode."""
        room = np.diff(self.paths)[:, 0] - (self.length + 2) * self.bars
        path = rng.choice(np.flatnonzero(room >= 0), self.params.n_envs)
        return path, (rng.random(len(path)) * (room[path] + 1)).astype(np.int64)

    def _hidden(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Which coins (E, A) each episode hides. The number of shown coins is uniform; then the
        coins are drawn.
        """
        count, fewest = self.params.n_envs, min(self.params.fewest_coins, self.assets)
        shown = rng.integers(fewest, self.assets, count, endpoint=True)
        return np.asarray(rng.random((count, self.assets)).argsort(axis=1) >= shown[:, None])


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
