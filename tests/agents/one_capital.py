"""Rules of one capital over two coins, and observations that are written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from fundenv.batch.cpu import Batch
from fundenv.market import (
    Market,
    synthetic_market,
)

DAY = 0.05  # daily volatility of the observations


def bound(name: str, market: Market, count: int = 1, **params: Any) -> tuple[Any, Batch]:
    """A rule in portfolio margin, cash rate 0, and its batch."""
    agent: Any = agents.make(name, **params)
    settings = agent.env_settings() | {"margin_mode": "portfolio", "cash_rate": 0.0}
    batch = Batch(count, market=market, episode=None, random_start=False, **settings)
    agent.bind(batch)
    batch.reset(0)
    return agent, batch


def look(batch: Batch, *coins: dict[str, float]) -> NDArray[np.float32]:
    """One observation with the values of each coin; the rest is 0, means all equal `mean`."""
    values = np.zeros((1, len(batch.observation_table)), np.float32)
    for at, column in enumerate(batch.observation_table):
        prefix, _, name = column.name.rpartition(":")
        given = dict(coins[int(prefix)] if prefix else {})
        mean = given.pop("mean", 0.0)
        given |= {f"funding_ewma_{span}": mean for span in (3, 9, 21, 90)}
        given |= {"funding_last": mean, "settlement_cos": 1.0}
        given |= {f"volatility_{days}d": DAY * np.sqrt(365) for days in (7, 30)}
        given.setdefault("available", 1.0)
        values[0, at] = given.get(name, 0.0) / column.scale
    return values


def held(notional: float, *, target: float | None = None, collateral: float = 0.6) -> Any:
    """Observations of a coin with this notional over equity, the target of which was `target`."""
    target = notional if target is None else target
    leverage = max(target / (1 - (1 - collateral) * target), 1.0)
    gross = (1 + (1 - collateral) * leverage) / leverage
    return {
        "carry": notional * gross,
        "perp_weight": -notional,
        "spot_weight": notional,
        "target_carry": target * gross,
        "target_leverage": leverage,
    }


def answer(agent: Any, obs: NDArray[np.float32]) -> list[Any]:
    """Per coin "hold", or the notional over equity that is asked."""
    agent.reset()
    rows = agent.act(obs).reshape(-1, 4)
    full = np.broadcast_to(agent.capital.notional(rows[:, 3]), len(rows))
    return [
        "hold" if row[0] > 0.5 else pytest.approx(row[1] * n, rel=1e-4)
        for row, n in zip(rows, full, strict=True)
    ]


def two_coins() -> Market:
    """A synthetic market of two coins on one path."""
    return synthetic_market(("btc", "eth"), years=0.3, seed=1)
