"""Other histories out of a recorded one: the joint stationary block bootstrap of spot, perpetual
and funding.

Blocks of consecutive settlements, of random length (geometric, so that the result is stationary:
Politis and Romano 1994, doi:10.1080/01621459.1994.10476870), are drawn from all paths of a market
and laid one behind another. Everything of a bar moves together, for all assets: returns, basis,
range, volume, funding. A block is cut where it keeps its hour of the day, so settlements stay on
their clock and the hours keep their habits. Every bar is a recorded one, and dependence beyond the
length of a block is lost: longer blocks keep more of the past, shorter ones are more varied.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from fundenv.market.files.frames import GENERATED, HOUR_NS, to_ns
from fundenv.market.layout import HALTED, SPOT_CLOSE, UNLISTED
from fundenv.market.market import Market
from fundenv.market.split import between, stack
from fundenv.market.synthetic.portfolio import come_and_go
from fundenv.market.synthetic.ratios import Tape, TapeError, roll, unroll, whole_venues
from fundenv.market.table import NAMES
from fundenv.venues import Venue

CELL_HOURS = 8  # blocks are cut at 0, 8 and 16 UTC, when every settlement schedule settles
_MEAN = NAMES.index("funding_market")
_LEAD_DAYS = 36  # before `start`, so that the features of the first bar are complete


def bootstrap_market(
    market: Market,
    *,
    years: float = 1.0,
    paths: int = 1,
    seed: int = 0,
    block: float = 42.0,
    start: str = "2020-01-01",
    first_path: int = 0,
    venue: str | Path | Venue | None = None,
    late: float = 0.0,
    gone: float = 0.0,
) -> Market:
    """`paths` resampled histories of `years` from `start` (a midnight UTC), named SYNTH-BTCUSDT-0,
    ..; their contracts keep the venue's rules.

    market: of one symbol, or of several on one clock (`fundenv.market.joint`); cut the training
    span out of it first. block: mean length of a block in settlements of 8 h; 21 to 63 are a week
    to three. Path k depends on the market, (seed, k) and `block` alone. Prices begin where the
    market's first path does. venue: whose funding constants the features use, by default the
    market's own. Of several symbols only hours in which all are listed are drawn; `late` and `gone`
    let coins come and go as in `synthetic_portfolio`. Raises `TapeError` where the market has
    several symbols side by side, extra features, bars that do not divide 8 h or no two days in a
    row.
    """
    whole_venues(market)
    names = set(market.symbols)
    if len(names) > 1:
        raise TapeError(
            f"the market has {len(names)} symbols"
            f" ({', '.join('+'.join(n) for n in sorted(names)[:3])}, ..); select one or join them"
        )
    if paths < 1 or first_path < 0 or not years > 0 or not block >= 1:
        raise TapeError(
            f"paths = {paths}, first_path = {first_path}, years = {years:g}, block = {block:g};"
            " expected at least 1, 0, above 0 and 1"
        )
    if market.bar_hours not in (1, 2, 4, 8):
        raise TapeError(
            f"bars of {market.bar_hours:g} h; blocks of whole settlements need bars of 1, 2, 4"
            " or 8 h"
        )
    if to_ns(start) % (CELL_HOURS * HOUR_NS):
        raise TapeError(f"start = {start!r} is off the settlement clock; give a midnight UTC")
    source = _Source(market)
    cells = round((years * 365.0 + _LEAD_DAYS) * 24 / CELL_HOURS)
    opens = to_ns(pd.Timestamp(start) - pd.Timedelta(days=_LEAD_DAYS))
    made = []
    for number in range(first_path, first_path + paths):
        rows = source.draw(Generator(PCG64([seed, number])), cells, block, opens)
        tape = Tape(source.tape.bars[rows], source.tape.closed[rows])
        symbols = [f"{GENERATED}{name}-{number}" for name in market.symbols[0]]
        whole = roll(
            tape,
            source.start,
            opens,
            symbols,
            bar_hours=market.bar_hours,
            venue=venue or market.venue,
        )
        features = whole.features.copy()
        # of all coins that were loaded together, these or more
        features[:, :, _MEAN] = source.market_mean[rows[-len(features) :]]
        made.append(between(replace(whole, features=features), start, None))
    first, last = (
        pd.Timestamp(int(ns)).date() for ns in (market.close_ns.min(), market.close_ns.max())
    )
    return replace(
        come_and_go(stack(made), late=late, gone=gone, seed=seed, first_path=first_path),
        cautions=market.cautions,
        notes=(
            (
                f"resampled in blocks of {block:g} settlements on average from market"
                f" {market.hash}, {first} .. {last}"
            ),
        ),
    )


class _Source:
    """All paths of a market as one tape, and the cells of it that blocks are made of."""

    def __init__(self, market: Market) -> None:
        self.size = round(CELL_HOURS / market.bar_hours)
        tapes, cells, phases, follows, rows = [], [], [], [], 0
        for path, (first, last) in enumerate(market.paths):
            tape, start = unroll(market, path)
            if path == 0:
                self.start = _first_closes(market, start)
            hours = (market.close_ns[first : last - 1] // HOUR_NS) % 24  # when each bar opens
            at = np.flatnonzero(hours % CELL_HOURS == 0)
            at = at[at + self.size <= last - first - 1]
            at, next_one = _whole(market.bars[first:last], at, self.size)
            tapes.append(tape)
            cells.append(rows + at)
            phases.append(hours[at] // CELL_HOURS)
            follows.append(next_one)
            rows += last - first - 1
        self.market_mean = np.concatenate(
            [market.features[first + 1 : last, :, _MEAN] for first, last in market.paths]
        )
        self.tape = Tape(
            np.concatenate([tape.bars for tape in tapes]),
            np.concatenate([tape.closed for tape in tapes]),
        )
        self.cells, self.phases, self.follows = (
            np.concatenate(cells),
            np.concatenate(phases),
            np.concatenate(follows),
        )
        self.by_phase = [np.flatnonzero(self.phases == phase) for phase in range(24 // CELL_HOURS)]
        if min(map(len, self.by_phase)) < 2:
            raise TapeError(
                f"the market has {len(self.cells)} whole intervals of {CELL_HOURS} h; blocks need"
                " at least two days in a row"
            )

    def draw(self, rng: Generator, cells: int, block: float, opens: int) -> NDArray[np.int64]:
        """Rows of the tape for `cells` intervals from `opens` on."""
        first = int(opens // HOUR_NS // CELL_HOURS) % len(self.by_phase)
        fresh, place = (rng.random(cells) < 1.0 / block).tolist(), rng.random(cells).tolist()
        chosen, cell = [], -1
        for k in range(cells):
            if cell < 0 or fresh[k] or not self.follows[cell]:
                choice = self.by_phase[(first + k) % len(self.by_phase)]
                cell = int(choice[int(place[k] * len(choice))])
            else:
                cell += 1
            chosen.append(cell)
        return (self.cells[chosen][:, None] + np.arange(self.size)).ravel()


def _first_closes(market: Market, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """`start` (A,), the spot closes of the first row, where a coin is listed there; else the first
    close that it has.
    """
    there = market.bars[:, :, HALTED] != UNLISTED
    first = there.argmax(axis=0)
    own = market.bars[first, np.arange(len(start)), SPOT_CLOSE]
    closes: NDArray[np.float64] = np.where(there[market.paths[0, 0]], start, own)
    return closes


def _whole(
    bars: NDArray[np.float64], at: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of the cells that begin `at` rows of a tape, those in which every coin is listed, and whether
    the cell behind each follows it. bars (n, A, 16): those of the tape and the one before it.
    """
    absent = np.r_[0, np.cumsum((bars[:, :, HALTED] == UNLISTED).any(axis=1))]
    listed = absent[at + size + 1] == absent[at]  # from the close before the cell on
    kept = at[listed]
    return kept, np.r_[np.diff(kept) == size, False][: len(kept)]
