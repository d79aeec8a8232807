"""The hours of a shock, laid over those of a history."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv.market import layout as c
from fundenv.market.synthetic.shocks import Shock

_BP = 1e-4


def shocked(bars: NDArray[np.float64], shock: Shock, scale: float) -> NDArray[np.float64]:
    """The hours of the shock in ratios to the last spot close, (n, A, 16); bars (1 + n, A, 16): the
    history's, from the hour before it on.
    """
    hours = _spread(shock)
    move, basis = (1.0 + 0.01 * hours.returns) ** scale, 1.0 + scale * _BP * hours.basis
    mark_basis = 1.0 + scale * _BP * shock.mark_share * hours.basis
    out = bars[1:].copy()
    for asset in range(out.shape[1]):
        at, before = out[:, asset], bars[0, asset]
        last, mark = (
            before[column] / before[c.SPOT_CLOSE] for column in (c.PERP_CLOSE, c.MARK_CLOSE)
        )
        at[:, c.SPOT_OPEN], at[:, c.SPOT_CLOSE] = 1.0, move
        at[:, c.PERP_OPEN], at[:, c.PERP_CLOSE] = np.r_[last, basis[:-1]], move * basis
        at[:, c.MARK_OPEN], at[:, c.MARK_CLOSE] = np.r_[mark, mark_basis[:-1]], move * mark_basis
        ends = at[:, [c.MARK_OPEN, c.MARK_CLOSE]]
        at[:, c.MARK_LOW] = np.minimum(ends.min(axis=1), (1.0 + 0.01 * hours.low) ** scale)
        at[:, c.MARK_HIGH] = np.maximum(ends.max(axis=1), (1.0 + 0.01 * hours.high) ** scale)
        at[:, [c.SPOT_VOLUME, c.PERP_VOLUME]] *= hours.depth[:, None]
        settles = at[:, c.SETTLE_PRICE] > 0.0
        if shock.settle_hours is not None:
            settles = np.arange(len(at)) % shock.settle_hours == 0
        at[:, c.SETTLE_RATE] = np.where(settles, scale * _BP * hours.rate, 0.0)
        at[:, c.SETTLE_PRICE] = np.where(settles, at[:, c.MARK_OPEN], 0.0)
        at[:, c.HALTED] = 0.0
    return out


class _Hours(NamedTuple):
    """Columns of a shock, (n,) each, in the units of `Shock`."""

    returns: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    basis: NDArray[np.float64]
    rate: NDArray[np.float64]
    depth: NDArray[np.float64]


def _spread(shock: Shock) -> _Hours:
    n = shock.hours

    def held(values: tuple[float, ...]) -> NDArray[np.float64]:
        return np.array([values[min(k, len(values) - 1)] for k in range(n)])

    def named(values: dict[int, float]) -> NDArray[np.float64]:
        return np.array([values.get(k, 0.0) for k in range(n)])

    return _Hours(
        held(shock.returns),
        named(shock.lows),
        named(shock.highs),
        held(shock.basis),
        held(shock.rates),
        held(shock.depth),
    )
