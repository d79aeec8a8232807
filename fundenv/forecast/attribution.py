"""Which inputs moved a forecast, and by how much: contributions that sum to it.

Exact for the regressions; Shapley values of the trees (Lundberg, Erion and Lee, 2018, by LightGBM);
integrated gradients of the networks (Sundararajan, Taly and Yan, ICML 2017, by captum), whose sum
equals the forecast up to the error of the numerical integration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fundenv.forecast.errors import ForecastError
from fundenv.forecast.history import Array, History

AGES = (1, 3, 21, 90)  # settlements: the last rate, a day, a week, a month
Key = tuple[str, str]  # group of inputs, input


class Parts(NamedTuple):
    """The parts whose sum is the forecast at each of n origins, bp per 8 h."""

    base: Array  # (n, H) the forecast without any input: mostly the coin's slow mean
    values: dict[Key, Array]  # each (n, H)

    @property
    def total(self) -> Array:
        """(n, H) the forecast."""
        return self.base + sum(self.values.values())


def cannot(name: str) -> ForecastError:
    """The error for a forecaster that cannot name the parts of its forecasts."""
    return ForecastError(
        f"forecaster {name} does not say which inputs moved it; choose one that does, as"
        " ridge, boosting, ensemble or lstm, or write its method explain"
    )


def age_names(edges: Sequence[int] = AGES) -> list[Key]:
    """Keys of the past rates by age, newest first: rate 1, rates 2-3, rates 4-21, rates 22-90."""
    firsts = [1, *(edge + 1 for edge in edges[:-1])]
    return [
        ("funding", f"rates {a}-{b}" if a < b else f"rate {a}")
        for a, b in zip(firsts, edges, strict=True)
    ]


def of_lags(history: History, since: int, constant: Array, weights: Array) -> Parts:
    """Parts of a forecast that is linear in the last L rates: constant (H,), weights (H, L), newest
    first. Rates are measured from the slow mean at the origin; those before the first known rate
    count as equal to it.
    """
    rows = history.ns >= since
    lags = weights.shape[1]
    padded = np.r_[np.full(lags - 1, history.rate[0]), history.rate]
    window = np.lib.stride_tricks.sliding_window_view(padded, lags)[rows][:, ::-1]
    slow = history.scale.mean[rows]
    away = window - slow[:, None]
    values = {}
    first = 0
    for key, edge in zip(age_names(), AGES, strict=True):
        last = min(edge, lags) if edge < AGES[-1] else lags
        if first < last:
            values[key] = away[:, first:last] @ weights[:, first:last].T
        first = last
    return Parts(constant + slow[:, None] * weights.sum(axis=1), values)
