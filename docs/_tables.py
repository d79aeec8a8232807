"""Writes the tables of the site from the code, so that no page copies a fact."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agents.registry import AGENTS, agent_class
from fundenv.batch.audit import audit
from fundenv.config import EnvConfig
from fundenv.dynamics.more_columns import MORE_COLUMNS
from fundenv.dynamics.observation import ACCOUNT_COLUMNS, LEG_COLUMNS
from fundenv.forecast import GROUPS, forecaster_class
from fundenv.forecast.registry import FORECASTERS, described
from fundenv.formulas import index as formulas
from fundenv.market import FEATURES
from fundenv.settings import Settings, describe
from fundenv.venues import describe as venue_tables
from fundenv.venues import load_venue, venue_names


def write_all(out: Path) -> None:
    """Write every generated fragment into `out`; files that would not change stay as they are."""
    out.mkdir(parents=True, exist_ok=True)
    for name, make in FRAGMENTS.items():
        path, text = out / f"{name}.md", make() + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [list(head), ["---"] * len(head), *[[str(cell) for cell in row] for row in rows]]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def settings(kind: type[Settings] = EnvConfig) -> str:
    """Every setting of a class: meaning, default, and limits with unit."""
    rows = []
    for row in describe(kind):
        limits = f"{row.range} {row.unit}".strip() or row.type
        default = f"`{row.default}`" if row.default else "empty"
        rows.append((f"`{row.name}`", row.text, default, limits))
    return table(("setting", "meaning", "default", "allowed"), rows)


def agent_settings() -> str:
    """The parameters of every agent that has some, agent by agent."""
    kinds = {name: agent_class(name).parameters for name in AGENTS}
    return "\n\n".join(
        f"## `{name}`\n\n{settings(kind)}" for name, kind in kinds.items() if describe(kind)
    )


def observations(columns: Sequence[Any]) -> str:
    """Name, meaning, unit and scale of observations."""
    return table(
        ("observation", "meaning", "unit", "low", "high", "scale"),
        (
            (f"`{c.name}`", c.meaning, c.unit, f"{c.low:g}", f"{c.high:g}", f"{c.scale:g}")
            for c in columns
        ),
    )


def venues() -> str:
    """One row for each venue that ships with the package."""
    rows = []
    for name in venue_names():
        venue = load_venue(name)
        rows.append(
            (
                f"[`{name}`](#venue-{name.replace('_', '-')})",
                venue.title,
                venue.contract,
                f"{venue.value('funding', 'interval_hours'):g} h",
                f"{venue.value('fees', 'perp_taker') * 1e4:g} / "
                f"{venue.value('fees', 'spot_taker') * 1e4:g}",
                venue.choice("liquidation", "procedure"),
            )
        )
    head = ("venue", "title", "contract", "funding", "taker fee, perp / spot (bp)", "procedure")
    return table(head, rows)


def venue_rules() -> str:
    """Every number of every venue with its source and date; dates do not break."""
    page = re.sub(r"(\d{4})-(\d\d)-(\d\d)(?= \|)", "\\1\u2011\\2\u2011\\3", venue_tables.page())
    body = page.split("\n## ")[1:]
    sections = zip(venue_names(), body, strict=True)
    return "\n".join(f"(venue-{name.replace('_', '-')})=\n\n## {text}" for name, text in sections)


def formula_index() -> str:
    """The public formulas, module by module, with a column for the arguments so that they wrap."""
    page = "\n## ".join(["", *formulas.page().split("\n## ")[1:]])
    page = page.replace(
        "| function | what it gives |\n|---|---|",
        "| function | arguments | what it gives |\n|---|---|---|",
    )
    return re.sub(r"^\| `(\w+)\((.*?)\)` \|", r"| `\1` | \2 |", page, flags=re.MULTILINE)


def agents() -> str:
    """Every agent: name and the first sentence of its class."""
    rows = []
    for name in AGENTS:
        if name.startswith("rllib"):
            text = "PPO on Ray." if name.endswith("ppo") else "SAC on Ray."
        else:
            text = " ".join((inspect.getdoc(agent_class(name)) or "").split())
            text = text.split(". ")[0].rstrip(".") + "."
        rows.append((f"`{name}`", text))
    return table(("agent", "what it does"), rows)


def forecasters() -> str:
    """Every forecaster: name, the first sentence of its class, and the inputs it reads."""
    rows = []
    for name, text in described().items():
        reads = "all groups" if forecaster_class(name).groups else "rates"
        rows.append((f"`{name}`", text, reads))
    return table(("forecaster", "what it does", "reads"), rows)


def forecaster_settings() -> str:
    """The parameters of every forecaster that has some."""
    kinds = {name: forecaster_class(name).parameters for name in FORECASTERS}
    return "\n\n".join(
        f"## `{name}`\n\n{settings(kind)}" for name, kind in kinds.items() if describe(kind)
    )


def forecast_inputs() -> str:
    """The groups of inputs."""
    return table(("group", "what it holds"), ((f"`{n}`", text) for n, text in GROUPS.items()))


def info() -> str:
    """The keys of `info`, as a list."""
    head, keys = (inspect.getdoc(audit) or "").split("\n\n")
    return (
        head + "\n\n" + re.sub(r"(?:^|(?<=\.) )(?=`\w+`(?:: | \[))", "\n- ", " ".join(keys.split()))
    )


FRAGMENTS = {
    "settings": settings,
    "agent_settings": agent_settings,
    "observations_market": lambda: observations(FEATURES),
    "observations_legs": lambda: observations(LEG_COLUMNS),
    "observations_account": lambda: observations(ACCOUNT_COLUMNS),
    "observations_asked": lambda: observations(MORE_COLUMNS),
    "venues": venues,
    "venue_rules": venue_rules,
    "formulas": formula_index,
    "agents": agents,
    "forecasters": forecasters,
    "forecaster_settings": forecaster_settings,
    "forecast_inputs": forecast_inputs,
    "info": info,
}
