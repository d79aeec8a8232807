"""Rollouts as files for other tools: trades.csv, and daily returns as CSV and Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.core.run_folder import write_frame, write_text
from experiments.rollout.rollout import Rollout

TRADES_CSV, RETURNS = "trades.csv", "daily_returns"


def write_trades(out: Path, rollouts: Sequence[Rollout]) -> None:
    """`trades.csv`: every trade of every rollout, columns agent, seed, symbol and those of
    `experiments.rollout.trades.TradeLog`.
    """
    books = [
        pd.DataFrame({"agent": item.agent, "seed": item.seed, "symbol": item.symbol}, [0]).merge(
            item.trades, how="cross"
        )
        for item in rollouts
    ]
    whole = pd.concat([book for book in books if len(book)] or books[:1], ignore_index=True)
    write_text(out / TRADES_CSV, whole.to_csv(index=False))


def daily_returns(rollouts: Sequence[Rollout]) -> pd.DataFrame:
    """Return of equity of each UTC day as a fraction, cash interest included: a column
    `<agent>-<seed>` for the mean over its symbols (capital spread evenly, daily), and with several
    symbols a column `<agent>-<seed> <symbol>` for each.

    The index `date` has no time zone and names the day that ended, as quantstats, empyrical and
    pyfolio read it.
    """
    found: dict[str, pd.Series[float]] = {}
    by_agent: dict[str, list[Rollout]] = {}
    for item in rollouts:
        by_agent.setdefault(f"{item.agent}-{item.seed}", []).append(item)
    for name, own in by_agent.items():
        series = {item.symbol: _series(item) for item in own}
        found[name] = pd.concat(series, axis=1).mean(axis=1)
        if len(series) > 1:
            found |= {f"{name} {symbol}": each for symbol, each in series.items()}
    return pd.DataFrame(found).rename_axis("date")


def _series(item: Rollout) -> pd.Series[float]:
    daily = item.daily()
    days = (pd.DatetimeIndex(daily["time"]) - pd.Timedelta("1ns")).floor("D").tz_localize(None)
    return pd.Series(daily["simple"].to_numpy(float), index=days)


def write_returns(out: Path, rollouts: Sequence[Rollout]) -> None:
    """`daily_returns.csv` and `daily_returns.parquet`, see `daily_returns`."""
    frame = daily_returns(rollouts)
    write_text(out / f"{RETURNS}.csv", frame.to_csv())
    write_frame(out / f"{RETURNS}.parquet", frame)
