"""One capital over several coins in portfolio margin: `fundenv/FundingPortfolio-v0`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics.more_columns import MORE_ACCOUNT_COLUMNS, MORE_LEG_COLUMNS
from fundenv.dynamics.observation import ACCOUNT_COLUMNS
from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import Market, joint, load_market, narrowed, synthetic_market
from fundenv.market.files.schema import symbol_names

# what the id sets where the user does not
PORTFOLIO: MappingProxyType[str, Any] = MappingProxyType(
    {
        "capital": "shared",
        "margin_mode": "portfolio",
        "keeper_watches": "equity",
        "observe": ("available",),
    }
)


@cache
def embedded_portfolio() -> Market:
    """The market behind `market=None`: two seeded synthetic years of three correlated coins."""
    return synthetic_market(("btc", "eth", "alt"), years=2, paths=1, seed=0)


def portfolio_market(
    market: Market | str | Path | None = None,
    symbols: Sequence[str] | None = None,
    venue: str = "binance",
) -> Market:
    """Coins side by side, one path of A = len(symbols) assets: every bar that any of them has
    (`fundenv.market.joint`).

    market: a joint market (returned as it is where no `symbols` are given), one of single symbols,
    a folder of tidy files, or None for the embedded one. Raises `DataError` or `SplitError` for an
    unknown symbol.
    """
    if market is None:
        market = embedded_portfolio()
    if not isinstance(market, Market):
        market = load_market(market, symbols, venue=venue)
    names = None if symbols is None else symbol_names(symbols)
    if market.n_assets > 1:
        return market if names is None else narrowed(market, names)
    every = dict.fromkeys(name for path in market.symbols for name in path)
    return joint(market, names or list(every))


def _portfolio(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, with those of `PORTFOLIO` for which the user gives no value; a whole `config`
    does not change. Raises `ConfigError` for a config that has no shared capital.
    """
    config = settings.get("config")
    if config is None:
        return PORTFOLIO | settings
    if isinstance(config, EnvConfig) and config.capital != PORTFOLIO["capital"]:
        raise ConfigError(
            f"config: capital = {config.capital!r}, and this env has one capital; give"
            " EnvConfig(**fundenv.envs.portfolio.PORTFOLIO, ..), or settings in place of a config"
        )
    return settings


def _venue(settings: dict[str, Any]) -> str:
    config = settings.get("config")
    venue = config.venue if isinstance(config, EnvConfig) else settings.get("venue", "binance")
    return str(venue)


def by_asset(
    obs: NDArray[Any], assets: int, observe: Sequence[str] = PORTFOLIO["observe"]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Observations (n, D) or (D,) as (n, A, F) of the assets and (n, S) of the account.

    Every asset has the same F columns in the same order, so that a policy can share its weights
    over the assets; those of the setting `observe` come last, also among the S of the account. With
    the default of this env the last of the F is `available`, the mask of coins that are halted, not
    listed yet or delisted. Raises `ValueError` where D does not fit.
    """
    more = sum(column.name in observe for column in MORE_LEG_COLUMNS)
    once = sum(column.name in observe for column in MORE_ACCOUNT_COLUMNS)
    end = obs.shape[-1] - once  # of the assets' own columns of `observe`
    own = end - more * assets - len(ACCOUNT_COLUMNS)
    if own <= 0 or own % assets:
        raise ValueError(
            f"observations of {obs.shape[-1]} columns do not fit {assets} assets,"
            f" {len(ACCOUNT_COLUMNS)} columns of the account and observe = {tuple(observe)!r};"
            " give the env's number of assets and its `observe`"
        )
    shape = (*obs.shape[:-1], assets, -1)
    coins, account = obs[..., :own].reshape(shape), obs[..., own : own + len(ACCOUNT_COLUMNS)]
    if more:
        asked = obs[..., own + len(ACCOUNT_COLUMNS) : end].reshape(shape)
        coins = np.concatenate([coins, asked], axis=-1)
    return coins, np.concatenate([account, obs[..., end:]], axis=-1) if once else account


class FundingPortfolioEnv(FundingHedgeEnv):
    """`FundingHedgeEnv` with one capital over several coins.

    Carries are shares of the whole equity, spot backs the perpetuals, and the margin keeper brings
    the account back to its targets. Every setting can be given as in `FundingHedgeEnv`.

    Args:
        market: as `portfolio_market` takes it.
        symbols: the coins.
        render_mode: "rgb_array" draws the episode.
        settings: fields of `fundenv.config.EnvConfig`; or `config`, a whole one with shared
            capital, in which this env changes nothing.
    """

    def __init__(
        self,
        *,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        """See the class docstring."""
        coins = portfolio_market(market, symbols, _venue(settings))
        super().__init__(market=coins, render_mode=render_mode, **_portfolio(settings))


class FundingPortfolioVectorEnv(FundingHedgeVectorEnv):
    """`num_envs` copies of `FundingPortfolioEnv` in one compiled loop; arguments as for
    `FundingHedgeVectorEnv`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        """See the class docstring."""
        coins = portfolio_market(market, symbols, _venue(settings))
        super().__init__(num_envs, market=coins, **_portfolio(settings))
