"""Plotly figures as plain data, in the look that all charts of the page share."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from fundenv.envs.plot import GREY, INK

# these two stand for the page's own colours, which change in the dark
GRID, FRONT = "#e6e6e6", INK


def dress(figure: go.Figure, title: str | None, height: int) -> go.Figure:
    """Size, margins, grid and the title of the y-axis."""
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 12, "t": 8, "b": 32},
        hovermode="x unified",
        paper_bgcolor="rgba(0,0,0,0)",  # the page's own, light or dark
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": FRONT},
        legend={"orientation": "h", "y": -0.1, "yanchor": "top"},
    )
    figure.update_xaxes(type="date", gridcolor=GRID, zerolinecolor=GREY)
    figure.update_yaxes(
        gridcolor=GRID, zerolinecolor=GREY, hoverformat=".3f", automargin=True, title_standoff=6
    )
    if title:
        figure.layout.yaxis.title.text = title
    return figure


def as_data(figure: go.Figure) -> dict[str, Any]:
    """The figure as JSON values, numbers packed."""
    data: dict[str, Any] = json.loads(figure.to_json())
    data["layout"].pop("template", None)
    return data


def ms(times: Any) -> NDArray[np.float64]:
    """Milliseconds since 1970."""
    stamps: NDArray[np.float64] = pd.DatetimeIndex(times).as_unit("ms").asi8.astype(np.float64)
    return stamps


def small(values: Any) -> NDArray[np.float32]:
    """Half the bytes; charts need no more digits."""
    return np.asarray(values, np.float32)
