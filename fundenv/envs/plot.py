"""Small pieces of matplotlib that every panel of a picture is made of: artists that get new data
with every frame, scales and limits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

# The palette of Okabe and Ito: its colours stay apart for readers who do not tell red from green.
INK, GREY, BLUE, SKY = "#222222", "#8c8c8c", "#0072B2", "#56B4E9"
GREEN, ORANGE, VERMILION, PURPLE = "#009E73", "#E69F00", "#D55E00", "#CC79A7"

# days; the time axis grows in these stages, so that a film stands still in between
SPANS = (3, 7, 14, 30, 60, 90, 120, 180, 270, 365)
TICK_DAYS = (1 / 3, 1, 2, 7, 14, 28, 56, 91, 182, 364, 728)


def line(axes: Any, colour: str, width: float, **style: Any) -> Any:
    """An empty line that gets its data with every frame."""
    return axes.plot([], [], color=colour, lw=width, **style)[0]


def steps(axes: Any, colour: str, opacity: float) -> Any:
    """Empty filled steps: one value between each two edges."""
    return axes.stairs([0.0], [0.0, 1.0], fill=True, color=colour, alpha=opacity, lw=0)


def marks(axes: Any) -> Any:
    """Empty set of vertical lines over the whole panel."""
    return line(axes, VERMILION, 1.0, transform=axes.get_xaxis_transform(), linestyle=(0, (2, 2)))


def set_marks(marks: Any, at: Float64) -> None:
    """Move the marks to the times `at` (days)."""
    marks.set_data(np.repeat(at, 3), np.tile([0.0, 1.0, np.nan], len(at)))


def twin(axes: Any) -> Any:
    """A second scale on the right, drawn below the data of the first."""
    twin = axes.twinx()
    plain(twin)
    twin.grid(False)
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)
    return twin


def plain(axes: Any) -> None:
    """The look that all panels share: few ticks, a light grid, no frame."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.tick_params(labelsize=8, length=2, colors="#444444", pad=2)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.grid(color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=GREY, linewidth=0.7)


def edges(ends: Float64) -> Float64:
    """Start of the first step and the ends of all, in days; a lone step is taken as 8 h long."""
    if not len(ends):
        return np.zeros(1)
    return np.append(ends[0] - (ends[1] - ends[0] if len(ends) > 1 else 1 / 3), ends)


def set_time(axes: Any, edges: Float64, labels: bool) -> None:
    """Limits and ticks of the time axis."""
    needed = edges[-1] - edges[0] - 1e-6  # days; 90 of them fit into 90
    span = next(
        (days for days in SPANS if days >= needed), SPANS[-1] * np.ceil(needed / SPANS[-1] * 2) / 2
    )
    axes.set_xlim(edges[0], edges[0] + span)
    most = axes.bbox.width / axes.figure.dpi / 0.75  # a label every 0.75 inch at most
    step = next((days for days in TICK_DAYS if span / days <= most), TICK_DAYS[-1])
    ticks = np.arange(np.ceil(edges[0] / step), np.floor((edges[0] + span) / step) + 1) * step
    form = "%d %b %Hh" if step < 1 else "%d %b" if span <= 365 else "%b %Y"
    axes.set_xticks(ticks)
    if labels:
        axes.set_xticklabels(
            [
                pd.Timestamp(round(tick * 24), unit="h").strftime(form) if len(edges) > 1 else ""
                for tick in ticks
            ]
        )


def largest(values: Float64) -> float:
    """Largest absolute finite value, 0 where there is none."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if len(finite) else 0.0


def fit(axes: Any, *series: Float64) -> None:
    """Limits that hold all series with a margin."""
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.01 * abs(high) or 0.01
    axes.set_ylim(low - pad, high + pad)


def fit_symmetric(axes: Any, values: Float64, least: float) -> None:
    """Limits around 0 that hold all values, at least +-`least`."""
    limit = max(least, 1.1 * largest(values))
    axes.set_ylim(-limit, limit)


def last(values: Float64, form: str, unit: str = "") -> str:
    """The last value as text, a dash where there is none."""
    if not len(values) or not np.isfinite(values[-1]):
        return "–"
    return f"{values[-1] if abs(values[-1]) >= 0.005 else 0.0:{form}}{unit}"  # no "-0.00"
