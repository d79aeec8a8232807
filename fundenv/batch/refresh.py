"""A market that takes the place of another while episodes are under way."""

from __future__ import annotations

import numpy as np

from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.market import Market, path_range, stack


def joined(held: Market, market: Market, world: t.World, episode: t.Int64) -> tuple[Market, int]:
    """The market that holds the paths now open and those of `market`, and the path at which the
    latter begin: 0, or as many as are open.

    held: the market of the batch, with paths that a former call has replaced; episode: of all
    environments. Raises `ConfigError` where the paths differ in number or length, or where an
    episode is still on a market that was replaced before.
    """
    open_paths, first = int(world.codes[t.OPEN_PATHS]), int(world.codes[t.FIRST_PATH])
    current = path_range(held, first, first + open_paths)
    if not np.array_equal(current.paths, market.paths):
        shapes = " and ".join(
            f"{m.n_paths} path(s) of {len(m.bars)} bars in all" for m in (current, market)
        )
        raise ConfigError(
            f"refresh: the markets have {shapes}; give as many paths of the same lengths"
        )
    left = (first + open_paths) % (2 * open_paths)
    path = episode[:, t.PATH]
    busy = (path >= left) & (path < left + open_paths) & (episode[:, t.MUST_RESET] == 0)
    if held.n_paths > open_paths and busy.any():
        raise ConfigError(
            f"refresh: {busy.sum()} episode(s) are still on the market before the last one;"
            " refresh less often than an episode lasts"
        )
    return stack([market, current] if left == 0 else [current, market]), left
