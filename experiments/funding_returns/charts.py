"""Charts of the study: price coloured and sized by funding, returns against funding, the forest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from experiments.funding_returns.daily import complete
from experiments.funding_returns.printing import WAYS, number
from experiments.html_report.draw import dress, ms, small

BLUE, RED, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SCALE = [[0.0, "#D55E00"], [0.5, "#bbbbbb"], [1.0, "#0072B2"]]  # negative, zero, positive funding


def limit_of(values: pd.Series) -> float:
    """Funding at which the colours end: the 98th percentile of its size, rounded up to 5 % a
    year.
    """
    return float(5 * np.ceil(np.nanpercentile(np.abs(values), 98) / 5))


def price(table: pd.DataFrame, symbol: str) -> go.Figure:
    """Daily price, each point coloured by FR3 and as large as it is."""
    rows = table.dropna(subset=["price", "fr3"])
    bound = limit_of(rows["fr3"])
    figure = go.Figure()
    figure.add_scatter(
        x=ms(rows.index), y=small(rows["price"]), mode="markers", showlegend=False,
        marker={
            "color": small(rows["fr3"]), "colorscale": SCALE, "cmin": -bound, "cmax": bound,
            "size": small(sizes(rows["fr3"], bound)), "line": {"width": 0},
            "colorbar": {"title": "% a year", "thickness": 10},
        },
        text=[f"FR3 {number(value, 1)} % a year" for value in rows["fr3"]],
    )  # fmt: skip
    dress(figure, f"{symbol} spot, log scale", 380)
    figure.update_yaxes(type="log")
    figure.update_layout(hovermode="closest")
    return figure


def sizes(fr3: pd.Series, bound: float) -> np.ndarray:
    """Points 3 .. 12 pixels wide: the root of the size of funding, so that its area shows it."""
    return np.asarray(3.0 + 9.0 * np.sqrt(np.minimum(np.abs(fr3) / max(bound, 1e-9), 1.0)))


def scatter(table: pd.DataFrame, column: str, horizon: int) -> go.Figure:
    """The return to come against a mean of funding, with the line of least squares."""
    rows = complete(table)
    x, y = rows[column].to_numpy(), rows["forward"].to_numpy()
    figure = go.Figure()
    figure.add_scatter(
        x=small(x), y=small(y), mode="markers", showlegend=False,
        marker={"size": 4, "opacity": 0.45, "color": BLUE},
    )  # fmt: skip
    slope, constant = np.polyfit(x, y, 1)
    ends = np.array([x.min(), x.max()])
    figure.add_scatter(
        x=ends, y=constant + slope * ends, mode="lines", showlegend=False, line={"color": RED}
    )
    dress(figure, f"{horizon}-day return, %", 340)
    figure.update_xaxes(type="linear", title=f"{column.upper()}, % a year")
    figure.update_layout(hovermode="closest", margin={"b": 48})
    return figure


def forest(rows: Sequence[dict[str, Any]], coin: str) -> go.Figure:
    """R2 of the forest by inputs and way of judging."""
    own = [row for row in rows if row["coin"] == coin]
    names = [row["inputs"] for row in own]
    figure = go.Figure()
    for (way, name), colour in zip(WAYS.items(), ("#bbbbbb", RED, GREEN, BLUE), strict=True):
        figure.add_bar(x=names, y=[row[way] for row in own], name=name, marker={"color": colour})
    dress(figure, f"R2, {coin}", 380)
    figure.update_xaxes(type="category")
    figure.update_layout(barmode="group", margin={"b": 56}, legend={"y": -0.2})
    return figure
