"""Rows of results, and the tables made of them: results.json, results.md, the screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from experiments.core.run_folder import write_json, write_text
from fundenv.dynamics.types import PARTS
from fundenv.metrics import Metrics

KEYS = (
    "agent",
    "symbol",
    "seed",
    "split",
    "net_log_growth",
    "sharpe",
    "max_drawdown",
    "liquidations_per_year",
    "turnover_per_year",
    *PARTS,
)
# Student, 1.. degrees
_T95 = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
    2.23,
    2.20,
    2.18,
    2.16,
    2.14,
    2.13,
    2.12,
    2.11,
    2.10,
    2.09,
)
_COST = ("fees", "spread", "impact", "borrow_interest", "liquidation_loss")

Row = dict[str, Any]


def row(agent: str, symbol: str, seed: int, split: str, figures: Metrics) -> Row:
    """One row, with exactly `KEYS`."""
    head = {"agent": agent, "symbol": symbol, "seed": seed, "split": split}
    return {
        key: (
            head[key]
            if key in head
            else figures.parts[key]
            if key in PARTS
            else getattr(figures, key)
        )
        for key in KEYS
    }


def write_results(
    folder: Path,
    rows: Sequence[Row],
    *,
    title: str,
    facts: Sequence[str],
    verdict: Sequence[tuple[str, Cells]] = (),
) -> None:
    """results.json (the rows) and results.md (the tables, with `facts` and the tables of the
    `verdict` above them).
    """
    write_json(folder / "results.json", list(rows))
    lines = [f"# {title}", "", *(f"- {fact}" for fact in facts), ""]
    for heading, table in verdict:
        lines += [heading, "", *markdown(table), ""]
    for split in splits(rows):
        for heading, table in (
            (f"## {split}", summary(rows, split)),
            (f"### Net growth by symbol, {split}", by_symbol(rows, split)),
        ):
            lines += [heading, "", *markdown(table), ""]
    lines.append(LEGEND)
    write_text(folder / "results.md", "\n".join(lines) + "\n")


LEGEND = (
    "Growth: log growth per year above the cash rate, %, mean over symbols; with several seeds ±"
    " the half-width of the 95 % interval of the mean. Funding, price, costs and cash interest:"
    " contributions to log growth, % per year; together they are growth plus the cash rate."
    " Drawdown: the deepest, %. Liq.: liquidations per year. Turnover: quote traded on both legs"
    " over equity, per year. Definitions: fundenv/metrics.py."
)
Cells = list[list[str]]


def splits(rows: Sequence[Row]) -> list[str]:
    """Splits among the rows, the test first."""
    return sorted({r["split"] for r in rows}, key=lambda name: (name != "test", name))


def summary(rows: Sequence[Row], split: str) -> Cells:
    """Header and one line per agent: means over symbols, then over seeds."""
    table = [
        [
            "agent",
            "growth",
            "sharpe",
            "drawdown",
            "liq.",
            "turnover",
            "funding",
            "price",
            "costs",
            "cash",
        ]
    ]
    for agent in _agents(rows):
        own = [r for r in rows if r["agent"] == agent and r["split"] == split]
        if not own:
            continue
        price, costs = (
            np.mean([sum(r[key] for key in keys) for r in own])
            for keys in (("spot_pnl", "perp_pnl"), _COST)
        )
        mean = {key: float(np.mean([r[key] for r in own])) for key in KEYS[4:]}
        table.append(
            [
                agent,
                spread(
                    [
                        100 * np.mean([r["net_log_growth"] for r in own if r["seed"] == seed])
                        for seed in sorted({r["seed"] for r in own})
                    ]
                ),
                f"{mean['sharpe']:.2f}",
                f"{100 * mean['max_drawdown']:.2f}",
                f"{mean['liquidations_per_year']:.2f}",
                f"{mean['turnover_per_year']:.1f}",
                *(
                    f"{100 * value:+.2f}"
                    for value in (mean["funding"], price, costs, mean["cash_interest"])
                ),
            ]
        )
    return table


def by_symbol(rows: Sequence[Row], split: str) -> Cells:
    """Header and one line per agent: net growth of each symbol, % a year."""
    symbols = list(dict.fromkeys(r["symbol"] for r in rows if r["split"] == split))
    table = [["agent", *symbols]]
    for agent in _agents(rows):
        own = [r for r in rows if r["agent"] == agent and r["split"] == split]
        if own:
            table.append(
                [
                    agent,
                    *(
                        spread([100 * r["net_log_growth"] for r in own if r["symbol"] == symbol])
                        for symbol in symbols
                    ),
                ]
            )
    return table


def spread(values: Sequence[Any]) -> str:
    """Mean, and the half-width of its 95 % interval where there are several values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:+.2f}"
    quantile = _T95[min(len(values) - 1, len(_T95)) - 1]
    return f"{mean:+.2f} ±{quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5:.2f}"


def show(rows: Sequence[Row], *, title: str) -> None:
    """Print the summary of each split, the test last so that it stands at the prompt."""
    for split in reversed(splits(rows)):
        show_table(summary(rows, split), title=f"{title}: {split}")


def show_table(cells: Cells, *, title: str) -> None:
    """Print one table."""
    header, *lines = cells
    table = Table(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=0, show_edge=False
    )
    for column in header:
        table.add_column(
            column,
            justify="left" if column in ("agent", "learner", "rule") else "right",
            no_wrap=True,
        )
    for line in lines:
        table.add_row(*line)
    console = Console()
    Console(width=max(console.width, 120)).print(table)


def _agents(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(r["agent"] for r in rows))


def markdown(table: Cells) -> list[str]:
    """Lines of a Markdown table."""
    header, *lines = table
    return [
        f"| {' | '.join(cells)} |"
        for cells in (header, ["---"] + ["---:"] * (len(header) - 1), *lines)
    ]
