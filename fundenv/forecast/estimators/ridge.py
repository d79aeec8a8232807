"""Ridge regression on all inputs, pooled over coins, of targets divided by the scale of funding."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts
from fundenv.forecast.base import HORIZONS, Forecaster, ForecasterSettings
from fundenv.forecast.history import Array, Panel
from fundenv.forecast.inputs import matrices, owners
from fundenv.settings import Range

TARGET_LIMIT = 3.0  # scaled targets are clipped to +- this: one extreme month must not set the fit
ALL = (
    "funding", "premium", "basis", "volatility", "returns", "volume", "open_interest", "others",
    "other_venue", "user",
)  # fmt: skip
USED = tuple(group for group in ALL if group != "open_interest")  # it did not help in screening


def scaled_targets(panel: Panel) -> list[Array]:
    """(K, H) of every history: (target - slow mean) / scale, clipped."""
    out = []
    for history in panel:
        mean, size = history.scale
        scaled = (history.targets() - mean[:, None]) / size[:, None]
        out.append(np.clip(scaled, -TARGET_LIMIT, TARGET_LIMIT))
    return out


def in_scale(panel: Panel, means: list[Array]) -> list[Array]:
    """Forecasts (K, H) of every history in units of the scale, measured from the slow mean."""
    out = []
    for history, each in zip(panel, means, strict=True):
        mean, size = history.scale
        out.append((each - mean[:, None]) / size[:, None])
    return out


def unscaled(panel: Panel, scaled: list[Array]) -> list[Array]:
    """The reverse of `in_scale`: forecasts in bp per 8 h."""
    out = []
    for history, each in zip(panel, scaled, strict=True):
        mean, size = history.scale
        out.append(mean[:, None] + size[:, None] * each)
    return out


class ScaledForecaster(Forecaster):
    """Base of forecasters that learn scaled targets from the input matrix, pooled over coins."""

    groups: ClassVar[tuple[str, ...]] = USED

    def base(self, panel: Panel) -> list[Array] | None:
        """(K, H) scaled forecasts that the learned part is added to, or none."""
        return None

    def learn_base(self, panel: Panel) -> None:
        """Fit the model behind `base`."""

    def learn(self, panel: Panel) -> None:
        """Fit every horizon to the rows in which its target is known."""
        self.learn_base(panel)
        self.names, x = matrices(panel, self.inputs)
        y = scaled_targets(panel)
        start = self.base(panel)
        if start is not None:
            y = [each - first for each, first in zip(y, start, strict=True)]
        inputs, targets = np.concatenate(x), np.concatenate(y)
        for j in range(len(HORIZONS)):
            known = np.isfinite(targets[:, j])
            self.fit_horizon(j, inputs[known], targets[known, j])

    @abstractmethod
    def fit_horizon(self, j: int, x: Array, y: Array) -> None:
        """Fit horizon j to inputs (n, F) and scaled targets (n,)."""

    @abstractmethod
    def ask_horizon(self, j: int, x: Array) -> Array:
        """Scaled forecasts (n,) of horizon j for inputs (n, F)."""

    @abstractmethod
    def parts_horizon(self, j: int, x: Array) -> Array:
        """(n, F + 1) what each input adds to a scaled forecast of horizon j; last column: a
        constant.
        """

    def explain_base(self, panel: Panel, since: int) -> list[Parts]:
        """The parts of the forecast to which the learned part is added: the slow mean alone, or the
        parts of `base`.
        """
        found = []
        for history in panel:
            slow = history.scale.mean[history.ns >= since]
            found.append(Parts(np.repeat(slow[:, None], len(HORIZONS), axis=1), {}))
        return found

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """The parts of every forecast, in bp per 8 h."""
        names, x = matrices(panel, self.inputs)
        keys = list(zip(owners(panel, self.inputs), names, strict=True))
        found = []
        for history, each, start in zip(panel, x, self.explain_base(panel, since), strict=True):
            rows = history.ns >= since
            scaled = [self.parts_horizon(j, each[rows]) for j in range(len(HORIZONS))]
            parts = np.stack(scaled, axis=1) * history.scale.size[rows, None, None]
            values = {key: parts[:, :, f] for f, key in enumerate(keys)}
            found.append(Parts(start.base + parts[:, :, -1], start.values | values))
        return found

    def means(self, panel: Panel) -> list[Array]:
        """Forecasts (K, H)."""
        start = self.base(panel)
        scaled = []
        for i, x in enumerate(matrices(panel, self.inputs)[1]):
            ahead = np.column_stack([self.ask_horizon(j, x) for j in range(len(HORIZONS))])
            scaled.append(ahead if start is None else ahead + start[i])
        return unscaled(panel, scaled)


@dataclass(frozen=True, kw_only=True)
class RidgeSettings(ForecasterSettings):
    """Parameters of the ridge regression."""

    penalty: Annotated[float, Range(0, 1e6)] = 300.0
    """Penalty on the squared weights of standardised inputs; it counts as that many settlements."""


class Ridge(ScaledForecaster):
    """Ridge regression of scaled targets on all groups of inputs, pooled over coins."""

    name: ClassVar[str] = "ridge"
    parameters: ClassVar[type[ForecasterSettings]] = RidgeSettings

    def learn(self, panel: Panel) -> None:
        """Fit every horizon."""
        self.weights: Array = np.zeros((len(HORIZONS), 0))
        super().learn(panel)

    def fit_horizon(self, j: int, x: Array, y: Array) -> None:
        """Fit the weights of the inputs in their own units."""
        centre, size = x.mean(axis=0), x.std(axis=0)
        size = np.where(size > 1e-12, size, np.inf)  # a constant input gets weight 0
        z = (x - centre) / size
        gram = z.T @ z + self.params.penalty * np.eye(z.shape[1])
        weights = np.linalg.solve(gram, z.T @ (y - y.mean())) / size
        if not self.weights.size:
            self.weights = np.zeros((len(HORIZONS), 1 + x.shape[1]))
        self.weights[j] = np.r_[y.mean() - centre @ weights, weights]

    def ask_horizon(self, j: int, x: Array) -> Array:
        """Scaled forecasts (n,)."""
        return np.asarray(self.weights[j, 0] + x @ self.weights[j, 1:])

    def parts_horizon(self, j: int, x: Array) -> Array:
        """(n, F + 1) what every input adds, exact; last column: the constant."""
        return np.column_stack([x * self.weights[j, 1:], np.full(len(x), self.weights[j, 0])])

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights."""
        return {"ridge": self.weights}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.weights = state["ridge"]
