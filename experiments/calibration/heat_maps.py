"""Heat maps of a calibration: the best growth for pairs of parameters."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.calibration.selection import Calibration

BINS = 8  # at most so many columns of a heat map
PANELS = 6


class Panel(NamedTuple):
    """The heat map of a pair of parameters."""

    x: str
    y: str
    best: NDArray[np.float64]  # (rows, columns) best growth [% a year]; NaN: none within the limit
    across: list[str]  # names of the columns
    down: list[str]  # names of the rows
    chosen: tuple[int, int]  # column and row of the chosen setting


def draw_heat_maps(path: Path, result: Calibration) -> None:
    """For pairs of parameters: the best growth over all other parameters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [_panel(result, x, y) for x, y in _pairs(result)]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(
        figsize=(max(4.6 * columns, 7.5), 3.9 * rows),
        dpi=110,
        layout="constrained",
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    style = _style(panels)
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number, facecolor="#e4e4e4")
        image = _draw_panel(axes, panel, style)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.8)
    bar.set_label("growth above the cash rate, % a year", fontsize=8)
    figure.suptitle(
        f"{result.rule}: best over all other parameters, training span\nframe: chosen; grey: beyond"
        " the drawdown limit, or not tried",
        fontsize=10,
    )
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, format="png")
    partial.replace(path)


def _pairs(result: Calibration) -> list[tuple[str, str]]:
    """The first pairs of parameters that take several values; a lone one with itself."""
    names = [name for name, array in result.values.items() if len(np.unique(array)) > 1]
    names = names or list(result.values)[:1]
    return list(combinations(names, 2))[:PANELS] or [(names[0], names[0])]


def _bins(values: Any) -> tuple[Any, list[str]]:
    """Column of each setting in a heat map, and the columns' names: the values themselves, or
    ranges where there are many.
    """
    distinct = np.unique(values)
    if len(distinct) <= BINS:
        return np.searchsorted(distinct, values), [
            f"{value:g}" if values.dtype.kind != "b" else ("yes" if value else "no")
            for value in distinct
        ]
    edges = np.unique(np.quantile(values.astype(float), np.linspace(0, 1, BINS + 1)))
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2), [
        f"≥ {edge:.3g}" for edge in edges[:-1]
    ]


def _panel(result: Calibration, x: str, y: str) -> Panel:
    """Best growth for each pair of values among settings within the drawdown limit."""
    (column, across), (row, down) = _bins(result.values[x]), _bins(result.values[y])
    best = np.full((len(down), len(across)), np.nan)
    for i in np.flatnonzero(result.drawdowns <= result.limit):
        best[row[i], column[i]] = np.fmax(best[row[i], column[i]], 100 * result.growth[i])
    return Panel(x, y, best, across, down, (int(column[result.best]), int(row[result.best])))


def _style(panels: list[Panel]) -> dict[str, Any]:
    """One colour scale for all panels, centred on 0 where growth has both signs."""
    low, high = (float(f([f(panel.best) for panel in panels])) for f in (np.nanmin, np.nanmax))
    if low < 0 < high:
        limit = max(-low, high)
        return {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
    return {"cmap": "viridis", "vmin": low, "vmax": high}


def _draw_panel(axes: Any, panel: Panel, style: dict[str, Any]) -> Any:
    """The image of one pair: every cell with its number, the chosen one framed."""
    image = axes.imshow(panel.best, origin="lower", aspect="auto", **style)
    for row, column in np.argwhere(np.isfinite(panel.best)):
        red, green, blue, _ = image.cmap(image.norm(panel.best[row, column]))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        axes.text(
            column,
            row,
            f"{panel.best[row, column]:.1f}",
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if dark else "#222222",
        )
    axes.plot(
        *panel.chosen,
        marker="s",
        markersize=22,
        markerfacecolor="none",
        markeredgecolor="#D55E00",
        markeredgewidth=2,
    )
    axes.set_xticks(range(len(panel.across)), panel.across, fontsize=8)
    axes.set_yticks(range(len(panel.down)), panel.down, fontsize=8)
    axes.set(xlabel=panel.x, ylabel=panel.y)
    return image
