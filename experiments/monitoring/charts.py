"""The charts of the monitor: predicted rates of every coin at every venue, and settled rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from experiments.html_report.draw import dress
from experiments.monitoring.history import History
from experiments.monitoring.rows import Key, Row
from fundenv.envs.plot import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, "#8c8c8c")
LIGHT = {"ink": "#222222", "paper": "#ffffff", "grid": "#e6e6e6"}
DARK = {"ink": "#e8e8e8", "paper": "#16181c", "grid": "#3a3d44"}


def heat(rows: Sequence[Row], *, dark: bool) -> go.Figure:
    """Predicted rates, bp per 8 h: coins down, venues across; stale ones are empty."""
    coins = list(dict.fromkeys(row.base for row in rows))
    venues = list(dict.fromkeys(row.key.venue for row in rows))
    values = np.full((len(coins), len(venues)), np.nan)
    for row in rows:
        if row.predicted is not None and not row.stale:
            values[coins.index(row.base), venues.index(row.key.venue)] = row.predicted
    most = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    look = DARK if dark else LIGHT
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=venues,
            y=coins,
            texttemplate="%{z:.2f}",
            hovertemplate="%{y} at %{x}: %{z:.3f} bp per 8 h<extra></extra>",
            colorscale=[[0.0, BLUE], [0.5, look["paper"]], [1.0, VERMILION]],
            zmin=-most or -1.0,
            zmax=most or 1.0,
            colorbar={"title": {"text": "bp"}, "thickness": 10},
            xgap=2,
            ygap=2,
        )
    )
    _dressed(figure, None, 90 + 44 * len(coins), dark=dark)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(type="category", side="top", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def settled(histories: Mapping[Key, History], keys: Sequence[Key], *, dark: bool) -> go.Figure:
    """Settled rates of one coin at its venues, bp per 8 h, one step for each interval."""
    figure = go.Figure()
    for key, colour in zip(keys, _COLOURS, strict=False):
        times, rates = histories[key].per_8h()
        figure.add_scatter(
            x=pd.to_datetime(times, unit="ms"),
            y=np.round(rates, 4),
            name=key.venue,
            mode="lines",
            line={"shape": "vh", "width": 1.4, "color": colour},
        )
    return _dressed(figure, "settled, bp per 8 h", 320, dark=dark)


def _dressed(figure: Any, title: str | None, height: int, *, dark: bool) -> go.Figure:
    look = DARK if dark else LIGHT
    dress(figure, title, height)
    figure.update_layout(
        template="plotly_dark" if dark else "plotly_white",
        font={"color": look["ink"]},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="kept",  # zoom stays from refresh to refresh
    )
    figure.update_xaxes(gridcolor=look["grid"])
    figure.update_yaxes(gridcolor=look["grid"])
    return figure
