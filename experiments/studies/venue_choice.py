"""Measures the growth that a second venue for the short perpetual brings: by one choice at the
start, by switching on the spread, and by the best switching with the future known, beside the price
of the venues' risk.

Spot is held on the home venue. The table first shows the mean of all settled rates in the files,
then funding alone in the hours in which both venues have data and complete features, both on a
notional of L / (1 + L) of equity. Then it shows the account: always-on carry in the environment,
with fees, spreads, margin and keeper of each venue, and interest of --cash-rate on idle cash. Each
span of those hours begins flat, with the equity at the end of the span before, so each span has
entry costs that a single long span has once. Figures are % a year of the hours that count.
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
from experiments.rollout.rollout import Rollout
from experiments.studies.one_capital import NOTIONAL, STRIDE_HOURS, paper
from fundenv.batch.cpu import Batch
from fundenv.batch.params import CRASH_SIGMA
from fundenv.dynamics.types import PARTS
from fundenv.market import Market, joint, load_market, narrowed, read_table
from fundenv.market.files.frames import HOUR_NS, times_ns
from fundenv.market.split import path_range
from fundenv.optima.one_place import Paper, schedule
from fundenv.settings import Range
from fundenv.venues import legs_of

Array = NDArray[np.float64]
COINS = {"BTC": "BTCUSDT", "ETH": "ETHUSDT"}
PUBLISHED = {"BTC": (7.1, 14.9), "ETH": (7.6, 12.3)}  # paper: home alone, the other venue
LAGS = (1, 7, 14)  # days
RULES = {
    "static_venue": "choice made at the start",
    "venue_spread": "switch by the spread",
    "venue_pair": "pair: short the dear, long the cheap",
    "venue_clairvoyant": "best venue with the future known",
}

_GROUPS = {
    "funding": ("funding",),
    "costs": ("fees", "spread", "impact", "borrow_interest"),
    "prices": ("spot_pnl", "perp_pnl", "liquidation_loss"),
    "cash": ("cash_interest",),
}


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    data: Path
    """Folder of the data files."""
    coins: tuple[str, ...] = tuple(COINS)
    """Coins, as Hyperliquid calls them."""
    start: str = "2024-01-01"
    """First day, UTC."""
    end: str = "2025-07-01"
    """Day after the last one, UTC."""
    leverage: Annotated[float, Range(1, 50, "times")] = 3.0
    """Perpetual notional over margin."""
    cash_rate: Annotated[float, Range(-0.5, 1, "per year")] = 0.0
    """Interest on idle cash."""
    failure_rate: Annotated[float, Range(0, 1, "per year")] = 0.02
    """Probability that a venue fails: an assumption."""
    failure_loss: Annotated[float, Range(0, 1, "of the money there")] = 0.9
    """Share of the money there that a failed venue does not return: an assumption."""


def main(args: Args) -> None:
    """Measure and print."""
    for coin in args.coins:
        home, away = names_of(coin)
        market = load(args.data, coin, args.start, args.end)
        _head(args, coin, market)
        share = args.leverage / (1 + args.leverage)
        accounts = [per_path(market, k, args.leverage) for k in range(market.n_paths)]
        years = sum(len(a.move) for a in accounts) * STRIDE_HOURS / 8760.0
        earned = share * sum(_funding(a).sum(axis=0) for a in accounts) / years
        files = share * np.array(_in_files(args, coin))
        known = PUBLISHED.get(coin, (np.nan, np.nan))
        print(f"{'':<44}{'funding':>9}{'costs':>9}{'prices':>9}{'cash':>9}{'growth':>9}")
        for name, rate, told in zip((home, away), files, known, strict=True):
            print(f"  all rates, {name:<31}{100 * rate:>9.2f}   reference {told:g}")
        for name, rate in zip((home, away), earned, strict=True):
            print(f"  these hours {name:<30}{100 * rate:>9.2f}")
        switched, changes = _clairvoyant(accounts, share)
        print(
            f"  {'best venue of every 8 h, less costs':<78}{100 * switched / years:>9.2f}"
            f"   {changes / years:.0f} changes a year; knows the future"
        )
        found, rollouts = {}, {}
        for text, name, settings in _rows(home, away):
            rollouts[text] = _carry(args, market, name, settings)
            found[text] = _print(text, rollouts[text])
        for name, text in RULES.items():
            _print(text, _rule(args, market, name))
        _entries(market, rollouts[f"always-on, {away}"])
        _risk(args, share, found[f"always-on, {home}"], found[f"always-on, {away}"])
        _spread(accounts)


def names_of(coin: str) -> tuple[str, str]:
    """The coin on the home venue, and the perpetual of the other one beside the spot of home."""
    pair = COINS.get(coin, f"{coin}USDT")
    return f"binance:{pair}", f"hyperliquid:{coin}@binance:{pair}"


def load(data: Path, coin: str, start: str, end: str) -> Market:
    """Both venues in the hours that both have; a path for each span of them."""
    home, away = names_of(coin)
    lent = {away.partition("@")[0]: home}
    market = load_market(data, [home, away], stand_in=lent, start=start, end=end)
    return joint(market, [home, away], common=True)


def _head(args: Args, coin: str, market: Market) -> None:
    hours = int(np.diff(market.paths).sum() * market.bar_hours)
    whole = (pd.Timestamp(args.end) - pd.Timestamp(args.start)) / pd.Timedelta("1h")
    print(
        f"\n{coin}, {args.start} .. {args.end}: {hours / 24:.0f} of {whole / 24:.0f} days are in"
        f" both venues' files, in {market.n_paths} spans; the others are left out, not filled"
    )
    for caution in market.cautions:
        print(f"  {caution}")


def per_path(market: Market, path: int, leverage: float) -> Paper:
    """Profit and cost per quote of notional on one span, for each decision and asset."""
    part = path_range(market, path, path + 1)
    batch = Batch(
        1,
        market=part,
        venue="binance",
        capital="shared",
        actions="target",
        leverage=leverage,
        episode=None,
        random_start=False,
        autoreset="disabled",
    )
    batch.reset(0)
    return paper(batch, basis=False, venue=True)


def _in_files(args: Args, coin: str) -> list[float]:
    """Mean of the settled rates [per year] of both venues, all that the files have of the span."""
    found = []
    for asset in names_of(coin):
        venue, symbol = legs_of(asset).perp
        table = read_table(args.data / f"{venue}_{symbol}_funding.parquet", "funding")
        stamps = table["time"]
        within = (stamps >= pd.Timestamp(args.start, tz="UTC")) & (
            stamps < pd.Timestamp(args.end, tz="UTC")
        )
        hours = float(np.median(np.diff(times_ns(table)))) / HOUR_NS
        found.append(float(table["rate"][within].mean()) * 8760.0 / hours)
    return found


def _entries(market: Market, rollout: Rollout) -> None:
    """Print the share of an account's costs that the entries of its spans cause."""
    starts = market.close_ns[market.paths[:, 0]]
    first = np.searchsorted(rollout.time, starts, side="right")
    costs = rollout.parts[:, [PARTS.index(p) for p in _GROUPS["costs"]]].sum(axis=1)
    entry = -100.0 * costs[first] / rollout.equity[first]
    print(
        f"    of the costs there {entry.sum() / rollout.years:.2f} are the entries of"
        f" {len(starts)} spans; one costs {entry.mean():.2f} % of equity"
    )


