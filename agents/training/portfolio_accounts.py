"""Accounts that take every choice of one capital on the same paths: one in cash, and one always in
each coin at each level.

What an account that stays in its coin earns is the growth that the env pays it, with interest, the
keeper's orders and liquidations. What a change of coin or level costs is a formula: fees and
half-spreads on the notionals left and entered. It leaves out impact, and an order to a coin's own
level counts as its cost alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.rules.actions import HELD
from agents.sb3.portfolio.choices import COINS, STAY, Choices
from agents.sb3.portfolio.params import OBSERVE
from agents.training.randomisation import EnvTerms, priced
from fundenv.config import EnvConfig, hours
from fundenv.envs.portfolio import by_asset
from fundenv.envs.sb3 import FundingHedgeVecEnv
from fundenv.market import Market
from fundenv.venues import Rulebook

Array = NDArray[np.float32]


class Answers(NamedTuple):
    """A round: T decisions of n environments, each with m coins and S = 1 + m L accounts. Growth
    and cost are in thousandths of equity; account 0 holds cash.
    """

    obs: Array  # (T, n, S, D)
    gain: Array  # (T, n, S) growth above cash until the next decision
    liquidated: NDArray[np.bool_]  # (T, n, S) whether liquidated in that time
    held: Array  # (T, n, S) notional over equity at the decision
    asked: Array  # (n, S) notional over equity that the choice requests
    cost: Array  # (n,) of a notional of 1, bought or sold
    coin: NDArray[np.int64]  # (S,) number of the coin of each account, -1 for cash

    def part(self, index: NDArray[np.int64]) -> Answers:
        """Some of the environments."""
        return self._replace(
            obs=self.obs[:, index],
            gain=self.gain[:, index],
            liquidated=self.liquidated[:, index],
            held=self.held[:, index],
            asked=self.asked[index],
            cost=self.cost[index],
        )


class PortfolioAccounts:
    """Runs rounds on the market and under the terms of a training."""

    def __init__(
        self,
        market: Market,
        settings: dict[str, Any],
        terms: EnvTerms,
        borrowing: dict[str, NDArray[np.float64]],
        *,
        choice: tuple[tuple[float, ...], tuple[float, ...]],
        envs: int,
        days: int,
        fewest: int,
    ) -> None:
        """choice: levels and bands, as of `Choices`. days: length of a round."""
        config = EnvConfig.from_dict(settings)
        self.market, self.envs, self.fewest = market, envs, min(fewest, market.n_assets)
        self.settings = settings | {
            "reward": "log_growth",
            "random_start": False,
            "episode": None,
            "start_invested": 0.0,
        }
        self.per_env = terms._asdict() | borrowing
        self.levels, self.bands = choice
        self.step = hours(config.decision_interval, "decision_interval")
        self.bars = round(self.step / market.bar_hours)
        longest = int(np.diff(market.paths).max()) // self.bars - 2
        self.length = max(1, min(round(24 * days / self.step), longest))
        self.cost = priced(market, config, Rulebook.read(config.venue, config.venues), terms)

    def play(self, rng: np.random.Generator) -> Answers:
        """Terms, paths, starts, coins and bands are drawn for every environment."""
        n, assets, levels = self.envs, self.market.n_assets, len(self.levels)
        shown = int(rng.integers(self.fewest, assets, endpoint=True))
        coins = np.sort(rng.random((n, assets)).argsort(axis=1)[:, :shown], axis=1)
        accounts = 1 + shown * levels
        each = np.repeat(rng.integers(len(self.per_env["cash_rate"]), size=n), accounts)
        batch = FundingHedgeVecEnv(
            n * accounts,
            market=self.market,
            **self.settings,
            per_env={name: values[each] for name, values in self.per_env.items()},
        ).batch
        choices = Choices(batch, self.levels, self.bands)
        numbers = COINS + coins[:, :, None] * levels + np.arange(levels)
        own = np.column_stack([np.full(n, STAY), numbers.reshape(n, -1)]).ravel()
        band = np.repeat(rng.integers(len(self.bands), size=n), accounts)
        paths, starts = (np.repeat(part, accounts) for part in self._starts(rng))
        batch.reset(int(rng.integers(2**31)), paths=paths, starts=starts)
        record = self._walk(batch, choices, own, band, coins)
        asked = self._asked(choices, coins, accounts)
        cost = 1e3 * self.cost.cost[each[::accounts]]
        batch.close()
        coin = np.append(-1, np.repeat(np.arange(shown), levels))
        return Answers(*record, asked, cost.astype(np.float32), coin)

    def _starts(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(path, row within it) of each environment."""
        lengths = np.diff(self.market.paths)[:, 0]
        room = lengths - (self.length + 2) * self.bars
        fit = np.flatnonzero(room >= 0)
        path = rng.choice(fit, self.envs)
        return path, (rng.random(self.envs) * (room[path] + 1)).astype(np.int64)

    def _asked(self, choices: Choices, coins: NDArray[np.int64], accounts: int) -> Array:
        """Notionals (n, S) that the choices ask for, where the margin mode gives them."""
        capital, n = choices.capital, len(coins)
        capital.look(n * accounts)
        told = []
        for level in self.levels:
            carry, leverage = capital.asked(np.full((n * accounts, choices.assets), level))
            given = carry * capital.notional(leverage)
            told.append(np.take_along_axis(given[::accounts], coins, axis=1))
        own = np.stack(told, axis=2).reshape(n, -1)
        return np.column_stack([np.zeros(n), own]).astype(np.float32)

    def _walk(
        self, batch: Any, choices: Choices, own: Any, band: Any, coins: NDArray[np.int64]
    ) -> tuple[Array, Array, NDArray[np.bool_], Array]:
        """Observations, gains, liquidations and notionals of all accounts."""
        n, accounts = len(coins), len(own) // len(coins)
        perp, carry = (observed(batch.observation_table, name) for name in ("perp_weight", "carry"))
        liquidated = observed(batch.observation_table, "liquidated")
        show = _Shown(choices, coins, accounts)
        batch.step(choices.targets(batch.obs, own, band))  # the orders fill before the first record
        seen, gains, closed, held = [], [], [], []
        open_ = np.ones(len(own), bool)  # not ruined
        for _ in range(self.length):
            obs = batch.obs
            seen.append(show(obs).reshape(n, accounts, -1))
            held.append(np.abs(perp.of(obs)).sum(axis=1).reshape(n, accounts))
            inside = (carry.of(obs) > HELD).any(axis=1)
            batch.step(choices.targets(obs, np.where(inside, STAY, own), band))
            reward = np.where(open_, batch.reward, 0.0).reshape(n, accounts)
            gains.append((reward - reward[:, :1]).astype(np.float32))
            now = (liquidated.of(batch.obs) > 0).any(axis=1) | batch.terminated
            closed.append((now & open_).reshape(n, accounts))
            open_ &= ~batch.terminated
        return np.stack(seen), np.stack(gains), np.stack(closed), np.stack(held)


class _Shown:
    """Observations of the coins of each environment, as an env with these coins alone gives."""

    def __init__(self, choices: Choices, coins: NDArray[np.int64], accounts: int) -> None:
        rows, account = by_asset(np.arange(choices.width), choices.assets, OBSERVE)
        self.width = len(account) + coins.shape[1] * rows.shape[1]
        new_rows, self.new_account = by_asset(np.arange(self.width), coins.shape[1], OBSERVE)
        self.account, self.new_rows = account, new_rows.ravel()
        self.rows = np.repeat(rows[coins].reshape(len(coins), -1), accounts, axis=0)

    def __call__(self, obs: Array) -> Array:
        """(n S, D) of all coins to (n S, d) of those shown."""
        told = np.empty((len(obs), self.width), np.float32)
        told[:, self.new_rows] = np.take_along_axis(obs, self.rows, axis=1)
        told[:, self.new_account] = obs[:, self.account]
        return told
