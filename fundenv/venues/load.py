"""Read a venue TOML and return its values per symbol and date.

A venue file holds numbers and where they come from, never behaviour. Every leaf is a table `{value,
source, date}`, or a list of such tables with `valid_from` where the value changed; `sourced =
false` marks a number that no exchange document backs: `Venue.warn_unsourced` reports its use.
"""

from __future__ import annotations

import datetime as dt
import tomllib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from fundenv.venues.schema import (
    CHOICES,
    PER_SYMBOL,
    SCALARS,
    Key,
    VenueError,
    dotted,
    node,
    validate,
)

_reported: set[tuple[str, str]] = set()


class UnsourcedValue(UserWarning):
    """A number is in use that the venue file marks as not sourced; put your own into the config or
    into a TOML of your own.
    """


@dataclass(frozen=True)
class Bracket:
    """One maintenance bracket: notional floor, maximum leverage, maintenance rate and amount. Money
    in quote; in base for inverse contracts.
    """

    floor: float
    max_leverage: float
    rate: float
    amount: float


@dataclass(frozen=True, kw_only=True)
class Venue:
    """The rules of one exchange.

    `value(section, key)` gives a number of the venue, `value(section, key, symbol)` one that
    depends on the symbol (its own entry, or the table's `default`), `choice(section, key)` a word;
    `brackets(symbol, date)` the maintenance table in force. Without a date the latest value counts;
    a date before the first one gets the first. `unsourced(symbol)` lists the keys whose numbers no
    exchange document backs. `document` is shared by all who load the same file: read it only.
    """

    name: str
    title: str
    contract: str
    path: str
    document: dict[str, Any] = field(repr=False)

    def value(
        self, section: str, key: str, symbol: str | None = None, date: dt.date | None = None
    ) -> float:
        """The number under `section.key`, for `symbol` where the table is per symbol, in force on
        `date`.
        """
        return float(self._leaf((section, key), symbol, date)["value"])

    def steady(self, section: str, key: str, first: dt.date, last: dt.date) -> float:
        """The number under `section.key` that holds from `first` to `last`. Raises `VenueError`
        where it changes in between.
        """
        node = self._node((section, key), None)
        for table in node if isinstance(node, list) else ():
            if first < table["valid_from"] <= last:
                raise VenueError(
                    f"{self.path}: {section}.{key} changes on {table['valid_from']}, and an env has"
                    f" one for {first} .. {last}; set it in the env, or cut the market there"
                )
        return self.value(section, key, date=first)

    @property
    def prefix(self) -> str:
        """First part of the names of its data files: the exchange, without what stands behind an
        underscore (bybit_inverse: "bybit").
        """
        return self.name.split("_")[0]

    def choice(self, section: str, key: str, date: dt.date | None = None) -> str:
        """The word under `section.key` in force on `date`."""
        return str(self._leaf((section, key), None, date)["value"])

    def brackets(self, symbol: str, date: dt.date | None = None) -> tuple[Bracket, ...]:
        """The maintenance brackets of `symbol` in force on `date`, the closing fee that the venue
        counts as maintenance included in the rates.
        """
        table = self._tier_table(symbol, date)
        extra = self.value("liquidation", "closing_fee", date=date)
        brackets: list[Bracket] = []
        for floor, leverage, rate in table["brackets"]:
            last = brackets[-1] if brackets and table.get("marginal", True) else None
            amount = last.amount + floor * (rate + extra - last.rate) if last else 0.0
            brackets.append(
                Bracket(float(floor), float(leverage), float(rate) + extra, float(amount))
            )
        return tuple(brackets)

    def unsourced(self, symbol: str, date: dt.date | None = None) -> tuple[str, ...]:
        """Dotted keys of the values for `symbol` that the file marks as not sourced."""
        leaves = {key: self._leaf(key, symbol, date) for key in (*SCALARS, *CHOICES, *PER_SYMBOL)}
        keys = [dotted(key) for key, leaf in leaves.items() if not leaf.get("sourced", True)]
        if not self._tier_table(symbol, date).get("sourced", True):
            keys.append("tiers")
        return tuple(keys)

    def warn_unsourced(self, symbol: str, used: Iterable[str], date: dt.date | None = None) -> None:
        """Warn once in a process of each key among `used` (dotted; a section stands for all its
        keys) that is not sourced for `symbol`.
        """
        wanted = tuple(used)
        keys = [
            key
            for key in self.unsourced(symbol, date)
            if key in wanted or key.split(".")[0] in wanted
        ]
        new = [key for key in keys if (self.path, key) not in _reported]
        _reported.update((self.path, key) for key in new)
        if new:
            text = (
                f"{self.name}: not sourced for {symbol}: {', '.join(new)}; give your own in a"
                " venue file where they matter (docs: Use your own venue)"
            )
            warnings.warn(text, UnsourcedValue, stacklevel=3)

    def brackets_in_force(
        self, symbol: str, first: dt.date, last: dt.date
    ) -> list[tuple[dt.date, str, bool]]:
        """The bracket tables of `symbol` that hold between two days: (day from which it holds,
        source, whether it is sourced), the earliest first.
        """
        tables = self._tier_tables(symbol)
        start = _in_force(tables, first)
        return [
            (table["valid_from"], str(table["source"]), bool(table.get("sourced", True)))
            for table in tables
            if table is start or first < table["valid_from"] <= last
        ]

    def changes(self, symbol: str) -> list[dt.date]:
        """The dates, ascending, from which a number of `symbol` differs from the one before; the
        first dates of all tables are not among them.
        """
        nodes = [self._node(key, symbol) for key in (*SCALARS, *CHOICES, *PER_SYMBOL)] + [
            self._tier_tables(symbol)
        ]
        return sorted(
            {
                table["valid_from"]
                for tables in nodes
                if isinstance(tables, list)
                for table in tables[1:]
            }
        )

    def _node(self, key: Key, symbol: str | None) -> Any:
        found = node(self.document, key)
        return found.get(symbol, found["default"]) if key in PER_SYMBOL else found

    def _leaf(self, key: Key, symbol: str | None, date: dt.date | None) -> dict[str, Any]:
        leaf: dict[str, Any] = _in_force(self._node(key, symbol), date)
        return leaf

    def _tier_tables(self, symbol: str) -> list[dict[str, Any]]:
        tiers: dict[str, list[dict[str, Any]]] = self.document["tiers"]
        return tiers.get(symbol) or tiers.get(contract_key(symbol)) or tiers["default"]

    def _tier_table(self, symbol: str, date: dt.date | None) -> dict[str, Any]:
        table: dict[str, Any] = _in_force(self._tier_tables(symbol), date)
        return table


