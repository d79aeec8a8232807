"""Draws an episode as a picture, with one panel for each question that a trader asks about a hedged
position.

matplotlib is an extra, imported when the first picture is made; pyplot and displays stay out of it.
Artists are made once and handed new data for every frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.dynamics import types as t
from fundenv.envs import plot
from fundenv.envs.panels import GROUPS, PER_ASSET, AssetColumn, EquityPanel
from fundenv.envs.plot import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, Float64

History = Mapping[str, NDArray[Any]]


DAY_NS = 86_400_000_000_000
# fractions of the width; relative heights of the panels
LEFT, RIGHT, HEIGHTS = (0.066, 0.952, (1.25, 1, 1, 0.95, 1.5))


_NEEDED = "rendering needs matplotlib: pip install 'fundenv[render]'"


def require_matplotlib() -> None:
    """Raises `gymnasium.error.DependencyNotInstalled` without matplotlib; does not import it."""
    if find_spec("matplotlib") is None:
        raise gymnasium.error.DependencyNotInstalled(_NEEDED)


class EpisodePicture:
    """The picture of one environment's episode; keep it, and draw as often as a frame is wanted.

    Args:
        symbols: the A names of the assets; each gets a column of panels.
        size: width and height in pixels.

    Raises:
        gymnasium.error.DependencyNotInstalled: without matplotlib.
    """

    def __init__(self, symbols: tuple[str, ...], size: tuple[int, int] = (960, 720)) -> None:
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise gymnasium.error.DependencyNotInstalled(_NEEDED) from error
        self.symbols = symbols
        dpi = 100 * min(size[0] / 960, size[1] / 720)
        figure = Figure(figsize=(size[0] / dpi, size[1] / dpi), dpi=dpi, facecolor="white")
        figure.set_layout_engine("none")  # the axes are placed by hand, whatever the user's layout
        self._canvas: Any = FigureCanvasAgg(figure)
        n = len(symbols)
        names = symbols if n > 1 else ("",)  # a lone symbol stands in the header
        room = 0.024 if n > 1 else 0.0
        grid = figure.add_gridspec(
            5,
            n,
            left=LEFT,
            right=RIGHT,
            top=0.914 - room,
            bottom=0.036,
            hspace=0.3,
            wspace=0.3,
            height_ratios=HEIGHTS,
        )
        self.columns = [
            AssetColumn([figure.add_subplot(grid[row, a]) for row in range(4)], name)
            for a, name in enumerate(names)
        ]
        self._equity = EquityPanel(figure.add_subplot(grid[4, :]))
        tops = [axes.get_position().y1 for axes in (*self.columns[0].panels, self._equity.axes)]
        tops[0] += room
        self.strips = [_Strip(figure, panel, top) for panel, top in zip(PANELS, tops, strict=True)]
        self.title = figure.text(
            LEFT, 0.985, "", va="top", fontsize=11.5, fontweight="bold", color=INK
        )
        self.summary = figure.text(RIGHT, 0.985, "", va="top", ha="right", fontsize=10, color=INK)

    def draw(self, history: History) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of an episode.

        Args:
            history: arrays over the n >= 0 steps so far. `time` (n,) datetime64, end of the step;
            `equity` (n,) quote; `parts` (n, 9) quote booked in the step, in the order of
            `types.PARTS`; and (n, A): `spot_price`, `perp_price`, `mark_price`; `funding_rate`,
            settled last, bp per 8 h; `carry` and `hedge`, targets; `leverage`, effective;
            `margin_distance`, from mark to the liquidation price as a fraction of mark, nan or inf
            when flat; `liquidated`, counts; `perp`, signed size in base units. `reason` (n, A), if
            given: the reason of the agent's decision, a text.
        """
        edges = plot.edges(
            np.asarray(history["time"], dtype="datetime64[ns]").astype(np.int64) / DAY_NS
        )
        equity = np.asarray(history["equity"], np.float64)
        parts = np.asarray(history["parts"], np.float64).reshape(len(equity), t.N_PARTS)
        values = [
            column.update(
                edges,
                {name: np.asarray(history[name], np.float64)[:, a] for name in PER_ASSET},
                equity,
            )
            for a, column in enumerate(self.columns)
        ]
        for a, column in enumerate(self.columns):
            column.explain(history["time"], [reasons[a] for reasons in history.get("reason", ())])
        liquidated = np.asarray(history["liquidated"], np.float64).sum(axis=1)
        shown = [*values[0], self._equity.update(edges, equity, parts, liquidated)]
        for strip, texts in zip(self.strips, shown, strict=True):
            strip.update(texts if len(self.symbols) == 1 or strip is self.strips[-1] else ())
        self._write_header(history["time"], equity, parts, int(liquidated.sum()))
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()

    def _write_header(
        self, time: NDArray[Any], equity: Float64, parts: Float64, liquidations: int
    ) -> None:
        self.title.set_text(
            self.symbols[0] if len(self.symbols) == 1 else f"{len(self.symbols)} assets"
        )
        if not len(equity):
            self.summary.set_text("no step yet")
            return
        curve = np.append(equity[0] - parts[0].sum(), equity)
        self.summary.set_text(
            f"{pd.Timestamp(time[-1]):%Y-%m-%d %H:%M} UTC    equity {curve[-1]:,.0f}    return"
            f" {curve[-1] / curve[0] - 1:+.2%}    drawdown {1 - curve[-1] / curve.max():.2%}   "
            f" liquidations {liquidations}"
        )


