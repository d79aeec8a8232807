"""Exponential means of settled rates; and the same with Gaussian quantiles, against which the
quantiles of the other forecasters are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.attribution import AGES, Parts, age_names
from fundenv.forecast.base import HORIZONS, Forecaster, ForecasterSettings
from fundenv.forecast.history import Array, History, Panel
from fundenv.forecast.width import LEVELS, Width
from fundenv.settings import Range

SPANS = (3, 5, 13, 21, 45, 90)


@dataclass(frozen=True, kw_only=True)
class EwmaSettings(ForecasterSettings):
    """Parameters of the exponential mean."""

    span: Annotated[float | None, Range(1, 2000, "settlements")] = None
    """Span of the mean, settlements; none: for each horizon the one of 3, 5, 13, 21, 45 and 90 with
    the smallest squared error on the training span.
    """


class Ewma(Forecaster):
    """The exponential mean of settled rates, with a fitted span for each horizon."""

    name: ClassVar[str] = "ewma"
    parameters: ClassVar[type[ForecasterSettings]] = EwmaSettings

    def learn(self, panel: Panel) -> None:
        """Choose the span of each horizon by its squared error over all coins."""
        if self.params.span is not None:
            self.spans = np.full(len(HORIZONS), float(self.params.span))
            return
        loss = np.zeros((len(SPANS), len(HORIZONS)))
        for history in panel:
            target = history.targets()
            for i, span in enumerate(SPANS):
                loss[i] += np.nansum((ewma(history.rate, span)[:, None] - target) ** 2, axis=0)
        self.spans = np.array(SPANS, dtype=np.float64)[loss.argmin(axis=0)]

    def means(self, panel: Panel) -> list[Array]:
        """The mean of each horizon's span (K, H)."""
        return [
            np.column_stack([ewma(history.rate, span) for span in self.spans]) for history in panel
        ]

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """Parts by the age of the rates, measured from the slow mean; exact."""
        return [self._parts(history, history.ns >= since) for history in panel]

    def _parts(self, history: History, rows: NDArray[np.bool_]) -> Parts:
        slow = history.scale.mean
        firsts = (0, *AGES[:-1])
        older = np.stack([ages_over(history.rate, slow, span, firsts) for span in self.spans])
        parts = older - np.concatenate([older[:, 1:], np.zeros_like(older[:, :1])], axis=1)
        values = {key: parts[:, i, rows].T for i, key in enumerate(age_names())}
        return Parts(np.repeat(slow[rows, None], len(self.spans), axis=1), values)

    def state(self) -> dict[str, NDArray[Any]]:
        """The spans."""
        return {"spans": self.spans}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.spans = state["spans"]


def ages_over(rate: Array, slow: Array, span: float, ages: Sequence[int]) -> Array:
    """(A, K) what the rates older than each age, less the slow mean, add to the exponential
    mean.
    """
    keep = 1.0 - 2.0 / (span + 1.0)
    total = np.cumsum(keep ** np.arange(len(rate)))  # sum of the weights; the newest has weight 1
    sums = ewma(rate, span) * total
    out = np.zeros((len(ages), len(rate)))
    for i, age in enumerate(ages):
        n = max(0, len(rate) - age)
        away = sums[:n] - slow[age:] * total[:n]
        out[i, age:] = keep**age * away / total[age:]
    return out


def ewma(rate: Array, span: float) -> Array:
    """Exponential mean (K,) of a rate; the value at k uses the rates up to k."""
    return np.asarray(pd.Series(rate).ewm(span=span, adjust=True).mean(), dtype=np.float64)


class _Gaussian(Width):
    """Normal quantiles; their standard deviation is the exponential root mean square of the errors
    that had settled.
    """

    def quantiles(
        self, history: History, mean: Array, since: int, *, tracked: bool = True
    ) -> Array:
        """(K, H, 5) quantiles; past misses do not move their levels."""
        from scipy.stats import norm

        error = history.targets() - mean
        out = np.empty((len(history), len(HORIZONS), len(LEVELS)))
        for j, h in enumerate(HORIZONS):
            squared = pd.Series(error[:, j] ** 2).ewm(span=45, adjust=True).mean().shift(h)
            size = np.sqrt(squared.fillna(self.usual[j] ** 2).to_numpy())
            out[:, j] = mean[:, j, None] + size[:, None] * norm.ppf(LEVELS)
        return out


class GaussianEwma(Ewma):
    """The exponential mean with normal quantiles, scaled by an exponential mean of its errors."""

    name: ClassVar[str] = "gaussian_ewma"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.width = _Gaussian()
