"""What TensorBoard receives: about an agent after its rollouts, and about a run at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.base import Agent
from experiments.analysis.comparison import Comparison
from experiments.analysis.printers import comparison_lines, split_tables
from experiments.analysis.tables import LEGEND, Row, markdown, number, signed
from experiments.rollout.rollout import STATES, Rollout
from experiments.tensorboard import pictures
from experiments.tensorboard.writer import Tracker, write_rollouts
from fundenv.config import EnvConfig
from fundenv.settings.forms import KEEPER

EVENTS = "tensorboard"  # the folder of event files in a run folder
FINAL = {
    "Final/growth": "growth above {cash}, % a year",
    "Final/deepest_fall": "deepest fall, %",
    "Final/liquidations": "liquidations a year",
    "Final/turnover": "turnover a year",
}


def write_agent(
    folder: Path,
    agent: Agent,
    rollouts: Sequence[Rollout],
    rows: Sequence[Row],
    market: Any,
    settings: dict[str, Any],
    *,
    pictured: bool,
) -> None:
    """Everything about one agent with one seed, one run of TensorBoard: scalars, histograms, card;
    `pictured` adds the pictures, which take about a second for each symbol.
    """
    with Tracker(folder) as tracker:
        write_rollouts(tracker, rollouts)
        for tag, values in _distributions(agent, rollouts).items():
            tracker.histogram(0, tag, values)
        tracker.text("Details/agent", _card(agent, rows, market, settings))
        if not pictured:
            return
        for item in rollouts:
            tracker.image(0, f"Account/{item.symbol}", pictures.account(item))
        worst = max(rollouts, key=lambda item: pictures.worst_window(item).fall)
        if pictures.worst_window(worst).fall > 0:
            tracker.image(0, "Worst/90_days", pictures.worst_days(worst))
        tracker.image(0, "Response/funding_volatility", pictures.response(agent, market, settings))


def write_run(
    out: Path,
    comparison: Comparison,
    rows: Sequence[Row],
    facts: Sequence[str],
    args: dict[str, Any],
    params: dict[str, dict[str, Any]],
) -> None:
    """Layout, cards and table of runs of the whole run in the folder `out`; params: of each agent
    by name.
    """
    with Tracker(out / EVENTS) as tracker:
        tracker.layout()
        tracker.text("Cards/verdict", "\n".join(comparison_lines(comparison)))
        tables = [
            line
            for heading, table in split_tables(rows, args["cash_rate"])
            for line in (f"## {heading}", "", *markdown(table), "")
        ]
        tracker.text("Cards/results", "\n".join([*tables, LEGEND]))
        described = ["```", json.dumps(args, indent=1), "```"]
        tracker.text("Cards/config", "\n".join([*(f"- {fact}" for fact in facts), "", *described]))
        own = [f"{name}.{key}" for name, values in params.items() for key in values]
        titles = {tag: title.format(cash=comparison.cash()) for tag, title in FINAL.items()}
        tracker.hparams_table(["agent", "seed", *own], titles)
    for standing in comparison.standings:
        for seed, growth in standing.by_seed.items():
            name = f"{standing.agent}-{seed}"
            values = params.get(standing.agent, {})
            settings = {"agent": standing.agent, "seed": int(seed)}
            settings |= {f"{standing.agent}.{key}": value for key, value in values.items()}
            mine = [
                row
                for row in rows
                if row["split"] == comparison.span
                and (row["agent"], row["seed"]) == (standing.agent, int(seed))
            ]
            final = {
                "Final/growth": round(100 * growth, 4) + 0.0,  # never -0.00
                "Final/deepest_fall": 100 * max(row["max_drawdown"] for row in mine),
                "Final/liquidations": float(np.mean([r["liquidations_per_year"] for r in mine])),
                "Final/turnover": float(np.mean([r["turnover_per_year"] for r in mine])),
            }
            with Tracker(out / EVENTS / comparison.span / name) as tracker:
                tracker.hparams(f"{out.name}/{name}", settings, final)


def _distributions(agent: Agent, rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """Values by tag: the entries of the actions, and where they led."""
    actions = np.concatenate([item.actions for item in rollouts])
    found: dict[str, Any] = {
        f"Action/{name}": actions[:, k]
        for k, name in enumerate(action_names(agent, actions.shape[1]))
    }
    states = np.concatenate([item.states for item in rollouts])
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
        own = ["gate", *(dial for dial in config.dials if dial not in ("carry", KEEPER))]
    else:
        own = [dial for dial in config.dials if dial != KEEPER]
    assets = max(1, width // max(len(own), 1))
    once = [KEEPER] if KEEPER in config.dials else []
    if assets == 1:
        return own + once
    return [f"{a}_{name}" for a in range(assets) for name in own] + once


def _card(agent: Agent, rows: Sequence[Row], market: Any, settings: dict[str, Any]) -> str:
    lines = [
        f"## {agent.name}, seed {rows[0]['seed']}, {rows[0]['split']}",
        "",
        f"market `{market.hash}`, venue {market.venue}",
        "",
    ]
    lines += [
        f"| symbol | growth above the cash rate {100 * settings['cash_rate']:g} %, % a year"
        " | deepest fall, % | liquidations a year |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        growth, fall = signed(row["net_log_growth"]), number(100 * row["max_drawdown"])
        often = number(row["liquidations_per_year"])
        lines.append(f"| {row['symbol']} | {growth} | {fall} | {often} |")
    record = {"parameters": agent.params.to_dict(), "environment": settings | agent.env_settings()}
    return "\n".join([*lines, "", "```", json.dumps(record, indent=1, default=str), "```"])
