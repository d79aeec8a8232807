"""TensorBoard as the review desk: what is written about an agent after its walk, and about a run at
its end.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from agents.registry import agent_classes
from experiments.analysis.tables import LEGEND, Row, markdown, splits, summary
from experiments.core.run_folder import label
from experiments.rollout.rollout import STATES, Walk
from experiments.tensorboard import pictures
from experiments.tensorboard.writer import Tracker, write_walk
from fundenv import metrics
from fundenv.config import EnvConfig, hours
from fundenv.envs.single import FundingHedgeEnv

FINAL = (
    "net_log_growth",
    "sharpe",
    "max_drawdown",
    "liquidations_per_year",
    "turnover_per_year",
    "funding",
    "fees",
)
FRAMES = 4  # of the film
FILM = "90D"
EVENTS = "tensorboard"  # the folder of event files in a run folder


def write_agent(
    folder: Path,
    agent: Agent,
    walks: Sequence[Walk],
    rows: Sequence[Row],
    market: Any,
    settings: dict[str, Any],
    *,
    pictured: bool,
) -> None:
    """Everything about one agent with one seed: scalars of each walk below `folder`, and in it
    histograms, cards and its line of HParams; `pictured` adds the pictures, which take about a
    second for each symbol.
    """
    for walk in walks:
        write_walk(folder / walk.symbol, walk, settings["cash_rate"])
        if pictured:
            with Tracker(folder / walk.symbol) as tracker:
                for tag, draw in pictures.ACCOUNT.items():
                    tracker.image(len(walk.parts), tag, draw(walk))
    with Tracker(folder) as tracker:
        for tag, values in _distributions(agent, walks).items():
            tracker.histogram(0, tag, values)
        tracker.text("Cards/agent", _card(agent, rows, market, settings))
        head = {
            "agent": agent.name,
            "seed": rows[0]["seed"],
            "split": rows[0]["split"],
            "market": market.hash,
        }
        final = {f"Final/{key}": float(np.mean([row[key] for row in rows])) for key in FINAL}
        name = "/".join([folder.parents[2].name, *folder.parts[-2:]])
        own = {f"{agent.name}.{key}": value for key, value in agent.params.to_dict().items()}
        tracker.hparams(name, head | own, final, [*head, *_parameters()])
        if pictured:
            tracker.image(
                0, "Response/funding_volatility", pictures.response(agent, market, settings)
            )
            for step, frame in film(agent, walks, market, settings):
                tracker.image(step, "Film/worst_90_days", frame)


def write_run(
    out: Path, rows: Sequence[Row], facts: Sequence[str], args: dict[str, Any], verdict: str
) -> None:
    """Layout and cards of the whole run in the folder `out`."""
    with Tracker(out / EVENTS) as tracker:
        tracker.layout()
        tables = [
            line
            for split in splits(rows)
            for line in (f"## {split}", "", *markdown(summary(rows, split)), "")
        ]
        tracker.text("Cards/verdict", verdict)
        tracker.text("Cards/results", "\n".join([*tables, LEGEND]))
        tracker.text(
            "Cards/config",
            "\n".join(
                [*(f"- {fact}" for fact in facts), "", "```", json.dumps(args, indent=1), "```"]
            ),
        )


def film(
    agent: Agent, walks: Sequence[Walk], market: Any, settings: dict[str, Any]
) -> list[tuple[int, NDArray[np.uint8]]]:
    """Frames of the environment's own picture over the 90 days around the deepest fall of all
    walks: (decision, (H, W, 3)).
    """
    worst = max(walks, key=lambda walk: float(metrics.drawdown(walk.equity).max()))
    trough = int(worst.time[max(0, int(np.argmax(metrics.drawdown(worst.equity))) - 1)])
    own = [p for p in range(market.n_paths) if label(market, p) == worst.symbol]
    path = next(
        p
        for p in own
        if market.close_ns[market.paths[p][0]] <= trough <= market.close_ns[market.paths[p][1] - 1]
    )
    fixed = {"episode": FILM, "random_start": False, "start_invested": 0.0, "reward": "log_growth"}
    env = FundingHedgeEnv(
        market=market, render_mode="rgb_array", **settings | agent.env_settings() | fixed
    )
    every = round(hours(env.batch.config.decision_interval, "decision_interval") / market.bar_hours)
    first, last = (int(edge) for edge in market.paths[path])
    lead = int(env.batch.world.starts[path, 0]) - first
    before = int(np.searchsorted(market.close_ns[first:last], trough)) - round(
        60 * 24 / market.bar_hours
    )
    latest = max(0, (last - first - 1 - round(90 * 24 / market.bar_hours) - lead) // every)
    start = lead + every * min(max(0, (before - lead) // every), latest)
    agent.bind(env)
    agent.reset()
    obs, _ = env.reset(seed=0, options={"path": path, "start": start})
    frames, steps, done = [], 0, False
    length = (
        min(round(hours(FILM, "episode") / market.bar_hours), last - first - 1 - start) // every
    )
    stops = {max(1, round(length * (k + 1) / FRAMES)) for k in range(FRAMES)}
    while not done:
        obs, _, terminated, truncated, _ = env.step(agent.act(obs[None])[0])
        steps, done = steps + 1, terminated or truncated
        if steps in stops or done:
            frames.append((steps, env.render()))
    env.close()
    agent.reset()
    return frames


def _parameters() -> list[str]:
    """Every parameter of every agent, as the table of runs calls it."""
    kinds = agent_classes()
    return [
        f"{name}.{field.name}"
        for name, kind in kinds.items()
        for field in dataclasses.fields(kind.parameters)
    ]


def _distributions(agent: Agent, walks: Sequence[Walk]) -> dict[str, Any]:
    """Values by tag: the entries of the actions, and where they led."""
    actions = np.concatenate([walk.actions for walk in walks])
    found: dict[str, Any] = {
        f"Action/{name}": actions[:, k]
        for k, name in enumerate(action_names(agent, actions.shape[1]))
    }
    states = np.concatenate([walk.states for walk in walks])
    return found | {
        f"Held/{name}": states[:, STATES.index(name)]
        for name in ("carry", "hedge_ratio", "leverage")
    }


def action_names(agent: Agent, width: int) -> list[str]:
    """Names of the entries of an action row, with the number of the asset where there are
    several.
    """
    config = (
        EnvConfig.from_dict(agent.provenance.env | agent.env_settings())
        if agent.provenance.env
        else EnvConfig.from_dict(agent.env_settings())
    )
    if config.actions == "target":
        own = ["hold", "carry", "hedge", "leverage"]
    elif config.actions == "discrete":
        own = ["gate", *(dial for dial in config.dials if dial != "carry")]
    else:
        own = list(config.dials)
    assets = max(1, width // len(own))
    return own if assets == 1 else [f"{a}_{name}" for a in range(assets) for name in own]


def _card(agent: Agent, rows: Sequence[Row], market: Any, settings: dict[str, Any]) -> str:
    lines = [
        f"## {agent.name}, seed {rows[0]['seed']}, {rows[0]['split']}",
        "",
        f"market `{market.hash}`, venue {market.venue}",
        "",
    ]
    lines += [
        "| symbol | growth, % a year | deepest fall, % | liquidations a year |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        figures = (
            100 * row["net_log_growth"],
            100 * row["max_drawdown"],
            row["liquidations_per_year"],
        )
        lines.append(
            f"| {row['symbol']} | {figures[0]:+.2f} | {figures[1]:.2f} | {figures[2]:.2f} |"
        )
    record = {"parameters": agent.params.to_dict(), "environment": settings | agent.env_settings()}
    return "\n".join([*lines, "", "```", json.dumps(record, indent=1, default=str), "```"])
