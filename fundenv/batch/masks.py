"""Which choices of a counted action have an effect now: masks for learners that take them."""

from __future__ import annotations

import numpy as np

from fundenv.batch.action_sizes import action_width, grid_sizes
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t


def choice_masks(config: EnvConfig, available: t.Bool, decisions: t.Float32 | None) -> t.Bool:
    """(n, K): whether each choice is open, of n environments with `available` (n, A) assets.

    `discrete`: the choices of all entries one behind another, as `sb3_contrib.MaskablePPO` takes
    them; an asset that is not available may only hold, and its other entries, which then do
    nothing, stay open. `indexed`: the decisions. Raises `ConfigError` for other actions.
    """
    assets, each = available.shape[1], action_width(config)
    if decisions is not None:
        gates = decisions[:, : assets * each : each]
        return (available[:, None, :] | (gates[None] == 0)).all(axis=2)
    sizes = grid_sizes(config, assets)
    if sizes is None:
        raise ConfigError(
            f"action_masks: actions = {config.actions!r} has no choices to mask; take 'discrete' or"
            " 'indexed', or observe 'available'"
        )
    masks = np.ones((len(available), sum(sizes)), dtype=np.bool_)
    starts = np.cumsum([0, *sizes])
    for a in range(assets):
        gate = starts[a * each]
        masks[:, gate + 1 : gate + sizes[a * each]] = available[:, a, None]
    return masks
