"""The threshold rule: the optimum for funding that follows a fitted Markov signal, costs and hurdle
included. Knows the training span, not the future.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Learner, TrainingCallback, observed
from agents.params import AgentError, Params, Range
from agents.rules.actions import HELD, targets
from agents.rules.base import BP_PER_YEAR
from fundenv.config import hours
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market.layout import MARK_CLOSE
from fundenv.optima.foresight import carry_gains, settlements
from fundenv.optima.linear import crossing, marginal_value, transition

Array = NDArray[np.float64]
SIGNALS = (
    "funding_last",
    "funding_ewma_3",
    "funding_ewma_9",
    "funding_ewma_21",
    "funding_ewma_90",
    "funding_estimate",
)
LAGS = (1, 3, 9, 27, 81)  # decisions over which the persistence of the forecast may be read
_POINTS, _DEVIATIONS = 301, 6.0


@dataclass(frozen=True, kw_only=True)
class ThresholdParams(Params):
    """Parameters of the threshold rule."""

    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""
    two_sided: bool = False
    """Reverse carry (short spot, long perpetual) too."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the training span says; rates are fractions of the notional per decision."""

    # of 1 and SIGNALS [bp per 8 h] in the forecast of the funding until the next decision
    weights: tuple[float, ...]
    mean: float  # of the forecast
    sd: float
    phi: float  # of the forecast from one decision to the next
    lag: int  # decisions over which phi was read
    up: float  # cost of raising carry by one unit of notional, both legs
    down: float
    interval_hours: float


