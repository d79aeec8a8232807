"""What a venue file must contain, and the check of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

Key = tuple[str, str]

_FEE, _FLAG = (-0.01, 0.05), (0.0, 1.0)
# key -> (lowest, highest) value allowed
SCALARS: dict[Key, tuple[float, float]] = {
    **{
        (section, f"{leg}_{kind}"): _FEE
        for section in ("fees", "fees_high")
        for leg in ("perp", "spot")
        for kind in ("taker", "maker")
    },
    ("funding", "interval_hours"): (1.0, 24.0),
    ("funding", "first_hour"): (0.0, 23.0),  # UTC hour of one settlement of the day
    ("funding", "lag_intervals"): _FLAG,  # 1: the rate of the interval before is paid
    ("funding", "interest_8h"): (-0.01, 0.01),
    ("funding", "clamp"): (0.0, 0.05),  # Deribit: the dead band
    ("funding", "scaled"): _FLAG,  # 1: the rate of an N hour interval is N / 8 of the 8 h rate
    ("liquidation", "fee"): (0.0, 0.1),  # of the closed notional
    # notional [quote] below which a position is closed whole at once
    ("liquidation", "partial_above"): (0.0, 1e12),
    ("liquidation", "closing_fee"): (0.0, 0.05),  # part of the maintenance rate
    ("borrow", "quote_annual"): (0.0, 10.0),
    ("borrow", "base_annual"): (0.0, 10.0),
    ("borrow", "clock_hours"): _FLAG,  # 1: every clock hour touched is charged whole
}
PER_SYMBOL: dict[Key, tuple[float, float]] = {
    ("funding", "cap"): (0.0, 1.0),  # of one settlement
    # share of a coin's value that counts as collateral of a portfolio account
    ("collateral", ""): (0.0, 1.0),
    ("execution", "half_spread_perp_bp"): (0.0, 1000.0),
    ("execution", "half_spread_spot_bp"): (0.0, 1000.0),
    ("execution", "impact_coefficient"): (0.0, 100.0),
    ("execution", "lot_perp"): (0.0, 1e12),
    ("execution", "lot_spot"): (0.0, 1e12),
    ("execution", "min_notional_perp"): (0.0, 1e12),
    ("execution", "min_notional_spot"): (0.0, 1e12),
}
CHOICES: dict[Key, tuple[str, ...]] = {
    ("funding", "rule"): (
        "binance",
        "bybit",
        "okx",
        "okx_until_2025",
        "bitmex",
        "deribit",
        "hyperliquid",
        "dydx",
        "kraken",
        "trailing_average",
    ),
    ("funding", "price"): ("mark", "oracle", "index"),
    ("liquidation", "procedure"): ("whole", "tier", "two_tiers", "fifth"),
    ("liquidation", "maintenance_on"): ("mark", "entry"),
}
CONTRACTS = ("linear", "inverse")


class VenueError(ValueError):
    """A venue file that cannot be used; the message names file, key, value and what was
    expected.
    """


def dotted(key: Key) -> str:
    """A key as it stands in messages."""
    return ".".join(part for part in key if part)


def node(document: dict[str, Any], key: Key) -> Any:
    """What stands under a key, None where nothing does."""
    section = document.get(key[0], {})
    return section.get(key[1]) if key[1] and isinstance(section, dict) else section


def validate(document: dict[str, Any], path: Path) -> None:
    """Raise `VenueError` at the first thing that does not hold up."""
    for name in ("name", "title", "contract"):
        if not isinstance(document.get(name), str):
            raise VenueError(f"{path}: {name} = {document.get(name)!r}: expected a string")
    if document["contract"] not in CONTRACTS:
        raise VenueError(
            f"{path}: contract = {document['contract']!r}: expected one of {', '.join(CONTRACTS)}"
        )
    for key in (*SCALARS, *CHOICES):
        _check_leaves(node(document, key), dotted(key), SCALARS.get(key) or CHOICES[key], path)
    for key, limits in PER_SYMBOL.items():
        table = node(document, key)
        if not isinstance(table, dict) or "default" not in table:
            raise VenueError(
                f"{path}: {dotted(key)} = {table!r}: expected a table with an entry 'default' and"
                " one for each special symbol"
            )
        for symbol, leaves in table.items():
            _check_leaves(leaves, f"{dotted(key)}.{symbol}", limits, path)
    tiers = document.get("tiers")
    if not isinstance(tiers, dict) or "default" not in tiers:
        raise VenueError(f"{path}: tiers = {tiers!r}: expected a table with an entry 'default'")
    for symbol, tables in tiers.items():
        for number, table in enumerate(tables):
            _check_brackets(table, f"tiers.{symbol}[{number}]", path)
        _check_dates(tables, f"tiers.{symbol}", path)


def _check_leaves(leaves: Any, key: str, allowed: tuple[Any, ...], path: Path) -> None:
    if not isinstance(leaves, list):
        _check_leaf(leaves, key, allowed, path)
        return
    for number, leaf in enumerate(leaves):
        _check_leaf(leaf, f"{key}[{number}]", allowed, path)
        if not isinstance(leaf.get("valid_from"), dt.date):
            raise VenueError(
                f"{path}: {key}[{number}].valid_from = {leaf.get('valid_from')!r}: expected a date"
                " such as 2024-10-24"
            )
    _check_dates(leaves, key, path)


def _check_leaf(leaf: Any, key: str, allowed: tuple[Any, ...], path: Path) -> None:
    if not isinstance(leaf, dict) or not {"value", "source", "date"} <= set(leaf):
        raise VenueError(f"{path}: {key} = {leaf!r}: expected a table {{value, source, date}}")
    value = leaf["value"]
    if isinstance(allowed[0], str):
        if value not in allowed:
            raise VenueError(
                f"{path}: {key}.value = {value!r}: expected one of {', '.join(allowed)}"
            )
    elif (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not allowed[0] <= value <= allowed[1]
    ):
        raise VenueError(
            f"{path}: {key}.value = {value!r}: expected a number from {allowed[0]} to {allowed[1]}"
        )


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
