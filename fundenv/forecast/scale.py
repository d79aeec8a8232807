"""The scale of funding: the slow mean of a coin's rate, and the size of its changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
FLOOR_BP = 0.05  # smallest scale: a rate that did not change lately may still change
SLOW = 90  # settlements; span of the slow mean, from which levels are measured


class Scale(NamedTuple):
    """Slow mean and size of the changes of a rate, each (K,) bp per 8 h."""

    mean: Array
    size: Array


def scale_of(rate: Array) -> Scale:
    """The slow exponential mean of a rate, and the size of its changes.

    The size is the root of a weighted mean of two mean squares: four parts of a fast one (weight
    .27 on the newest change, as in a GARCH(1,1) fitted to funding) and one part of a slow one (span
    270). Both values at k use the rates up to k.
    """
    series = pd.Series(rate)
    squared = series.diff().fillna(0.0) ** 2
    fast = squared.ewm(alpha=0.27, adjust=True).mean().to_numpy()
    slow = squared.ewm(span=270, adjust=True).mean().to_numpy()
    size = np.sqrt(0.8 * fast + 0.2 * slow)
    return Scale(series.ewm(span=SLOW, adjust=True).mean().to_numpy(), np.maximum(size, FLOOR_BP))


def trailing_means(rate: Array, windows: Sequence[int]) -> Array:
    """(K, W) mean of the last w rates; of all rates where there are fewer."""
    series = pd.Series(rate)
    return np.column_stack([series.rolling(w, min_periods=1).mean().to_numpy() for w in windows])
