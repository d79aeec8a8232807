"""Accounts of one capital on which the optima are tested, and their markets."""

from __future__ import annotations

from typing import Any

import numpy as np

import agents
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, synthetic_market, synthetic_portfolio

SETTINGS: dict[str, Any] = {
    "margin_mode": "portfolio",
    "capital": "shared",
    "actions": "target",
    "episode": None,
    "random_start": False,
    "autoreset": "disabled",
    "cash_rate": 0.0,
    "funding_shift": 0.2,  # so that there is something to earn
}


def played(
    market: Market, name: str, settings: dict[str, Any] | None = None, **params: Any
) -> tuple[float, tuple[Any, Batch]]:
    """Log growth of a rule over the whole market, with the rule and its batch."""
    agent: Any = agents.make(name, **params)
    batch = Batch(1, market=market, **SETTINGS | agent.env_settings() | (settings or {}))
    agent.bind(batch)
    batch.reset(0)
    while not (batch.terminated | batch.truncated)[0]:
        batch.step(agent.act(batch.obs))
    equity = batch.store.account[0, t.EQUITY]
    return float(np.log(equity / batch.config.initial_equity)), (agent, batch)


def two_coins() -> Market:
    """A synthetic market of two coins on one path."""
    return synthetic_market(("btc", "eth"), years=0.2, seed=3)


def coming_and_going() -> Market:
    """Five coins, of which three are listed late and delisted early."""
    return synthetic_portfolio(5, years=0.1, seed=5, late=1.0, gone=1.0)
