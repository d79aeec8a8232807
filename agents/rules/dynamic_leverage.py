"""Dynamic leverage: higher when funding is forecast high and stable, lower when prices are
volatile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.reasons import Reason, first_reason
from agents.rules.actions import HELD, targets
from agents.rules.base import BP_PER_YEAR, Rule
from agents.rules.brackets import OfEpisode, highest_maintenance
from agents.rules.memory import Deviation, Mean, Settled


@dataclass(frozen=True, kw_only=True)
class DynamicLeverageParams(Params):
    """Parameters of dynamic leverage."""

    span: Annotated[float, Range(1, 2000, "settlements")] = 9.0
    """Span of the mean of settled rates that forecasts funding."""
    risk_span: Annotated[float, Range(2, 2000, "settlements")] = 90.0
    """Span of the deviation of settled rates that stands for the risk of the forecast."""
    enter: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.5
    """Enter when the forecast minus the hurdle, at the chosen leverage, is above this."""
    exit: Annotated[float, Range(-100, 100, "bp per 8 h")] = -0.5
    """Leave when the forecast minus the hurdle is below this."""
    gain: Annotated[float, Range(0.01, 1000, "times")] = 4.0
    """Leverage for each unit of mean forecast over its risk."""
    liquidation: Annotated[float, Range(1e-6, 0.5, "probability")] = 0.001
    """Largest allowed probability of a liquidation within `horizon`; it limits the leverage."""
    horizon: Annotated[float, Range(0.04, 365, "days")] = 1.0
    """Time for which that probability holds."""
    highest: Annotated[float, Range(1, 125, "times")] = 6.0
    """Highest leverage; the lowest is 1."""
    step: Annotated[float, Range(1, 10, "factor")] = 1.3
    """The rule changes the leverage of a position when the wanted leverage differs by this factor.
    """
    below: ClassVar = (("exit", "enter"),)


class DynamicLeverage(Rule):
    """Holds full carry at the leverage `gain` x forecast mean / forecast risk of funding, at most
    what keeps the probability of liquidation below `liquidation`.

    A short perpetual at leverage L with maintenance rate m is liquidated by a rise of (1 / L - m) /
    (1 + m). The largest rise within T days exceeds x with about twice the probability of the last
    one (reflection principle); returns are Student-t with 4 degrees of freedom at the realised
    volatility of the last 7 days. So 1 / L = m + (1 + m) q(1 - liquidation / 2) sigma sqrt(T).
    Carry is full above the hurdle, with hysteresis as in the EWMA rule.
    """

    name = "dynamic_leverage"
    parameters: ClassVar[type[Params]] = DynamicLeverageParams
    params: Any

    def look_up(self, batch: Any) -> None:
        """Find the columns and the maintenance rates of a position as large as the capital."""
        table = batch.observation_table
        self.carry, self.pending, self.cash_rate = (
            observed(table, name) for name in ("carry", "pending", "cash_rate")
        )
        self.volatility, self.target_leverage = (
            observed(table, "volatility_7d"),
            observed(table, "target_leverage"),
        )
        self.maintenance = OfEpisode(batch, highest_maintenance)
        self.settled, self.mean, self.deviation = Settled(table), Mean(table), Deviation(table)
        self.memories = [self.settled, self.mean, self.deviation]
        self.forecast = np.zeros((0, 0))
        self._quantile_of: Any = None

    def within_days(self) -> Any:
        """Days for which the probability of a liquidation holds."""
        return self.p.horizon

    def limit(self, volatility: NDArray[Any]) -> NDArray[np.float64]:
        """Leverage (n, A) at which the probability of liquidation within the horizon is
        `liquidation`; volatility: per square-root year.
        """
        m = self.maintenance.of(len(volatility))
        if self._quantile_of is not self.p:  # `vary` has given other parameters
            self._quantile_of = self.p
            self._quantile = student4(1.0 - np.asarray(self.p.liquidation) / 2.0)
        rise = self._quantile * volatility * np.sqrt(np.asarray(self.within_days()) / 365.0)
        return np.asarray(1.0 / (m + (1.0 + m) * rise))

    def wanted(self, obs: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(leverage (n, A), forecast funding (n, A) in bp per 8 h)."""
        p = self.p
        rate, new = self.settled.see(obs)
        before = self.forecast if self.forecast.shape == rate.shape else rate
        mean = self.mean.see(obs, rate, new, p.span)
        risk = self.deviation.see(obs, rate - before, new, p.risk_span)
        self.forecast = mean.copy()
        leverage = np.minimum(p.gain * mean / risk, self.limit(self.volatility.of(obs)))
        return np.clip(leverage, 1.0, p.highest), mean

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The rule, for each asset on its own."""
        p = self.p
        wanted, mean = self.wanted(obs)
        inside, pending = self.carry.of(obs) > HELD, self.pending.of(obs) != 0
        now = np.maximum(self.target_leverage.of(obs), 1.0)
        off = np.maximum(wanted / now, now / wanted) > p.step
        leverage = np.where(inside & ~off, now, wanted)
        net = mean - self.cash_rate.of(obs) * BP_PER_YEAR * (1.0 + leverage) / leverage
        target = np.where(inside, net >= p.exit, net > p.enter)
        change = (target != inside) | (target & off)
        self.reasons = first_reason(
            [pending, target & ~inside, inside & ~target, inside & off, inside],
            [Reason.PENDING, Reason.ENTER, Reason.EXIT, Reason.LEVER, Reason.HOLD],
            Reason.NEUTRAL,
        )
        return targets(~change | pending, target, leverage=leverage)


def student4(probability: NDArray[Any]) -> NDArray[np.float64]:
    """Quantile above the median of Student's t with 4 degrees of freedom, scaled to unit variance;
    closed form (Shaw, J. Comput. Finance 9, 2006).
    """
    alpha = 4.0 * probability * (1.0 - probability)
    q = np.cos(np.arccos(np.sqrt(alpha)) / 3.0) / np.sqrt(alpha)
    return np.asarray(np.sqrt(2.0 * (q - 1.0)))
