"""The result of a search: the chosen setting, its growth in walk-forward folds and on the test
span, and the probability that the choice is overfitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import agents
from experiments.analysis.overfit import deflated, overfitting_probability
from experiments.analysis.walk_forward import Fold, Forward, deepest, scores, walk_forward, yearly
from experiments.calibration.search import Values
from experiments.core.run_folder import RunError
from experiments.rollout.make import roll_out
from experiments.rollout.sweep import Sweep, sweep
from fundenv.metrics import Metrics

Array = NDArray[np.float64]
STOP = 0.01  # of notional: the fixed stop to compare with where the chosen setting has none


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The conclusion for one rule."""

    rule: str
    agent: Any  # with the chosen parameters
    values: Values  # parameter -> (K,)
    best: int
    growth: Array  # (K,) per year on the training span
    drawdowns: Array  # (K,) on the training span
    turnover: Array  # (K,) per year, mean over symbols
    forward: Forward
    deflated_sharpe: float  # probability that the true Sharpe ratio is positive
    overfitting: float  # probability of backtest overfitting; nan with a single setting
    tests: dict[str, Metrics]  # symbol -> figures of the test span
    limit: float
    # way out -> growth, drawdown, turnover on the training span
    exits: dict[str, tuple[float, float, float]]

    @property
    def train(self) -> float:
        """Growth of the chosen setting on the training span."""
        return float(self.growth[self.best])

    @property
    def drawdown(self) -> float:
        """Drawdown of the chosen setting on the training span."""
        return float(self.drawdowns[self.best])

    @property
    def test(self) -> float:
        """Growth of the chosen setting on the test span, mean over symbols."""
        return float(np.mean([figures.net_log_growth for figures in self.tests.values()]))

    def line(self) -> str:
        """The conclusion in one line."""
        chosen = ", ".join(
            f"{name} {array[self.best].item():g}" for name, array in self.values.items()
        )
        return (
            f"{self.rule}: {chosen}; growth {100 * self.train:+.2f} % a year on the training span,"
            f" {100 * np.mean(self.forward.judged):+.2f} % walked forward, {100 * self.test:+.2f} %"
            " on the test span"
        )


def conclude(
    rule: str,
    fixed: Mapping[str, Any],
    values: Values,
    found: Sweep,
    parts: list[Fold],
    market: Any,
    test: Any,
    settings: dict[str, Any],
    *,
    cash_rate: float,
    limit: float,
) -> Calibration:
    """Choose a setting, judge it on the training `market` and run it once on the test span. Raises
    `RunError` where no setting keeps the drawdown limit.
    """
    score = scores(found.growth, cash_rate, limit)
    drawdowns = deepest(found.growth, cash_rate)
    if not np.isfinite(score).any():
        raise RunError(
            f"no setting of {rule} keeps --drawdown {limit:g}; the smallest is"
            f" {drawdowns.min():.4f}; raise the limit or search elsewhere"
        )
    best = int(np.argmax(score))
    agent = agents.make(
        rule, **dict(fixed) | {name: array[best].item() for name, array in values.items()}
    )
    daily = found.growth.mean(axis=1, dtype=np.float64)  # (K, T), equal shares in all symbols
    deviation = daily.std(axis=1, ddof=1)
    sharpes = np.where(
        deviation > 1e-12, daily.mean(axis=1) / np.where(deviation > 1e-12, deviation, 1.0), 0.0
    )
    return Calibration(
        rule=rule,
        agent=agent,
        values=values,
        best=best,
        growth=yearly(found.growth),
        drawdowns=drawdowns,
        turnover=found.turnover.mean(axis=1),
        forward=walk_forward(found.growth, parts, best, cash_rate=cash_rate, limit=limit),
        deflated_sharpe=deflated(daily[best], sharpes),
        overfitting=overfitting_probability(daily.T) if len(daily) > 1 else float("nan"),
        tests={item.symbol: item.metrics() for item in roll_out(agent, test, settings)},
        limit=limit,
        exits=(
            ways_out(rule, agent.params.to_dict(), market, settings)
            if {"stop", "invalidation"} <= set(agent.params.to_dict())
            else {}
        ),
    )


def ways_out(
    rule: str, params: dict[str, Any], market: Any, settings: dict[str, Any]
) -> dict[str, tuple[float, float, float]]:
    """Growth, drawdown and turnover per year of a setting with and without invalidation, and with
    and without a fixed stop; all other parameters stay the same.
    """
    stop = params["stop"] or STOP
    values: Values = {
        "invalidation": np.array([False, True, False, True]),
        "stop": np.array([0.0, 0.0, stop, stop]),
    }
    found = sweep(
        rule,
        {name: value for name, value in params.items() if name not in values},
        values,
        market,
        settings,
    )
    assert found is not None  # it has no callback that could stop it
    names = ("signal alone", "invalidation", f"stop at {100 * stop:g} % of notional", "both")
    figures = zip(
        yearly(found.growth),
        deepest(found.growth, settings["cash_rate"]),
        found.turnover.mean(axis=1),
        strict=True,
    )
    return {
        name: (float(growth), float(fall), float(turnover))
        for name, (growth, fall, turnover) in zip(names, figures, strict=True)
    }
