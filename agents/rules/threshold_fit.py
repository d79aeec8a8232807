"""The fit of the threshold rule to a training span, and its optimal thresholds: the forecast of
funding is treated as an AR(1), whose optimum is that of `fundenv.optima.linear`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv.optima.linear import crossing, marginal_value, transition

Array = NDArray[np.float64]
LAGS = (1, 3, 9, 27, 81)  # decisions over which the persistence of the forecast may be read
_POINTS, _DEVIATIONS = 301, 6.0


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The result of the fit; rates are fractions of the notional per decision."""

    # of 1 and the signals [bp per 8 h] in the forecast of the funding until the next decision
    weights: tuple[float, ...]
    mean: float  # of the forecast
    sd: float
    phi: float  # of the forecast from one decision to the next
    lag: int  # decisions over which phi was read
    up: float  # cost of raising carry by one unit of notional, both legs
    down: float
    interval_hours: float


class Samples(NamedTuple):
    """Decisions of the training span: one array for each path, T decisions of A assets."""

    signals: list[Array]  # (T, A, 1 + S): 1 and the signals [bp per 8 h]
    earned: list[Array]  # (T, A) funding until the next decision, fraction of the notional
    # (T, A) what borrowed coins cost beyond the flat rate until then, fraction of the notional
    dearer: list[Array]
    up: float  # mean cost of raising carry by one unit of notional
    down: float  # mean cost of lowering it


def best_fit(
    samples: Samples,
    interval_hours: float,
    cash_rate: float,
    borrow_rate: float,
    leverage: float,
    two_sided: bool,
) -> Fit | None:
    """The forecast by least squares, with the persistence of the lag in `LAGS` whose thresholds
    would have earned most; None where the paths are too short for any.
    """
    stacked = np.concatenate([s.reshape(-1, s.shape[-1]) for s in samples.signals])
    paid = np.concatenate([e.ravel() for e in samples.earned])
    weights = np.linalg.lstsq(stacked, paid, rcond=None)[0]
    forecasts = [s @ weights for s in samples.signals]
    flat = np.concatenate([f.ravel() for f in forecasts])
    best: Fit | None = None
    most = -np.inf
    for lag in LAGS:
        phi = _persistence(forecasts, lag)
        if phi is None:
            continue
        fit = Fit(
            weights=tuple(weights.tolist()),
            mean=float(flat.mean()),
            sd=max(float(flat.std()), 1e-9),
            phi=phi,
            lag=lag,
            up=samples.up,
            down=samples.down,
            interval_hours=interval_hours,
        )
        earned = _earned(fit, forecasts, samples, cash_rate, borrow_rate, leverage, two_sided)
        if earned > most:
            best, most = fit, earned
    return best


def hurdles(fit: Fit, cash_rate: float, borrow_rate: float, leverage: float) -> tuple[float, float]:
    """Cost of the capital of one unit of notional per decision: of carry r (1 + 1/L), of reverse
    carry r / L + flat borrow rate.
    """
    years = fit.interval_hours / 8760.0
    return years * cash_rate * (1.0 + 1.0 / leverage), years * (cash_rate / leverage + borrow_rate)


def thresholds(
    fit: Fit, cash_rate: float, borrow_rate: float, leverage: float, two_sided: bool
) -> Array:
    """Forecasts (2, 2) at which [carry, reverse carry] begins to be [bought, sold]: bought from the
    first on, sold up to the second.
    """
    grid = fit.mean + fit.sd * np.linspace(-_DEVIATIONS, _DEVIATIONS, _POINTS)
    chain = transition(
        grid, fit.mean + fit.phi * (grid - fit.mean), fit.sd * float(np.sqrt(1.0 - fit.phi**2))
    )
    found = np.full((2, 2), -np.inf)  # without reverse carry its unit is always bought back
    for unit, net in enumerate(
        (
            -hurdles(fit, cash_rate, borrow_rate, leverage)[0],
            hurdles(fit, cash_rate, borrow_rate, leverage)[1],
        )
    ):
        if unit == 0 or two_sided:
            inner = marginal_value(grid + net, chain, fit.up, fit.down, tolerance=1e-6)
            found[unit] = crossing(grid, inner, fit.up), crossing(grid, inner, -fit.down)
    return found


def _earned(
    fit: Fit,
    forecasts: list[Array],
    samples: Samples,
    cash_rate: float,
    borrow_rate: float,
    leverage: float,
    two_sided: bool,
) -> float:
    """What the thresholds would have earned on the paths of the fit, net of hurdle and costs, per
    unit of notional.

    forecasts: (T, A) of each path, fractions of the notional per decision.
    """
    rules = thresholds(fit, cash_rate, borrow_rate, leverage, two_sided)
    long, short = hurdles(fit, cash_rate, borrow_rate, leverage)
    total = 0.0
    for forecast, gains, more in zip(forecasts, samples.earned, samples.dearer, strict=True):
        held = np.zeros(forecast.shape[1])
        for now, gain, dearer in zip(forecast, gains, more, strict=True):
            target = next_position(now, held, rules[None], dearer)
            change = target - held
            total += float(
                (
                    target * gain
                    - np.where(target > 0, long, 0.0)
                    - np.where(target < 0, short + dearer, 0.0)
                ).sum()
            )
            total -= float(
                (np.maximum(change, 0.0) * fit.up + np.maximum(-change, 0.0) * fit.down).sum()
            )
            held = target
    return total


def next_position(forecast: Array, held: Array, rules: Array, dearer: Any = 0.0) -> Array:
    """Next position (-1, 0, 1): the units -1..0 and 0..1 follow their own thresholds. For reverse
    carry the cost of coins above the flat rate (`dearer`, per decision) counts as less negative
    funding.
    """
    carry = (forecast >= rules[..., 0, 0]) | ((held > 0) & (forecast > rules[..., 0, 1]))
    net = forecast + dearer
    unborrowed = (net >= rules[..., 1, 0]) | ((held >= 0) & (net > rules[..., 1, 1]))
    return np.where(unborrowed, np.where(carry, 1.0, 0.0), -1.0)


def _persistence(series: list[Array], lag: int) -> float | None:
    """phi of an AR(1) whose correlation over `lag` steps is that of the series (T, A); None where
    they are too short.
    """
    pairs = [(s[:-lag].ravel(), s[lag:].ravel()) for s in series if len(s) > lag + 1]
    if not pairs:
        return None
    now, later = (np.concatenate(side) for side in zip(*pairs, strict=True))
    if now.std() == 0.0 or later.std() == 0.0:
        return 0.5
    correlation = float(np.corrcoef(now, later)[0, 1])
    return float(np.clip(np.sign(correlation) * abs(correlation) ** (1.0 / lag), 0.01, 0.9995))
