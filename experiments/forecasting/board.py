"""A comparison in TensorBoard: one run for each forecaster, with the horizon in settlements as the
x-axis, and a run `comparison` with the tables and pictures.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.forecasting import charts
from experiments.forecasting.walk_forward import file_name
from experiments.tensorboard.writer import Tracker
from fundenv.forecast import LEVELS

_TAGS = {
    "skill_clipped_har": "Skill/over_clipped_har_percent",
    "skill_no_change": "Skill/over_no_change_percent",
    "rmse": "Error/rmse_bp",
    "mase": "Error/mase",
    "crps": "Width/crps_bp",
    "coverage": "Width/coverage_of_90_percent",
}
_SIZE, _DPI = (9.0, 4.5), 100


def write(folder: Path, result: dict[str, Any], parts: dict[str, pd.DataFrame], text: str) -> None:
    """Write the event files; earlier ones are replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    rows = result["rows"]
    worth = result.get("worth", [])
    for name in dict.fromkeys(row["forecaster"] for row in worth):
        with _tracker(folder / file_name(name)) as tracker:
            for row in worth:
                if row["forecaster"] == name:
                    coin = row["coin"].replace(" ", "_")
                    tag = f"Worth/{row['rule']}_percent_a_year/{coin}"
                    tracker.write(row["horizon"], {tag: row["growth"]})
    for name in dict.fromkeys(row["forecaster"] for row in rows):
        with _tracker(folder / file_name(name)) as tracker:
            for row in rows:
                if row["forecaster"] == name:
                    tracker.write(row["horizon"], _scalars(row))
    with _tracker(folder / "comparison") as tracker:
        tracker.text("Tables", text)
        last = rows[-1]["coin"]  # the row of all coins, if there are several
        tracker.image(0, "Calibration", calibration(rows, last))
        for name, table in parts.items():
            tracker.image(0, f"Parts/{name}", bars(table, name))


def _tracker(folder: Path) -> Tracker:
    folder.mkdir(parents=True, exist_ok=True)
    return Tracker(folder)


def _scalars(row: dict[str, Any]) -> dict[str, float]:
    known = ((tag, row.get(key)) for key, tag in _TAGS.items())
    return {
        f"{tag}/{row['coin'].replace(' ', '_')}": float(value)
        for tag, value in known
        if value is not None and math.isfinite(value)
    }


def calibration(rows: list[dict[str, Any]], coin: str) -> NDArray[np.uint8]:
    """Share of rates below each quantile against its level, a panel for each horizon."""
    figure, canvas = _canvas()
    horizons = list(dict.fromkeys(row["horizon"] for row in rows))
    panels = np.atleast_1d(figure.subplots(1, len(horizons), sharey=True))
    for axes, horizon in zip(panels, horizons, strict=True):
        axes.plot([0, 100], [0, 100], color="#888888", lw=1)
        own = [row for row in rows if row["coin"] == coin and row["horizon"] == horizon]
        for i, row in enumerate(own):
            axes.plot(
                [100 * level for level in LEVELS],
                [100 * share for share in row["below"]],
                color=charts.COLOURS[i % 8],
                lw=1,
                marker=".",
                label=row["forecaster"],
            )
        axes.set_title(f"h = {horizon}", fontsize=9, loc="left")
        axes.set_xlabel("quantile, %", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("rates below it, %", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=7, frameon=False)
    return _pixels(canvas)


def bars(parts: pd.DataFrame, name: str) -> NDArray[np.uint8]:
    """Mean size of the parts of each group of inputs."""
    figure, canvas = _canvas()
    axes = figure.subplots()
    table = charts.sizes(parts)
    place = np.arange(len(table))
    width = 0.8 / len(table.columns)
    for i, horizon in enumerate(table.columns):
        at = place + (i - len(table.columns) / 2 + 0.5) * width
        axes.bar(at, table[horizon], width, color=charts.COLOURS[i % 8], label=f"h = {horizon}")
    axes.set_xticks(place, [str(group).replace("_", " ") for group in table.index], fontsize=8)
    axes.set_ylabel("bp per 8 h", fontsize=8)
    axes.set_title(f"{name}: mean size of the parts of a forecast", fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    return _pixels(canvas)


def _canvas() -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _pixels(canvas: Any) -> NDArray[np.uint8]:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
