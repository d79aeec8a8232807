"""The tables of one symbol, as they come from files, from an exchange or from a generator."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.files.schema import DataError, check_table
from fundenv.venues import Place, legs_of

HOUR_NS = 3_600_000_000_000
# symbols whose names begin so come from a generator: no exchange outage concerns them
GENERATED = "SYNTH-"


@dataclass(frozen=True, kw_only=True, eq=False)
class SymbolFrames:
    """Checked tables of one symbol; columns and units as `fundenv.market.files.schema` says.

    Attributes:
        symbol: name of the contract, as the venue file spells it, or of an asset whose legs trade
        elsewhere (`fundenv.venues.legs_of`). funding, perp, spot: required tables. mark: mark-price
        bars; without them the perpetual's own prices are used. extras: column name -> table (time,
        column); `time` is the instant from which a row is known. names: kind -> file name, for
        messages. notes: what was done to read them, one sentence each. lender: the contract whose
        perp and mark tables replace the asset's own; none: they are its own.

    Raises `DataError` where a table fails a check.
    """

    symbol: str
    funding: pd.DataFrame
    perp: pd.DataFrame
    spot: pd.DataFrame
    mark: pd.DataFrame | None = None
    extras: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lender: Place | None = None

    def __post_init__(self) -> None:
        # np.str_ of an array or a pandas column prints another way, and the hash would differ
        object.__setattr__(self, "symbol", str(self.symbol))
        object.__setattr__(
            self, "funding", check_table(self.funding, "funding", self.name("funding"))
        )
        object.__setattr__(self, "perp", check_table(self.perp, "perp", self.name("perp")))
        object.__setattr__(self, "spot", check_table(self.spot, "spot", self.name("spot")))
        if self.mark is not None:
            object.__setattr__(self, "mark", check_table(self.mark, "mark", self.name("mark")))
        extras = {
            column: check_table(table, "extra", self.name(column))
            for column, table in self.extras.items()
        }
        object.__setattr__(self, "extras", extras)

    def name(self, kind: str) -> str:
        """The name of the table of `kind` in messages."""
        return self.names.get(kind, f"{self.symbol} {kind}")

    def place(self, kind: str) -> Place:
        """Where the prices of `kind` were made."""
        legs = legs_of(contract_of(self.symbol))
        if kind == "spot":
            return legs.spot
        return self.lender if self.lender and kind in ("perp", "mark") else legs.perp

    def known_at(self, instant: str | pd.Timestamp) -> SymbolFrames:
        """The tables as known at `instant` (UTC): closed bars, past settlements and extra rows."""
        ns = to_ns(instant)
        bars = {
            k: _until(f, ns - step_ns(f, self.name(k)))
            for k, f in (("perp", self.perp), ("spot", self.spot), ("mark", self.mark))
            if f is not None
        }
        extras = {column: _until(table, ns) for column, table in self.extras.items()}
        return SymbolFrames(
            symbol=self.symbol,
            funding=_until(self.funding, ns),
            extras=extras,
            names=self.names,
            notes=self.notes,
            lender=self.lender,
            **bars,
        )


def contract_of(symbol: str) -> str:
    """The contract whose rules a symbol has: BTCUSDT for SYNTH-BTCUSDT-3, which was made out of it;
    any other symbol's own name.
    """
    return (
        symbol.removeprefix(GENERATED).rsplit("-", 1)[0] if symbol.startswith(GENERATED) else symbol
    )


def to_ns(instant: str | pd.Timestamp) -> int:
    """Nanoseconds since 1970 of an instant; without an offset it is UTC."""
    stamp = pd.Timestamp(instant)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return int(stamp.as_unit("ns").value)


def bar_length_ns(bar: str) -> int:
    """Length in ns of a bar given as "1h" or "30min". Raises `DataError` for anything else."""
    try:
        length = int(pd.Timedelta(bar).as_unit("ns").value)
    except ValueError as error:
        raise DataError(f"bar {bar!r} is not a length of time; write 1h, 4h or 8h") from error
    if length <= 0:
        raise DataError(f"bar {bar!r} is not longer than nothing; write 1h, 4h or 8h")
    return length


def floats(column: pd.Series | NDArray[np.float64]) -> NDArray[np.float64]:
    """A column as float64 (n,)."""
    return np.asarray(column, dtype=np.float64)


def times_ns(table: pd.DataFrame) -> NDArray[np.int64]:
    """`time` of a checked table, (n,) int64 nanoseconds."""
    return table["time"].to_numpy("datetime64[ns]").astype(np.int64)


def step_ns(table: pd.DataFrame, name: str) -> int:
    """Length of the bars of a checked table in ns: its commonest spacing. Raises `DataError` for a
    bar off that grid.
    """
    opens = times_ns(table)
    steps, counts = np.unique(np.diff(opens), return_counts=True)
    step = int(steps[counts.argmax()])
    off = (opens - opens[0]) % step != 0
    if off.any():
        row = int(off.argmax())
        when = table["time"].iloc[row]
        raise DataError(
            f"{name}: column time, row {row}: {when} is off the {step / HOUR_NS:g} h grid of its"
            " bars; give bars of one constant length"
        )
    return step


def step_name(step: int) -> str:
    """A bar length in ns as file names spell it: 1h, 4h, 15m."""
    return f"{step // HOUR_NS}h" if step % HOUR_NS == 0 else f"{step // 60_000_000_000}m"


def write_frames(frames: SymbolFrames, folder: str | Path, *, venue: str) -> tuple[Path, ...]:
    """Write the tables as `{venue}_{symbol}_{kind}[_{step}].parquet`; each file appears complete or
    not at all. Returns their paths.
    """
    folder = Path(folder)
    for what, text in (
        ("venue", venue),
        ("symbol", frames.symbol),
        *(("extra column", c) for c in frames.extras),
    ):
        if text.startswith(".") or any(sign in text for sign in "/\\\0:@"):
            raise DataError(
                f"{what} {text!r} cannot be part of a file name; use letters, digits and dashes"
            )
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "funding": frames.funding,
        "perp": frames.perp,
        "spot": frames.spot,
        "mark": frames.mark,
        **frames.extras,
    }
    written = []
    for kind, table in tables.items():
        if table is None:
            continue
        suffix = (
            f"_{step_name(step_ns(table, frames.name(kind)))}"
            if kind in ("perp", "spot", "mark")
            else ""
        )
        path = folder / f"{venue}_{frames.symbol}_{kind}{suffix}.parquet"
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        table.to_parquet(partial, index=False)
        partial.replace(path)
        written.append(path)
    return tuple(written)


def _until(table: pd.DataFrame, ns: int) -> pd.DataFrame:
    return table[times_ns(table) <= ns]
