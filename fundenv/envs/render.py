"""Draws an episode as a picture: what a trader asks of a hedged position, one panel a question.

matplotlib is an extra, imported when the first picture is made; pyplot and displays stay out of it. Artists are made once and handed new data for
every frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.dynamics import types as t

History = Mapping[str, NDArray[Any]]
Float64 = NDArray[np.float64]

# The palette of Okabe and Ito: its colours stay apart for readers who do not tell red from green.
INK, GREY, BLUE, SKY = "#222222", "#8c8c8c", "#0072B2", "#56B4E9"
GREEN, ORANGE, VERMILION, PURPLE = "#009E73", "#E69F00", "#D55E00", "#CC79A7"

# Lines of the equity panel: label, colour, the columns of `parts` that it adds up.
GROUPS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("funding", BLUE, (t.FUNDING,)),
    ("price", SKY, (t.SPOT_PNL, t.PERP_PNL)),
    ("costs", ORANGE, (t.FEES, t.SPREAD, t.IMPACT)),
    ("interest", GREEN, (t.CASH_INTEREST, t.BORROW_INTEREST)),
    ("liquidation", VERMILION, (t.LIQUIDATION_LOSS,)),
)
PER_ASSET = "spot_price perp_price mark_price funding_rate carry hedge leverage margin_distance liquidated perp".split()

DAY_NS = 86_400_000_000_000
SPANS = (3, 7, 14, 30, 60, 90, 120, 180, 270, 365)  # days; the time axis grows in these stages, so that a film stands still in between
TICK_DAYS = (1 / 3, 1, 2, 7, 14, 28, 56, 91, 182, 364, 728)
MARGIN_TICKS = (1, 2, 5, 10, 20, 50, 100)  # per cent, log scale
DANGER = ((0.8, 5.0, 0.24), (5.0, 10.0, 0.10))  # per cent from, to, opacity: within an ordinary day's move, within an ordinary week's
LEFT, RIGHT, HEIGHTS = 0.066, 0.952, (1.25, 1, 1, 0.95, 1.5)  # fractions of the width; relative heights of the panels
LEVERAGE_SHOWN = 30.0  # an effective leverage above it is drawn at it; the distance to liquidation tells the rest


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
            raise gymnasium.error.DependencyNotInstalled("rendering needs matplotlib: pip install 'fundenv[render]'") from error
        self.symbols = symbols
        dpi = 100 * min(size[0] / 960, size[1] / 720)
        figure = Figure(figsize=(size[0] / dpi, size[1] / dpi), dpi=dpi, facecolor="white")
        self._canvas: Any = FigureCanvasAgg(figure)
        n = len(symbols)
        names = symbols if n > 1 else ("",)  # a lone symbol stands in the header
        room = 0.024 if n > 1 else 0.0
        grid = figure.add_gridspec(
            5, n, left=LEFT, right=RIGHT, top=0.914 - room, bottom=0.036, hspace=0.3, wspace=0.3, height_ratios=HEIGHTS
        )
        self._columns = [_AssetColumn([figure.add_subplot(grid[row, a]) for row in range(4)], name) for a, name in enumerate(names)]
        self._equity = _EquityPanel(figure.add_subplot(grid[4, :]))
        tops = [axes.get_position().y1 for axes in (*self._columns[0].panels, self._equity.axes)]
        tops[0] += room
        self._strips = [_Strip(figure, panel, top) for panel, top in zip(PANELS, tops, strict=True)]
        self._title = figure.text(LEFT, 0.985, "", va="top", fontsize=11.5, fontweight="bold", color=INK)
        self._summary = figure.text(RIGHT, 0.985, "", va="top", ha="right", fontsize=10, color=INK)

    def draw(self, history: History) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of an episode.

        Args:
            history: arrays over the n >= 0 steps so far. `time` (n,) datetime64, end of the step; `equity` (n,) quote; `parts` (n, 9) quote booked in
                the step, in the order of `types.PARTS`; and (n, A): `spot_price`, `perp_price`, `mark_price`; `funding_rate`, settled last, bp per
                8 h; `carry` and `hedge`, targets; `leverage`, effective; `margin_distance`, from mark to the liquidation price as a fraction of
                mark, nan or inf when flat; `liquidated`, counts; `perp`, signed size in base units.
        """
        edges = _edges(np.asarray(history["time"], dtype="datetime64[ns]").astype(np.int64) / DAY_NS)
        equity = np.asarray(history["equity"], np.float64)
        parts = np.asarray(history["parts"], np.float64).reshape(len(equity), t.N_PARTS)
        values = [
            column.update(edges, {name: np.asarray(history[name], np.float64)[:, a] for name in PER_ASSET}, equity)
            for a, column in enumerate(self._columns)
        ]
        liquidated = np.asarray(history["liquidated"], np.float64).sum(axis=1)
        shown = [*values[0], self._equity.update(edges, equity, parts, liquidated)]
        for strip, texts in zip(self._strips, shown, strict=True):
            strip.update(texts if len(self.symbols) == 1 or strip is self._strips[-1] else ())
        self._write_header(history["time"], equity, parts, int(liquidated.sum()))
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()

    def _write_header(self, time: NDArray[Any], equity: Float64, parts: Float64, liquidations: int) -> None:
        self._title.set_text(self.symbols[0] if len(self.symbols) == 1 else f"{len(self.symbols)} assets")
        if not len(equity):
            self._summary.set_text("no step yet")
            return
        curve = np.append(equity[0] - parts[0].sum(), equity)
        self._summary.set_text(
            f"{pd.Timestamp(time[-1]):%Y-%m-%d %H:%M} UTC    equity {curve[-1]:,.0f}    return {curve[-1] / curve[0] - 1:+.2%}    "
            f"drawdown {1 - curve[-1] / curve.max():.2%}    liquidations {liquidations}"
        )


