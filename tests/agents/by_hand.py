"""A rule bound to an env without a market, and observations that are written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from fundenv.config import EnvConfig
from fundenv.dynamics import types as t
from fundenv.dynamics.observation import ACCOUNT_COLUMNS, LEG_COLUMNS
from fundenv.market.layout import N_COLUMNS
from fundenv.market.table import FEATURES

COLUMNS = (*FEATURES, *LEG_COLUMNS)  # of one asset


def bound(agent: Agent, assets: int = 1) -> Any:
    """The agent bound to an env that has nothing but a table of observations."""
    legs = [
        column._replace(name=f"{a}:{column.name}" if assets > 1 else column.name)
        for a in range(assets)
        for column in COLUMNS
    ]
    config = EnvConfig(**agent.env_settings())
    venue = SimpleNamespace(path="", value=lambda *key, date: 0.0876)
    rulebook = SimpleNamespace(perp=lambda name: (venue, name), spot=lambda name: (venue, name))
    world = SimpleNamespace(  # one bracket of 1 %
        tiers=np.array([[[0.0, 0.01, 0.0, 125.0]]]),
        symbols=np.zeros((1, assets), int),
        eras=np.zeros(1, int),
    )
    bars = np.ones((1000, assets, N_COLUMNS))  # a settlement in every bar
    market = SimpleNamespace(
        hash="none",
        symbols=(("A",),),
        bars=bars,
        paths=np.array([[0, 1000]]),
        n_paths=1,
        close_ns=np.arange(1000),
    )
    loans = {
        "initial_equity": config.initial_equity,
        "quote_borrow_rate": 0.0876,
        "borrow_used": config.borrow_used,
        "borrow_slope": config.borrow_used / config.borrow_norm,
        "borrow_steep": config.borrow_steep,
    }
    params = np.array([[loans.get(name, 0.0) for name in t.Params._fields]])
    agent.bind(
        SimpleNamespace(
            num_envs=1,
            store=SimpleNamespace(params=params),
            observation_table=(*legs, *ACCOUNT_COLUMNS),
            config=config,
            market=market,
            venue=venue,
            rulebook=rulebook,
            world=world,
        )
    )
    return agent


def observe(**raw: Any) -> NDArray[np.float32]:
    """Observations (n, D) of one asset from raw values, each a number or n numbers; the rest is 0,
    and a settlement has just been passed.
    """
    given = {"settlement_cos": 1.0} | raw
    columns = [
        np.atleast_1d(np.asarray(given.get(c.name, 0.0), np.float32)) / c.scale
        for c in (*COLUMNS, *ACCOUNT_COLUMNS)
    ]
    return np.stack(np.broadcast_arrays(*columns), axis=1).astype(np.float32)


def hold(actions: NDArray[Any]) -> list[bool]:
    return [bool(flag > 0.5) for flag in actions[:, 0]]