def contract_key(symbol: str) -> str:
    """A symbol without a venue's marks of a perpetual, as bracket tables name it: BTCUSD_PERP,
    PI_XBTUSD and XBTUSD give BTCUSD, BTC-PERPETUAL gives BTC.
    """
    plain = symbol.removeprefix("PI_").removesuffix("_PERP").removesuffix("-PERPETUAL")
    return plain.replace("XBT", "BTC")


def _in_force(tables: Any, date: dt.date | None) -> Any:
    if not isinstance(tables, list):
        return tables
    valid = [table for table in tables if date is None or table["valid_from"] <= date]
    return valid[-1] if valid else tables[0]


def load_venue(venue: str | Path) -> Venue:
    """Load a venue by the name of a file that ships with the package ("binance") or by the path of
    your own TOML.

    Your own file may begin with `extends = "binance"`: it then holds only what differs from the
    shipped file, such as your own fees. Raises `VenueError` with file, key, value and expectation
    for a faulty file.
    """
    name = str(venue)
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise VenueError(
                f"venue file {path} does not exist; give the path of a venue TOML or one of"
                f" {', '.join(venue_names())}"
            )
        text = path.read_text(encoding="utf-8")
    else:
        if name not in venue_names():
            raise VenueError(
                f"unknown venue {name!r}; the package has {', '.join(venue_names())}; your own is"
                " loaded by the path of its TOML"
            )
        path = Path(f"{name}.toml")
        text = resources.files("fundenv.venues").joinpath(path.name).read_text(encoding="utf-8")
    return _read(text, path)


@lru_cache(maxsize=64)
def _read(text: str, path: Path) -> Venue:
    """The venue that a file says: read once in a process, for that takes four fifths of the time
    to make an environment.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise VenueError(f"{path}: not a TOML file: {error}") from error
    if "extends" in document:
        document = _extended(document, path)
    validate(document, path)
    return Venue(
        name=document["name"],
        title=document["title"],
        contract=document["contract"],
        path=str(path),
        document=document,
    )


def _extended(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The shipped venue file that `document` names under `extends`, with what `document` says
    itself in place of it.
    """
    if document["extends"] not in venue_names():
        raise VenueError(
            f"{path}: extends = {document['extends']!r}: expected one of {', '.join(venue_names())}"
        )
    base = (
        resources.files("fundenv.venues")
        .joinpath(f"{document['extends']}.toml")
        .read_text(encoding="utf-8")
    )
    over = {key: value for key, value in document.items() if key != "extends"}
    whole: dict[str, Any] = _overlaid(tomllib.loads(base), over)
    return whole


def _overlaid(base: Any, over: Any) -> Any:
    """Tables are merged key by key, leaves replaced; dated tables take the place of those of the
    same day or later and leave the earlier ones.
    """
    if isinstance(base, dict) and isinstance(over, dict) and "value" not in over:
        return base | {key: _overlaid(base.get(key), value) for key, value in over.items()}
    dated = (
        isinstance(base, list)
        and isinstance(over, list)
        and bool(over)
        and all("valid_from" in table for table in (*base, *over))
    )
    return (
        [table for table in base if table["valid_from"] < over[0]["valid_from"]] + over
        if dated
        else over
    )


def venue_names() -> tuple[str, ...]:
    """Names of the venues that ship with the package."""
    files = resources.files("fundenv.venues").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))
