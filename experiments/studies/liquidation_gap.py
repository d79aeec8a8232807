"""Measures how far the mark price moves beyond a liquidation price, on coarse bars made of fine
ones: the quantity that the setting `liquidation_gap` assumes.

A leg is opened at the open of each coarse bar. Where the mark price reaches its liquidation price
inside the bar, the table shows how far it moves from there to the extreme of the coarse bar, and
which share of this distance it has moved at the extreme, and at the close, of the fine bar of the
liquidation.

With --start a second table shows the growth of always-on carry in isolated margin under three
assumptions on liquidations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from experiments.core.cli import run
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.dynamics.reward import LOG_FLOOR
from fundenv.market import Market, SplitError, layout, load_market
from fundenv.settings import Range
from fundenv.settings.forms import Day

Array = NDArray[np.float64]
# title -> settings
ASSUMPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "the account pays": {"deficit_share": 1.0},
    "and fills at the extreme": {"deficit_share": 1.0, "liquidation_gap": 1.0},
}


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    data: Path
    """Folder of Parquet or CSV files."""
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names; none: all symbols of the folder."""
    venue: str = "binance"
    """Name of a venue, or the path of its TOML."""
    bars: Annotated[int, Range(2, 1000, "fine bars")] = 8
    """Number of fine bars in a coarse one."""
    leverages: tuple[float, ...] = (10.0, 20.0, 50.0)
    """Leverages of the legs."""
    maintenance: Annotated[float, Range(0, 0.5, "of notional")] = 0.005
    """Maintenance margin."""
    start: Annotated[str | None, Day] = None
    """First day of the second table; none: no second table."""
    days: Annotated[int, Range(1, 10_000, "days")] = 363
    """Length of the span of the second table."""


def main(args: Args) -> None:
    """Measure and show the table."""
    market = load_market(args.data, args.symbols or None, venue=args.venue)
    table = overshoots(market.bars, market.paths, args.bars, args.leverages, args.maintenance)
    shown = Table(*table.columns, title=f"beyond the liquidation price, bars of {args.bars}")
    for row in table.itertuples(index=False):
        shown.add_row(
            *(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row)
        )
    Console().print(shown)
    if args.start is not None:
        grown = growths(market, args.start, args.days, args.leverages, args.venue)
        shown = Table("leverage", *ASSUMPTIONS, title="always-on carry, % a year")
        for leverage, means in zip(args.leverages, grown, strict=True):
            shown.add_row(f"{leverage:g}", *(f"{mean:.2f}" for mean in means))
        Console().print(shown)


def growths(
    market: Market, start: str, days: int, leverages: tuple[float, ...], venue: str
) -> list[list[float]]:
    """Annual log growth [%] of always-on carry in isolated margin, mean over the paths that hold
    the span, one row per leverage and one column for each of `ASSUMPTIONS`.

    Raises `SplitError` where no path holds the span.
    """
    first = pd.Timestamp(start, tz="UTC").value
    paths, rows = [], []
    for path, (begin, end) in enumerate(market.paths):
        closes = market.close_ns[begin:end]
        if closes[0] <= first and closes[-1] > first + days * 86_400_000_000_000:
            paths.append(path)
            rows.append(int(np.searchsorted(closes, first)))
    if not paths:
        raise SplitError(f"no path holds {days} days from {start}; take another --start or --days")
    return [
        [
            _growth(
                market,
                paths,
                rows,
                venue=venue,
                episode=f"{days}D",
                leverage=leverage,
                max_leverage=leverage,
                leverage_grid=(leverage,),
                **assumed,
            )
            * 365.0
            / days
            for assumed in ASSUMPTIONS.values()
        ]
        for leverage in leverages
    ]


def _growth(market: Market, paths: list[int], rows: list[int], **settings: Any) -> float:
    """Mean log growth [%] of one episode on each path."""
    batch = Batch(len(paths), market=market, actions="target", random_start=False, **settings)
    batch.reset(0, paths=paths, starts=rows)
    action = np.tile(np.array([0.0, 1.0, 1.0, settings["leverage"]], np.float32), (len(paths), 1))
    ended = np.zeros(len(paths), dtype=bool)
    equity = np.empty(len(paths))
    while not ended.all():
        batch.step(action)
        equity = np.where(ended, equity, batch.store.account[:, t.EQUITY])
        ended |= batch.terminated | batch.truncated
    initial = batch.config.initial_equity
    return float(100.0 * np.log(np.maximum(equity, LOG_FLOOR * initial) / initial).mean())


def overshoots(
    bars: Array, paths: NDArray[np.int64], count: int, leverages: tuple[float, ...], rate: float
) -> pd.DataFrame:
    """One row per leverage, longs and shorts of all paths and assets together.

    bars (R, A, columns of `layout`), paths (P, 2); count: fine bars of a coarse one; rate:
    maintenance margin, a fraction of notional. Columns: leverage, liquidations, "further": mean
    distance from the liquidation price to the extreme of the coarse bar, over that price, and the
    shares of it, means over means, at the "extreme" and at the "close" of the fine bar of the
    liquidation.
    """
    rows = []
    for leverage in leverages:
        found = [
            _beyond(_coarse(bars[first:last, a], count), side, 1.0 / leverage - rate)
            for first, last in paths
            for a in range(bars.shape[1])
            for side in (1.0, -1.0)
        ]
        further, extreme, close = np.concatenate(found, axis=1)
        whole = further.mean() if further.size else np.nan
        rows.append(
            {
                "leverage": leverage,
                "liquidations": further.size,
                "further": float(whole),
                "extreme": float(extreme.sum() / further.sum()) if further.any() else np.nan,
                "close": float(close.sum() / further.sum()) if further.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _coarse(bars: Array, count: int) -> Array:
    """(coarse bars, count, columns); an incomplete coarse bar at the end is left out."""
    whole = len(bars) // count * count
    return bars[:whole].reshape(-1, count, bars.shape[-1])


def _beyond(coarse: Array, side: float, distance: float) -> Array:
    """(3, liquidations): distances beyond the liquidation price, over that price, to the extreme of
    the coarse bar, to that of the fine bar of the liquidation, and to the close of the fine bar.
    side: +1 a short.
    """
    ways = coarse[..., layout.MARK_HIGH if side > 0 else layout.MARK_LOW]
    price = coarse[:, :1, layout.MARK_OPEN] * (1.0 + side * distance)
    gone = side * (ways / price - 1.0)
    hit = gone >= 0.0
    inside = np.flatnonzero(hit.any(axis=1))
    first = hit[inside].argmax(axis=1)
    close = side * (coarse[..., layout.MARK_CLOSE] / price - 1.0)
    return np.stack([gone[inside].max(axis=1), gone[inside, first], close[inside, first]])


if __name__ == "__main__":
    run(Args, main, __doc__)
