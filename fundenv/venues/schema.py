"""What a venue file must contain, and the check of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from fundenv.settings import nearest
from fundenv.settings.base import Field, check, fields_of
from fundenv.venues.rules import (
    CHOICES,
    PER_SYMBOL,
    RULES,
    SCALARS,
    Head,
    Key,
    VenueError,
    VenueRules,
)

__all__ = [
    "CHOICES",
    "PER_SYMBOL",
    "SCALARS",
    "Key",
    "VenueError",
    "dotted",
    "node",
    "validate",
]


def dotted(key: Key) -> str:
    """A key as it stands in messages."""
    return ".".join(part for part in key if part)


def node(document: dict[str, Any], key: Key) -> Any:
    """What stands under a key, None where nothing does."""
    section = document.get(key[0], {})
    return section.get(key[1]) if key[1] and isinstance(section, dict) else section


def validate(document: dict[str, Any], path: Path) -> None:
    """Raise `VenueError` at the first thing that does not hold up."""
    missing = [name for name in fields_of(Head) if name not in document]
    if missing:
        raise VenueError(f"{path}: {missing[0]} is missing; add {missing[0]} = '..'")
    try:
        Head(**{name: document[name] for name in fields_of(Head)})
    except VenueError as error:
        raise VenueError(f"{path}: {error}") from None
    _check_names(document, path)
    for key in (*SCALARS, *CHOICES):
        _check_leaves(node(document, key), dotted(key), RULES[key], path)
    for key, rule in PER_SYMBOL.items():
        table = node(document, key)
        if not isinstance(table, dict) or "default" not in table:
            raise VenueError(
                f"{path}: {dotted(key)} = {table!r}: expected a table with an entry 'default' and"
                " one for each special symbol"
            )
        for symbol, leaves in table.items():
            _check_leaves(leaves, f"{dotted(key)}.{symbol}", rule, path)
    tiers = document.get("tiers")
    if not isinstance(tiers, dict) or "default" not in tiers:
        raise VenueError(f"{path}: tiers = {tiers!r}: expected a table with an entry 'default'")
    for symbol, tables in tiers.items():
        for number, table in enumerate(tables):
            _check_brackets(table, f"tiers.{symbol}[{number}]", path)
        _check_dates(tables, f"tiers.{symbol}", path)


def _check_leaves(leaves: Any, key: str, rule: Field, path: Path) -> None:
    if not isinstance(leaves, list):
        _check_leaf(leaves, key, rule, path)
        return
    for number, leaf in enumerate(leaves):
        _check_leaf(leaf, f"{key}[{number}]", rule, path)
        if not isinstance(leaf.get("valid_from"), dt.date):
            raise VenueError(
                f"{path}: {key}[{number}].valid_from = {leaf.get('valid_from')!r}: expected a date"
                " such as 2024-10-24"
            )
    _check_dates(leaves, key, path)


def _check_leaf(leaf: Any, key: str, rule: Field, path: Path) -> None:
    if not isinstance(leaf, dict) or not {"value", "source", "date"} <= set(leaf):
        raise VenueError(f"{path}: {key} = {leaf!r}: expected a table {{value, source, date}}")
    try:
        check(rule._replace(name=f"{key}.value"), leaf["value"], VenueError)
    except VenueError as error:
        raise VenueError(f"{path}: {error}") from None


def _check_names(document: dict[str, Any], path: Path) -> None:
    """A misspelt section or rule would be left out of a file that extends another."""
    sections = [*fields_of(Head), *fields_of(VenueRules), "tiers"]
    for name, table in document.items():
        if name not in sections:
            raise VenueError(f"{path}: unknown section {name!r}; {nearest(name, sections)}")
        rules = [rule for section, rule in RULES if section == name and rule]
        for rule in table if rules and isinstance(table, dict) else ():
            if rule not in rules:
                raise VenueError(f"{path}: unknown rule {name}.{rule}; {nearest(rule, rules)}")


def _check_dates(tables: list[dict[str, Any]], key: str, path: Path) -> None:
    dates = [table["valid_from"] for table in tables]
    if not dates or any(later <= earlier for earlier, later in zip(dates, dates[1:], strict=False)):
        raise VenueError(
            f"{path}: {key}.valid_from = {[str(date) for date in dates]}: expected at least one"
            " date, each later than the one before"
        )


def _check_brackets(table: Any, key: str, path: Path) -> None:
    if not isinstance(table, dict) or not {"valid_from", "source", "brackets"} <= set(table):
        raise VenueError(
            f"{path}: {key} = {table!r}: expected a table {{valid_from, source, brackets}}"
        )
    if not isinstance(table["valid_from"], dt.date):
        raise VenueError(
            f"{path}: {key}.valid_from = {table['valid_from']!r}: expected a date such as"
            " 2024-10-24"
        )
    rows = table["brackets"]
    if not rows or any(len(row) != 3 for row in rows) or rows[0][0] != 0:
        raise VenueError(
            f"{path}: {key}.brackets = {rows!r}: expected rows [floor, max leverage, maintenance"
            " rate], the first with floor 0"
        )
    for previous, row in zip(rows, rows[1:], strict=False):
        if not (row[0] > previous[0] and row[1] <= previous[1] and row[2] > previous[2]):
            raise VenueError(
                f"{path}: {key}.brackets row {row!r} after {previous!r}: expected a higher floor,"
                " no higher leverage and a higher rate"
            )
