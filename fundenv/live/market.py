"""Build the market of an account from its sealed tables, with the checks, the time grid and the
features that market files have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fundenv.live.errors import LiveError
from fundenv.live.tables import Tables
from fundenv.market import Market, between, joint
from fundenv.market.build import assemble
from fundenv.market.download.series import stamp
from fundenv.market.files.align import align
from fundenv.market.files.frames import HOUR_NS, SymbolFrames, times_ns
from fundenv.market.layout import PERP_VOLUME, SETTLE_PRICE, SETTLE_RATE, SPOT_VOLUME
from fundenv.market.plausibility import findings, judge
from fundenv.venues import Rulebook, Venue

RECENT_DAYS = 60  # history that the plausibility check reads at each look


def live_market(
    tables: Tables,
    rules: Venue,
    *,
    shared: bool,
    accept: Sequence[str] = (),
    judged: bool = True,
) -> Market:
    """The market of every sealed bar, warm-up included: as `build_market` makes it from files.

    shared: all coins on one path, for one account. accept: findings of the plausibility check to
    accept. judged: run that check on the last `RECENT_DAYS`. Raises `DataError` where the rows fail
    a check.
    """
    frames = [tables.frames(symbol) for symbol in tables.symbols]
    bar_ns = tables.step_ms * 1_000_000
    aligned = [align(f, venue=rules.name, bar_ns=bar_ns) for f in frames]
    recent = [_since(f, RECENT_DAYS) for f in frames] if judged else []
    found = [finding for f in recent for finding in findings(f, rules)]
    notes, cautions = judge(found, accept)
    market = assemble(aligned, Rulebook(rules), {})
    market = replace(market, notes=market.notes + notes, cautions=cautions)
    return joint(market, tables.symbols) if shared else market


def cut(market: Market, begin_ms: int) -> Market:
    """The bars that close at `begin_ms` or later, one path for each account.

    Raises `LiveError` where features are not complete at `begin_ms`, or a hole divides a path.
    """
    names = market.symbols
    try:
        part = between(market, pd.Timestamp(begin_ms, unit="ms", tz="UTC"), None)
    except ValueError as error:
        raise LiveError(f"{error}; begin with a longer --warm-up") from None
    missing = sorted({"+".join(n) for n in names} - {"+".join(n) for n in part.symbols})
    starts = part.close_ns[part.paths[:, 0]]
    late = [k for k, ns in enumerate(starts) if int(ns) != begin_ms * 1_000_000]
    if len(set(part.symbols)) < part.n_paths:
        raise LiveError(
            f"a hole of over 8 h in the settlements after {stamp(begin_ms)} cuts the account in"
            " two; begin another one in another --out"
        )
    if missing or late:
        odd = missing or ["+".join(part.symbols[k]) for k in late]
        raise LiveError(
            f"{', '.join(odd)}: the features are not complete at {stamp(begin_ms)}; begin with a"
            " longer --warm-up, or without the coin"
        )
    return part


def padded(market: Market, bars: int, closed_ms: int) -> Market:
    """The market with room for the next decision: paths that reach `closed_ms` continue by `bars`
    copies of their last row.

    The observation at the last close needs a path that goes on. The account is never stepped into
    the copies: a test changes their prices, and the account stays the same.
    """
    pieces = []
    for path, (first, last) in enumerate(market.paths):
        rows = np.arange(first, last)
        alive = int(market.close_ns[last - 1]) == closed_ms * 1_000_000
        pieces.append((path, np.r_[rows, np.full(bars if alive else 0, last - 1)], len(rows)))
    index = np.concatenate([rows for _, rows, _ in pieces])
    bars_, features, close = market.bars[index], market.features[index], market.close_ns[index]
    ends = np.cumsum([len(rows) for _, rows, _ in pieces])
    begins = np.r_[0, ends[:-1]]
    for (_, rows, real), begin in zip(pieces, begins, strict=True):
        extra = slice(begin + real, begin + len(rows))
        for column in (SETTLE_RATE, SETTLE_PRICE, SPOT_VOLUME, PERP_VOLUME):
            bars_[extra, :, column] = 0.0
        ahead = np.arange(1, len(rows) - real + 1, dtype=np.int64)
        close[extra] += ahead * round(market.bar_hours * HOUR_NS)
    return replace(
        market,
        bars=bars_,
        features=features,
        close_ns=close,
        paths=np.column_stack([begins, ends]).astype(np.int64),
    )


def _since(frames: SymbolFrames, days: int) -> SymbolFrames:
    """The last `days` days of the tables of a coin."""
    start = int(times_ns(frames.perp)[-1]) - days * 24 * HOUR_NS

    def after(table: pd.DataFrame) -> pd.DataFrame:
        return table[times_ns(table) >= start]

    return replace(
        frames,
        funding=after(frames.funding),
        perp=after(frames.perp),
        spot=after(frames.spot),
        mark=None if frames.mark is None else after(frames.mark),
    )
