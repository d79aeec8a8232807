"""Measures the growth from leverage and rebalancing in portfolio margin: always-on carry that
returns to its notional when the notional leaves a band, and carry by a mean of funding.

Growth above cash, % a year, of one account per coin (mean) and of one capital over all coins,
beside figures that were published for one account per coin. Liquidated: number of accounts that the
venue liquidated. Range: the same rule, one account per coin, begun on each of --starts days. A rule
decides every 8 h, so the decision at which the price is first beyond the band sets the price of its
trade.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.rules.rotation import Rotation
from experiments.core.cli import run
from experiments.core.run_folder import RunError
from experiments.rollout.sweep import sweep
from experiments.studies.margin_markets import COINS, PORTFOLIO, RICH, THIN, Coins, load, yearly

_HALF_LIFE_90 = 2.0 / (1.0 - 0.5 ** (1.0 / 90.0)) - 1.0  # as a span: 259.7
# ADA's brackets of the published run: floor, highest leverage, maintenance rate
_ADA = """
extends = "binance"
name = "binance"
title = "Binance with ADA's brackets of 2026 at all times"

[[tiers.ADAUSDT]]
valid_from = 2019-01-01
source = "GET /fapi/v1/leverageBracket, 2026"
brackets = [[0, 100, 0.005], [20e3, 75, 0.0065], [100e3, 50, 0.01], [800e3, 25, 0.02],
    [4e6, 20, 0.025], [8e6, 10, 0.05]]
"""


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    spans: tuple[str, ...] = (RICH, THIN)
    """Spans START:END."""
    cash_rate: float = 0.02
    """Yearly rate of idle cash."""
    starts: int = 7
    """Number of first days of each span on which the rollout begins, for the range."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line: a rule with its settings, and the published figure of some spans."""

    text: str
    agent: str
    params: dict[str, float]
    settings: dict[str, Any] = field(default_factory=lambda: dict(PORTFOLIO))
    published: dict[str, float] = field(default_factory=dict)


class MeanItself(Rotation):
    """Rotation with thresholds on the mean itself, as in the published table: no hurdle."""

    name = "mean_itself"

    def hurdle(self, cash_rate: NDArray[np.float32]) -> NDArray[np.float64]:
        """The hurdle: zero."""
        return np.zeros(cash_rate.shape)


def _band(leverage: float, band: float, rich: float, thin: float | None = None) -> Row:
    published = {RICH: rich} | ({} if thin is None else {THIN: thin})
    return Row(
        text=f"portfolio, L {leverage:g}, band {100 * band:.0f} %",
        agent="equal_weight",
        params={"leverage": leverage, "band": band},
        published=published,
    )


def _mean(leverage: float, enter: float, leave: float, span: float, *known: float) -> Row:
    """Published are the figures of a mean with a half-life of 90 settlements."""
    word = "EWMA 90" if span == 90.0 else "half-life 90"
    return Row(
        text=f"portfolio, L {leverage:g}, {word} in > {enter:g}, out < {leave:g} bp, band 50 %",
        agent="experiments.studies.margin:MeanItself",
        params={"span": span, "leverage": leverage, "band": 0.5, "enter": enter, "exit": leave},
        published=dict(zip((RICH, THIN), known, strict=True)) if known else {},
    )


_ISOLATED: dict[str, Any] = {
    "agent": "carry",
    "params": {"leverage": 3.0},
    "published": {RICH: 2.36, THIN: -0.21},
}
ROWS = (
    Row(text="isolated, L 3, keeper", settings={}, **_ISOLATED),
    Row(text="the same, ADA's brackets of 2026", settings={"venue": "ADA"}, **_ISOLATED),
    Row(
        text="portfolio, L 1, never rebalanced",
        agent="equal_weight",
        params={"leverage": 1.0, "band": 0.0},
        published={RICH: 3.22},
    ),
    _band(1.0, 0.05, 2.86),
    _band(1.0, 0.1, 3.29),
    _band(1.0, 0.2, 3.71),
    _band(1.0, 0.5, 4.37, -0.69),
    _band(1.5, 0.2, 4.26),
    _band(1.5, 0.5, 5.04, -2.92),
    _band(2.0, 0.2, 4.16),
    _band(2.0, 0.3, 4.71, -4.69),
    _band(2.0, 0.5, 4.90),
    _band(2.0, 0.8, 5.55),
    _band(3.0, 0.3, 4.45),
    _band(3.0, 0.8, 5.79),
    _band(5.0, 0.5, -2.14),
    _mean(1.0, 0.5, 0.0, _HALF_LIFE_90, 4.18, 0.62),
    _mean(1.5, 0.6, 0.2, _HALF_LIFE_90, 4.94, -0.12),
    _mean(1.0, 0.5, 0.0, 90.0),
    _mean(1.5, 0.6, 0.2, 90.0),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The growth of a row in a span."""

    single: float  # one account per coin
    low: float  # lowest of the same over the starts
    high: float
    liquidated: int
    together: float  # one capital
    together_liquidated: int


def main(args: Args) -> None:
    """Walk and print, span by span."""
    if args.starts < 1:
        raise RunError(f"--starts {args.starts}: must be at least 1")
    coins = load(args.data, args.symbols)
    with tempfile.TemporaryDirectory() as folder:
        venue = Path(folder, "ada.toml")
        venue.write_text(_ADA, encoding="utf-8")
        for span in args.spans:
            print(f"\n{span}, cash {100 * args.cash_rate:g} %")
            print(
                f"{'rule':<58}{'published':>10}{'here':>7}{'diff':>7}{'range':>14}{'liquidated':>11}"
                f"{'one capital':>13}{'liquidated':>11}"
            )
            for row in ROWS:
                print(line(row, span, figures(row, coins, span, args, str(venue))), flush=True)


def line(row: Row, span: str, found: Figures) -> str:
    """One line of the table."""
    published = row.published.get(span)
    known = "" if published is None else f"{published:.2f}"
    gap = "" if published is None else f"{found.single - published:+.2f}"
    spread = f"{found.low:.2f} .. {found.high:.2f}"
    return (
        f"{row.text:<58}{known:>10}{found.single:>7.2f}{gap:>7}{spread:>14}{found.liquidated:>11}"
        f"{found.together:>13.2f}{found.together_liquidated:>11}"
    )


def figures(row: Row, coins: Coins, span: str, args: Args, venue: str) -> Figures:
    """Walk one row through a span."""
    settings = row.settings | {"cash_rate": args.cash_rate}
    if "venue" in settings:
        settings["venue"] = venue
    values = {name: np.array([value]) for name, value in row.params.items()}

    def walk(market: Any) -> tuple[float, int]:
        found = sweep(row.agent, {}, values, market, settings)
        assert found is not None  # it has no callback that could stop it
        return float(yearly(found).mean()), int((found.liquidations > 0).sum())

    singles = [walk(coins.within(span, day).single) for day in range(args.starts)]
    whole = walk(coins.within(span).together)
    return Figures(
        single=singles[0][0],
        low=min(growth for growth, _ in singles),
        high=max(growth for growth, _ in singles),
        liquidated=singles[0][1],
        together=whole[0],
        together_liquidated=whole[1],
    )


if __name__ == "__main__":
    run(Args, main, __doc__)
