"""One rollout: what one agent did on one symbol from the first row to the last, and its files.

A rollout is made once, by `experiments.rollout.make.roll_out`; tables, charts, TensorBoard and the
report all read this class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.core.run_folder import RunError, write_frame
from fundenv import metrics
from fundenv.dynamics.types import PARTS

# observations kept after every step, raw; mean over the assets
STATES = (
    "carry",
    "hedge_ratio",
    "leverage",
    "margin_distance",
    "drawdown",
    "funding_last",
    "perp_weight",
)
STEPS, TRADES = "rollouts", "trades"  # folders in a run folder

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One agent with one seed on one symbol (or several symbols on one clock).

    Several paths of a symbol are chained: each begins with the equity of the one before.
    """

    agent: str
    seed: int
    symbol: str
    step_hours: float
    cash_rate: float  # per year, what idle cash earned
    time: NDArray[np.int64]  # (T,) end of each step, ns since 1970 UTC
    equity: Array  # (T + 1,) quote: at the start, then at the end of each step
    reward: Array  # (T,) 1000 x net log growth
    parts: Array  # (T, 9) quote, + = received
    turnover: Array  # (T,) quote
    liquidations: Array  # (T,) legs
    states: Array  # (T, 7) after each step: STATES
    actions: Array  # (T, k) as the agent gave them
    trades: pd.DataFrame  # columns of `experiments.rollout.trades.TradeLog`

    def __post_init__(self) -> None:
        steps = len(self.time)
        short = [
            name
            for name in ("reward", "parts", "turnover", "liquidations", "states", "actions")
            if len(getattr(self, name)) != steps
        ]
        if short or len(self.equity) != steps + 1:
            raise ValueError(
                f"a rollout of {steps} steps needs {steps + 1} equities and {steps} of everything"
                f" else; {', '.join(short) or 'equity'} differs"
            )

    @cached_property
    def times(self) -> pd.DatetimeIndex:
        """(T,) end of each step, UTC."""
        return pd.DatetimeIndex(pd.to_datetime(self.time, utc=True))

    @property
    def start(self) -> pd.Timestamp:
        """When the first step began, UTC."""
        return self.times[0] - pd.Timedelta(hours=self.step_hours)

    @property
    def years(self) -> float:
        """Length, in years of 365 days."""
        return len(self.time) * self.step_hours / metrics.HOURS_PER_YEAR

    def state(self, name: str) -> Array:
        """(T,) one of STATES."""
        return self.states[:, STATES.index(name)]

    @property
    def invested(self) -> NDArray[np.bool_]:
        """(T,) whether the account held a position after the step."""
        held: NDArray[np.bool_] = np.abs(self.state("carry")) > metrics.IN_MARKET
        return held

    @property
    def nearest_margin(self) -> float:
        """The least distance to liquidation while invested, in daily volatilities; NaN without a
        position.
        """
        own = self.state("margin_distance")[self.invested]
        return float(own.min()) if own.size else float("nan")

    def metrics(self) -> metrics.Metrics:
        """The figures of this rollout, net of its cash rate."""
        return metrics.measure(
            self.equity,
            self.parts,
            step_hours=self.step_hours,
            cash_rate=self.cash_rate,
            turnover=self.turnover,
            liquidations=self.liquidations,
            carry=self.state("carry"),
        )

    def net_log(self) -> pd.Series[float]:
        """Log growth net of the cash rate since the start, at the end of every step."""
        years = np.arange(1, len(self.time) + 1) * self.step_hours / metrics.HOURS_PER_YEAR
        return pd.Series(
            metrics.log_equity(self.equity)[1:] - self.cash_rate * years, index=self.times
        )

    def daily(self) -> pd.DataFrame:
        """One row per day: time (its end), net (log return net of the cash rate) and simple (the
        return of equity, cash interest included).
        """
        net = metrics.daily_net_log_returns(
            self.equity, step_hours=self.step_hours, cash_rate=self.cash_rate
        )
        stride = max(1, round(24 / self.step_hours))
        days = stride * self.step_hours
        ends = self.times[stride - 1 :: stride][: len(net)]
        if len(ends) < len(net):  # shorter than a day
            ends, days = self.times[-1:], len(self.time) * self.step_hours
        gross = np.expm1(net + self.cash_rate * days / metrics.HOURS_PER_YEAR)
        return pd.DataFrame({"time": ends, "net": net, "simple": gross})

    def frame(self) -> pd.DataFrame:
        """T + 1 rows: the start (step 0: no parts, no states) and the end of each step."""
        whole: dict[str, Any] = {
            "agent": self.agent,
            "seed": self.seed,
            "symbol": self.symbol,
            "cash_rate": self.cash_rate,
            "step_hours": self.step_hours,
            "time": self.times.insert(0, self.start),
            "step": np.arange(len(self.equity)),
            "equity": self.equity,
            "reward": _with_start(self.reward, 0.0),
        }
        whole |= {name: _with_start(self.parts[:, i], 0.0) for i, name in enumerate(PARTS)}
        whole |= {
            "turnover": _with_start(self.turnover, 0.0),
            "liquidations": _with_start(self.liquidations, 0.0),
        }
        whole |= {name: _with_start(self.states[:, i], np.nan) for i, name in enumerate(STATES)}
        return pd.DataFrame(
            whole
            | {
                f"action_{k}": _with_start(self.actions[:, k], np.nan)
                for k in range(self.actions.shape[1])
            }
        )


