"""The table of the observations of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from fundenv.dynamics.columns import Column
from fundenv.dynamics.more_columns import MORE_ACCOUNT_COLUMNS, MORE_LEG_COLUMNS
from fundenv.dynamics.observation import ACCOUNT_COLUMNS, LEG_COLUMNS
from fundenv.market import Market


def observation_table(market: Market, observe: Sequence[str] = ()) -> tuple[Column, ...]:
    """The D observations in order: per asset the market features and the state of its legs, then
    the account; behind them what `EnvConfig.observe` asks for, in the same order.

    With several assets the names carry the asset's number, as in "1:carry".
    """

    def repeated(columns: Sequence[Column]) -> list[Column]:
        if market.n_assets == 1:
            return list(columns)
        return [c._replace(name=f"{a}:{c.name}") for a in range(market.n_assets) for c in columns]

    per_asset = [Column(*feature) for feature in market.table] + list(LEG_COLUMNS)
    return (
        *repeated(per_asset),
        *ACCOUNT_COLUMNS,
        *repeated([c for c in MORE_LEG_COLUMNS if c.name in observe]),
        *(c for c in MORE_ACCOUNT_COLUMNS if c.name in observe),
    )
