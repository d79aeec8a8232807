"""Where episodes begin and with which seeds, as a caller of `reset` says it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fundenv.batch.gate import read_integers, read_seeds
from fundenv.config import ConfigError
from fundenv.dynamics import types as t


def rows_of(world: t.World, n: int, paths: Any, starts: Any) -> tuple[t.Int64, t.Int64]:
    """Path (n,) and row (n,) of the market at whose close each of n environments begins; -1 where
    they are to be drawn.

    paths: of each environment, one for all, or None: the first; starts: likewise, row within the
    path, None: the first that can be a start; both None: drawn. Raises `ConfigError` for a path
    that does not exist, or a start after which no decision fits.
    """
    if paths is None and starts is None:
        return np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    asked = read_integers("path", 0 if paths is None else paths, n)
    count = int(world.codes[t.OPEN_PATHS])
    if asked.min() < 0 or asked.max() >= count:
        raise ConfigError(
            f"path {asked.min() if asked.min() < 0 else asked.max()} does not exist; the market has"
            f" paths 0 .. {count - 1}"
        )
    where = asked + world.codes[t.FIRST_PATH]
    first, last = world.paths[where, 0], world.paths[where, 1]
    if starts is None:
        return where, world.starts[where, 0].copy()
    start = read_integers("start", starts, n)
    limit = last - 1 - world.codes[t.DECISION_BARS] - first
    bad = np.flatnonzero((start < 0) | (start > limit))
    if bad.size:
        i = bad[0]
        raise ConfigError(
            f"start {int(start[i])} of path {int(asked[i])} is outside 0 .. {int(limit[i])}; one"
            " decision must fit"
        )
    return where, first + start


def seeds_of(seed: int | Sequence[int] | None, n: int) -> t.Int64:
    """The seed (n,) of every environment: seed + i, or seed[i]; fresh entropy for None. Raises
    `ConfigError`.
    """
    if seed is None:
        entropy = int.from_bytes(os.urandom(7), "little")
        return np.arange(n, dtype=np.int64) + entropy
    return read_seeds(seed, n)


def books_of(world: t.World, episode: t.Int64) -> t.Int64:
    """Row (n,) of `World.symbols` with the rules in force when each episode began, counted in
    another world that holds the paths at the same numbers: `fundenv.batch.loop` for a whole batch.
    """
    path = episode[:, t.PATH]
    begun = episode[:, t.ROW] - episode[:, t.DECISION] * world.codes[t.DECISION_BARS]
    closed = world.starts[path, 2] + begun - world.paths[path, 0] + 1
    era = np.maximum(np.searchsorted(world.eras, closed, side="right") - 1, 0)
    return era * len(world.paths) + path