LINE, DASHES, AREA, CROSS = (
    {"lw": 2},
    {"lw": 2, "ls": (0, (2, 1))},
    {"lw": 0, "marker": "s"},
    {"lw": 0, "marker": "X"},
)


class _Panel(NamedTuple):
    """The strip above a row of panels: its name, and its legend as (label, colour, style)."""

    name: str
    entries: tuple[tuple[str, str, dict[str, Any]], ...]


PANELS = (
    _Panel(
        "Price", (("spot", INK, LINE), ("perp", SKY, LINE), ("basis, bp (right)", ORANGE, AREA))
    ),
    _Panel(
        "Position",
        (
            ("carry", BLUE, AREA),
            ("hedge ratio", GREEN, DASHES),
            ("leverage (right)", PURPLE, LINE),
            ("liquidation", VERMILION, CROSS),
        ),
    ),
    _Panel(
        "Funding, bp per 8 h",
        (
            ("received", BLUE, AREA),
            ("paid", VERMILION, AREA),
            ("no position", GREY, AREA),
            ("perp / equity (right)", INK, LINE),
        ),
    ),
    _Panel(
        "Distance to liquidation (shaded: below 10 %, below 5 %)",
        (("move of mark that liquidates", PURPLE, LINE),),
    ),
    _Panel(
        "Profit, % of start",
        (("total", INK, LINE), *((label, colour, LINE) for label, colour, _ in GROUPS)),
    ),
)


class _Strip:
    """Name and legend above a row of panels; the legend carries the latest values where they are
    given.
    """

    def __init__(self, figure: Any, panel: _Panel, bottom: float) -> None:
        from matplotlib.lines import Line2D

        self._labels = [label for label, _, _ in panel.entries]
        handles = [Line2D([], [], color=colour, **style) for _, colour, style in panel.entries]
        figure.text(LEFT, bottom + 0.006, panel.name, fontsize=9, fontweight="bold", color=INK)
        legend = figure.legend(
            handles,
            self._labels,
            loc="lower right",
            bbox_to_anchor=(RIGHT, bottom - 0.001),
            ncols=len(handles),
            frameon=False,
            fontsize=8.5,
            borderaxespad=0,
            borderpad=0.2,
            handlelength=1.3,
            handletextpad=0.4,
            columnspacing=1.2,
            labelcolor=INK,
        )
        self.texts = legend.get_texts()

    def update(self, values: Sequence[str]) -> None:
        """Append the latest value to each label."""
        for text, label, value in zip(self.texts, self._labels, values, strict=False):
            text.set_text(f"{label} {value}")
