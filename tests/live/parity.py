"""A paper account beside the backtest of the same rows, not by way of the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from experiments.rollout.make import roll_out_paths
from fundenv.market import build_market, joint
from fundenv.market.split import between
from tests.live.world import HOUR, START, coins

DAY = 24 * HOUR


def backtest(agent: Any, own: Any, shared: bool) -> list[Any]:
    """Rollouts on the market that files with the same rows make: not by way of the journal."""
    since = START - own.plan.warm_up_days * DAY
    first = pd.Timestamp(since - since % DAY, unit="ms", tz="UTC")
    cut = []
    for frames in coins(own.plan.symbols).values():
        tables = {}
        for kind in ("funding", "perp", "spot"):
            table = getattr(frames, kind)
            tables[kind] = table[table["time"] >= first]
        tables["mark"] = tables["perp"].drop(columns="volume")
        cut.append(replace(frames, **tables))
    market = build_market(cut)
    market = joint(market, own.plan.symbols) if shared else market
    edges = (own.begin, own.account.steps[-1].close + 1)
    span = between(market, *(pd.Timestamp(edge, unit="ms", tz="UTC") for edge in edges))
    return roll_out_paths(agent, span, dict(own.plan.settings))


def assert_equal(own: Any, agent: Any, shared: bool = False) -> None:
    steps = own.account.steps
    for i, rollout in enumerate(backtest(agent, own, shared)):
        assert len(steps) == len(rollout.time) > 8
        assert [step.close * 1_000_000 for step in steps] == rollout.time.tolist()
        for name in ("equity", "parts", "liquidations"):
            live = np.array([getattr(step, name)[i] for step in steps])
            other = rollout.equity[1:] if name == "equity" else getattr(rollout, name)
            assert np.array_equal(live, other), name