def _funding(account: Paper) -> Array:
    """Funding of each decision (K, A) for a constant position."""
    return np.asarray(account.move + np.vstack([np.zeros((1, 2)), account.before[1:]]))


def _clairvoyant(accounts: Sequence[Paper], share: float) -> tuple[float, int]:
    """Growth, and how often the best schedule changes venue, over all spans."""
    grown, changes = 0.0, 0
    for account in accounts:
        held = schedule(account, 0.0, NOTIONAL)
        before = np.r_[-1, held[:-1]]
        steps = np.arange(len(held))
        inside = held >= 0
        grown += float((account.move[steps, held] * inside).sum())
        grown += float((account.before[steps, before] * (before >= 0)).sum())
        for now, last, k in zip(held, before, steps, strict=True):
            if now != last:
                grown -= account.up[k, now] if now >= 0 else 0.0
                grown -= account.down[k, last] if last >= 0 else 0.0
                changes += 1
    return share * grown, changes


def _rows(home: str, away: str) -> list[tuple[str, str, dict[str, Any]]]:
    slow = {"transfer_delay": "8h", "transfer_cost": 5.0}
    return [
        (f"always-on, {home}", home, {}),
        (f"always-on, {away}", away, {}),
        ("  the same, 8 h and 5 quote a transfer", away, slow),
    ]


