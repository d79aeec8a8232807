"""The threshold rule: the optimum for funding that follows a fitted Markov signal, with costs and
hurdle. It uses the training span, not the future.
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
from agents.rules.loans import VOLATILITIES, Loans
from agents.rules.threshold_fit import (
    LAGS,
    Array,
    Fit,
    Samples,
    best_fit,
    next_position,
    thresholds,
)
from fundenv.config import hours
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market.layout import MARK_CLOSE
from fundenv.optima.carry_gains import carry_gains
from fundenv.optima.env_terms import settlements

SIGNALS = (
    "funding_last",
    "funding_ewma_3",
    "funding_ewma_9",
    "funding_ewma_21",
    "funding_ewma_90",
    "funding_estimate",
)


@dataclass(frozen=True, kw_only=True)
class ThresholdParams(Params):
    """Parameters of the threshold rule."""

    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""
    two_sided: bool = False
    """Also hold reverse carry (short spot, long perpetual)."""


class Threshold(Learner):
    """Forecasts funding by a regression on its averages, treats the forecast as an AR(1), and
    trades at the thresholds that are optimal for it.

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
        """The env settings of the fit, which uses whole paths."""
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
        self.fit = best_fit(
            self._samples(batch, round(interval / market.bar_hours)),
            interval,
            batch.config.cash_rate,
            Loans(batch).coin_rate,
            self.params.leverage,
            self.params.two_sided,
        )
        if self.fit is None:
            raise AgentError(
                f"agent {self.name}: the market has no path of more than {LAGS[0] + 2} decisions;"
                " fit on a longer span"
            )
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
        self.loans = Loans(batch)
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
        self.loans.look(obs)
        loan = self._loan(forecast.shape[1])
        dearer = self.fit.interval_hours / 8760.0 * (self.loans.coins(loan) - self.loans.coin_rate)
        target = next_position(forecast, held, rules, dearer)
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
                self.fit,
                cash_rate,
                self.loans.coin_rate,
                self.params.leverage,
                self.params.two_sided,
            )
        return self._rules[cash_rate]

    def _loan(self, assets: int) -> float:
        """Coins owed by full reverse carry, over the equity."""
        return self.params.leverage / (1.0 + self.params.leverage) / assets

    def _samples(self, batch: Any, stride: int) -> Samples:
        """The decisions of all paths, one every `stride` bars."""
        market, names = batch.market, [feature.name for feature in batch.market.table]
        missing = [name for name in (*SIGNALS, *VOLATILITIES) if name not in names]
        if missing:
            raise AgentError(
                f"agent {self.name} needs the market feature {missing[0]!r}; build the market with"
                " fundenv.market"
            )
        at = [names.index(name) for name in SIGNALS]
        wild = {name: names.index(name) for name in VOLATILITIES}
        loans, loan = Loans(batch), self._loan(market.n_assets)
        years = stride * market.bar_hours / 8760.0
        scale = np.array([market.table[column].scale for column in at])
        bars = market.bars
        level, shift = batch.config.funding_scale, batch.config.funding_shift
        recorded, yearly = settlements(batch)
        paid = np.cumsum(level * recorded + shift * yearly, axis=0)
        signals, earned, dearer = [], [], []
        weight = np.array([0.0, loan])
        ups, downs = [], []
        for path, (_, last) in enumerate(market.paths):
            rows = np.arange(batch.world.starts[path, 0], last - 1 - stride, stride)
            # as the env shows them
            raw = level * market.features[rows][:, :, at] * scale + shift * BP_PER_YEAR
            signals.append(np.concatenate([np.ones((*raw.shape[:2], 1)), raw], axis=-1))
            earned.append((paid[rows + stride + 1] - paid[rows + 1]) / bars[rows, :, MARK_CLOSE])
            seen = {
                name: market.features[rows][..., column].astype(float) * market.table[column].scale
                for name, column in wild.items()
            }
            dearer.append(years * loans.dearer(seen, loan))
            batch.reset(0, paths=path)
            gains = carry_gains(batch, [0], rows[:1], len(rows), weight, (self.params.leverage,))
            ups.append(gains.up.ravel())
            downs.append(gains.down.ravel())
        return Samples(
            signals,
            earned,
            dearer,
            float(np.concatenate(ups).mean()),
            float(np.concatenate(downs).mean()),
        )
