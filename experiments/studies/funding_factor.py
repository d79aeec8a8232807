"""Shows how settled rates, their normal scores and returns of coins correlate, pair by pair: in
your files and in synthetic portfolios.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.core.cli import run
from experiments.core.run_folder import RunError
from fundenv.market import Market, between, joint, load_market, synthetic_portfolio
from fundenv.market.synthetic.statistics import MEANINGS, pair_facts

FACTS = ("funding_correlation", "latent_correlation", "return_correlation")


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the comparison."""

    data: Path | None = None
    """Folder of Parquet or CSV files; none: synthetic coins alone."""
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT")
    """Coins of the files."""
    start: str = "2022-01-01"
    """First day that is read from the files."""
    coins: int = 5
    """Number of synthetic coins."""
    years: float = 3.0
    """Length of a synthetic path."""
    paths: int = 4
    """Number of synthetic paths; the table shows means over them."""
    seed: int = 0
    """Seed of the synthetic coins."""


def main(args: Args) -> None:
    """Print one table for each source."""
    if len(args.symbols) < 2 or args.coins < 2:
        raise RunError("--symbols and --coins: a correlation needs at least two coins")
    console = Console(width=100)
    if args.data is not None:
        whole = between(load_market(args.data, list(args.symbols)), args.start, None)
        market = joint(whole, list(args.symbols), common=True)
        console.print(_table(f"{args.data}, from {args.start}", market, args.symbols))
    made = synthetic_portfolio(
        args.coins, years=args.years, paths=args.paths, seed=args.seed, late=0.0, gone=0.0
    )
    names = [f"coin {number + 1}" for number in range(args.coins)]
    console.print(_table(f"made up, seed {args.seed}", made, names))


def _table(title: str, market: Market, names: tuple[str, ...] | list[str]) -> Table:
    """Pairs in rows, each the mean over the paths; the last rows show the mean and the range."""
    pairs = list(itertools.combinations(range(market.n_assets), 2))
    longest = np.argsort(-np.diff(market.paths, axis=1).ravel())
    # the longest path of recorded history; synthetic paths have equal length
    paths = range(market.n_paths) if len(set(market.symbols)) == market.n_paths else longest[:1]
    means = np.array(
        [
            np.mean([[pair_facts(market, int(q), pair)[f] for f in FACTS] for q in paths], axis=0)
            for pair in pairs
        ]
    )
    table = Table("pair", *(MEANINGS[fact] for fact in FACTS), title=title)
    for (a, b), row in zip(pairs, means, strict=True):
        table.add_row(f"{names[a]}, {names[b]}", *(f"{value:.2f}" for value in row))
    table.add_section()
    table.add_row("mean", *(f"{value:.2f}" for value in means.mean(axis=0)))
    edges = zip(means.min(axis=0), means.max(axis=0), strict=True)
    table.add_row("lowest .. highest", *(f"{low:.2f} .. {high:.2f}" for low, high in edges))
    return table


if __name__ == "__main__":
    run(Args, main, __doc__)
