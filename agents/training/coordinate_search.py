"""Search by paired differences: the search evaluates every parameter moved up and moved down on the
same episodes, and changes it if the difference is clearly larger than its standard error.

A gradient from random directions (an evolution strategy) changes all parameters at once, and their
noise hides the few that matter. Here each parameter has its own difference and standard error, and
does not change where the difference is noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_KEEP = 0.7  # weight of earlier rounds in the mean difference
_CLEAR = 1.5  # a difference of fewer standard errors does not change the parameter
_SURE = 3.0  # a difference of at least so many standard errors changes it by the whole step


class CoordinateSearch:
    """The centre of the search, and the mean differences of earlier rounds."""

    def __init__(self, size: int, *, probe: float) -> None:
        """size: number of parameters. probe: how far each is moved up and down."""
        self.probe, self.rounds = probe, 0
        self.centre, self.mean, self.variance = np.zeros(size), np.zeros(size), np.zeros(size)

    def tries(self) -> Array:
        """Parameters (2 K, K) to evaluate: each moved up, then each moved down."""
        moves = self.probe * np.eye(len(self.centre))
        return np.concatenate([self.centre + moves, self.centre - moves])

    def learn(self, merit: Array, rate: float, pull: float) -> Array:
        """Move the centre by at most `rate` in each parameter, and by `pull` of itself towards
        zero. merit: (2 K, E) of the tries in each episode. Returns the differences in standard
        errors (K,).
        """
        size, episodes = len(self.centre), merit.shape[1]
        better = merit[:size] - merit[size:]
        error = better.std(axis=1, ddof=1) / np.sqrt(episodes)
        new = 1.0 if self.rounds == 0 else 1.0 - _KEEP
        self.mean = (1.0 - new) * self.mean + new * better.mean(axis=1)
        self.variance = (1.0 - new) ** 2 * self.variance + new**2 * error**2
        self.rounds += 1
        sure = self.mean / np.sqrt(np.maximum(self.variance, 1e-18))
        way = np.sign(sure) * np.clip((np.abs(sure) - _CLEAR) / (_SURE - _CLEAR), 0.0, 1.0)
        self.centre = (1.0 - pull) * self.centre + rate * way
        return sure

    def state(self) -> dict[str, Any]:
        """Arrays and the number of rounds, for a file."""
        return {
            "centre": self.centre,
            "mean": self.mean,
            "variance": self.variance,
            "rounds": np.int64(self.rounds),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from the values that `state` returned."""
        self.centre, self.mean, self.variance = (
            np.array(state[name], np.float64) for name in ("centre", "mean", "variance")
        )
        self.rounds = int(state["rounds"])
