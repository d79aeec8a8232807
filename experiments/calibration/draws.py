"""The settings of a grid that are tried: all of them, or a random draw of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.calibration.search import Dimension, Values, grid, in_order
from experiments.core.run_folder import RunError

_WHOLE = 100_000  # most combinations that are all made, before those out of order are left out


def size(space: Sequence[Dimension]) -> int:
    """Number of combinations of the listed values."""
    return math.prod(len(dimension.values) for dimension in space)


def drawn(
    space: Sequence[Dimension], rule: str, fixed: dict[str, Any], most: int, seed: int
) -> Values:
    """Every setting that keeps the order of the parameters, or `most` different ones that `seed`
    draws; the same for the same arguments. Raises `RunError` where no setting keeps the order.
    """
    rng = np.random.default_rng(seed)
    if size(space) <= _WHOLE:
        values = grid(space)
    else:
        many = max(20 * most, 10_000)
        picked = [rng.integers(len(dimension.values), size=many) for dimension in space]
        rows = np.unique(np.stack(picked, axis=1), axis=0)
        values = {
            dimension.name: np.array(dimension.values)[rows[:, i]]
            for i, dimension in enumerate(space)
        }
    good = np.flatnonzero(in_order(rule, fixed, values))
    if not len(good):
        raise RunError(f"no combination of the values of {rule} keeps the order of its parameters")
    if len(good) > most:
        good = np.sort(rng.choice(good, most, replace=False))
    return {name: array[good] for name, array in values.items()}
