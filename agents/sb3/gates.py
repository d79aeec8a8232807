"""The action of the learners with gates: for every asset one head for {hold, each carry}, then one
for the leverage.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def gate_settings(params: Any) -> dict[str, Any]:
    """`EnvConfig` fields for `carry_grid` and `leverage_grid` of the parameters; the hedge ratio
    stays at 1.
    """
    grids = {"carry_grid": params.carry_grid, "leverage_grid": params.leverage_grid}
    return {"actions": "discrete", "dials": ("carry", "leverage"), "hedge": 1.0} | grids


def hold_logits(space: Any) -> list[int]:
    """Number of the logit of `hold` of each asset; `space` is the MultiDiscrete of the heads."""
    return [int(first) for first in np.cumsum([0, *space.nvec[:-1]])[::2]]
