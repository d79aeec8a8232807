"""The charts of a comparison."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from experiments.html_report.draw import dress
from fundenv.forecast import HORIZONS, LEVELS

COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6d31", "#7f7f7f",
)  # fmt: skip
DASHES = ("solid", "dash", "dot")
LEAST_SKILL = -30.0  # %; lower values would flatten the chart, and are only in the table
DRAWN_DAYS = 120


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
            y=[v if v is not None and v >= LEAST_SKILL else None for v in values],
            name=name,
            mode="lines+markers",
            line={"color": COLOURS[i % 8], "dash": DASHES[i // 8 % 3]},
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
            line={"color": COLOURS[i % 8], "dash": DASHES[i // 8 % 3], "width": 1},
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
    own = own[own["time"] >= own["time"].max() - pd.Timedelta(days=DRAWN_DAYS)]
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
        x=own["time"], y=known, mode="lines", name="outcome", line={"color": "#D55E00"}
    )
    return dress(figure, f"{coin}, bp per 8 h", 380)


def sizes(parts: pd.DataFrame) -> pd.DataFrame:
    """Mean size of what each group added to a forecast, bp per 8 h: groups x horizons, the largest
    first.
    """
    own = parts[parts["group"] != "base"]
    keys = ["group", "horizon", "symbol", "time"]
    whole = own.groupby(keys, sort=False)["value"].sum().abs()
    table = whole.groupby(level=["group", "horizon"], sort=False).mean().unstack("horizon")
    return table.loc[table.mean(axis=1).sort_values(ascending=False).index]


def groups(parts: pd.DataFrame) -> go.Figure:
    """Mean size of the parts of each group, a bar for each horizon."""
    table = sizes(parts)
    figure = go.Figure()
    for i, horizon in enumerate(table.columns):
        figure.add_bar(
            x=[str(group).replace("_", " ") for group in table.index],
            y=table[horizon].tolist(),
            name=f"h = {horizon}",
            marker={"color": COLOURS[i % 8]},
        )
    dress(figure, "bp per 8 h", 340)
    figure.update_xaxes(type="category")
    return figure.update_layout(legend={"y": -0.25})


def first_coin(parts: pd.DataFrame, horizon: int = 9) -> pd.DataFrame:
    """Times x groups of the first coin, base included, bp per 8 h."""
    own = parts[(parts["symbol"] == parts["symbol"].iloc[0]) & (parts["horizon"] == horizon)]
    table: pd.DataFrame = own.groupby(["time", "group"])["value"].sum().unstack("group")
    order = [group for group in sizes(parts).index if group in table]
    return table[["base", *order]]


def moved(parts: pd.DataFrame) -> go.Figure:
    """The parts of the forecasts of the first coin, stacked, and the forecast less its base."""
    own = first_coin(parts).drop(columns="base")
    figure = go.Figure()
    for i, group in enumerate(own.columns):
        figure.add_bar(
            x=own.index,
            y=own[group],
            name=str(group).replace("_", " "),
            marker={"color": COLOURS[i % 8], "line": {"width": 0}},
        )
    figure.add_scatter(
        x=own.index,
        y=own.sum(axis=1),
        mode="lines",
        name="forecast less base",
        line={"color": "#888888", "width": 1.5},
    )
    dress(figure, f"{parts['symbol'].iloc[0]}, bp per 8 h", 380)
    return figure.update_layout(barmode="relative", bargap=0)
