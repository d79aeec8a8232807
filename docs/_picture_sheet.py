"""The sheet of the pictures on the concept pages: colours of a light and of a dark page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch


class Theme(NamedTuple):
    """Colours of one theme; legible on furo's background."""

    ink: str
    soft: str
    fill: str
    blue: str
    green: str
    red: str
    gold: str


THEMES = {
    "light": Theme("#24292f", "#8a929b", "#eef1f4", "#1f6feb", "#1a7f37", "#cf222e", "#9a6700"),
    "dark": Theme("#dfe3e8", "#8b949e", "#22272e", "#6cb6ff", "#57ab5a", "#f47067", "#d4a72c"),
}
WIDTH = 5.2  # inches; a phone shows it at two thirds


@contextmanager
def sheet(theme: Theme, height: float, **grid: Any) -> Iterator[tuple[Figure, Any]]:
    """A figure in the colours of a theme, without a background."""
    colours = {
        "text.color": theme.ink,
        "axes.edgecolor": theme.soft,
        "axes.labelcolor": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "axes.facecolor": "none",
        "font.size": 10.5,
        "font.family": "DejaVu Sans",
        "svg.fonttype": "path",
        "svg.hashsalt": "fundenv",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }
    with plt.rc_context():
        plt.rcdefaults()  # the gallery has its own
        plt.rcParams.update(colours)
        figure, axes = plt.subplots(figsize=(WIDTH, height), **grid)
        yield figure, axes
        plt.close(figure)


def box(ax: Axes, x: float, y: float, w: float, h: float, text: str, edge: str, fill: str) -> None:
    """A rounded box with a text in its middle, in data units."""
    shape = FancyBboxPatch(
        (x, y), w, h, boxstyle="round,pad=0.02,rounding_size=0.12", ec=edge, fc=fill, lw=1.4
    )
    ax.add_patch(shape)
    ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", linespacing=1.35)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """An arrow between two points."""
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.5, "shrinkA": 2, "shrinkB": 2}
    ax.annotate("", xy=end, xytext=start, arrowprops=style)


def blank(ax: Axes, width: float, height: float) -> None:
    """No axes: a drawing in units of its own."""
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    ax.axis("off")
