"""The tables of `fundenv/venues/README.md`, generated from the venue files: `python -m
fundenv.venues.describe` prints them.
"""

from __future__ import annotations

import sys
from typing import Any

from fundenv.settings import Row, describe
from fundenv.venues.load import Venue, load_venue, venue_names
from fundenv.venues.rules import VenueRules
from fundenv.venues.schema import CHOICES, PER_SYMBOL, SCALARS, dotted, node

_HEAD = """# Venues: every rule, its value, its source

Generated from the TOML files beside this page. "not sourced" marks a value without an exchange
document behind it; the env prints a warning once when it uses such a value. Where a value changed,
the table has one row for each value, with the day from which it holds. `fundenv.formulas` has the
formulas. `interval_hours`, `first_hour` and `lag_intervals` describe a venue; the env takes the
settlements from the data. The env does not use `clock_hours`, because it charges interest by the
bar. The env steps linear and inverse venues; brackets of an inverse contract are in coins, lots of
its perpetual in quote.

Inside Deribit's dead band the rate is zero. Where a formula clamps (interest - premium), a small
premium gives the interest instead, mostly 0.01 % per 8 h. docs/articles.md lists what articles on
funding often get wrong.
"""


def page() -> str:
    """The whole page as Markdown."""
    return _HEAD + "".join(_section(load_venue(name)) for name in venue_names())


def rows(venue: Venue, symbol: str | None = None) -> list[Row]:
    """The rules of a venue as settings, the value now in force in place of a default: for `symbol`,
    or for symbols without an entry, and then a row for each symbol that has one.
    """
    found = []
    for row in describe(VenueRules):
        found.append(row._replace(default=_now(venue, row.name, symbol)))
        section, _, key = row.name.partition(".")
        if symbol is None and (section, key) in PER_SYMBOL:
            found += [
                row._replace(name=f"{row.name} {own}", default=_now(venue, row.name, own))
                for own in node(venue.document, (section, key))
                if own != "default"
            ]
    return found


def bracket_lines(venue: Venue) -> list[str]:
    """The maintenance brackets now in force, a line for each symbol that has a table."""
    lines = ["Brackets now in force, floor: highest leverage, maintenance rate"]
    for symbol, tables in venue.document["tiers"].items():
        flag = "" if tables[-1].get("sourced", True) else "   (not sourced)"
        lines.append(f"  {symbol:<12}{_listed(tables[-1])}{flag}")
    return lines


def _now(venue: Venue, name: str, symbol: str | None) -> str:
    section, _, key = name.partition(".")
    if (section, key) in CHOICES:
        return venue.choice(section, key)
    return f"{venue.value(section, key, symbol):g}"


def _listed(table: dict[str, Any]) -> str:
    return "; ".join(
        f"{floor:,.0f}: {leverage:g}x {rate:.4g}" for floor, leverage, rate in table["brackets"]
    )


def _section(venue: Venue) -> str:
    lines = ["| rule | from | value | source | date |", "|---|---|---|---|---|"]
    for key in (*CHOICES, *SCALARS):
        lines += _rows(dotted(key), node(venue.document, key))
    for key in PER_SYMBOL:
        for symbol, leaves in node(venue.document, key).items():
            lines += _rows(f"{dotted(key)} {symbol}", leaves)
    lines += ["", "| brackets | from | floor: leverage, maintenance rate | source |"]
    lines.append("|---|---|---|---|")
    for symbol, tables in venue.document["tiers"].items():
        for table in tables:
            cells = (symbol, table.get("valid_from", ""), _listed(table), _source(table))
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return f"\n## {venue.title} (`{venue.name}`, {venue.contract})\n\n" + "\n".join(lines) + "\n"


def _rows(name: str, leaves: Any) -> list[str]:
    values = leaves if isinstance(leaves, list) else [leaves]
    return [
        _row(
            name,
            leaf,
            f"{leaf['value']:g}" if isinstance(leaf["value"], (int, float)) else leaf["value"],
            leaf["date"],
        )
        for leaf in values
    ]


def _row(name: str, leaf: dict[str, Any], value: str, date: str) -> str:
    return f"| {name} | {leaf.get('valid_from', '')} | {value} | {_source(leaf)} | {date} |"


def _source(leaf: dict[str, Any]) -> str:
    return str(leaf["source"] if leaf.get("sourced", True) else f"not sourced: {leaf['source']}")


if __name__ == "__main__":
    sys.stdout.write(page())
