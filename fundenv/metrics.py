"""Every performance figure, defined once.

Conventions: `equity` is quote at the start and at the close of every step, (T + 1,); `parts` are
quote per step, (T, 9), + = received, and add up to the change of equity; a year has 365 days; rates
and fractions are plain numbers (0.05 = 5 %); drawdowns are positive. Equity at or below a millionth
of its start counts as that millionth, so that ruin costs ln(1e-6) and not infinity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fundenv.dynamics.types import PARTS

Array = NDArray[np.float64]

HOURS_PER_YEAR = 8760.0
RUIN = 1e-6
# a daily standard deviation at or below this is rounding, and its Sharpe ratio is reported as 0
NO_RISK = 1e-9
IN_MARKET = 0.02  # |carry| from which an account counts as invested


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Figures of one account over one span."""

    years: float
    net_log_growth: float  # per year, net of the cash rate
    sharpe: float  # of daily net log returns, annualised
    max_drawdown: float  # fraction of the peak, >= 0
    cvar_95: float  # mean of the worst 5 % of daily net log returns
    cvar_99: float
    liquidations_per_year: float
    turnover_per_year: float  # quote traded on both legs over mean equity
    time_in_market: float  # fraction of steps
    # contribution of each part to the annual log growth; they add up to net_log_growth + cash rate
    parts: dict[str, float]


def measure(
    equity: Array,
    parts: Array,
    *,
    step_hours: float,
    cash_rate: float,
    turnover: Array | None = None,
    liquidations: Array | None = None,
    carry: Array | None = None,
) -> Metrics:
    """All metrics of one walk of T steps.

    Args:
        equity: (T + 1,) quote. parts: (T, 9) quote per step, in the order of `types.PARTS`.
        step_hours: length of a step. cash_rate: annual, what idle cash earns. turnover: (T,) quote
        traded per step; absent = 0. liquidations: (T,) liquidations and auto-deleveragings per
        step, as `liquidated` counts them; absent = 0. carry: (T,) or (T, A) carry held after each
        step, fraction of its maximum; absent = never in the market.
    """
    steps = len(equity) - 1
    if steps < 1:
        raise ValueError("metrics need at least one step")
    years = steps * step_hours / HOURS_PER_YEAR
    daily = daily_net_log_returns(equity, step_hours=step_hours, cash_rate=cash_rate)
    held = np.zeros((steps, 1)) if carry is None else np.reshape(carry, (steps, -1))
    return Metrics(
        years=years,
        net_log_growth=net_log_growth(equity, years=years, cash_rate=cash_rate),
        sharpe=sharpe(daily, days_per_return=max(1.0, step_hours / 24)),
        max_drawdown=float(drawdown(equity).max()),
        cvar_95=cvar(daily, 0.95),
        cvar_99=cvar(daily, 0.99),
        liquidations_per_year=0.0 if liquidations is None else float(np.sum(liquidations)) / years,
        turnover_per_year=(
            0.0 if turnover is None else float(np.sum(turnover) / np.mean(equity)) / years
        ),
        time_in_market=float((np.abs(held) > IN_MARKET).any(axis=1).mean()),
        parts=dict(
            zip(PARTS, (log_contributions(equity, parts).sum(axis=0) / years).tolist(), strict=True)
        ),
    )


def log_equity(equity: Array) -> Array:
    """ln(equity / equity at the start), (T + 1,), floored at ln(1e-6)."""
    relative: Array = np.log(np.maximum(np.asarray(equity, np.float64) / equity[0], RUIN))
    return relative


def net_log_growth(equity: Array, *, years: float, cash_rate: float) -> float:
    """ln(last / first) / years - cash_rate, per year."""
    return float(log_equity(equity)[-1]) / years - cash_rate


def daily_net_log_returns(equity: Array, *, step_hours: float, cash_rate: float) -> Array:
    """Change of ln(equity) over consecutive 24 h, less the cash rate for the same time.

    Steps longer than a day are taken as they are. A last piece shorter than a day is left out,
    unless it is all there is.
    """
    stride = max(1, round(24 / step_hours))
    points = log_equity(equity)[::stride] if len(equity) > stride else log_equity(equity)[[0, -1]]
    hours = stride * step_hours if len(equity) > stride else (len(equity) - 1) * step_hours
    returns: Array = np.diff(points) - cash_rate * hours / HOURS_PER_YEAR
    return returns


def sharpe(returns: Array, *, days_per_return: float = 1.0) -> float:
    """Mean / sd (sample) x sqrt(365 / days per return); 0 where there are fewer than two returns or
    no risk.
    """
    if len(returns) < 2:
        return 0.0
    deviation = float(np.std(returns, ddof=1))
    return (
        float(np.mean(returns)) / deviation * float(np.sqrt(365 / days_per_return))
        if deviation > NO_RISK
        else 0.0
    )


def drawdown(equity: Array) -> Array:
    """1 - equity / highest equity so far, (T + 1,)."""
    relative = np.exp(log_equity(equity))
    fall: Array = 1 - relative / np.maximum.accumulate(relative)
    return fall


def cvar(returns: Array, level: float) -> float:
    """Mean of the worst (1 - level) of the returns, at least of one; negative = loss."""
    worst = max(1, int(np.ceil(len(returns) * (1 - level) - 1e-9)))
    return float(np.sort(returns)[:worst].mean())


def log_contributions(equity: Array, parts: Array) -> Array:
    """Each part's share of the log return of its step, (T, 9): part / m, m the logarithmic mean of
    the step's first and last equity,

        m = (E1 - E0) / (ln E1 - ln E0), or E0 where they are equal.

    As the parts add up to E1 - E0, their contributions add up to ln E1 - ln E0 exactly, whatever
    the level of equity: attributions of agents and years compare, and no rest remains.
    """
    first, last = np.asarray(equity[:-1], np.float64), np.asarray(equity[1:], np.float64)
    change, logs = last - first, np.diff(log_equity(equity))
    near = np.abs(change) <= 1e-12 * np.abs(first)
    mean = np.where(near, first, change / np.where(near, 1.0, np.where(logs == 0, np.nan, logs)))
    shares: Array = np.nan_to_num(np.asarray(parts, np.float64) / mean[:, None])
    return shares