def _with_start(values: Array, first: float) -> Array:
    return np.append(first, values)


def write_rollouts(out: Path, split: str, rollouts: Sequence[Rollout]) -> None:
    """The rollouts of one agent and seed into the run folder `out`:
    `rollouts/<split>/<agent>-<seed>.parquet` (`Rollout.frame`, a symbol after the other) and
    `trades/<split>/<agent>-<seed>.parquet`. Each file is whole or absent; the steps come last.
    """
    name = f"{rollouts[0].agent}-{rollouts[0].seed}.parquet"
    books = [
        item.trades.assign(symbol=item.symbol, agent=item.agent, seed=item.seed)
        for item in rollouts
    ]
    write_frame(out / TRADES / split / name, pd.concat(books, ignore_index=True))
    steps = pd.concat([item.frame() for item in rollouts], ignore_index=True)
    write_frame(out / STEPS / split / name, steps)


def read_rollouts(out: Path, split: str) -> list[Rollout]:
    """All rollouts of a split of the run folder `out`, files in order of name."""
    folder = out / STEPS / split
    if not folder.is_dir():
        raise RunError(
            f"{folder} does not exist, so the run kept no rollouts; run it again into another --out"
        )
    found = []
    for path in sorted(folder.glob("*.parquet")):
        book = pd.read_parquet(out / TRADES / split / path.name)
        for symbol, steps in pd.read_parquet(path).groupby("symbol", sort=False):
            own = book[book["symbol"] == symbol].drop(columns=["symbol", "agent", "seed"])
            found.append(_rollout(steps, own.reset_index(drop=True)))
    return found


def _rollout(steps: pd.DataFrame, trades: pd.DataFrame) -> Rollout:
    """The inverse of `Rollout.frame`."""
    first, after = steps.iloc[0], steps.iloc[1:]
    acted = [name for name in steps if str(name).startswith("action_")]
    return Rollout(
        agent=str(first["agent"]),
        seed=int(first["seed"]),
        symbol=str(first["symbol"]),
        step_hours=float(first["step_hours"]),
        cash_rate=float(first["cash_rate"]),
        time=pd.DatetimeIndex(after["time"]).as_unit("ns").asi8,
        equity=steps["equity"].to_numpy(np.float64),
        reward=after["reward"].to_numpy(np.float64),
        parts=after[list(PARTS)].to_numpy(np.float64),
        turnover=after["turnover"].to_numpy(np.float64),
        liquidations=after["liquidations"].to_numpy(np.float64),
        states=after[list(STATES)].to_numpy(np.float64),
        actions=after[acted].to_numpy(np.float64),
        trades=trades,
    )