LINE, DASHES, AREA, CROSS = ({"lw": 2}, {"lw": 2, "ls": (0, (2, 1))}, {"lw": 0, "marker": "s"}, {"lw": 0, "marker": "X"})


class _Panel(NamedTuple):
    """The strip above a row of panels: its name, and its legend as (label, colour, style)."""

    name: str
    entries: tuple[tuple[str, str, dict[str, Any]], ...]


PANELS = (
    _Panel("Price", (("spot", INK, LINE), ("perp", SKY, LINE), ("basis, bp (right)", ORANGE, AREA))),
    _Panel(
        "Position",
        (("carry", BLUE, AREA), ("hedge ratio", GREEN, DASHES), ("leverage (right)", PURPLE, LINE), ("liquidation", VERMILION, CROSS)),
    ),
    _Panel(
        "Funding, bp per 8 h",
        (("received", BLUE, AREA), ("paid", VERMILION, AREA), ("no position", GREY, AREA), ("perp / equity (right)", INK, LINE)),
    ),
    _Panel("Distance to liquidation (shaded: below 10 %, below 5 %)", (("move of mark that liquidates", PURPLE, LINE),)),
    _Panel("Profit, % of start", (("total", INK, LINE), *((label, colour, LINE) for label, colour, _ in GROUPS))),
)


class _Strip:
    """Name and legend above a row of panels; the legend carries the latest values where they are given."""

    def __init__(self, figure: Any, panel: _Panel, bottom: float) -> None:
        from matplotlib.lines import Line2D

        self._labels = [label for label, _, _ in panel.entries]
        handles = [Line2D([], [], color=colour, **style) for _, colour, style in panel.entries]
        figure.text(LEFT, bottom + 0.006, panel.name, fontsize=9, fontweight="bold", color=INK)
        legend = figure.legend(
            handles, self._labels, loc="lower right", bbox_to_anchor=(RIGHT, bottom - 0.001), ncols=len(handles), frameon=False, fontsize=8.5,
            borderaxespad=0, borderpad=0.2, handlelength=1.3, handletextpad=0.4, columnspacing=1.2, labelcolor=INK,
        )  # fmt: skip
        self._texts = legend.get_texts()

    def update(self, values: Sequence[str]) -> None:
        """Append the latest value to each label."""
        for text, label, value in zip(self._texts, self._labels, values, strict=False):
            text.set_text(f"{label} {value}")


