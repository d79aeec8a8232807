"""The tables and the chart of the growth that forecasts bring."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import plotly.graph_objects as go

from experiments.forecasting.charts import COLOURS, DASHES
from experiments.forecasting.table import ALL
from experiments.html_report.draw import dress
from fundenv.forecast import HORIZONS

RULES = ("forecast", "forecast_leverage")
AGAINST = ("ewma", "clipped_har")
PERFECT = "perfect"
TUNED = "perfect_tuned"
LEAST_GROWTH = -3.0  # % a year; lower values would flatten the chart, and are only in the table
Table = tuple[str, list[list[str]], str]  # heading, cells, legend


def growth_of(rows: Sequence[dict[str, Any]], cash: float) -> Iterator[Table]:
    """Mean growth over the coins for each rule, by the horizon of the forecast that it reads."""
    for rule in RULES:
        yield (
            f"Growth of the rule `{rule}` above a cash rate of {100 * cash:g} %, % a year",
            _cells(rows, rule, lambda row: f"{row['growth']:+.2f}", losses=True),
            "The rule with its default parameters on each forecaster, mean over coins; h: the"
            f" horizon that it reads. {PERFECT}: with perfect foresight, which no forecaster has."
            f" {TUNED}: that, with the best of six thresholds for this very span. No rule here is"
            " optimal, so a worse forecast can earn more.",
        )


def over_others(rows: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """What each forecaster adds to the growth of the same rule on another."""
    for rule in RULES:
        for base in AGAINST:
            yield (
                f"Growth of `{rule}` less that on {base}, % a year",
                _cells(rows, rule, lambda row, b=base: _difference(row["over"].get(b))),
                "In brackets the 95 % interval over blocks of days, of one comparison.",
            )


def _cells(
    rows: Sequence[dict[str, Any]], rule: str, cell: Any, *, losses: bool = False
) -> list[list[str]]:
    own = {
        (row["forecaster"], row["horizon"]): row
        for row in rows
        if row["rule"] == rule and row["coin"] == ALL
    }
    names = dict.fromkeys(name for name, _ in own)
    cells = [["forecaster", *(f"h = {h}" for h in HORIZONS)]]
    cells += [[name, *(cell(own[name, h]) for h in HORIZONS)] for name in names]
    if not losses:
        return [line for line in cells if any(line[1:])]
    cells[0].append("liquidations")
    for line in cells[1:]:
        line.append(str(sum(own[line[0], h]["liquidations"] for h in HORIZONS)))
    return cells


def _difference(over: Sequence[float] | None) -> str:
    if over is None:
        return ""
    value, low, high, _ = over
    if not math.isfinite(low):  # the same orders on every day
        return f"{value:+.2f}"
    return f"{value:+.2f} ({low:+.2f} .. {high:+.2f})"


def growth(rows: Sequence[dict[str, Any]], rule: str) -> go.Figure:
    """Growth at every horizon, a line for each forecaster; that of perfect forecasts is thick."""
    figure = go.Figure()
    own = [row for row in rows if row["rule"] == rule and row["coin"] == ALL]
    for i, name in enumerate(dict.fromkeys(row["forecaster"] for row in own)):
        values = {row["horizon"]: row["growth"] for row in own if row["forecaster"] == name}
        line: dict[str, Any] = {"color": COLOURS[i % 8], "dash": DASHES[i // 8 % 3]}
        if name in (PERFECT, TUNED):
            line = {"color": "#d62728", "width": 2 if name == PERFECT else 4}
        figure.add_scatter(
            x=[f"{h}" for h in HORIZONS],
            y=[values[h] if values[h] >= LEAST_GROWTH else None for h in HORIZONS],
            name=name,
            mode="lines+markers",
            line=line,
        )
    dress(figure, "growth above cash, % a year", 420)
    figure.update_xaxes(type="category", title="settlements ahead")
    return figure.update_layout(margin={"b": 56}, legend={"y": -0.25})