class Threshold(Learner):
    """Forecasts funding by a regression on its averages (a heterogeneous autoregression), takes the
    forecast for an AR(1), and plays the optimum.

    Each unit of carry is bought where its marginal value (fixed point of `fundenv.optima.linear`)
    exceeds the cost of entering and sold where it falls below minus the cost of leaving; the hurdle
    is the cash rate that the env shows. Fitted by `learn` on a market: regression by least squares
    over all its paths; persistence read at the lag of `LAGS` whose thresholds would have earned
    most there. `steps` and `seed` of `learn` change nothing.
    """

    name = "threshold"
    parameters = ThresholdParams
    params: ThresholdParams
    step_cost = 1e-6
    counts_steps = False
    fit: Fit | None = None

    def training_settings(self) -> dict[str, Any]:
        """The fit looks at whole paths."""
        return {"episode": None, "random_start": False}

    def learn(
        self,
        market: Any,
        settings: dict[str, Any],
        *,
        steps: int,
        seed: int,
        callback: TrainingCallback | None = None,
    ) -> None:
        """Fit to `market` under `settings`."""
        env = FundingHedgeVectorEnv(
            1, market=market, **settings | self.training_settings() | self.env_settings()
        )
        env.reset(seed=0)
        batch = env.batch
        interval = hours(batch.config.decision_interval, "decision_interval")
        signals, earned, costs = self._samples(batch, round(interval / market.bar_hours))
        stacked = np.concatenate([s.reshape(-1, s.shape[-1]) for s in signals])
        weights = np.linalg.lstsq(stacked, np.concatenate([e.ravel() for e in earned]), rcond=None)[
            0
        ]
        forecasts = [s @ weights for s in signals]
        flat = np.concatenate([f.ravel() for f in forecasts])
        rate = batch.config.cash_rate
        best: tuple[float, Fit | None] = (-np.inf, None)
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
                up=costs[0],
                down=costs[1],
                interval_hours=interval,
            )
            gained = self._gained(fit, forecasts, earned, rate, self._borrow(batch))
            if gained > best[0]:
                best = gained, fit
        if best[1] is None:
            raise AgentError(
                f"agent {self.name}: the market has no path of more than {LAGS[0] + 2} decisions;"
                " fit on a longer span"
            )
        self.fit = best[1]
        self.provenance = replace(self.provenance, market="")
        self.bind(batch)
        self.provenance = replace(self.provenance, market=market.hash)
        self.steps_done = steps
        env.close()

    def look_up(self, batch: Any) -> None:
        """Find the columns; the decision interval must be that of the fit."""
        table = batch.observation_table
        self.columns = [observed(table, name) for name in SIGNALS]
        self.carry, self.pending, self.cash_rate = (
            observed(table, name) for name in ("carry", "pending", "cash_rate")
        )
        self.borrow_rate = self._borrow(batch)
        self._rules: dict[float, Array] = {}
        interval = hours(batch.config.decision_interval, "decision_interval")
        if self.fit is not None and self.fit.interval_hours != interval:
            raise AgentError(
                f"agent {self.name} was fitted for decisions every {self.fit.interval_hours:g} h,"
                f" this env decides every {interval:g} h; fit it anew"
            )

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The rule, for each asset on its own."""
        if self.fit is None:
            raise AgentError(
                f"agent {self.name} has not been fitted yet; fit it by training, or load a"
                " checkpoint"
            )
        raw = np.stack(
            [np.ones_like(self.columns[0].of(obs))] + [column.of(obs) for column in self.columns],
            axis=-1,
        )
        forecast, carry = raw.astype(np.float64) @ np.array(self.fit.weights), self.carry.of(obs)
        held = np.where(np.abs(carry) > HELD, np.sign(carry), 0.0)
        rules = np.stack(
            [self._thresholds(round(float(rate), 6)) for rate in self.cash_rate.of(obs)[:, 0]]
        )[:, None]  # (n, 1, 2, 2)
        target = _next(forecast, held, rules)
        hold = (target == held) | (self.pending.of(obs) != 0)
        return targets(hold, target, leverage=self.params.leverage)

    def extra(self) -> dict[str, Any]:
        """The fit, and that the learning is done."""
        fit = None if self.fit is None else {**vars(self.fit), "weights": list(self.fit.weights)}
        return {"fit": fit, "steps_done": self.steps_done, "steps_wanted": self.steps_done}

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """The fit."""
        if record["fit"] is not None:
            self.fit = Fit(**record["fit"] | {"weights": tuple(record["fit"]["weights"])})
        self.steps_done = record["steps_done"]

    def _thresholds(self, cash_rate: float) -> Array:
        assert self.fit is not None
        if cash_rate not in self._rules:
            self._rules[cash_rate] = thresholds(
                self.fit, cash_rate, self.borrow_rate, self.params.leverage, self.params.two_sided
            )
        return self._rules[cash_rate]

    def _borrow(self, batch: Any) -> float:
        given = batch.config.base_borrow_rate
        return float(given if given is not None else batch.venue.value("borrow", "base_annual"))

    def _samples(
        self, batch: Any, stride: int
    ) -> tuple[list[Array], list[Array], tuple[float, float]]:
        """Per path: signals (T, A, 1 + S), funding earned until the next decision (T, A); and the
        mean cost of raising and lowering carry.
        """
        market, names = batch.market, [feature.name for feature in batch.market.table]
        missing = [name for name in SIGNALS if name not in names]
        if missing:
            raise AgentError(
                f"agent {self.name} needs the market feature {missing[0]!r}; build the market with"
                " fundenv.market"
            )
        at = [names.index(name) for name in SIGNALS]
        scale = np.array([market.table[column].scale for column in at])
        bars = market.bars
        level, shift = batch.config.funding_scale, batch.config.funding_shift
        recorded, yearly = settlements(batch)
        paid = np.cumsum(level * recorded + shift * yearly, axis=0)
        signals, earned = [], []
        weight = np.array(
            [0.0, self.params.leverage / (1.0 + self.params.leverage) / market.n_assets]
        )
        ups, downs = [], []
        for path, (_, last) in enumerate(market.paths):
            rows = np.arange(batch.world.starts[path, 0], last - 1 - stride, stride)
            # as the env shows them
            raw = level * market.features[rows][:, :, at] * scale + shift * BP_PER_YEAR
            signals.append(np.concatenate([np.ones((*raw.shape[:2], 1)), raw], axis=-1))
            earned.append((paid[rows + stride + 1] - paid[rows + 1]) / bars[rows, :, MARK_CLOSE])
            batch.reset(0, paths=path)
            gains = carry_gains(batch, [0], rows[:1], len(rows), weight, (self.params.leverage,))
            ups.append(gains.up.ravel())
            downs.append(gains.down.ravel())
        return (
            signals,
            earned,
            (float(np.concatenate(ups).mean()), float(np.concatenate(downs).mean())),
        )

    def _gained(
        self, fit: Fit, forecasts: list[Array], earned: list[Array], cash_rate: float, borrow: float
    ) -> float:
        """What the thresholds would have earned on the paths of the fit, net of hurdle and costs,
        per unit of notional.
        """
        rules = thresholds(fit, cash_rate, borrow, self.params.leverage, self.params.two_sided)
        long, short = hurdles(fit, cash_rate, borrow, self.params.leverage)
        total = 0.0
        for forecast, paid in zip(forecasts, earned, strict=True):
            held = np.zeros(forecast.shape[1])
            for now, gain in zip(forecast, paid, strict=True):
                target = _next(now, held, rules[None])
                change = target - held
                total += float(
                    (
                        target * gain
                        - np.where(target > 0, long, 0.0)
                        - np.where(target < 0, short, 0.0)
                    ).sum()
                )
                total -= float(
                    (np.maximum(change, 0.0) * fit.up + np.maximum(-change, 0.0) * fit.down).sum()
                )
                held = target
        return total


def hurdles(fit: Fit, cash_rate: float, borrow_rate: float, leverage: float) -> tuple[float, float]:
    """Cost of the capital of one unit of notional per decision: of carry r (1 + 1/L), of reverse
    carry r / L + borrow rate.
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


def _next(forecast: Array, held: Array, rules: Array) -> Array:
    """Next position (-1, 0, 1): the units -1..0 and 0..1 follow their own thresholds."""
    carry = (forecast >= rules[..., 0, 0]) | ((held > 0) & (forecast > rules[..., 0, 1]))
    unborrowed = (forecast >= rules[..., 1, 0]) | ((held >= 0) & (forecast > rules[..., 1, 1]))
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
