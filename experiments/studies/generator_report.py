"""Prints the statistics of synthetic markets beside their targets and beside those of recorded
data, and draws them.

Without --data the table compares the generator with its targets alone. With it every symbol gets a
column for the data and one for its block bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from experiments.core.cli import run
from experiments.core.made_markets import preset_of
from experiments.core.market_args import span_edges
from experiments.core.run_folder import RunError
from experiments.studies.generator_plot import draw
from fundenv.market import (
    Market,
    SplitError,
    between,
    bootstrap_market,
    joint,
    load_market,
    select,
    stack,
    synthetic_market,
)
from fundenv.market.synthetic.coins import PRESETS
from fundenv.market.synthetic.statistics import MEANINGS, PAIR_TARGETS, TARGETS, facts, pair_facts

_CONSOLE = Console(width=max(Console().width, 150))
_COINS = ("btc", "eth", "alt", "alt")
_LOW, _HIGH = " 5 %", " 95 %"  # quantiles over the paths of a synthetic market
Columns = dict[str, dict[str, float]]  # heading -> fact -> value


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the report."""

    data: Path | None = None
    """Folder of Parquet or CSV files to measure; none: targets and generator alone."""
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    """Symbols of that folder; those that begin with BTC or ETH are compared with the preset of that
    name, any other with alt.
    """
    span: str = "2022-01:2025-06"
    """Span START:END of the data, UTC, both included; the targets are those of this one."""
    venue: str = "binance"
    """Name of a venue, or the path of its TOML."""
    paths: int = 8
    """Paths of the generator and of the bootstrap; means and 5 to 95 % ranges are over them."""
    years: float = 5.0
    """Length of a path."""
    seed: int = 0
    """Seed of the generator and of the bootstrap."""
    block: float = 42.0
    """Mean length of the bootstrap's blocks, in settlements."""
    out: Path = Path("runs/generator")
    """Folder for facts.csv and one picture for each preset."""


def main(args: Args) -> None:
    """Measure, print, draw."""
    if args.paths < 1 or not args.years >= 0.2:
        raise RunError(
            f"--paths {args.paths} --years {args.years:g}: expected at least 1 path of 0.2 years"
        )
    recorded = {symbol: _longest(market) for symbol, market in _recorded(args).items()}
    groups = {preset: [s for s in recorded if preset_of(s) == preset] for preset in PRESETS}
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for preset in tqdm(
        [p for p in PRESETS if groups[p] or not recorded], desc="presets", unit="preset"
    ):
        made = synthetic_market(
            preset, years=args.years, paths=args.paths, seed=args.seed, venue=args.venue
        )
        boot = {
            s: bootstrap_market(
                recorded[s], years=args.years, paths=args.paths, seed=args.seed, block=args.block
            )
            for s in groups[preset]
        }
        columns: Columns = {
            "target": {name: value for name, value, _ in TARGETS} if preset == "btc" else {}
        }
        columns |= _over_paths("generator", made)
        for symbol in groups[preset]:
            columns |= {symbol: facts(recorded[symbol])} | _over_paths(
                f"{symbol} bootstrap", boot[symbol]
            )
        rows += _show(f"{preset}: one asset", list(MEANINGS)[: len(TARGETS)], columns)
        draw(
            {"generator": made}
            | {s: recorded[s] for s in groups[preset]}
            | {f"{s} bootstrap": m for s, m in boot.items()},
            args.out / f"{preset}.png",
        )
    rows += _pairs(args, recorded)
    pd.DataFrame(rows).to_csv(args.out / "facts.csv", index=False)
    _CONSOLE.print(f"pictures and facts.csv in {args.out}")


def _recorded(args: Args) -> dict[str, Market]:
    """Each symbol within the span."""
    if args.data is None:
        return {}
    first, last = span_edges(args.span, "--span")
    whole = between(load_market(args.data, list(args.symbols), venue=args.venue), first, last)
    return {symbol: select(whole, [symbol]) for symbol in args.symbols}


def _longest(market: Market) -> Market:
    """The market with its longest path alone, as autocorrelations must not cross a hole."""
    path = int(np.argmax(np.diff(market.paths, axis=1)))
    first, last = (
        pd.Timestamp(int(ns), tz="UTC") for ns in market.close_ns[market.paths[path] - [0, 1]]
    )
    return between(market, first, last)


def _over_paths(heading: str, market: Market) -> Columns:
    """Mean and range over the paths of a market."""
    table = pd.DataFrame([facts(market, path) for path in range(market.n_paths)])
    return {
        heading: dict(table.mean()),
        f"{heading}{_LOW}": dict(table.quantile(0.05)),
        f"{heading}{_HIGH}": dict(table.quantile(0.95)),
    }


def _pairs(args: Args, recorded: dict[str, Market]) -> list[dict[str, object]]:
    """Correlations between coins: BTC with ETH and with another coin, ETH with another coin."""
    made = synthetic_market(
        _COINS,
        years=min(args.years, 3.0),
        paths=min(args.paths, 4),
        seed=args.seed,
        venue=args.venue,
    )
    rows: list[dict[str, object]] = []
    for assets in ((0, 1), (0, 2), (1, 2), (2, 3)):
        names = [_COINS[asset] for asset in assets]
        columns: Columns = {
            "target": {name: value for pair, name, value, _ in PAIR_TARGETS if pair == assets}
        }
        columns["generator"] = dict(
            pd.DataFrame([pair_facts(made, path, assets) for path in range(made.n_paths)]).mean()
        )
        for a, first in enumerate(recorded):
            for second in list(recorded)[a + 1 :]:
                if [preset_of(first), preset_of(second)] == names:
                    columns[f"{first} {second}"] = pair_facts(_joint(recorded, first, second))
        rows += _show(f"{names[0]} and {names[1]}", list(MEANINGS)[len(TARGETS) :], columns)
    return rows


def _joint(recorded: dict[str, Market], first: str, second: str) -> Market:
    try:
        return _longest(
            joint(stack([recorded[first], recorded[second]]), [first, second], common=True)
        )
    except SplitError as error:
        raise RunError(f"{first} and {second}: {error}") from None


def _show(title: str, names: list[str], columns: Columns) -> list[dict[str, object]]:
    """Print one table; return its rows."""
    heads = [heading for heading in columns if not heading.endswith((_LOW, _HIGH))]
    shown = Table("fact", *heads, title=title)
    rows: list[dict[str, object]] = []
    for name in names:
        values = [column.get(name) for column in columns.values()]
        shown.add_row(MEANINGS[name], *(_cell(columns, heading, name) for heading in heads))
        rows += [
            {"market": title, "fact": name, "of": heading, "value": value}
            for heading, value in zip(columns, values, strict=True)
            if value is not None
        ]
    _CONSOLE.print(shown)
    return rows


def _cell(columns: Columns, heading: str, name: str) -> str:
    """Value, with its range over the paths in brackets where there is one."""
    value = columns[heading].get(name)
    if value is None:
        return ""
    low, high = (columns.get(heading + edge, {}).get(name) for edge in (_LOW, _HIGH))
    return (
        f"{value:.2f}" if low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"
    )


if __name__ == "__main__":
    run(Args, main, __doc__)
