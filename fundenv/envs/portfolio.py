"""One capital over several coins in portfolio margin: `fundenv/FundingPortfolio-v0`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from fundenv.dynamics.observation import ACCOUNT_COLUMNS
from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import Market, joint, load_market, narrowed, synthetic_market

# what the id sets where the user does not
PORTFOLIO = MappingProxyType(
    {"capital": "shared", "margin_mode": "portfolio", "keeper_watches": "equity"}
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
    """Coins side by side on their common bars, one path of A = len(symbols) assets.

    market: a joint market (returned as it is where no `symbols` are given), one of single symbols,
    a folder of tidy files, or None for the embedded one. Raises `DataError` or `SplitError` for an
    unknown symbol and where the coins have no bar in common.
    """
    if market is None:
        market = embedded_portfolio()
    if not isinstance(market, Market):
        market = load_market(market, symbols, venue=venue)
    if market.n_assets > 1:
        return market if symbols is None else narrowed(market, symbols)
    names = symbols or list(dict.fromkeys(name for path in market.symbols for name in path))
    return joint(market, list(names))


def by_asset(obs: NDArray[Any], assets: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Views of observations (n, D) or (D,): (n, A, F) of the assets and (n, S) of the account.

    Every asset has the same F columns in the same order, so that a policy can share its weights
    over the assets. Raises `ValueError` where D does not fit.
    """
    own = obs.shape[-1] - len(ACCOUNT_COLUMNS)
    if own <= 0 or own % assets:
        raise ValueError(
            f"observations of {obs.shape[-1]} columns do not fit {assets} assets and"
            f" {len(ACCOUNT_COLUMNS)} columns of the account; give the env's number of assets"
        )
    return obs[..., :own].reshape(*obs.shape[:-1], assets, own // assets), obs[..., own:]


class FundingPortfolioEnv(FundingHedgeEnv):
    """`FundingHedgeEnv` with one capital over several coins.

    Carries are shares of the whole equity, spot backs the perpetuals, and the margin keeper brings
    the account back to its targets. Every setting can be given as in `FundingHedgeEnv`.

    Args:
        market: as `portfolio_market` takes it.
        symbols: the coins.
        render_mode: "rgb_array" draws the episode.
        settings: fields of `fundenv.config.EnvConfig`.
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
        coins = portfolio_market(market, symbols, settings.get("venue", "binance"))
        chosen: dict[str, Any] = PORTFOLIO | settings
        super().__init__(market=coins, render_mode=render_mode, **chosen)


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
        coins = portfolio_market(market, symbols, settings.get("venue", "binance"))
        chosen: dict[str, Any] = PORTFOLIO | settings
        super().__init__(num_envs, market=coins, **chosen)
