"""Read a venue TOML and hand out its values per symbol.

A venue file holds numbers and where they come from, never behaviour. Every leaf is a table `{value, source, date}`; `sourced = false`
marks a number that no exchange document backs, and using one is reported by `Venue.unsourced`.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

# key path -> (lowest, highest) value allowed; the highest of a per-symbol table holds for every symbol in it
_SCALARS: dict[tuple[str, str], tuple[float, float]] = {
    ("fees", "perp_taker"): (-0.01, 0.05),
    ("fees", "perp_maker"): (-0.01, 0.05),
    ("fees", "spot_taker"): (-0.01, 0.05),
    ("fees", "spot_maker"): (-0.01, 0.05),
    ("funding", "interest_8h"): (-0.01, 0.01),
    ("funding", "clamp"): (0.0, 0.05),
    ("liquidation", "fee"): (0.0, 0.1),
    ("borrow", "quote_annual"): (0.0, 10.0),
    ("borrow", "base_annual"): (0.0, 10.0),
}
_PER_SYMBOL: dict[tuple[str, str], tuple[float, float]] = {
    ("funding", "cap"): (0.0, 1.0),
    ("execution", "half_spread_perp_bp"): (0.0, 1000.0),
    ("execution", "half_spread_spot_bp"): (0.0, 1000.0),
    ("execution", "impact_coefficient"): (0.0, 100.0),
    ("execution", "lot_perp"): (0.0, 1e12),
    ("execution", "lot_spot"): (0.0, 1e12),
    ("execution", "min_notional_perp"): (0.0, 1e12),
    ("execution", "min_notional_spot"): (0.0, 1e12),
}
_CONTRACTS = ("linear",)


class VenueError(ValueError):
    """A venue file that cannot be used; the message names file, key, value and what was expected."""


@dataclass(frozen=True)
class Bracket:
    """One maintenance bracket: notional floor [quote], maximum leverage, maintenance rate and maintenance amount [quote]."""

    floor: float
    max_leverage: float
    rate: float
    amount: float


@dataclass(frozen=True, kw_only=True)
class Venue:
    """The rules of one exchange.

    `value(section, key)` gives a number of the venue, `value(section, key, symbol)` one that depends on the symbol (its own entry, or the
    table's `default`); `brackets(symbol, date)` the maintenance table in force. `unsourced(symbol)` lists the keys whose numbers no
    exchange document backs.
    """

    name: str
    title: str
    contract: str
    path: str
    document: dict[str, Any] = field(repr=False)

    def value(self, section: str, key: str, symbol: str | None = None) -> float:
        """The number under `section.key`, for `symbol` where the table is per symbol."""
        return float(self._leaf(section, key, symbol)["value"])

    def brackets(self, symbol: str, date: dt.date) -> tuple[Bracket, ...]:
        """The maintenance brackets of `symbol` in force on `date` (the earliest table where the date precedes all of them)."""
        table = self._tier_table(symbol, date)
        brackets: list[Bracket] = []
        for floor, leverage, rate in table["brackets"]:
            last = brackets[-1] if brackets else None
            amount = last.amount + floor * (rate - last.rate) if last else 0.0
            brackets.append(Bracket(float(floor), float(leverage), float(rate), float(amount)))
        return tuple(brackets)

    def unsourced(self, symbol: str) -> tuple[str, ...]:
        """Dotted keys of the values used for `symbol` that the file marks as not sourced."""
        leaves = [(s, k, self._leaf(s, k, None)) for s, k in _SCALARS]
        leaves += [(s, k, self._leaf(s, k, symbol)) for s, k in _PER_SYMBOL]
        keys = [f"{section}.{key}" for section, key, leaf in leaves if not leaf.get("sourced", True)]
        if not self._tier_table(symbol, dt.date.max).get("sourced", True):
            keys.append("tiers")
        return tuple(keys)

    def _leaf(self, section: str, key: str, symbol: str | None) -> dict[str, Any]:
        node = self.document[section][key]
        if (section, key) in _PER_SYMBOL:
            node = node.get(symbol, node["default"])
        leaf: dict[str, Any] = node
        return leaf

    def _tier_table(self, symbol: str, date: dt.date) -> dict[str, Any]:
        tables: list[dict[str, Any]] = self.document["tiers"].get(symbol, self.document["tiers"]["default"])
        in_force = [t for t in tables if t["valid_from"] <= date]
        return in_force[-1] if in_force else tables[0]


def load_venue(venue: str | Path) -> Venue:
    """Load a venue by the name of a file that ships with the package ("binance") or by the path of one's own TOML.

    Raises `VenueError` with file, key, value and expectation where the file does not hold up.
    """
    name = str(venue)
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise VenueError(f"venue file {path} does not exist; give the path of a venue TOML or one of {', '.join(venue_names())}")
        text = path.read_text(encoding="utf-8")
    else:
        if name not in venue_names():
            raise VenueError(
                f"unknown venue {name!r}; the package has {', '.join(venue_names())}; your own is loaded by the path of its TOML"
            )
        path = Path(f"{name}.toml")
        text = resources.files("fundenv.venues").joinpath(path.name).read_text(encoding="utf-8")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise VenueError(f"{path}: not a TOML file: {error}") from error
    _validate(document, path)
    return Venue(name=document["name"], title=document["title"], contract=document["contract"], path=str(path), document=document)


def venue_names() -> tuple[str, ...]:
    """Names of the venues that ship with the package."""
    files = resources.files("fundenv.venues").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def _validate(document: dict[str, Any], path: Path) -> None:
    for key in ("name", "title", "contract"):
        if not isinstance(document.get(key), str):
            raise VenueError(f"{path}: {key} = {document.get(key)!r}: expected a string")
    if document["contract"] not in _CONTRACTS:
        raise VenueError(f"{path}: contract = {document['contract']!r}: expected one of {', '.join(_CONTRACTS)}")
    for (section, key), limits in _SCALARS.items():
        _check_leaf(document.get(section, {}).get(key), f"{section}.{key}", limits, path)
    for (section, key), limits in _PER_SYMBOL.items():
        table = document.get(section, {}).get(key)
        if not isinstance(table, dict) or "default" not in table:
            raise VenueError(
                f"{path}: {section}.{key} = {table!r}: expected a table with an entry 'default' and one for each special symbol"
            )
        for symbol, leaf in table.items():
            _check_leaf(leaf, f"{section}.{key}.{symbol}", limits, path)
    tiers = document.get("tiers")
    if not isinstance(tiers, dict) or "default" not in tiers:
        raise VenueError(f"{path}: tiers = {tiers!r}: expected a table with an entry 'default'")
    for symbol, tables in tiers.items():
        for number, table in enumerate(tables):
            _check_brackets(table, f"tiers.{symbol}[{number}]", path)


def _check_leaf(leaf: Any, key: str, limits: tuple[float, float], path: Path) -> None:
    if not isinstance(leaf, dict) or not {"value", "source", "date"} <= set(leaf):
        raise VenueError(f"{path}: {key} = {leaf!r}: expected a table {{value, source, date}}")
    value = leaf["value"]
    if not isinstance(value, (int, float)) or not limits[0] <= value <= limits[1]:
        raise VenueError(f"{path}: {key}.value = {value!r}: expected a number from {limits[0]} to {limits[1]}")


def _check_brackets(table: Any, key: str, path: Path) -> None:
    if not isinstance(table, dict) or not {"valid_from", "source", "brackets"} <= set(table):
        raise VenueError(f"{path}: {key} = {table!r}: expected a table {{valid_from, source, brackets}}")
    if not isinstance(table["valid_from"], dt.date):
        raise VenueError(f"{path}: {key}.valid_from = {table['valid_from']!r}: expected a date such as 2024-10-24")
    rows = table["brackets"]
    if not rows or any(len(row) != 3 for row in rows) or rows[0][0] != 0:
        raise VenueError(
            f"{path}: {key}.brackets = {rows!r}: expected rows [floor, max leverage, maintenance rate], the first with floor 0"
        )
    for previous, row in zip(rows, rows[1:], strict=False):
        if not (row[0] > previous[0] and row[1] < previous[1] and row[2] > previous[2]):
            raise VenueError(
                f"{path}: {key}.brackets row {row!r} after {previous!r}: expected a higher floor, a lower leverage and a higher rate"
            )
