"""The report page of a comparison: tables, skill by horizon, calibration, forecasts over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from experiments.core.run_folder import read_json
from experiments.forecasting.printing import p_text, sections
from experiments.forecasting.table import ALL
from experiments.html_report.draw import dress
from experiments.html_report.html import cells, chart, note, table, text
from experiments.html_report.sections import origin, sectioned
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
        ("Data", table(["what", "value"], origin(record), kind="words")),
    ]  # fmt: skip
    return sectioned(f"fundenv forecasts: {start} .. {end}", parts, figures)


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
