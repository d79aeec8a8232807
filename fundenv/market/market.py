"""The immutable market that every backend steps through."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.layout import (
    HALTED,
    N_COLUMNS,
    NO_PRICE,
    PERP_DAY_VOLUME,
    SETTLE_PRICE,
    SPOT_DAY_VOLUME,
    TRADED,
    UNLISTED,
)


class Feature(NamedTuple):
    """One market feature: its observation is clip(raw / scale, low, high)."""

    name: str
    meaning: str
    unit: str
    low: float
    high: float
    scale: float


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Market:
    """Bars, causal features and provenance of one or several paths; immutable.

    Rows of all paths stand one behind another. A path is a span of consecutive bars of one symbol,
    or of several symbols on one clock.

    Attributes:
        bars: (R, A, 16) float64, columns of `fundenv.market.layout`. features: (R, A, F) float32,
        scaled and clipped as `table` says; row r holds what is public when bar r closes, without a
        settlement
            that falls on that very instant.
        paths: (P, 2) int64, first row and one past the last row of each path; every row of a path
        has complete features. close_ns: (R,) int64, the instant at which bar r closes, nanoseconds
        since 1970 UTC. symbols: P tuples of A names. bar_hours: length of a bar. table: the F
        features. venue: name of the venue whose funding constants the features used. notes: what
        was masked, dropped or resampled, one sentence each. cautions: what the plausibility check
        found and the user let through, one sentence each; a report names them. shocked: whether a
        shock is laid over a path (`splice`).
    """

    bars: NDArray[np.float64]
    features: NDArray[np.float32]
    paths: NDArray[np.int64]
    close_ns: NDArray[np.int64]
    symbols: tuple[tuple[str, ...], ...]
    bar_hours: float
    table: tuple[Feature, ...]
    venue: str
    notes: tuple[str, ...] = field(default=())
    cautions: tuple[str, ...] = field(default=())
    shocked: bool = False

    def __post_init__(self) -> None:
        # names taken from an array are np.str_, which the hash would tell from the same text
        names = tuple(tuple(str(name) for name in path) for path in self.symbols)
        object.__setattr__(self, "symbols", names)
        rows, assets = self.bars.shape[:2]
        if self.bars.shape != (rows, assets, N_COLUMNS) or self.features.shape != (
            rows,
            assets,
            len(self.table),
        ):
            shapes = f"bars {self.bars.shape} and features {self.features.shape}"
            raise ValueError(
                f"{shapes} do not fit {N_COLUMNS} columns and {len(self.table)} features"
            )
        if len(self.symbols) != len(self.paths) or any(len(s) != assets for s in self.symbols):
            raise ValueError(
                f"symbols {self.symbols} do not name {assets} asset(s) for each of"
                f" {len(self.paths)} path(s)"
            )
        for array in (self.bars, self.features, self.paths, self.close_ns):
            array.flags.writeable = False

    @property
    def n_assets(self) -> int:
        """Assets A per path."""
        return int(self.bars.shape[1])

    @property
    def n_paths(self) -> int:
        """Paths P."""
        return len(self.paths)

    @cached_property
    def close_s(self) -> NDArray[np.int64]:
        """(R,): `close_ns` in whole seconds."""
        return self.close_ns // 1_000_000_000

    @cached_property
    def hash(self) -> str:
        """Twelve hex digits of the SHA-256 over every number and name in the market."""
        digest = hashlib.sha256(
            repr((self.symbols, self.bar_hours, self.table, self.venue)).encode()
        )
        for array in (self.bars, self.features, self.paths, self.close_ns):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:12]

    @cached_property
    def has_volume(self) -> bool:
        """Whether traded volumes are known; where they are not, every volume column of `bars` is 0
        and says nothing about capacity.
        """
        return bool(
            ((self.bars[..., SPOT_DAY_VOLUME] > 0) & (self.bars[..., PERP_DAY_VOLUME] > 0)).any()
        )

    @cached_property
    def has_listings(self) -> bool:
        """Whether some asset is not listed in some bar."""
        return bool((self.bars[..., HALTED] >= UNLISTED).any())

    @cached_property
    def has_failures(self) -> bool:
        """Whether a venue fails in some bar."""
        state = self.bars[..., HALTED]
        return bool(((state < TRADED) | (state > UNLISTED)).any())

    def with_notes(self, *notes: str) -> Market:
        """The same market with more notes."""
        return replace(self, notes=self.notes + notes)

    def times(self, path: int) -> pd.DatetimeIndex:
        """Close times of the bars of one path, UTC."""
        first, last = self.paths[path]
        return pd.DatetimeIndex(pd.to_datetime(self.close_ns[first:last], utc=True))

    def __repr__(self) -> str:
        shape = (
            f"{self.n_paths} path(s) x {self.n_assets} asset(s), {self.bar_hours:g} h bars,"
            f" {len(self.table)} features"
        )
        lines = [f"Market {self.hash}: {shape}, venue {self.venue}"]
        for path, names in enumerate(self.symbols):
            first, last = self.paths[path]
            bars, times = self.bars[first:last], self.times(path)
            settled = int((bars[:, :, SETTLE_PRICE] > 0).sum())
            halted = int((bars[:, :, HALTED] == NO_PRICE).sum())
            absent = int((bars[:, :, HALTED] >= UNLISTED).sum())
            unlisted = f", {absent} bars of coins not listed" if absent else ""
            span = f"{times[0]:%Y-%m-%d %H:%M} .. {times[-1]:%Y-%m-%d %H:%M} UTC"
            lines.append(
                f"  {'+'.join(names)}: {span}, {last - first} bars, {settled} settlements, {halted}"
                f" halted bars{unlisted}"
            )
        lines += [f"  accepted: {caution}" for caution in self.cautions]
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])
