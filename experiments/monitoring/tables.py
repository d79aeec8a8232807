"""The tables of the monitor as cells, with the heading and meaning of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from experiments.monitoring.rows import Carry, Row

CARRIES = 12  # largest number of carries in the table
_EMPTY = "–"


class Table(NamedTuple):
    """heads: (name, what it means) of each column. rows: cells. kinds: a CSS class of each row."""

    heads: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]
    kinds: Sequence[str]


def funding(rows: Sequence[Row]) -> Table:
    """Every perpetual, coin by coin."""
    heads = (
        ("coin", ""),
        ("venue", ""),
        (
            "predicted",
            "running estimate of the next rate, bp per 8 h; longs pay where it is positive",
        ),
        ("a year", "the predicted rate over a year, % of notional, without compounding"),
        ("settled", "last settled rate, bp per 8 h"),
        ("z", "settled rate less the mean of the last 90, in their deviations"),
        ("settles in", "time to the next settlement"),
        ("above lowest", "predicted rate over the lowest of the coin at any venue, bp per 8 h"),
        ("basis", "perpetual over spot, middles of the books, bp; mark over index without spot"),
        ("open interest, M", "millions of the quote currency"),
        ("age", "time since the venue answered"),
    )
    order = sorted(rows, key=lambda row: [r.base for r in rows].index(row.base))
    cells = [
        [
            row.base,
            row.key.venue,
            _number(row.predicted, "+.2f"),
            _number(row.annual, "+.1f", " %"),
            _number(row.settled, "+.2f"),
            _number(row.z, "+.1f"),
            _clock(row.seconds),
            _number(row.above, ".2f"),
            _number(row.basis, "+.1f"),
            _number(None if row.open_interest is None else row.open_interest / 1e6, ",.0f"),
            f"{row.age:.0f} s" if row.age < 3600 else f"{row.age / 3600:.0f} h",
        ]
        for row in order
    ]
    return Table(heads, cells, ["stale" if row.stale else "" for row in order])


def carry(found: Sequence[Carry]) -> Table:
    """The best carries, % a year of the capital."""
    heads = (
        ("coin", ""),
        ("net", "gross less costs and cash, % a year of the capital"),
        ("long", "leg that is bought"),
        ("short", "leg that is sold"),
        ("gross", "funding received at the predicted rates"),
        ("costs", "fees and half-spreads of a round trip spread over the holding time, coin loan"),
        ("cash", "interest that the capital forgoes"),
        ("net, week", "net at the mean settled rates of the last week"),
    )
    cells = [
        [
            each.base,
            _number(each.net, "+.1f", " %"),
            each.long,
            each.short,
            _number(each.gross, "+.1f"),
            _number(-each.costs, "+.1f"),
            _number(-each.cash, "+.1f"),
            _number(each.week, "+.1f", " %"),
        ]
        for each in found[:CARRIES]
    ]
    return Table(heads, cells, ["gain" if each.net > 0 else "" for each in found[:CARRIES]])


def paper(accounts: Sequence[Mapping[str, Any]]) -> Table:
    """Paper accounts at their last bar."""
    heads = (
        ("account", ""),
        ("agent", ""),
        ("equity", "quote currency"),
        ("drawdown", "from the highest equity"),
        (
            "to liquidation",
            "margin above maintenance over notional, in daily volatilities",
        ),
        ("last bar", "UTC"),
        ("waits for", ""),
    )
    cells = [
        [
            f"{own['venue']} {'+'.join(own['symbols'])}",
            str(own["agent"]),
            f"{own['equity']:,.2f}",
            _number(own.get("drawdown"), ".1%"),
            _number(own.get("margin_distance"), ".1f") if own["held"] else "no position",
            f"{pd.Timestamp(own['closed'], unit='ms'):%Y-%m-%d %H:%M}",
            own["waiting"] or _EMPTY,
        ]
        for own in accounts
    ]
    return Table(heads, cells, ["stale" if own["behind"] else "" for own in accounts])


def _number(value: float | None, form: str, unit: str = "") -> str:
    return _EMPTY if value is None else f"{value:{form}}{unit}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return _EMPTY
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
