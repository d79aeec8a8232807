"""Gradient boosting (LightGBM) of scaled targets on all inputs, pooled over coins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.base import HORIZONS, ForecasterSettings
from fundenv.forecast.estimators.ridge import ScaledForecaster
from fundenv.forecast.history import Array
from fundenv.settings import Range


@dataclass(frozen=True, kw_only=True)
class BoostingSettings(ForecasterSettings):
    """Parameters of gradient boosting."""

    trees: Annotated[int, Range(1, 5000)] = 150
    """Number of trees of each horizon."""
    leaves: Annotated[int, Range(2, 256)] = 15
    """Largest number of leaves of a tree."""
    learning_rate: Annotated[float, Range(0.001, 1)] = 0.04
    """Learning rate: the share of each tree that is added."""
    least: Annotated[int, Range(1, 10_000, "settlements")] = 200
    """Smallest number of settlements in a leaf."""


class Boosting(ScaledForecaster):
    """Gradient boosting of scaled targets on all groups of inputs, pooled over coins."""

    name: ClassVar[str] = "boosting"
    parameters: ClassVar[type[ForecasterSettings]] = BoostingSettings
    refits: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def fit_horizon(self, j: int, x: Array, y: Array) -> None:
        """Grow the trees of one horizon."""
        import lightgbm

        p = self.params
        settings = {
            "objective": "l2",
            "learning_rate": p.learning_rate,
            "num_leaves": p.leaves,
            "min_data_in_leaf": min(p.least, max(1, len(y) // 20)),
            "feature_fraction": 0.5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 10.0,
            "max_bin": 63,
            "seed": self.seed,
            "deterministic": True,
            "num_threads": 1,
            "verbose": -1,
        }
        grown = lightgbm.train(settings, lightgbm.Dataset(x, y), num_boost_round=p.trees)
        if j == 0:
            self.trees: list[Any] = [None] * len(HORIZONS)
        self.trees[j] = grown

    def ask_horizon(self, j: int, x: Array) -> Array:
        """Scaled forecasts (n,)."""
        return np.asarray(self.trees[j].predict(x, num_threads=1), dtype=np.float64)

    def parts_horizon(self, j: int, x: Array) -> Array:
        """(n, F + 1) Shapley values of the trees, and in the last column their mean forecast."""
        found = self.trees[j].predict(x, num_threads=1, pred_contrib=True)
        return np.asarray(found, dtype=np.float64)

    def state(self) -> dict[str, NDArray[Any]]:
        """The trees as LightGBM's own text."""
        return {f"trees:{j}": np.array(tree.model_to_string()) for j, tree in enumerate(self.trees)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        import lightgbm

        self.trees = [
            lightgbm.Booster(model_str=str(state[f"trees:{j}"])) for j in range(len(HORIZONS))
        ]
