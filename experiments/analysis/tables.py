"""Rows of results, the tables made of them, and how numbers are written everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from experiments.analysis.comparison import COSTS, PRICE
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


LEGEND = (
    "Growth: log growth per year above the cash rate that the heading names, %, mean over symbols"
    " and seeds. Funding, price, costs and cash interest: contributions to log growth, % per year;"
    " together they are growth plus the cash rate. Drawdown: the deepest, %. Liq.: liquidations per"
    " year. Turnover: quote traded on both legs over equity, per year. Definitions:"
    " fundenv/metrics.py."
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
            np.mean([sum(r[key] for key in keys) for r in own]) for keys in (PRICE, COSTS)
        )
        mean = {key: float(np.mean([r[key] for r in own])) for key in KEYS[4:]}
        table.append(
            [
                agent,
                signed(mean["net_log_growth"]),
                number(mean["sharpe"]),
                number(100 * mean["max_drawdown"]),
                number(mean["liquidations_per_year"]),
                number(mean["turnover_per_year"], 1),
                *(
                    signed(float(value))
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
                        signed(np.mean([r["net_log_growth"] for r in own if r["symbol"] == symbol]))
                        for symbol in symbols
                    ),
                ]
            )
    return table


def signed(fraction: Any, digits: int = 2) -> str:
    """A fraction in per cent with its sign; what rounds to nothing has none."""
    text = f"{100 * fraction:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def number(value: Any, digits: int = 2) -> str:
    """A number without a sign of its own, and never -0.00."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def show_table(cells: Cells, *, title: str) -> None:
    """Print one table."""
    header, *lines = cells
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for column in header:
        table.add_column(
            column,
            justify="left" if column in ("agent", "rule") else "right",
            no_wrap=True,
        )
    for line in lines:
        table.add_row(*line)
    console = Console(width=max(Console().width, 180))
    console.print(title, markup=False, highlight=False, style="bold")
    console.print(table)


def _agents(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(r["agent"] for r in rows))


def markdown(table: Cells) -> list[str]:
    """Lines of a Markdown table."""
    header, *lines = table
    return [
        f"| {' | '.join(cells)} |"
        for cells in (header, ["---"] + ["---:"] * (len(header) - 1), *lines)
    ]
