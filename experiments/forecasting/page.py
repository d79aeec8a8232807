"""The report page of a comparison: tables, skill by horizon, calibration, forecasts over time."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from experiments.core.run_folder import read_json
from experiments.forecasting.printing import p_text, sections
from experiments.forecasting.table import ALL
from experiments.html_report.draw import as_data, dress
from experiments.html_report.html import cells, chart, note, table, text
from fundenv.forecast import HORIZONS, LEVELS

_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6d31", "#7f7f7f",
)  # fmt: skip
_DASHES = ("solid", "dash", "dot")
_LEAST_SKILL = -30.0  # %; worse ones would flatten the chart and stand in the table
_DRAWN_DAYS = 120


def page(result: dict[str, Any], forecasts: pd.DataFrame, markdown: str, out: Path) -> str:
    """The whole page as one HTML text."""
    rows = result["rows"]
    coins = list(dict.fromkeys(row["coin"] for row in rows))
    first = ALL if ALL in coins else coins[0]
    best = _best(rows, first)
    figures = {
        "skill": skill(rows, first),
        "calibration": calibration(rows, first),
        "fan": fan(forecasts, best),
    }
    tables = [
        f"<h3>{text(part.heading)}</h3>{cells(part.cells)}{note(part.legend)}"
        for part in sections(result)
    ]
    start, end = (each[:10] for each in result["test"])
    record = read_json(out / "provenance.json")
    parts = [
        ("Result", f'<p class="verdict">{text(verdict(rows, first))}</p>' + tables[0]),
        ("Skill by horizon", chart("skill") + note(
            f"RMSE over clipped HAR, {first}; below {_LEAST_SKILL:g} % not drawn.")),
        ("Calibration", chart("calibration") + note(
            "Share of rates below each quantile, all horizons; on the line it is calibrated.")),
        ("Forecasts", chart("fan") + note(
            f"{best} for the mean of the next 9 settlements, first coin, last {_DRAWN_DAYS} days:"
            " mean, 90 % interval, and what came.")),
        ("Tables", "".join(tables[1:])),
        ("Data", table(["what", "value"], _origin(record), kind="words")),
    ]  # fmt: skip
    body = "".join(
        f'<section id="s{i}"><h2>{name}</h2>{content}</section>'
        for i, (name, content) in enumerate(parts)
    )
    nav = "".join(f'<a href="#s{i}">{name}</a>' for i, (name, _) in enumerate(parts))
    data = {name: as_data(figure) for name, figure in figures.items()}
    return _TEMPLATE.format(
        title=f"fundenv forecasts: {start} .. {end}",
        style=_style(),
        nav=nav,
        body=body,
        plotly=get_plotlyjs(),
        data=json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    )


def _style() -> str:
    """The look of the report of a run."""
    whole = resources.files("experiments.html_report").joinpath("page.html")
    source = whole.read_text(encoding="utf-8")
    return source.split("<style>")[1].split("</style>")[0]


def _best(rows: list[dict[str, Any]], coin: str) -> str:
    own = [row for row in rows if row["coin"] == coin and row["horizon"] == 9]
    own = own or [row for row in rows if row["coin"] == coin]
    return str(min(own, key=lambda row: row["rmse"])["forecaster"])


def verdict(rows: list[dict[str, Any]], coin: str) -> str:
    """One sentence for each horizon: who is best, and whether that is more than luck."""
    said = []
    for horizon in HORIZONS:
        own = [row for row in rows if row["coin"] == coin and row["horizon"] == horizon]
        if not own:
            continue
        best = min(own, key=lambda row: row["rmse"])
        if best["forecaster"] == "clipped_har":
            said.append(f"h = {horizon}: nobody beats clipped HAR.")
        elif "skill_clipped_har" in best:
            said.append(
                f"h = {horizon}: {best['forecaster']} is best, {best['skill_clipped_har']:+.1f} %"
                f" over clipped HAR, p {p_text(best['dm_p'])}."
            )
    return " ".join(said) + " The best of many is flattered: p-values are of single comparisons."


def skill(rows: list[dict[str, Any]], coin: str) -> go.Figure:
    """Skill over clipped HAR at every horizon, a line for each forecaster."""
    figure = go.Figure()
    names = list(dict.fromkeys(row["forecaster"] for row in rows))
    for i, name in enumerate(names):
        own = {
            row["horizon"]: row.get("skill_clipped_har")
            for row in rows
            if row["coin"] == coin and row["forecaster"] == name
        }
        values = [own.get(h) for h in HORIZONS]
        figure.add_scatter(
            x=[f"{h}" for h in HORIZONS],
            y=[v if v is not None and v >= _LEAST_SKILL else None for v in values],
            name=name,
            mode="lines+markers",
            line={"color": _COLOURS[i % 8], "dash": _DASHES[i // 8 % 3]},
        )
    dress(figure, "skill over clipped HAR, %", 420)
    figure.update_xaxes(type="category", title="settlements ahead")
    figure.update_layout(margin={"b": 56}, legend={"y": -0.25})
    return figure


def calibration(rows: list[dict[str, Any]], coin: str) -> go.Figure:
    """Share of rates below each quantile against its level, mean over the horizons."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        name="calibrated",
        line={"color": "#888888", "width": 1},
    )
    names = list(dict.fromkeys(row["forecaster"] for row in rows))
    for i, name in enumerate(names):
        own = [row["below"] for row in rows if row["coin"] == coin and row["forecaster"] == name]
        shares = [100 * sum(each[k] for each in own) / len(own) for k in range(len(LEVELS))]
        figure.add_scatter(
            x=[100 * level for level in LEVELS],
            y=shares,
            name=name,
            mode="lines+markers",
            line={"color": _COLOURS[i % 8], "dash": _DASHES[i // 8 % 3], "width": 1},
        )
    dress(figure, "rates below it, %", 420)
    figure.update_xaxes(type="linear", title="quantile, %")
    figure.update_layout(margin={"b": 56}, legend={"y": -0.25})
    return figure


def fan(forecasts: pd.DataFrame, name: str) -> go.Figure:
    """Mean, interval and outcome of one forecaster on the first coin."""
    coin = forecasts["symbol"].iloc[0]
    own = forecasts[
        (forecasts["forecaster"] == name)
        & (forecasts["symbol"] == coin)
        & (forecasts["horizon"] == 9)
        & (forecasts["seed"] == 0)
    ].sort_values("time")
    own = own[own["time"] >= own["time"].max() - pd.Timedelta(days=_DRAWN_DAYS)]
    known = own["target"].where(own["target"].notna(), None)
    figure = go.Figure()
    figure.add_scatter(
        x=own["time"], y=own["q95"], mode="lines", line={"width": 0}, showlegend=False
    )
    figure.add_scatter(
        x=own["time"], y=own["q5"], mode="lines", line={"width": 0}, fill="tonexty",
        fillcolor="rgba(86,180,233,0.3)", name="90 % interval",
    )  # fmt: skip
    figure.add_scatter(
        x=own["time"], y=own["mean"], mode="lines", name="forecast", line={"color": "#0072B2"}
    )
    figure.add_scatter(
        x=own["time"], y=known, mode="lines", name="what came", line={"color": "#D55E00"}
    )
    return dress(figure, f"{coin}, bp per 8 h", 380)


def _origin(record: dict[str, Any]) -> list[list[str]]:
    lines = [
        ["command", f"<code>{text(record['command'])}</code>"],
        ["started", text(record["started"])],
    ]
    for market in record["markets"].values():
        lines.append(
            ["market", f"hash <code>{text(market['hash'])}</code>, {text(market['venue'])}"]
        )
        lines += [[text(s), f"{text(a)} .. {text(b)} UTC"] for s, a, b in market["paths"]]
        lines += [["accepted", text(each)] for each in market["cautions"]]
    return lines


_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="sections"><div>{nav}</div></nav>
<main>
<h1>{title}</h1>
{body}
</main>
<script>{plotly}</script>
<script type="application/json" id="data">{data}</script>
<script>
"use strict";
const figures = JSON.parse(document.getElementById("data").textContent);
const own = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function draw() {{
  const narrow = window.innerWidth < 600;
  for (const [name, figure] of Object.entries(figures)) {{
    const layout = structuredClone(figure.layout);
    layout.font.color = own("--ink");
    for (const axis of ["xaxis", "yaxis"]) layout[axis].gridcolor = own("--grid");
    layout.hoverlabel = {{bgcolor: own("--back"), font: {{color: own("--ink")}}}};
    if (narrow) {{ layout.margin.l = 44; layout.font.size = 11; }}
    Plotly.react(name, structuredClone(figure.data), layout, {{responsive: true, displaylogo: false, displayModeBar: false}});
  }}
}}
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
</script>
</body>
</html>
"""