def _settings(args: Args) -> dict[str, Any]:
    # crashes count in the rows of one venue too, so that the rows compare
    return {"venue": "binance", "cash_rate": args.cash_rate, "crash_sigma": CRASH_SIGMA}


def _carry(args: Args, market: Market, name: str, settings: dict[str, Any]) -> Rollout:
    agent = agents.make("carry", leverage=args.leverage)
    return roll_out(agent, narrowed(market, [name]), _settings(args) | settings)[0]


def _rule(args: Args, market: Market, name: str) -> Rollout:
    """A rule over both venues, at the leverage of the others."""
    agent = agents.make(name, leverage=args.leverage)
    return roll_out(agent, market, _settings(args))[0]


def _print(text: str, rollout: Rollout) -> float:
    """Print a row; returns the growth, % a year."""
    grown = 100.0 * np.log(rollout.equity[-1] / rollout.equity[0]) / rollout.years
    relative = rollout.parts / rollout.equity[:-1, None]
    cells = [
        100.0 * relative[:, [PARTS.index(p) for p in parts]].sum() / rollout.years
        for parts in _GROUPS.values()
    ]
    times = int(rollout.liquidations.sum())
    marks = f"   liquidated {times} times" if times else ""
    print(f"  {text:<42}{''.join(f'{cell:>9.2f}' for cell in cells)}{grown:>9.2f}{marks}")
    return float(grown)


def _risk(args: Args, share: float, home: float, away: float) -> None:
    """Print the cost of the venues' risk, and the probability at which the second venue breaks
    even.
    """
    there = 1.0 - share
    price = 100.0 * args.failure_rate * args.failure_loss
    print(
        f"  risk of the venues, not in the figures: {100 * args.failure_rate:g} % a year x a loss"
        f" of {100 * args.failure_loss:g} % (assumptions) of what lies there\n"
        f"    home alone {price:.2f} % a year on all of the equity; with the second venue"
        f" {share * price:.2f} on {100 * share:.0f} % at home and {there * price:.2f} on"
        f" {100 * there:.0f} % there"
    )
    if args.failure_loss > 0 and away > home:
        even = (away - home) / (100.0 * there * args.failure_loss)
        print(
            f"    the {away - home:.2f} % that the second venue earns more pay for its failure"
            f" every {1 / even:.1f} years"
        )


def _spread(accounts: Sequence[Paper]) -> None:
    """Autocorrelation of the daily spread of funding within spans."""
    a_day = round(24 / STRIDE_HOURS)
    days = []
    for account in accounts:
        spread = np.diff(_funding(account), axis=1)[:, 0]
        whole = len(spread) // a_day * a_day
        days.append(spread[:whole].reshape(-1, a_day).sum(axis=1))
    level = np.concatenate(days).mean()
    found = []
    for lag in LAGS:
        pairs = np.concatenate([np.column_stack([d[:-lag], d[lag:]]) for d in days if len(d) > lag])
        one, two = (pairs - level).T
        found.append(float(one @ two / np.sqrt((one @ one) * (two @ two))))
    words = ", ".join(f"{value:.2f} after {lag} d" for lag, value in zip(LAGS, found, strict=True))
    print(f"  autocorrelation of the daily spread of funding: {words}")


if __name__ == "__main__":
    run(Args, main, __doc__)
