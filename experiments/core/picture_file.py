"""Figures of matplotlib as files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_picture(path: Path, figure: Figure, **how: Any) -> None:
    """Write a figure as PNG by an atomic rename, with the arguments `how` of its `savefig`, and
    close it; the folder is made.
    """
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, **how)
    plt.close(figure)
    partial.replace(path)
