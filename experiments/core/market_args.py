"""The part of a command line that chooses the market, its spans and the settings of the
environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from agents.params import AgentError, read_pairs
from experiments.core.added_columns import added, parted
from experiments.core.groups import ELSEWHERE
from experiments.core.made_markets import TrainOn, failing, stressed, training_market
from experiments.core.provenance import label
from experiments.core.run_folder import RunError
from fundenv.batch.cpu import Batch
from fundenv.config import EnvConfig
from fundenv.market import Market, joint, load_market, split, synthetic_market, synthetic_venues

EMBARGO = "14D"  # left out between training and test: the longest look-back that still matters
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class MarketArgs:
    """Fields that every script shares."""

    data: Path | None = None
    """Folder of Parquet or CSV files; without it the embedded synthetic market."""
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names, or with their venue: hyperliquid:BTC@binance:BTCUSDT is a
    perpetual beside the spot of another venue; none: all that the folder has for the venue.
    """
    synthetic_venues: tuple[str, ...] = ()
    """Without --data: these made-up coins, btc and eth, each on Binance and on Hyperliquid, in one
    account.
    """
    joint: bool = False
    """One account over all symbols instead of one account for each; a coin without bars counts as
    not listed then. With --env.capital shared the coins share one capital.
    """
    common: bool = False
    """With --joint: only hours in which all symbols have bars; holes cut the account into spans."""
    train: str | None = None
    """Training span START:END, UTC, both included, days, months or years; default: the first two
    thirds of the data.
    """
    test: str | None = None
    """Test span START:END, UTC, both included, days, months or years; default: the last third."""
    venue: str = "binance"
    """Exchange whose rules hold: a name of the package, or the path of a TOML."""
    venues: tuple[str, ...] = ()
    """TOML files of your own for symbols whose names say their venue."""
    stand_in: tuple[str, ...] = ()
    """PERPETUAL=CONTRACT, whose prices stand for those of a perpetual of which --data has funding
    alone: hyperliquid:BTC=binance:BTCUSDT. Results name each.
    """
    cash_rate: float = 0.045
    """Interest on idle cash, per year; every comparison counts growth above it (0.045 = 4.5 %)."""
    env: tuple[str, ...] = ()
    """Settings of the environment, NAME=VALUE: another way to write --env.NAME VALUE (--help lists
    them), e.g. keeper_interval=4h episode=60D.
    """

    train_on: TrainOn = "history"
    """Training data: the recorded training span, synthetic coins of the generator, or histories
    resampled from the span in blocks.
    """
    made_paths: int = 8
    """Paths of one year, for each symbol, that the generator or the resampling makes."""
    stress: tuple[str, ...] = ()
    """Shocks applied to every path of the test span, each at a random place: 2020-03-12
    2021-05-19 2022-11-09 2025-10-10.
    """
    fail: tuple[str, ...] = ()
    """Failures of venues in the test span, VENUE=NAME@TIME: hyperliquid=ftx@2024-05-10 lets no
    money go for three days and then defaults; `halt` freezes for a day. See --env.failure_loss.
    """
    accept: tuple[str, ...] = ()
    """Findings of the plausibility check to accept, KIND or KIND:SYMBOL (data/README.md lists
    them); the report names each.
    """
    forecast: str | None = None
    """Forecaster whose mean and 5 and 95 % quantiles of future funding become observations: a name
    of `fundenv forecast`, or package.module:Class. Each forecast comes from a fit on earlier
    settlements only; the first half year of data goes to the first fit.
    """
    forecast_horizons: tuple[int, ...] = ()
    """Horizons of these forecasts in settlements, from 1 3 9 21 63; none: 1 9 63."""
    forecast_refit: int | None = None
    """Months between two fits of that forecaster; none: 6."""
    columns: tuple[str, ...] = ()
    """Columns of files that follow no known format, OURS=THEIRS or KIND.OURS=THEIRS, e.g.
    funding.rate=close*0.01 perp.time=opened.
    """

    extra: tuple[str, ...] = ()
    """Columns of your own that become observations: FILE, a CSV or Parquet table with `time` (the
    instant from which a row is known), optionally `symbol`, and numbers; NAME=SCALE, the typical
    size by which such a column is divided (default 1), or a column of a further file in --data:
    with open_interest=1e4 the observation is value / 1e4.
    """

    def settings(self) -> dict[str, Any]:
        """`EnvConfig` fields, checked."""
        given = pairs(self.env, "--env")
        for name in given.keys() & ELSEWHERE:  # the market and the hurdle would not follow
            raise RunError(f"--env {name}={given[name]}: give {ELSEWHERE[name]} in its place")
        settings = {"venue": self.venue, "cash_rate": self.cash_rate} | given
        if self.venues:
            settings["venues"] = self.venues
        EnvConfig.from_dict(settings)
        return settings

    def _whole(self, in_data: Any) -> Market:
        """The market of the files, or the embedded one, before it is parted."""
        if self.common and not self.joint:
            raise RunError("--common says which hours a joint account has; add --joint")
        if self.synthetic_venues:
            if self.data is not None:
                raise RunError(
                    "--synthetic-venues makes its own market and --data gives another; drop one"
                )
            return synthetic_venues(self.synthetic_venues, years=2.0, paths=2, seed=0)
        if self.data is None:
            in_files = tuple(f"{name}={scale:g}" for name, scale in in_data.items())
            for flag, given, what in (
                ("--symbols", self.symbols, "symbols"),
                ("--extra", in_files, "columns"),
                ("--stand-in", self.stand_in, "prices"),
            ):
                if given:
                    raise RunError(
                        f"{flag} {' '.join(given)} needs --data; the embedded market has its own"
                        f" {what}"
                    )
            coins: Any = ("btc", "eth", "alt") if self.joint else "btc"
            whole = synthetic_market(coins, years=3, paths=2, seed=0, venue=self.venue)
        else:
            whole = load_market(
                self.data,
                list(self.symbols) or None,
                venue=self.venue,
                venues=self.venues,
                stand_in=stand_ins(self.stand_in),
                columns=column_pairs(self.columns),
                extra=in_data,
                accept=self.accept,
            )
            for caution in whole.cautions:
                print(f"accepted  {caution}")
            if self.joint:
                names = dict.fromkeys(name for path in whole.symbols for name in path)
                whole = joint(whole, list(self.symbols) or list(names), common=self.common)
        return whole

    def markets(self, only: Literal["test"] | None = None) -> dict[str, Market]:
        """`spans`, which fit the settings."""
        parts = self.spans(only)
        self.check(parts)
        return parts

    def check(self, parts: dict[str, Market]) -> None:
        """Report settings that do not fit a market before anything runs."""
        for part in parts.values():
            Batch(1, market=part, **self.settings())

    def spans(self, only: Literal["test"] | None = None) -> dict[str, Market]:
        """`train` and `test`, with an embargo between them; the last `embargo` of the earlier span
        is dropped where they touch. `only` the test needs no span to learn on. The settings of the
        environment do not change them.
        """
        own = parted(self.extra)
        whole = added(self._whole(own.in_data), self, own)
        first, last = (
            pd.Timestamp(int(whole.close_ns[i]), tz="UTC")
            for i in (whole.close_ns.argmin(), whole.close_ns.argmax())
        )
        cut = (first + (last - first) * 2 / 3).floor("D")
        spans = {
            "train": span_edges(self.train, "--train") if self.train else (first, cut),
            "test": span_edges(self.test, "--test") if self.test else (cut, last + _DAY),
        }
        if only == "test":  # nothing is learned, so no span is needed to learn on
            spans = {"test": spans["test"]}
        parts = split(whole, spans, embargo=EMBARGO)
        for name, part in parts.items():
            missing = sorted(
                {label(whole, p) for p in range(whole.n_paths)}
                - {label(part, p) for p in range(part.n_paths)}
            )
            if missing:  # listed later, or delisted: it is learned on or judged on where it exists
                print(f"note  {', '.join(missing)}: no data in the {name} span")
        if "train" in parts:
            made = self.train_on, self.made_paths, self.venue
            parts["train"] = training_market(parts["train"], *made)
        parts["test"] = failing(stressed(parts["test"], self.stress), self.fail)
        return parts


