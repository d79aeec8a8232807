"""The proof of a paper account: its journal, run through the backtest, gives the same account."""

from __future__ import annotations

import numpy as np
import pandas as pd

from agents import Agent
from experiments.core.run_folder import RunError
from experiments.rollout.make import roll_out_paths
from fundenv.live import Paper
from fundenv.market import between
from fundenv.market.build import build_market
from fundenv.market.join import joint


def check(paper: Paper, agent: Agent) -> str:
    """Compare the account of a journal with a rollout of the new agent `agent` on the market that
    files with the same rows give. Returns a line; raises `RunError` where a bit differs.

    Nothing is compared where a limit or a stop changed an action, because the backtest has no such
    action.
    """
    if paper.begin is None or paper.tables.closed is None:
        return f"{paper.folder}: no bar is sealed yet"
    whole, market = paper.market()
    paper.account.catch_up(whole, market, paper.tables.closed, 0)
    steps = paper.account.steps
    if not steps:
        return f"{paper.folder}: no step is complete yet"
    if any(record["limits"] for record in paper.account.decisions):
        return (
            f"{paper.folder}: limits changed some actions, and no backtest has these; not compared"
        )
    frames = [paper.tables.frames(symbol) for symbol in paper.tables.symbols]
    files = build_market(frames, venue=paper.plan.venue, accept=paper.plan.accept)
    files = joint(files, paper.plan.symbols) if paper.plan.shared else files
    edges = (pd.Timestamp(ms, unit="ms", tz="UTC") for ms in (paper.begin, steps[-1].close + 1))
    rollouts = roll_out_paths(agent, between(files, *edges), dict(paper.plan.settings))
    for i, rollout in enumerate(rollouts):
        n = len(rollout.time)
        for name, live, backtest in (
            ("equity", [step.equity[i] for step in steps], rollout.equity[1:]),
            ("parts", [step.parts[i] for step in steps], rollout.parts),
            ("liquidations", [step.liquidations[i] for step in steps], rollout.liquidations),
        ):
            own = np.array(live)[:n]
            if not np.array_equal(own, backtest):
                at = int(np.flatnonzero((own != backtest).reshape(n, -1).any(axis=1))[0])
                raise RunError(
                    f"{paper.folder}: {rollout.symbol}: {name} of step {at} differ between the"
                    " journal and the backtest; keep the folder and report it"
                )
    return (
        f"{paper.folder}: {len(steps)} steps in each of {len(rollouts)} accounts equal the backtest"
        " to the last bit"
    )
