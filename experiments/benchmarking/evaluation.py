"""One agent, one split: walk every symbol, write curves and events, return the rows of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from agents.base import Agent
from experiments.analysis.tables import Row, row
from experiments.core.run_folder import write_frame
from experiments.rollout.rollout import walk
from experiments.tensorboard.cards import EVENTS, write_agent


def assess(
    agent: Agent,
    market: Any,
    settings: dict[str, Any],
    *,
    seed: int,
    split: str,
    out: Path,
    events: bool = True,
) -> list[Row]:
    """Walk all paths of `market`.

    Writes `out/walks/<split>/<agent>-<seed>.parquet` (a row per symbol and step),
    `out/trades/<split>/<agent>-<seed>.parquet` (a row per trade) and, with `events`, everything for
    TensorBoard under `out/tensorboard/<split>/<agent>-<seed>` (pictures for seed 0 only).
    """
    name = f"{agent.name}-{seed}"
    walks = walk(agent, market, settings)
    head: dict[str, Any] = {"agent": agent.name, "seed": seed, "split": split}
    write_frame(
        out / "walks" / split / f"{name}.parquet",
        pd.concat([item.frame().assign(**head) for item in walks], ignore_index=True),
    )
    books = [item.trades.assign(symbol=item.symbol, **head) for item in walks]
    write_frame(out / "trades" / split / f"{name}.parquet", pd.concat(books, ignore_index=True))
    rows = [
        row(agent.name, item.symbol, seed, split, item.metrics(settings["cash_rate"]))
        for item in walks
    ]
    if events:
        write_agent(
            out / EVENTS / split / name, agent, walks, rows, market, settings, pictured=seed == 0
        )
    return rows
