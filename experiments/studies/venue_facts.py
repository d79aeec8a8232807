"""Holds the second venue of the generator against the recorded one: what settled rates Hyperliquid
had beside those of Binance, and what `fundenv.market.synthetic_venues` makes.

The rates of eight hours are the sum of the hourly ones up to a settlement on Binance; windows with
a missing hour do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.core.cli import run
from fundenv.market import read_table, synthetic_frames
from fundenv.market.synthetic.second_venue import PREMIUMS, second_venue

LAGS, HOURS = (1, 3, 9, 21, 42), (1, 8, 24, 72, 168)  # of 8 h, of 1 h


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the report."""

    data: Path
    """Folder of the data files."""
    years: float = 6.0
    """Length of the made-up histories."""
    seeds: int = 3
    """How many of them, of which the mean is shown."""


def main(args: Args) -> None:
    """Print recorded and made-up facts side by side."""
    for coin in PREMIUMS:
        pair = coin.upper()
        there = read_table(args.data / f"hyperliquid_{pair}_funding.parquet", "funding")
        here = read_table(args.data / f"binance_{pair}USDT_funding.parquet", "funding")
        recorded = facts(here, there)
        rows = [made(coin, args.years, seed) for seed in range(args.seeds)]
        mean = pd.DataFrame(rows).mean()
        print(f"\n{pair}: Binance and Hyperliquid{'':<28}{'recorded':>10}{'made up':>10}")
        for name, value in recorded.items():
            print(f"  {name:<50}{value:>10.3f}{mean[name]:>10.3f}")


def made(coin: str, years: float, seed: int) -> dict[str, float]:
    """The facts of a made-up history."""
    first = synthetic_frames(coin, years=years, seed=(seed, 0, 0), symbol="binance:X")
    second = second_venue(first, "hyperliquid:X@binance:X", PREMIUMS[coin], seed=(seed, 0, 0))
    return facts(first.funding, second.funding)


def facts(here: pd.DataFrame, there: pd.DataFrame) -> dict[str, float]:
    """Of two tables of settled rates, one of 8 hours and one of 1; bp."""
    slow, fast = (_by_hour(table) * 1e4 for table in (here, there))
    fast = fast.asfreq("h")
    summed = fast.rolling(8, min_periods=8).sum()
    both = pd.DataFrame({"here": slow, "there": summed.reindex(slow.index)}).dropna()
    spread = (both["there"] - both["here"]).asfreq("8h")
    found = {
        "mean, first venue, bp per 8 h": both["here"].mean(),
        "mean, second venue": both["there"].mean(),
        "deviation, first venue": both["here"].std(),
        "deviation, second venue": both["there"].std(),
        "correlation of both": both["here"].corr(both["there"]),
        "spread, mean": spread.mean(),
        "spread, median": spread.median(),
        "spread, deviation": spread.std(),
        "hours at the interest alone, share": float(((fast - 0.125).abs() < 1e-5).sum())
        / float(fast.notna().sum()),
    }
    for lag in LAGS:
        found[f"autocorrelation of the spread after {8 * lag} h"] = spread.corr(spread.shift(lag))
    for lag in HOURS:
        found[f"autocorrelation of the hourly rate after {lag} h"] = fast.corr(fast.shift(lag))
    return {name: float(value) for name, value in found.items()}


def _by_hour(table: pd.DataFrame) -> pd.Series:
    """The rates by the hour at which they were settled."""
    return pd.Series(
        table["rate"].to_numpy(float), pd.DatetimeIndex(table["time"]).round("h"), name="rate"
    )


if __name__ == "__main__":
    run(Args, main, __doc__)
