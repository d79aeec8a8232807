"""`indexed` actions: every decision has one number, for learners that choose among a list."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t
from fundenv.settings.forms import KEEPER

# A network has one output per decision; more are better told apart by `discrete`.
MOST_DECISIONS = 10_000


def decision_table(config: EnvConfig, assets: int) -> t.Float32 | None:
    """The K decisions of `indexed` actions as rows (K, A x entries per asset) of `discrete` ones;
    None for the other kinds of actions.

    Number 0 holds every asset. An asset holds, or takes one value of each free dial; of the dials
    the last one, and of the assets the last one, changes with every number; a free keeper before
    them all. Raises `ConfigError` above `MOST_DECISIONS`.
    """
    if config.actions != "indexed":
        return None
    dials = [dial for dial in config.dials if dial != KEEPER]
    keepers = [(k,) for k in range(len(config.keeper_grid))] if KEEPER in config.dials else [()]
    gates = range(1, 1 + (len(config.carry_grid) if "carry" in config.dials else 1))
    grids = [range(len(getattr(config, f"{d}_grid"))) for d in dials if d != "carry"]
    count = (1 + prod(map(len, (gates, *grids)))) ** assets * len(keepers)
    if count > MOST_DECISIONS:
        raise ConfigError(
            f"actions = 'indexed': {assets} asset(s) and the grids of {', '.join(config.dials)}"
            f" make {count} decisions, more than {MOST_DECISIONS}; free fewer dials, shorten the"
            " grids, or take actions = 'discrete'"
        )
    own = [(0,) * (1 + len(grids)), *product(gates, *grids)]
    rows = [sum(each, ()) for each in product(own, repeat=assets)]
    return np.array([row + keeper for row in rows for keeper in keepers], np.float32)
