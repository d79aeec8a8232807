"""The report of a calibration: report.md, settings.parquet and heat maps."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.calibration.selection import Calibration
from experiments.core.run_folder import write_text
from fundenv.dynamics.types import PARTS

BINS = 8  # at most so many columns of a heat map
PANELS = 6


def write_report(folder: Path, result: Calibration, *, train: str, test: str) -> None:
    """Write the three files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = pd.DataFrame(
        dict(result.values)
        | {
            "growth": result.growth,
            "drawdown": result.drawdowns,
            "turnover": result.turnover,
        }
    )
    partial = folder / ".settings.partial"
    settings.to_parquet(partial)
    partial.replace(folder / "settings.parquet")
    write_text(folder / "report.md", _markdown(result, train, test))
    _heat_maps(folder / "heatmap.png", result)


def _percent(value: float) -> str:
    return f"{100 * value:+.2f}"


def _markdown(result: Calibration, train: str, test: str) -> str:
    quantiles = np.quantile(result.growth, [0.0, 0.25, 0.5, 0.75, 1.0])
    names = list(result.values)
    best = ", ".join(
        f"{name} = {array[result.best].item():g}" for name, array in result.values.items()
    )
    lines = [
        f"# Calibration of {result.rule}",
        "",
        f"- training span: {train}; {len(result.growth)} settings; test span: {test}",
        f"- chosen: {best}",
        (
            f"- growth a year net of the cash rate, %: {_percent(result.train)}, drawdown"
            f" {100 * result.drawdown:.2f} (limit {100 * result.limit:g})"
        ),
        (
            f"- walked forward: {_percent(float(np.mean(result.forward.judged)))}; on the test"
            f" span: {_percent(result.test)}"
        ),
        (
            f"- deflated Sharpe ratio (probability of a true one above 0 after {len(result.growth)}"
            f" trials): {result.deflated_sharpe:.3f}"
        ),
        f"- probability of backtest overfitting (16 blocks): {result.overfitting:.2f}",
        (
            f"- growth of all settings, %: least {_percent(quantiles[0])}, quartiles"
            f" {' / '.join(map(_percent, quantiles[1:4]))}, best {_percent(quantiles[4])}"
        ),
        "",
        "## Walk-forward",
        "",
        (
            "Growth, % a year: of the setting that the days before would have chosen, there and"
            " afterwards, and of the final choice on the same days. Beats: share of all settings"
            " that the choice beat afterwards."
        ),
        "",
        (
            f"| days to choose on | judged on days | {' | '.join(names)} | chosen on | afterwards |"
            " final choice | beats |"
        ),
        f"|---:|---:|{'---:|' * len(names)}---:|---:|---:|---:|",
    ]
    f = result.forward
    for i, fold in enumerate(f.folds):
        chosen = [
            f"{result.values[name][f.chosen[i]].item():g}" if f.chosen[i] >= 0 else "flat"
            for name in names
        ]
        cells = [
            f"{fold.fit}",
            f"{fold.start} .. {fold.end}",
            *chosen,
            *map(_percent, (f.fitted[i], f.judged[i], f.final[i])),
            f"{100 * f.rank[i]:.0f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if result.exits:
        lines += [
            "",
            "## Ways out",
            "",
            "The chosen setting on the training span with other ways out of a position, %.",
            "",
        ]
        lines += ["| way out | growth | drawdown | turnover a year |", "|---|---:|---:|---:|"]
        lines += [
            f"| {way} | {_percent(g)} | {100 * d:.2f} | {t:.1f} |"
            for way, (g, d, t) in result.exits.items()
        ]
    lines += [
        "",
        "## Test span",
        "",
        "Contributions to log growth, % a year; they add up to growth plus the cash rate.",
        "",
    ]
    lines += [
        f"| symbol | growth | Sharpe | drawdown | {' | '.join(PARTS)} |",
        f"|---|---:|---:|---:|{'---:|' * len(PARTS)}",
    ]
    for symbol, m in result.tests.items():
        cells = [
            symbol,
            _percent(m.net_log_growth),
            f"{m.sharpe:.2f}",
            f"{100 * m.max_drawdown:.2f}",
            *(_percent(m.parts[part]) for part in PARTS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "![heat maps](heatmap.png)"]
    return "\n".join(lines) + "\n"


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


def _best(result: Calibration, x: str, y: str) -> tuple[Any, list[str], list[str], tuple[int, int]]:
    """Best growth [% a year] for each pair of values (y, x) among settings within the drawdown
    limit, the names of both, and the cell chosen.
    """
    (column, across), (row, down) = _bins(result.values[x]), _bins(result.values[y])
    best = np.full((len(down), len(across)), np.nan)
    for i in np.flatnonzero(result.drawdowns <= result.limit):
        best[row[i], column[i]] = np.fmax(best[row[i], column[i]], 100 * result.growth[i])
    return best, across, down, (int(column[result.best]), int(row[result.best]))


def _heat_maps(path: Path, result: Calibration) -> None:
    """For pairs of parameters: the best growth over all other parameters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    varied = [name for name, array in result.values.items() if len(np.unique(array)) > 1] or list(
        result.values
    )[:1]
    pairs = list(combinations(varied, 2))[:PANELS] or [(varied[0], varied[0])]
    maps = [_best(result, x, y) for x, y in pairs]
    low, high = (float(f([f(m[0]) for m in maps])) for f in (np.nanmin, np.nanmax))
    signed = low < 0 < high
    limit = max(-low, high)
    style: dict[str, Any] = (
        {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
        if signed
        else {"cmap": "viridis", "vmin": low, "vmax": high}
    )
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = Figure(
        figsize=(max(4.6 * columns, 7.5), 3.9 * rows),
        dpi=110,
        layout="constrained",
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    for number, ((x, y), (best, across, down, chosen)) in enumerate(zip(pairs, maps, strict=True)):
        axes = figure.add_subplot(rows, columns, number + 1, facecolor="#e4e4e4")
        image = axes.imshow(best, origin="lower", aspect="auto", **style)
        for r, c in np.argwhere(np.isfinite(best)):
            red, green, blue, _ = image.cmap(image.norm(best[r, c]))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            axes.text(
                c,
                r,
                f"{best[r, c]:.1f}",
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if dark else "#222222",
            )
        axes.plot(
            *chosen,
            marker="s",
            markersize=22,
            markerfacecolor="none",
            markeredgecolor="#D55E00",
            markeredgewidth=2,
        )
        axes.set_xticks(range(len(across)), across, fontsize=8)
        axes.set_yticks(range(len(down)), down, fontsize=8)
        axes.set(xlabel=x, ylabel=y)
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