class _AssetColumn:
    """Price and basis, position, funding, distance to liquidation of one asset."""

    def __init__(self, panels: Sequence[Any], title: str) -> None:
        price, position, funding, margin = self.panels = tuple(panels)
        basis, leverage, exposure = (_twin(axes) for axes in (price, position, funding))
        for axes in panels:
            _plain(axes)
            axes.tick_params(labelbottom=False)  # the dates stand under the last panel of all
        if title:
            price.set_title(title, fontsize=9, fontweight="bold", color=INK, pad=3)
        self._price, self._basis_axes, self._leverage_axes, self._funding, self._exposure_axes = price, basis, leverage, funding, exposure
        self._liquidations = [_marks(axes) for axes in panels]

        self._basis = _steps(basis, ORANGE, 0.55)
        self._spot, self._perp = _line(price, INK, 1.8, marker=".", markersize=1.8), _line(price, SKY, 0.8)

        self._carry = _steps(position, BLUE, 0.40)
        self._hedge = _line(position, GREEN, 1.6, drawstyle="steps-pre", linestyle=(0, (3, 1.5)))
        self._crosses = _line(position, VERMILION, 0, marker="X", markersize=7, clip_on=False)
        self._leverage = _line(leverage, PURPLE, 1.4, marker=".", markersize=1.4)
        position.set(ylim=(-1.15, 1.65), yticks=(-1, 0, 1))

        self._rates = [_steps(funding, colour, 0.85) for colour in (BLUE, VERMILION, GREY)]
        self._exposure = _line(exposure, INK, 1.2, drawstyle="steps-pre")
        for axes in (position, funding):
            axes.axhline(0, color=GREY, lw=0.7)

        for low, high, opacity in DANGER:
            margin.axhspan(low, high, color=VERMILION, alpha=opacity, lw=0)
        margin.set_yscale("log")
        margin.set_yticks(MARGIN_TICKS, [f"{tick} %" for tick in MARGIN_TICKS])
        margin.minorticks_off()
        margin.set_ylim(0.8, 150)
        self._margin = _line(margin, PURPLE, 1.6, marker=".", markersize=1.6)

    def update(self, edges: Float64, asset: Mapping[str, Float64], equity: Float64) -> list[list[str]]:
        """Hand new data to the artists; the latest values as text, for each panel."""
        time = edges[1:]
        for axes in self.panels:
            _set_time(axes, edges, labels=False)
        struck = np.flatnonzero(asset["liquidated"] > 0)
        for marks in self._liquidations:
            _set_marks(marks, time[struck])
        self._crosses.set_data(time[struck], np.full(len(struck), 1.45))

        spot, perp = asset["spot_price"], asset["perp_price"]
        basis = 1e4 * (perp / spot - 1)
        self._spot.set_data(time, spot)
        self._perp.set_data(time, perp)
        self._basis.set_data(basis, edges)
        _fit(self._price, spot, perp)
        _fit_symmetric(self._basis_axes, basis, 10.0)

        leverage = np.where(asset["perp"] != 0, np.minimum(asset["leverage"], LEVERAGE_SHOWN), np.nan)
        hedge = np.where(asset["carry"] != 0, asset["hedge"], np.nan)  # no ratio without a carry
        self._carry.set_data(asset["carry"], edges)
        self._hedge.set_data(time, hedge)
        self._leverage.set_data(time, leverage)
        self._leverage_axes.set_ylim(0, max(4.0, 1.15 * _largest(leverage)))

        rate, exposure = asset["funding_rate"], asset["perp"] * asset["mark_price"] / equity
        before = np.append(0.0, asset["perp"][:-1])[: len(rate)]  # a settlement counts for the position held before the step's trade
        for steps, chosen in zip(self._rates, (before * rate < 0, before * rate > 0, before * rate == 0), strict=True):
            steps.set_data(np.where(chosen, rate, 0.0), edges)
        self._exposure.set_data(time, exposure)
        _fit_symmetric(self._funding, rate, 1.5)
        _fit_symmetric(self._exposure_axes, exposure, 1.0)

        distance = 100 * np.where(np.isfinite(asset["margin_distance"]), asset["margin_distance"], np.nan)
        self._margin.set_data(time, np.clip(distance, 0.8, 150))
        return [
            [_last(spot, ",.6g"), _last(perp, ",.6g"), _last(basis, "+.1f")],
            [_last(asset["carry"], "+.2f"), _last(hedge, ".2f"), _last(leverage, ".1f")],
            ["", "", "", _last(exposure, "+.2f")],
            [_last(distance, ".1f", " %")],
        ]


