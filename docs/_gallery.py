"""How the scripts of the gallery draw: one size and one palette for all."""

from __future__ import annotations

from typing import Any

import matplotlib
import matplotlib.pyplot as plt


def plain_figures(gallery_conf: Any, fname: Any) -> None:
    """Set matplotlib back before every script; readable on a page 390 pixels wide."""
    matplotlib.use("agg")
    plt.rcdefaults()
    plt.rcParams.update(
        {
            "figure.figsize": (5.6, 3.6),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
        }
    )
