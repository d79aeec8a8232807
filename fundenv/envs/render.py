"""Draws an episode as a picture: what a trader asks of a hedged position, one panel a question.

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
from fundenv.envs.plot import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, Float64

History = Mapping[str, NDArray[Any]]

# Lines of the equity panel: label, colour, the columns of `parts` that it adds up.
GROUPS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("funding", BLUE, (t.FUNDING,)),
    ("price", SKY, (t.SPOT_PNL, t.PERP_PNL)),
    ("costs", ORANGE, (t.FEES, t.SPREAD, t.IMPACT)),
    ("interest", GREEN, (t.CASH_INTEREST, t.BORROW_INTEREST)),
    ("liquidation", VERMILION, (t.LIQUIDATION_LOSS,)),
)
PER_ASSET = (
    "spot_price perp_price mark_price funding_rate carry hedge leverage margin_distance liquidated"
    " perp".split()
)

DAY_NS = 86_400_000_000_000
MARGIN_TICKS = (1, 2, 5, 10, 20, 50, 100)  # per cent, log scale
# per cent from, to, opacity: within an ordinary day's move, within an ordinary week's
DANGER = ((0.8, 5.0, 0.24), (5.0, 10.0, 0.10))
# fractions of the width; relative heights of the panels
LEFT, RIGHT, HEIGHTS = (0.066, 0.952, (1.25, 1, 1, 0.95, 1.5))
REASONS = 3  # so many of the agent's latest reasons are written
# an effective leverage above it is drawn at it; the distance to liquidation tells the rest
LEVERAGE_SHOWN = 30.0


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
            _AssetColumn([figure.add_subplot(grid[row, a]) for row in range(4)], name)
            for a, name in enumerate(names)
        ]
        self._equity = _EquityPanel(figure.add_subplot(grid[4, :]))
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
            `equity` (n,) quote; `parts` (n, 9) quote booked in
                the step, in the order of `types.PARTS`; and (n, A): `spot_price`, `perp_price`,
                `mark_price`; `funding_rate`, settled last, bp per 8 h; `carry` and `hedge`,
                targets; `leverage`, effective; `margin_distance`, from mark to the liquidation
                price as a fraction of mark, nan or inf when flat; `liquidated`, counts; `perp`,
                signed size in base units. `reason` (n, A), where given: why the agent decided so,
                in words.
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


class _AssetColumn:
    """Price and basis, position, funding, distance to liquidation of one asset."""

    def __init__(self, panels: Sequence[Any], title: str) -> None:
        price, position, funding, margin = self.panels = tuple(panels)
        basis, leverage, exposure = (plot.twin(axes) for axes in (price, position, funding))
        for axes in panels:
            plot.plain(axes)
            axes.tick_params(labelbottom=False)  # the dates stand under the last panel of all
        if title:
            price.set_title(title, fontsize=9, fontweight="bold", color=INK, pad=3)
        self._price, self._basis_axes, self._leverage_axes, self._funding, self._exposure_axes = (
            price,
            basis,
            leverage,
            funding,
            exposure,
        )
        self._liquidations = [plot.marks(axes) for axes in panels]

        self._basis = plot.steps(basis, ORANGE, 0.55)
        self._spot, self._perp = (
            plot.line(price, INK, 1.8, marker=".", markersize=1.8),
            plot.line(price, SKY, 0.8),
        )

        self._carry = plot.steps(position, BLUE, 0.40)
        self._hedge = plot.line(
            position, GREEN, 1.6, drawstyle="steps-pre", linestyle=(0, (3, 1.5))
        )
        self._crosses = plot.line(position, VERMILION, 0, marker="X", markersize=7, clip_on=False)
        self._leverage = plot.line(leverage, PURPLE, 1.4, marker=".", markersize=1.4)
        position.set(ylim=(-1.15, 1.65), yticks=(-1, 0, 1))
        self.reasons = position.text(
            0.006,
            0.03,
            "",
            transform=position.transAxes,
            fontsize=7.5,
            color=INK,
            linespacing=1.15,
            va="bottom",
            zorder=5,
        )

        self._rates = [plot.steps(funding, colour, 0.85) for colour in (BLUE, VERMILION, GREY)]
        self._exposure = plot.line(exposure, INK, 1.2, drawstyle="steps-pre")
        for axes in (position, funding):
            axes.axhline(0, color=GREY, lw=0.7)

        for low, high, opacity in DANGER:
            margin.axhspan(low, high, color=VERMILION, alpha=opacity, lw=0)
        margin.set_yscale("log")
        margin.set_yticks(MARGIN_TICKS, [f"{tick} %" for tick in MARGIN_TICKS])
        margin.minorticks_off()
        margin.set_ylim(0.8, 150)
        self._margin = plot.line(margin, PURPLE, 1.6, marker=".", markersize=1.6)

    def explain(self, time: NDArray[Any], reasons: Sequence[str]) -> None:
        """Write the latest changes of the reason, each with the end of its step."""
        changes = [
            i for i, reason in enumerate(reasons) if reason and (i == 0 or reason != reasons[i - 1])
        ]
        self.reasons.set_text(
            "\n".join(
                f"{pd.Timestamp(time[i]):%m-%d %H:%M}  {reasons[i]}" for i in changes[-REASONS:]
            )
        )

    def update(
        self, edges: Float64, asset: Mapping[str, Float64], equity: Float64
    ) -> list[list[str]]:
        """Hand new data to the artists; the latest values as text, for each panel."""
        time = edges[1:]
        for axes in self.panels:
            plot.set_time(axes, edges, labels=False)
        liquidated = np.flatnonzero(asset["liquidated"] > 0)
        for marks in self._liquidations:
            plot.set_marks(marks, time[liquidated])
        self._crosses.set_data(time[liquidated], np.full(len(liquidated), 1.45))

        spot, perp = asset["spot_price"], asset["perp_price"]
        basis = 1e4 * (perp / spot - 1)
        self._spot.set_data(time, spot)
        self._perp.set_data(time, perp)
        self._basis.set_data(basis, edges)
        plot.fit(self._price, spot, perp)
        plot.fit_symmetric(self._basis_axes, basis, 10.0)

        leverage = np.where(
            asset["perp"] != 0, np.minimum(asset["leverage"], LEVERAGE_SHOWN), np.nan
        )
        hedge = np.where(asset["carry"] != 0, asset["hedge"], np.nan)  # no ratio without a carry
        self._carry.set_data(asset["carry"], edges)
        self._hedge.set_data(time, hedge)
        self._leverage.set_data(time, leverage)
        self._leverage_axes.set_ylim(0, max(4.0, 1.15 * plot.largest(leverage)))

        rate, exposure = asset["funding_rate"], asset["perp"] * asset["mark_price"] / equity
        # a settlement counts for the position held before the step's trade
        before = np.append(0.0, asset["perp"][:-1])[: len(rate)]
        for steps, chosen in zip(
            self._rates, (before * rate < 0, before * rate > 0, before * rate == 0), strict=True
        ):
            steps.set_data(np.where(chosen, rate, 0.0), edges)
        self._exposure.set_data(time, exposure)
        plot.fit_symmetric(self._funding, rate, 1.5)
        plot.fit_symmetric(self._exposure_axes, exposure, 1.0)

        distance = 100 * np.where(
            np.isfinite(asset["margin_distance"]), asset["margin_distance"], np.nan
        )
        self._margin.set_data(time, np.clip(distance, 0.8, 150))
        return [
            [plot.last(spot, ",.6g"), plot.last(perp, ",.6g"), plot.last(basis, "+.1f")],
            [
                plot.last(asset["carry"], "+.2f"),
                plot.last(hedge, ".2f"),
                plot.last(leverage, ".1f"),
            ],
            ["", "", "", plot.last(exposure, "+.2f")],
            [plot.last(distance, ".1f", " %")],
        ]


class _EquityPanel:
    """Profit since the start and the parts that add up to it."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        plot.plain(axes)
        axes.axhline(0, color=GREY, lw=0.7)
        self._marks = plot.marks(axes)
        self._groups = [plot.line(axes, colour, 1.4) for _, colour, _ in GROUPS]
        self._total = plot.line(axes, INK, 2.2)

    def update(
        self, edges: Float64, equity: Float64, parts: Float64, liquidated: Float64
    ) -> list[str]:
        """Hand new data to the artists; the latest values as text."""
        start = equity[0] - parts[0].sum() if len(equity) else 1.0
        total = 100 * (np.append(start, equity) / start - 1)[: len(edges)]
        groups = [
            np.append(0.0, 100 * parts[:, list(columns)].sum(axis=1).cumsum() / start)[: len(edges)]
            for _, _, columns in GROUPS
        ]
        for line, values in zip([self._total, *self._groups], [total, *groups], strict=True):
            # what is nothing hides nothing
            line.set_data(edges, values if values.any() else np.full(len(edges), np.nan))
        plot.set_time(self.axes, edges, labels=True)
        plot.set_marks(self._marks, edges[1:][liquidated > 0])
        plot.fit(self.axes, total, *groups)
        return [plot.last(values, "+.2f") for values in [total, *groups]]
