"""The report page of the study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from experiments.core.run_folder import read_json
from experiments.funding_returns import charts
from experiments.funding_returns.printing import Section, sections, verdict
from experiments.html_report.html import cells, chart, note, table, text
from experiments.html_report.sections import origin, sectioned


def page(result: dict[str, Any], tables: dict[str, pd.DataFrame], out: Path) -> str:
    """The whole page as one HTML text."""
    figures: dict[str, Any] = {}
    coins = list(tables)
    made = sections(result)
    parts = [
        ("Result", "".join(f'<p class="verdict">{text(line)}</p>' for line in verdict(result)))
    ]
    if result["forest"]:
        figures["forest"] = charts.forest(result["forest"], coins[0])
        parts.append(
            ("How a signal is made to look predictive", chart("forest") + _table(made.pop(0)))
        )
    parts.append(("Regressions and divergence", "".join(_table(each) for each in made[:2])))
    drawn = []
    for i, (symbol, own) in enumerate(tables.items()):
        figures[f"price{i}"] = charts.price(own, symbol)
        drawn.append(f"<h3>{text(symbol)}</h3>{chart(f'price{i}')}")
    parts.append(("Price and funding", "".join(drawn) + note(
        "Daily spot price; blue: positive FR3, red: negative, large: far from 0.")))  # fmt: skip
    drawn = []
    for i, (symbol, own) in enumerate(tables.items()):
        drawn.append(f"<h3>{text(symbol)}</h3>")
        for column in ("fr3", "fr14"):
            figures[f"{column}-{i}"] = charts.scatter(own, column, result["horizon"])
            drawn.append(chart(f"{column}-{i}"))
    parts.append(("Return against funding", "".join(drawn)))
    if made[2:]:
        parts.append(("Periods", "".join(_table(each) for each in made[2:])))
    record = read_json(out / "provenance.json")
    parts.append(("Data", table(["what", "value"], origin(record), kind="words")))
    first = min(own.index[0] for own in tables.values())
    last = max(own.index[-1] for own in tables.values())
    title = f"fundenv study: funding and returns, {first:%Y-%m-%d} .. {last:%Y-%m-%d}"
    return sectioned(title, parts, figures)


def _table(section: Section) -> str:
    return f"<h3>{text(section.heading)}</h3>{cells(section.cells)}{note(section.legend)}"
