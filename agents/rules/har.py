"""HAR forecast with thresholds: the EWMA rule with a fitted forecast of funding in place of a plain
mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import AgentError, Params, Range
from agents.rules.base import BP_PER_YEAR
from agents.rules.ewma import Ewma
from fundenv.market import Market

SIGNALS = ("funding_last", "funding_ewma_3", "funding_ewma_21", "funding_ewma_90")
# intervals of 8 h ahead that the forecast averages over: three days, about the time in which entry
# costs are earned
HORIZON = 9
_STEP_NS = 8 * 3_600_000_000_000


@dataclass(frozen=True, kw_only=True)
class HarParams(Params):
    """Parameters of the HAR rule; its signal is the forecast minus the hurdle, in bp per 8 h. `fit`
    gives the weights.
    """

    base: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.0
    """Constant of the forecast."""
    last: Annotated[float, Range(-10, 10)] = 0.25
    """Weight of the last settled rate."""
    short: Annotated[float, Range(-10, 10)] = 0.25
    """Weight of its exponential mean over 3 settlements."""
    medium: Annotated[float, Range(-10, 10)] = 0.25
    """Weight of its exponential mean over 21 settlements."""
    long: Annotated[float, Range(-10, 10)] = 0.25
    """Weight of its exponential mean over 90 settlements."""
    enter: Annotated[float, Range(-100, 100, "bp per 8 h")] = 0.5
    """Enter when the signal is above this."""
    exit: Annotated[float, Range(-100, 100, "bp per 8 h")] = -0.5
    """Leave when the signal is below this."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""
    below: ClassVar = (("exit", "enter"),)


class Har(Ewma):
    """Enters full carry where forecast funding exceeds the hurdle by `enter`, and leaves it where
    the excess is below `exit`.

    The forecast is a heterogeneous autoregression (Corsi, J. Financial Econometrics 7(2), 2009) of
    settled rates.
    """

    name = "har"
    parameters = HarParams

    def look_up(self, batch: Any) -> None:
        """Find the columns."""
        super().look_up(batch)
        self.signals = [observed(batch.observation_table, name) for name in SIGNALS]
        self.memories = []

    def signal(self, obs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Forecast minus the hurdle (n, A), bp per 8 h."""
        p = self.p
        hurdle = self.cash_rate.of(obs) * BP_PER_YEAR * (1.0 + p.leverage) / p.leverage
        weights = (p.last, p.short, p.medium, p.long)
        return np.asarray(
            p.base
            + sum(
                weight * column.of(obs)
                for weight, column in zip(weights, self.signals, strict=True)
            )
            - hurdle
        )

    @staticmethod
    def fit(market: Market, horizon: int = HORIZON) -> dict[str, float]:
        """Base and weights by least squares, pooled over all paths and assets of `market`, which
        must be the training span.

        A position that is entered at one instant first receives the settlement after it. So the
        target is the mean of the 2nd .. (horizon + 1)th rate from there on. Raises `AgentError`
        where the market is too short.
        """
        names = [feature.name for feature in market.table]
        columns = [names.index(name) for name in SIGNALS]
        rates = [
            market.features[..., c].astype(np.float64) * market.table[c].scale for c in columns
        ]
        known, target = [], []
        for first, last in market.paths:
            rows = np.arange(first, last)[market.close_ns[first:last] % _STEP_NS == 0]
            for a in range(market.n_assets):
                seen = np.stack([rate[rows, a] for rate in rates], axis=1)
                # from each row over `horizon` rates
                ahead = np.convolve(seen[:, 0], np.ones(horizon) / horizon, mode="valid")
                known.append(seen[: max(0, len(ahead) - 2)])
                target.append(ahead[2:])
        x, y = np.concatenate(known), np.concatenate(target)
        if len(y) < 100:
            raise AgentError(
                f"agent har: {len(y)} rates to fit on; give a training span of at least 100"
            )
        weights = np.linalg.lstsq(np.column_stack([np.ones(len(y)), x]), y, rcond=None)[0]
        return dict(
            zip(
                ("base", "last", "short", "medium", "long"),
                (round(float(w), 6) for w in weights),
                strict=True,
            )
        )
