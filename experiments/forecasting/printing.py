"""The figures of a comparison as tables: Markdown, and cells for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.forecasting.calibration import HEADING, LEGEND, UNTRACKED, coverage_cells
from experiments.forecasting.table import ALL
from experiments.forecasting.worth_tables import growth_of, over_others
from fundenv.forecast import HORIZONS

HIGH_P = 0.10


class Section(NamedTuple):
    """A heading, a table (its first line is the header) and a legend of its columns."""

    heading: str
    cells: list[list[str]]
    legend: str


def seconds(records: pd.DataFrame) -> list[dict[str, Any]]:
    """Seconds of a fit and milliseconds of one forecast, means over folds and seeds."""
    grouped = records.groupby("name", sort=False)
    table = grouped[["fit_seconds", "fit_cpu_seconds", "one_forecast_ms"]].mean()
    return [
        {"forecaster": str(name)} | {str(key): round(float(value), 3) for key, value in row.items()}
        for name, row in table.iterrows()
    ]


# the tables with one number in each cell: heading, key of a row, digits, legend
MEASURES = (
    ("Skill over no change, RMSE, %", "skill_no_change", 1, ""),
    (
        "Skill over clipped HAR, mean absolute error, %",
        "mae_skill_clipped_har",
        1,
        "1 - MAE / MAE: large errors count less than above.",
    ),
    ("Skill over no change, mean absolute error, %", "mae_skill_no_change", 1, ""),
    (
        "CRPS, bp",
        "crps",
        3,
        "Twice the mean pinball loss of the quantiles 5 .. 95 %; low is good.",
    ),
    ("Coverage of the 90 % interval, %", "coverage", 1, ""),
    ("MASE", "mase", 3, "Mean absolute error over that of no change before the test."),
    ("Sign right, %", "sign", 1, "Targets of exactly 0 do not count."),
    ("Direction right, %", "direction", 1, "Up or down from the last settled rate."),
    ("RMSE, bp", "rmse", 3, ""),
)


def sections(result: dict[str, Any]) -> list[Section]:
    """Every table of a comparison."""
    rows = result["rows"]
    coins = list(dict.fromkeys(row["coin"] for row in rows))
    first = ALL if ALL in coins else coins[0]
    found = [
        Section(
            f"Skill over clipped HAR, {first}, %",
            _by_horizon(rows, first, _skill),
            "1 - RMSE / RMSE of clipped HAR for the mean rate of the next h settlements; behind it"
            " the larger two-sided p-value of two Diebold-Mariano tests (HAC with the Harvey"
            " correction; fixed smoothing), each of one comparison. * : in the model confidence set"
            f" at {100 * (1 - HIGH_P):g} %, not to be told from the best.",
        )
    ]
    for heading, key, digits, legend in MEASURES:
        made = _by_horizon(rows, first, lambda row, k=key, d=digits: _number(row.get(k), d))
        found.append(Section(f"{heading}, {first}", made, legend))
    for coin in coins:
        if coin != first:
            found.append(
                Section(f"Skill over clipped HAR, {coin}, %", _by_horizon(rows, coin, _skill), "")
            )
    if "worth" in result:
        found += [Section(*each) for each in growth_of(result["worth"], result["cash_rate"])]
        found += [Section(*each) for each in over_others(result["worth"])]
    found.append(_seeds(rows, first))
    found.append(Section(HEADING, coverage_cells(result["coverage_by_fold"]), LEGEND))
    found.append(
        Section(
            UNTRACKED,
            coverage_cells(result["coverage_by_fold"], "untracked"),
            "The same intervals at the levels of the fit: only their scale follows recent errors.",
        )
    )
    found.append(
        Section(
            f"CRPS without and with that correction, {first}, bp",
            _by_horizon(rows, first, _crps_both),
            "",
        )
    )
    cost = [["forecaster", "fit, s", "fit, CPU s", "new settlement, CPU ms a coin"]] + [
        [
            each["forecaster"],
            _number(each["fit_seconds"], 2),
            _number(each["fit_cpu_seconds"], 2),
            _number(each["one_forecast_ms"], 1),
        ]
        for each in result["seconds"]
    ]
    found.append(
        Section(
            "Cost of a fold",
            cost,
            "Fit: all coins together. New settlement: one forecast with its quantiles.",
        )
    )
    return [section for section in found if len(section.cells) > 1]


def days(span: Sequence[str]) -> str:
    """First and last day of a span whose end is excluded."""
    start, end = (pd.Timestamp(text) for text in span)
    return f"{start:%Y-%m-%d} .. {end - pd.Timedelta(1, 'ns'):%Y-%m-%d}"


def markdown(result: dict[str, Any]) -> str:
    """The whole comparison as Markdown."""
    parts = [f"# Forecasts of funding, {days(result['test'])}"]
    for section in sections(result):
        header, *lines = section.cells
        body = [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines)]
        parts.append(f"## {section.heading}")
        parts.append("\n".join(body))
        if section.legend:
            parts.append(section.legend)
    return "\n\n".join(parts) + "\n"


def _by_horizon(rows: Sequence[dict[str, Any]], coin: str, cell: Any) -> list[list[str]]:
    known = {(row["forecaster"], row["horizon"]): row for row in rows if row["coin"] == coin}
    names = list(dict.fromkeys(name for name, _ in known))
    head = ["forecaster", *(f"h = {h}" for h in HORIZONS)]
    return [head] + [
        [name, *(cell(known[name, h]) if (name, h) in known else "" for h in HORIZONS)]
        for name in names
    ]


def _skill(row: dict[str, Any]) -> str:
    if row.get("skill_clipped_har") is None:
        return ""
    star = "*" if (row.get("mcs_p") or 0.0) >= HIGH_P else ""
    skill = f"{row['skill_clipped_har']:+.1f}{star}"
    return skill if row["forecaster"] == "clipped_har" else f"{skill} ({p_text(row['p'])})"


def _crps_both(row: dict[str, Any]) -> str:
    return f"{_number(row['crps_untracked'], 3)} / {_number(row['crps'], 3)}"


def p_text(value: float) -> str:
    """A p-value as tables show it."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _seeds(rows: Sequence[dict[str, Any]], coin: str) -> Section:
    """Mean skill of the seeds with an interval, where there are several."""
    own = [row for row in rows if row["coin"] == coin and len(row.get("skill_seeds", [])) > 1]
    cells = _by_horizon(own, coin, lambda row: interval(row["skill_seeds"]))
    count = len(own[0]["skill_seeds"]) if own else 0
    what = "95 % interval of that mean (Student)" if count > 2 else "lowest and highest"
    return Section(
        f"Skill over clipped HAR of single seeds, {coin}, %",
        cells,
        f"Mean over {count} seeds, behind it the {what}. The tables above judge the mean of the"
        " seeds' forecasts.",
    )


def interval(values: Sequence[float]) -> str:
    """Mean, and from three values on the 95 % interval of Student's t; of two values, both."""
    from scipy.stats import t

    mean, low, high = float(np.mean(values)), min(values), max(values)
    if len(values) > 2:
        half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
        low, high = mean - half, mean + half
    return f"{mean:+.1f} ({low:+.1f} .. {high:+.1f})"