class _EquityPanel:
    """Profit since the start and the parts that add up to it."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        _plain(axes)
        axes.axhline(0, color=GREY, lw=0.7)
        self._marks = _marks(axes)
        self._groups = [_line(axes, colour, 1.4) for _, colour, _ in GROUPS]
        self._total = _line(axes, INK, 2.2)

    def update(self, edges: Float64, equity: Float64, parts: Float64, liquidated: Float64) -> list[str]:
        """Hand new data to the artists; the latest values as text."""
        start = equity[0] - parts[0].sum() if len(equity) else 1.0
        total = 100 * (np.append(start, equity) / start - 1)[: len(edges)]
        groups = [np.append(0.0, 100 * parts[:, list(columns)].sum(axis=1).cumsum() / start)[: len(edges)] for _, _, columns in GROUPS]
        for line, values in zip([self._total, *self._groups], [total, *groups], strict=True):
            line.set_data(edges, values if values.any() else np.full(len(edges), np.nan))  # what is nothing hides nothing
        _set_time(self.axes, edges, labels=True)
        _set_marks(self._marks, edges[1:][liquidated > 0])
        _fit(self.axes, total, *groups)
        return [_last(values, "+.2f") for values in [total, *groups]]


def _line(axes: Any, colour: str, width: float, **style: Any) -> Any:
    """An empty line that gets its data with every frame."""
    return axes.plot([], [], color=colour, lw=width, **style)[0]


def _steps(axes: Any, colour: str, opacity: float) -> Any:
    """Empty filled steps: one value between each two edges."""
    return axes.stairs([0.0], [0.0, 1.0], fill=True, color=colour, alpha=opacity, lw=0)


def _marks(axes: Any) -> Any:
    """Empty set of vertical lines over the whole panel."""
    return _line(axes, VERMILION, 1.0, transform=axes.get_xaxis_transform(), linestyle=(0, (2, 2)))


def _set_marks(marks: Any, at: Float64) -> None:
    marks.set_data(np.repeat(at, 3), np.tile([0.0, 1.0, np.nan], len(at)))


def _twin(axes: Any) -> Any:
    """A second scale on the right, drawn below the data of the first."""
    twin = axes.twinx()
    _plain(twin)
    twin.grid(False)
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)
    return twin


def _plain(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.tick_params(labelsize=8, length=2, colors="#444444", pad=2)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.grid(color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=GREY, linewidth=0.7)


def _edges(ends: Float64) -> Float64:
    """Start of the first step and the ends of all, in days; a lone step is taken as 8 h long."""
    if not len(ends):
        return np.zeros(1)
    return np.append(ends[0] - (ends[1] - ends[0] if len(ends) > 1 else 1 / 3), ends)


def _set_time(axes: Any, edges: Float64, labels: bool) -> None:
    """Limits and ticks of the time axis."""
    needed = edges[-1] - edges[0] - 1e-6  # days; 90 of them fit into 90
    span = next((days for days in SPANS if days >= needed), SPANS[-1] * np.ceil(needed / SPANS[-1] * 2) / 2)
    axes.set_xlim(edges[0], edges[0] + span)
    most = axes.bbox.width / axes.figure.dpi / 0.75  # a label every 0.75 inch at most
    step = next((days for days in TICK_DAYS if span / days <= most), TICK_DAYS[-1])
    ticks = np.arange(np.ceil(edges[0] / step), np.floor((edges[0] + span) / step) + 1) * step
    form = "%d %b %Hh" if step < 1 else "%d %b" if span <= 365 else "%b %Y"
    axes.set_xticks(ticks)
    if labels:
        axes.set_xticklabels([pd.Timestamp(round(tick * 24), unit="h").strftime(form) if len(edges) > 1 else "" for tick in ticks])


def _largest(values: Float64) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if len(finite) else 0.0


def _fit(axes: Any, *series: Float64) -> None:
    """Limits that hold all series with a margin."""
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.01 * abs(high) or 0.01
    axes.set_ylim(low - pad, high + pad)


def _fit_symmetric(axes: Any, values: Float64, least: float) -> None:
    limit = max(least, 1.1 * _largest(values))
    axes.set_ylim(-limit, limit)


def _last(values: Float64, form: str, unit: str = "") -> str:
    if not len(values) or not np.isfinite(values[-1]):
        return "–"
    return f"{values[-1] if abs(values[-1]) >= 0.005 else 0.0:{form}}{unit}"  # no "-0.00"