# what a run that goes on must not change
MARKET_FIXED = tuple(field.name for field in fields(MarketArgs))


def fold_markets(market: Market, folds: int) -> dict[str, Market]:
    """`fold<k>-train` and `fold<k>-validation`: the second half of the span in `folds` equal
    pieces, each with all that lies before it to learn on, less the embargo.
    """
    first, last = (
        pd.Timestamp(int(edge), tz="UTC") for edge in (market.close_ns.min(), market.close_ns.max())
    )
    edges = [
        (first + (last - first) * (1 + k / max(1, folds)) / 2).floor("D") for k in range(folds)
    ] + [last + _DAY]
    found = {}
    for k in range(folds):
        spans = {"train": (first.floor("D"), edges[k]), "validation": (edges[k], edges[k + 1])}
        for name, part in split(market, spans, embargo=EMBARGO).items():
            found[f"fold{k}-{name}"] = part
    return found


def span_edges(text: str, flag: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """[first instant of START, first instant after END) of a text START:END; each is a day, a month
    or a year, and counts whole.
    """
    try:
        first, last = (pd.Period(_iso(edge)) for edge in text.split(":"))
        start, end = first.start_time.tz_localize("UTC"), (last + 1).start_time.tz_localize("UTC")
    except ValueError:
        raise RunError(
            f"{flag} {text}: expected START:END, both dates of the calendar, e.g."
            " 2020-02-01:2024-06-30 or 2020-02:2024-06"
        ) from None
    if start >= end:
        raise RunError(f"{flag} {text}: the start lies after the end; swap them")
    return start, end


def _iso(edge: str) -> str:
    """A date as 2020-02-01, 2020-02 or 2020: any other spelling has two readings."""
    if not re.fullmatch(r"\d{4}(-\d{2}){0,2}", edge):
        raise ValueError(edge)
    return edge


def pairs(items: tuple[str, ...], flag: str) -> dict[str, Any]:
    """NAME=VALUE texts of a command-line `flag`, as `agents.params.read_pairs` reads them;
    `RunError` names the flag.
    """
    try:
        return read_pairs(items)
    except AgentError as error:
        raise RunError(f"{flag} {error}") from None


def stand_ins(items: tuple[str, ...]) -> dict[str, str]:
    """PERPETUAL=CONTRACT texts of --stand-in."""
    return _named(items, "--stand-in", "PERPETUAL=CONTRACT, e.g. hyperliquid:BTC=binance:BTCUSDT")


def column_pairs(items: tuple[str, ...]) -> dict[str, str]:
    """OURS=THEIRS texts of --columns."""
    return _named(
        items, "--columns", "OURS=THEIRS, e.g. funding.rate=fundingRate or perp.time=date"
    )


def _named(items: tuple[str, ...], flag: str, form: str) -> dict[str, str]:
    found = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not (name and sign and value):
            raise RunError(f"{flag} {item}: expected {form}")
        found[name] = value
    return found


def shown(market: Market) -> str:
    """One line: symbols and span."""
    symbols = list(dict.fromkeys(label(market, path) for path in range(market.n_paths)))
    first, last = market.close_ns.min(), market.close_ns.max()
    return (
        f"{', '.join(symbols)}, {pd.Timestamp(int(first)):%Y-%m-%d} .."
        f" {pd.Timestamp(int(last)):%Y-%m-%d}"
    )
