"""Holds the defaults of the costs of orders against public figures and recorded prices: spread,
impact, crashes, orders that wait in the book, memory of impact; and says what the crash costs do to
growth.

A figure of somebody else is printed with its source, and a parameter that no source backs is called
an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import agents
from experiments.core.cli import run
from experiments.rollout.make import roll_out
from fundenv.batch.params import CRASH_SIGMA
from fundenv.config import EnvConfig
from fundenv.market import Market, load_market, read_table, split
from fundenv.market import layout as c
from fundenv.market.files.frames import HOUR_NS
from fundenv.settings import Range
from fundenv.venues import load_venue

Array = NDArray[np.float64]
HE = "He, Manela, Ross, von Wachter, Fundamentals of Perpetual Futures (arXiv 2212.06888), B.1"
SPREADS = {"BTCUSDT": 0.11, "ETHUSDT": 0.18, "ADAUSDT": 2.12}  # bp, effective, daily median; HE
CRASH_BP, CRASH_DAY = 5.95, "2020-03-12"  # the same of BTC on one day
SAMPLE_DAYS = 1524  # 2020-01-08 .. 2024-03-11, the sample of HE: one day in so many
DEPTH_LOST = (0.90, 0.98)
DEPTH_SOURCE = "Amberdata, How $3.21B Vanished in 60 Seconds (2025): 2025-10-10"
SWEEP = (10e6, 50.0)  # quote, bp; Amberdata: BTC/FDUSD on Binance, July and August 2025
HALF_LIVES = ("1h", "8h", "3D", None)
SLICES = 24


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the report."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT")
    """Coins on Binance."""
    start: str = "2020-02-01"
    """First day whose bars count."""
    judged: str = "2024-07-01"
    """First day of the span in which growth is compared."""
    agents: tuple[str, ...] = ("carry", "ewma", "zscore")
    """Agents whose growth is compared with and without the costs of crashes."""
    order: Annotated[float, Range(1, 1e12, "quote")] = 10e6
    """Order whose cost in slices is told."""


def main(args: Args) -> None:
    """Print all tables."""
    _spreads(args.symbols)
    market = load_market(args.data, list(args.symbols), start=args.start)
    _crashes(market)
    _impact(args.symbols[0])
    _memory(market, args.symbols[0], args.order)
    _makers(args)
    _growth(args, market)


def _spreads(symbols: Sequence[str]) -> None:
    venue, config = load_venue("binance"), EnvConfig()
    print(f"Effective spread of the perpetual [bp], daily median; {HE}")
    for symbol in symbols:
        told = 2.0 * venue.value("execution", "half_spread_perp_bp", symbol)
        known = SPREADS.get(symbol)
        beside = f"published {known:g}" if known else "no published figure: the venue's default"
        print(f"  {symbol:<9} {told:>7.2f}   {beside}")
    crash = 2.0 * venue.value("execution", "half_spread_perp_bp", "BTCUSDT") * config.crash_spread
    print(
        f"  BTCUSDT behind a crash {crash:.2f}: crash_spread = {config.crash_spread:g}; published"
        f" {CRASH_BP} on {CRASH_DAY}. The multiplier of other coins, and of spot, is an assumption."
    )
    low, high = (1.0 / np.sqrt(1.0 - lost) for lost in DEPTH_LOST)
    print(
        f"Impact behind a crash: depth fell by {100 * DEPTH_LOST[0]:.0f} to"
        f" {100 * DEPTH_LOST[1]:.0f} % ({DEPTH_SOURCE});\n  the square-root law makes that"
        f" {low:.1f} to {high:.1f} times; crash_impact = {config.crash_impact:g} (95 %)"
    )


def ranges_of(market: Market, path: int) -> Array:
    """Range of mark in each bar of a path over its daily volatility."""
    first, last = market.paths[path]
    bars = market.bars[first:last, 0]
    found: Array = (bars[:, c.MARK_HIGH] / bars[:, c.MARK_LOW] - 1.0) / bars[:, c.SIGMA_DAY]
    return found


def _crashes(market: Market) -> None:
    print(
        f"Hours that are a crash, crash_sigma = {CRASH_SIGMA:g}: as rare as one day in"
        f" {SAMPLE_DAYS}, the sample in which {CRASH_DAY} is the day of the widest spread"
        f" ({1e4 / SAMPLE_DAYS:.1f} of 10,000)"
    )
    for name in dict.fromkeys(names[0] for names in market.symbols):
        paths = [k for k, names in enumerate(market.symbols) if names[0] == name]
        ranges = np.concatenate([ranges_of(market, k) for k in paths])
        closes = np.concatenate([market.close_ns[slice(*market.paths[k])] for k in paths])
        opens = pd.DatetimeIndex(closes - round(market.bar_hours * HOUR_NS))
        that_day = ranges[opens.normalize() == pd.Timestamp(CRASH_DAY)]
        rare = np.quantile(ranges, 1.0 - 1.0 / SAMPLE_DAYS)
        print(
            f"  {name:<9} {1e4 * (ranges > CRASH_SIGMA).mean():>5.1f} of 10,000;"
            f" as rare as that day: {rare:.2f} sigma; {int((that_day > CRASH_SIGMA).sum())} hours"
            f" of {CRASH_DAY}, the largest {that_day.max(initial=0.0):.1f} sigma"
        )


def _impact(symbol: str) -> None:
    y = load_venue("binance").value("execution", "impact_coefficient", symbol)
    size, told = SWEEP
    usual = 1e4 * y * 0.025 * np.sqrt(size / 10e9)
    print(
        f"Impact, Y = {y:g} (rule of thumb 0.5 to 1 of the square-root law; Sato and Kanazawa for"
        f" the exponent, 0.489 to 0.493):\n  {size / 1e6:g} M in 10 billion a day at 2.5 % daily"
        f" volatility {usual:.1f} bp. A sweep of the book at once cost more than {told:g} bp"
        " (Amberdata, BTC/FDUSD, 2025-07 and 08):\n  the law holds for orders that are worked over"
        " hours, as the env's are, and not for sweeps"
    )


def slices_cost(market: Market, symbol: str, order: float, half_life: str | None) -> Array:
    """Impact [bp of the order] of one order of `order` quote and of `SLICES` hourly parts, on the
    last bar of the symbol that trades.
    """
    path = [k for k, names in enumerate(market.symbols) if names[0] == symbol][-1]
    bar = market.bars[market.paths[path, 1] - 1, 0]
    y = load_venue("binance").value("execution", "impact_coefficient", symbol)
    n = order / bar[c.PERP_CLOSE] / bar[c.PERP_DAY_VOLUME]
    whole = y * bar[c.SIGMA_DAY] * np.sqrt(n)
    kept = 1.0 if half_life is None else 0.5 ** (pd.Timedelta("1h") / pd.Timedelta(half_life))
    volume, paid = 0.0, 0.0
    for _ in range(SLICES):
        volume *= kept
        after = volume + n / SLICES
        paid += y * bar[c.SIGMA_DAY] * (after**1.5 - volume**1.5) / n
        volume = after
    split_up = y * bar[c.SIGMA_DAY] * np.sqrt(n / SLICES)
    return 1e4 * np.array([whole, paid, split_up])


def _memory(market: Market, symbol: str, order: float) -> None:
    print(
        f"An order of {order / 1e6:g} M in {symbol}, bp of impact: at once, and in {SLICES} hourly"
        " parts by the half-life of the\n  displacement, for which no public figure was found"
        " (impact_half_life: an assumption; impact_lasting = 1)"
    )
    for half_life in HALF_LIVES:
        whole, parts, none = slices_cost(market, symbol, order, half_life)
        print(
            f"  half-life {half_life or 'endless':<8} at once {whole:>6.2f}   in parts"
            f" {parts:>6.2f}   without memory {none:>6.2f}"
        )


def waiting(table: pd.DataFrame, half_spread: float) -> tuple[float, float, float]:
    """Of an order that waits for an hour at the opening price: chance of a fill, and how far [bp]
    the price ran away where it was not filled, and came against it where it was.

    It counts as filled where the bar trades beyond the price by a half-spread [fraction], mean of
    purchases and sales. A bar does not show the queue, so the chance is the highest possible one.
    """
    opened, high, low, close = (table[k].to_numpy(float) for k in ("open", "high", "low", "close"))
    bought, sold = low < opened * (1.0 - half_spread), high > opened * (1.0 + half_spread)
    move = 1e4 * (close / opened - 1.0)
    missed = np.r_[move[~bought], -move[~sold]]
    against = -np.r_[move[bought], -move[sold]]
    return float((bought.mean() + sold.mean()) / 2.0), float(missed.mean()), float(against.mean())


def _makers(args: Args) -> None:
    venue, config = load_venue("binance"), EnvConfig()
    print(
        "Orders that wait in the book for an hour at the opening price: filled where the bar trades"
        " beyond it by a half-spread\n  (the queue is not seen: no order is filled more often), bp"
        " that the price ran away otherwise, what that costs in the mean,\n  and bp by which the"
        " price stood against a filled order at the end of the hour"
    )
    start, found = pd.Timestamp(args.start, tz="UTC"), []
    for leg in ("perp", "spot"):
        for symbol in args.symbols:
            table = read_table(args.data / f"binance_{symbol}_{leg}_1h.parquet", leg)
            half = 1e-4 * venue.value("execution", f"half_spread_{leg}_bp", symbol)
            chance, missed, against = waiting(table[table["time"] >= start], half)
            found.append((chance, missed))
            print(
                f"  {symbol:<9} {leg}  filled {chance:.3f}   missed {missed:>5.1f} bp   in the"
                f" mean {(1 - chance) * missed:.2f} bp   against {against:.2f} bp"
            )
    chance, missed = np.mean(found, axis=0)
    print(
        f"  mean      filled {chance:.3f}   missed {missed:.1f} bp; maker_fill ="
        f" {config.maker_fill:g}, maker_missed = {config.maker_missed:g}"
    )


def _growth(args: Args, market: Market) -> None:
    last = pd.Timestamp(int(market.close_ns.max()), tz="UTC")
    judged = split(market, {"judged": (args.judged, last)})["judged"]
    print(
        f"Growth above cash from {args.judged} on [% a year, mean of the coins, Binance, 8 h]: as"
        " published (crash_sigma 0 on one venue)\n  with the costs of crashes, and the difference"
    )
    for name in args.agents:
        grown = []
        for sigma in (0.0, CRASH_SIGMA):
            settings: dict[str, Any] = {"crash_sigma": sigma}
            rollouts = roll_out(agents.make(name), judged, settings)
            rate = EnvConfig().cash_rate
            grown.append(
                np.mean([100.0 * np.log(r.equity[-1] / r.equity[0]) / r.years for r in rollouts])
                - 100.0 * rate
            )
        cells = "   ".join(f"{value:>7.3f}" for value in (*grown, grown[1] - grown[0]))
        print(f"  {name:<9} {cells}")


if __name__ == "__main__":
    run(Args, main, __doc__)
