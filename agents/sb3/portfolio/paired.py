"""The training env of the learners that steer a rule: every account has a twin, which the rule
alone plays on the same path, under the same terms and with the same coins; the reward is the
difference of the two.

The twin does not depend on what the learner does, so the order of its policies stays as it was, but
what both earn from the market is no noise any more. All episodes begin and end together.
Imported only when SB3 is needed.
"""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.base import observed
from agents.margin.dials import DIALS, DialledCarry
from agents.margin.episodes import WHOLE_PATH, hidden, mask, starts
from agents.rules.base import BP_PER_YEAR
from agents.sb3.portfolio.params import OBSERVE, DialParams
from fundenv.config import hours
from fundenv.envs.portfolio import by_asset
from fundenv.envs.sb3 import OneBatchVecEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import Market

Array = NDArray[np.float32]


class Paired(OneBatchVecEnv):
    """The accounts of the learner as a `VecEnv`; an action is a number for each dial."""

    def __init__(
        self,
        market: Market,
        settings: dict[str, Any],
        per_env: dict[str, Any],
        params: DialParams,
        rule: DialledCarry,
        seed: int,
    ) -> None:
        """per_env: terms (n,) of the accounts; rule: what the dials move."""
        n, self.params, self.rule = params.n_envs, params, rule
        env = FundingHedgeVectorEnv(
            2 * n,
            autoreset_mode="same_step",
            copy=False,
            market=market,
            threads=params.threads,
            per_env={name: np.tile(values, 2) for name, values in per_env.items()},
            **settings | WHOLE_PATH,
        )
        self.batch: Any = env.batch
        rule.look_up(self.batch)
        self.rng = np.random.default_rng([seed, 0x9A])
        step = hours(self.batch.config.decision_interval, "decision_interval")
        self.bars, self.paths = round(step / market.bar_hours), np.asarray(market.paths)
        longest = int(np.diff(self.paths).max()) // self.bars - 2
        self.length = max(1, min(round(24 * params.episode_days / step), longest))
        table = self.batch.observation_table
        self.assets = market.n_assets
        self.rows, _ = by_asset(np.arange(len(table)), self.assets, OBSERVE)
        self.funding, self.rate = observed(table, "funding_ewma_90"), observed(table, "cash_rate")
        self.liquidated = observed(table, "liquidated")
        self.shown: Array = np.ones((2 * n, len(table)), np.float32)  # 0 where a coin is hidden
        self.number, self.active, self.ruined = 0, np.ones(2 * n, bool), np.zeros(n, bool)
        self.weight = np.ones(n)
        self.seconds = 0.0  # spent in the env and in the rule
        self.render_mode = None
        super().__init__(
            n,
            spaces.Box(-np.inf, np.inf, (len(table),), np.float32),
            spaces.Box(-1.0, 1.0, (len(DIALS),), np.float32),
        )
        self._actions: Any = None

    def reset(self) -> Any:
        """Begin a round of episodes."""
        self.reset_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        return self._begin()

    def _begin(self) -> Array:
        n = self.num_envs
        path, start = starts(self.paths, (self.length + 2) * self.bars, n, self.rng)
        hides = hidden(n, self.params.fewest_coins, self.assets, self.rng)
        self.shown = mask(np.tile(hides, (2, 1)), self.rows, self.shown.shape[1])
        seed = int(self.rng.integers(2**31))
        self.batch.reset(
            [seed + i for i in range(n)] * 2, paths=np.tile(path, 2), starts=np.tile(start, 2)
        )
        self.rule.reset()
        self.number, self.active, self.ruined = 0, np.ones(2 * n, bool), np.zeros(n, bool)
        obs = self.batch.obs * self.shown
        # what the best coin pays at the start: where it is much, one decision counts less
        best = self.funding.of(obs[:n]).max(axis=1) / BP_PER_YEAR - self.rate.of(obs[:n])[:, 0]
        self.weight = self.params.small / (self.params.small + np.maximum(best, 0.0))
        self.seen: Array = obs
        return np.asarray(obs[:n])

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Returns (observations, rewards, dones, infos)."""
        begun = time.perf_counter()
        n, batch, p = self.num_envs, self.batch, self.params
        self.rule.dials = np.zeros((2 * n, len(DIALS)))
        self.rule.dials[:n] = np.clip(self._actions, -1.0, 1.0)
        batch.step(self.rule.act(self.seen))
        gained = np.where(self.active, batch.reward, 0.0) * p.reward_scale
        limit = p.reward_clip or np.inf
        rewards = np.clip((gained[:n] - gained[n:]) * self.weight, -limit, limit)
        ends = batch.terminated | batch.truncated
        closed = (self.liquidated.of(batch.obs[:n]) > 0).sum(axis=1)
        lost = self.active[:n] * np.where(ends[:n], batch.terminated[:n], closed)
        rewards -= 1e3 * p.reward_scale * p.liquidation_charge * lost
        self.ruined |= self.active[:n] & batch.terminated[:n]
        self.active &= ~ends
        self.number += 1
        over = self.number >= self.length or not self.active.any()
        dones = np.full(n, over)
        obs = np.asarray(batch.obs[:n] * self.shown[:n])
        infos: list[dict[str, Any]] = [{} for _ in range(n)]
        if over:
            for i in range(n):
                infos[i] = {
                    "terminal_observation": obs[i],
                    "TimeLimit.truncated": not bool(self.ruined[i]),
                }
            obs = self._begin()
        else:
            self.seen = batch.obs * self.shown
        self.seconds += time.perf_counter() - begun
        return obs, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Stop the threads."""
        self.batch.close()

    def state(self) -> dict[str, Any]:
        """Copies of what the next step depends on, but for the batch."""
        names = ("shown", "active", "ruined", "weight", "seen")
        return {name: getattr(self, name).copy() for name in names} | {
            "number": self.number,
            "rng": self.rng.bit_generator.state,
            "rule": [deepcopy(vars(memory)) for memory in self.rule.memories],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        for name in ("shown", "active", "ruined", "weight", "seen"):
            setattr(self, name, state[name].copy())
        self.number, self.rng.bit_generator.state = state["number"], state["rng"]
        for memory, kept in zip(self.rule.memories, state["rule"], strict=True):
            vars(memory).update(deepcopy(kept))
