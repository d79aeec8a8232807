"""Where episodes begin and with which seeds, as a caller of `reset` says it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

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
    asked = np.broadcast_to(np.asarray(0 if paths is None else paths, dtype=np.int64), (n,))
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
    rows = first + np.broadcast_to(np.asarray(starts, dtype=np.int64), (n,))
    latest = last - 1 - world.codes[t.DECISION_BARS]
    bad = np.flatnonzero((rows < first) | (rows > latest))
    if bad.size:
        at, limit = bad[0], int((latest - first)[bad[0]])
        raise ConfigError(
            f"start {int((rows - first)[at])} of path {int(asked[at])} is outside 0 .. {limit}; one"
            " decision must fit"
        )
    return where, rows


def seeds_of(seed: int | Sequence[int] | None, n: int) -> t.Int64:
    """The seed (n,) of every environment: seed + i, or seed[i]; fresh entropy for None. Raises
    `ConfigError`.
    """
    if seed is None:
        entropy = int.from_bytes(os.urandom(7), "little")
        return np.arange(n, dtype=np.int64) + entropy
    seeds = np.asarray(seed)
    if (
        seeds.dtype.kind not in "iu"
        or (seeds.min() if seeds.size else 0) < 0
        or seeds.max() > 2**62
    ):
        raise ConfigError(
            f"seed = {seed!r}: expected an integer from 0 to 2**62, or one for each environment"
        )
    if seeds.ndim == 0:
        return np.arange(n, dtype=np.int64) + int(seeds)
    if seeds.shape != (n,):
        raise ConfigError(
            f"seed has {seeds.shape} entries; expected one number or {n}, one for each environment"
        )
    return seeds.astype(np.int64)
