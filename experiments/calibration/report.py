"""The report of a calibration: report.md, settings.parquet and heat maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.calibration.heat_maps import draw_heat_maps
from experiments.calibration.selection import Calibration
from experiments.core.run_folder import write_text
from fundenv.dynamics.types import PARTS


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
    draw_heat_maps(folder / "heatmap.png", result)


def _percent(value: float) -> str:
    return f"{100 * value:+.2f}"


def _markdown(result: Calibration, train: str, test: str) -> str:
    lines = [
        f"# Calibration of {result.rule}",
        "",
        *_conclusion(result, train, test),
        "",
        "## Walk-forward",
        "",
        *_walk_forward(result),
    ]
    if result.exits:
        lines += ["", "## Ways out", "", *_ways_out(result)]
    lines += ["", "## Test span", "", *_test_span(result), "", "![heat maps](heatmap.png)"]
    return "\n".join(lines) + "\n"


def _conclusion(result: Calibration, train: str, test: str) -> list[str]:
    count = len(result.growth)
    low, *quartiles, high = map(_percent, np.quantile(result.growth, [0.0, 0.25, 0.5, 0.75, 1.0]))
    best = ", ".join(
        f"{name} = {array[result.best].item():g}" for name, array in result.values.items()
    )
    walked = float(np.mean(result.forward.judged))
    return [
        f"- training span: {train}; {count} settings; test span: {test}",
        f"- chosen: {best}",
        (
            f"- growth a year net of the cash rate, %: {_percent(result.train)}, drawdown"
            f" {100 * result.drawdown:.2f} (limit {100 * result.limit:g})"
        ),
        f"- walked forward: {_percent(walked)}; on the test span: {_percent(result.test)}",
        (
            f"- deflated Sharpe ratio (probability of a true one above 0 after {count} trials):"
            f" {result.deflated_sharpe:.3f}"
        ),
        f"- probability of backtest overfitting (16 blocks): {result.overfitting:.2f}",
        (
            f"- growth of all settings, %: least {low}, quartiles {' / '.join(quartiles)}, best"
            f" {high}"
        ),
    ]


def _walk_forward(result: Calibration) -> list[str]:
    names, forward = list(result.values), result.forward
    lines = [
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
    for i, fold in enumerate(forward.folds):
        at = forward.chosen[i]
        chosen = [f"{result.values[name][at].item():g}" if at >= 0 else "flat" for name in names]
        growths = map(_percent, (forward.fitted[i], forward.judged[i], forward.final[i]))
        lines.append(
            _row(
                f"{fold.fit}",
                f"{fold.start} .. {fold.end}",
                *chosen,
                *growths,
                f"{100 * forward.rank[i]:.0f} %",
            )
        )
    return lines


def _ways_out(result: Calibration) -> list[str]:
    return [
        "The chosen setting on the training span with other ways out of a position, %.",
        "",
        "| way out | growth | drawdown | turnover a year |",
        "|---|---:|---:|---:|",
        *(
            _row(way, _percent(growth), f"{100 * drawdown:.2f}", f"{turnover:.1f}")
            for way, (growth, drawdown, turnover) in result.exits.items()
        ),
    ]


def _test_span(result: Calibration) -> list[str]:
    return [
        "Contributions to log growth, % a year; they add up to growth plus the cash rate.",
        "",
        _row("symbol", "growth", "Sharpe", "drawdown", *PARTS),
        f"|---|---:|---:|---:|{'---:|' * len(PARTS)}",
        *(
            _row(
                symbol,
                _percent(figures.net_log_growth),
                f"{figures.sharpe:.2f}",
                f"{100 * figures.max_drawdown:.2f}",
                *(_percent(figures.parts[part]) for part in PARTS),
            )
            for symbol, figures in result.tests.items()
        ),
    ]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
