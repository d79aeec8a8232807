"""The report page of a comparison: tables, skill by horizon, calibration, forecasts over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from experiments.core.run_folder import read_json
from experiments.forecasting import charts
from experiments.forecasting.printing import days, p_text, sections
from experiments.forecasting.table import ALL
from experiments.forecasting.worth_tables import LEAST_GROWTH, PERFECT, RULES, TUNED, growth
from experiments.html_report.html import cells, chart, note, table, text
from experiments.html_report.sections import origin, sectioned
from fundenv.forecast import HORIZONS


def page(
    result: dict[str, Any], forecasts: pd.DataFrame, parts: dict[str, pd.DataFrame], out: Path
) -> str:
    """The whole page as one HTML text."""
    rows = result["rows"]
    coins = list(dict.fromkeys(row["coin"] for row in rows))
    first = ALL if ALL in coins else coins[0]
    best = _best(rows, first)
    figures = {
        "skill": charts.skill(rows, first),
        "calibration": charts.calibration(rows, first),
        "fan": charts.fan(forecasts, best),
    }
    moved = ""
    for i, (name, own) in enumerate(parts.items()):
        figures[f"groups{i}"] = charts.groups(own)
        figures[f"moved{i}"] = charts.moved(own)
        moved += f"<h3>{text(name)}</h3>" + chart(f"groups{i}") + note(
            "Mean size of what each group of inputs added to a forecast, all coins."
        ) + chart(f"moved{i}") + note(
            "What moved the forecast of the next 9 settlements away from its base (mostly the slow"
            " mean of the rate), first coin; with the base the parts sum to the forecast."
        )  # fmt: skip
    worth = ""
    for rule in RULES if "worth" in result else ():
        figures[f"worth-{rule}"] = growth(result["worth"], rule)
        worth += f"<h3>{text(rule)}</h3>" + chart(f"worth-{rule}")
    tables = [
        f"<h3>{text(part.heading)}</h3>{cells(part.cells)}{note(part.legend)}"
        for part in sections(result)
    ]
    record = read_json(out / "provenance.json")
    sections_of = [
        ("Result", f'<p class="verdict">{text(verdict(rows, first))}</p>' + tables[0]),
        ("Skill by horizon", chart("skill") + note(
            f"RMSE over clipped HAR, {first}; below {charts.LEAST_SKILL:g} % not drawn.")),
        ("Calibration", chart("calibration") + note(
            "Share of rates below each quantile, all horizons; on the line it is calibrated.")),
        ("Forecasts", chart("fan") + note(
            f"{best} for the mean of the next 9 settlements, first coin, last {charts.DRAWN_DAYS}"
            " days: mean, 90 % interval and outcome.")),
        *([("What moved a forecast", moved)] if moved else []),
        *([("What it is worth", worth + note(
            f"Growth of the rule, mean over coins; {PERFECT}: with perfect foresight, which no"
            f" forecaster has; {TUNED}: that, with the best thresholds for this very span. The"
            " tables below show the differences between forecasters with their intervals; growth"
            f" below {LEAST_GROWTH:g} % is not drawn."))]
          if worth else []),
        ("Tables", "".join(tables[1:])),
        ("Data", table(["what", "value"], origin(record), kind="words")),
    ]  # fmt: skip
    return sectioned(f"fundenv forecasts: {days(result['test'])}", sections_of, figures)


def _best(rows: list[dict[str, Any]], coin: str) -> str:
    own = [row for row in rows if row["coin"] == coin and row["horizon"] == 9]
    own = own or [row for row in rows if row["coin"] == coin]
    return str(min(own, key=lambda row: row["rmse"])["forecaster"])


def verdict(rows: list[dict[str, Any]], coin: str) -> str:
    """One sentence for each horizon: the best forecaster, and the p-value of its lead."""
    said = []
    for horizon in HORIZONS:
        own = [row for row in rows if row["coin"] == coin and row["horizon"] == horizon]
        if not own:
            continue
        best = min(own, key=lambda row: row["rmse"])
        if best["forecaster"] == "clipped_har":
            said.append(f"h = {horizon}: no forecaster beats clipped HAR.")
        elif "skill_clipped_har" in best:
            said.append(
                f"h = {horizon}: {best['forecaster']} is best, {best['skill_clipped_har']:+.1f} %"
                f" over clipped HAR, p {p_text(best['p'])}."
            )
    return " ".join(said) + " The best of many is flattered: p-values are of single comparisons."
