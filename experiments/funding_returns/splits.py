"""Ways to part days into those to learn from and those to judge on: an honest one, and the one that
flatters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, TimeSeriesSplit

Rows = NDArray[np.int64]
FOLDS = 5


def walk_forward(n: int, gap: int, folds: int = FOLDS) -> Iterator[tuple[Rows, Rows]]:
    """Each piece is judged by what was learned before it, less the `gap` rows whose returns reach
    into it.
    """
    yield from TimeSeriesSplit(folds, gap=gap).split(np.zeros(n))


def blocks(n: int, gap: int, folds: int = FOLDS) -> Iterator[tuple[Rows, Rows]]:
    """Each fifth is judged by all others, later ones too, less `gap` rows on either side."""
    for learn, judge in KFold(folds).split(np.zeros(n)):
        yield learn[(learn < judge[0] - gap) | (learn > judge[-1] + gap)], judge


def shuffled(n: int, gap: int, folds: int = FOLDS) -> Iterator[tuple[Rows, Rows]]:
    """Days drawn at random: nearly every judged day has a neighbour among those learned from, and
    their returns overlap. It flatters.
    """
    yield from KFold(folds, shuffle=True, random_state=0).split(np.zeros(n))


def r_squared(
    y: NDArray[np.float64], model: NDArray[np.float64], base: NDArray[np.float64]
) -> float:
    """1 - squared error of the model over that of the base, over the rows that have both."""
    known = np.isfinite(model) & np.isfinite(base)
    error, usual = ((y[known] - each[known]) ** 2 for each in (model, base))
    return float(1.0 - error.sum() / usual.sum())
