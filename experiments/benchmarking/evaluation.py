"""Rollouts of one agent turned into files, rows of results, tidy rows and daily returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from agents.base import Agent
from experiments.analysis.tables import Row, row
from experiments.rollout.rollout import Rollout, write_rollouts
from experiments.tensorboard.cards import EVENTS, write_agent


def keep(
    rollouts: Sequence[Rollout],
    agent: Agent,
    market: Any,
    settings: dict[str, Any],
    *,
    split: str,
    out: Path,
    events: bool = True,
) -> list[Row]:
    """Write rollouts and trades into the run folder `out`, and with `events` everything for
    TensorBoard (pictures for seed 0 only). Returns the rows of results.
    """
    write_rollouts(out, split, rollouts)
    rows = [row(item.agent, item.symbol, item.seed, split, item.metrics()) for item in rollouts]
    if events:
        seed = rollouts[0].seed
        folder = out / EVENTS / split / f"{agent.name}-{seed}"
        write_agent(folder, agent, rollouts, rows, market, settings, pictured=seed == 0)
    return rows


def tidy_rows(
    rollouts: Sequence[Rollout], head: dict[str, Any], *, cost: float = 1.0
) -> list[dict[str, Any]]:
    """A row per symbol: `head` (agent, candidate, fold, span, seed), symbol, cash rate, cost, every
    figure and every part.
    """
    found = []
    for item in rollouts:
        figures = asdict(item.metrics())
        parts = figures.pop("parts")
        terms = {"symbol": item.symbol, "cash_rate": item.cash_rate, "cost": cost}
        found.append(head | terms | figures | {"nearest_margin": item.nearest_margin} | parts)
    return found


def daily_returns(rollouts: Sequence[Rollout], head: dict[str, Any]) -> pd.DataFrame:
    """time, net, simple (`Rollout.daily`), the columns of `head`, symbol and cash rate."""
    return pd.concat(
        [
            item.daily().assign(**head, symbol=item.symbol, cash_rate=item.cash_rate)
            for item in rollouts
        ],
        ignore_index=True,
    )
