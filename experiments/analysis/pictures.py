"""The picture of a comparison, results.png, and the colours of the agents in all charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.analysis.compare import scores
from experiments.analysis.comparison import kind_of
from experiments.analysis.statistics import profile, seed_interval
from experiments.core.picture_file import write_picture
from fundenv.envs.plot import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

OCHRE = "#8C6D1F"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, OCHRE, GREY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # a second sign beside the colour
_LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 3))}


class Look(NamedTuple):
    """Colour and dash (plotly's word) of one agent; colours stay readable on white and black."""

    colour: str
    dash: str

    @property
    def line(self) -> str | tuple[int, tuple[int, ...]]:
        """matplotlib's word for the dash."""
        return _LINES[self.dash]  # type: ignore[return-value]


def palette(names: Sequence[str]) -> dict[str, Look]:
    """The look of every agent of a run, in the order of its comparison: the same in every chart."""
    return {
        name: Look(COLOURS[k % len(COLOURS)], DASHES[(k // len(COLOURS)) % len(DASHES)])
        for k, name in enumerate(dict.fromkeys(names))
    }


def profiles(tidy: pd.DataFrame, points: int = 201) -> pd.DataFrame:
    """Performance profiles: share of runs and symbols above each growth, a column per agent."""
    merits = {agent: scores(tidy, agent) for agent in tidy["agent"].unique()}
    low, high = min(x.min() for x in merits.values()), max(x.max() for x in merits.values())
    at = np.linspace(low - 0.002, high + 0.002, points)
    return pd.DataFrame(
        {"growth": at} | {agent: profile(values, at) for agent, values in merits.items()}
    )


def picture(tidy: pd.DataFrame, path: Path) -> None:
    """Interquartile means with intervals beside the performance profiles, PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(tidy["agent"].unique())
    colours = palette(names)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 0.45 * len(names) + 2.2), constrained_layout=True
    )
    for row, agent in enumerate(reversed(names)):
        found = seed_interval(scores(tidy, agent))
        if np.isfinite(found.low):
            left.plot(
                [100 * found.low, 100 * found.high],
                [row, row],
                color=colours[agent].colour,
                linewidth=6,
                alpha=0.4,
                solid_capstyle="butt",
            )
        left.plot(100 * found.value, row, "o", color=colours[agent].colour)
    left.set_yticks(range(len(names)), reversed(names))
    left.axvline(0, color="0.7", linewidth=1)
    left.set_xlabel("net growth, % per year: interquartile mean, 95 % interval of seeds")
    curves = profiles(tidy)
    for agent in names:
        right.plot(
            100 * curves["growth"],
            curves[agent],
            color=colours[agent].colour,
            label=agent,
            linestyle=colours[agent].line,
            linewidth=2 if kind_of(agent) == "learner" else 1.2,
        )
    right.set_xlabel("net growth, % per year")
    right.set_ylabel("share of seeds x symbols above")
    right.legend(fontsize=8, frameon=False)
    write_picture(path, figure, dpi=110)
