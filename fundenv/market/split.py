"""Parts of a market: by time, by symbol; several markets in one. Several symbols on one clock:
`fundenv.market.join`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.files.frames import to_ns
from fundenv.market.market import Market


class SplitError(ValueError):
    """A part that cannot be cut; the message names it and what would do."""


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Spans [first, last) of consecutive True."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False]))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def between(
    market: Market, start: str | pd.Timestamp | None, end: str | pd.Timestamp | None
) -> Market:
    """The bars that close in [start, end); None leaves that side open. Features keep the look-back
    that they were computed with.

    Paths without such a bar are dropped and named in the notes; `SplitError` if none is left.
    """
    low = -(2**62) if start is None else to_ns(start)
    high = 2**62 if end is None else to_ns(end)
    spans, dropped = [], []
    for path, (first, last) in enumerate(market.paths):
        a, b = first + np.searchsorted(market.close_ns[first:last], [low, high])
        if b > a:
            spans.append((path, int(a), int(b)))
        else:
            dropped.append("+".join(market.symbols[path]))
    if not spans:
        raise SplitError(f"no bar closes in [{start}, {end}); {extent(market)}")
    notes = (f"no bars in [{start}, {end}): {', '.join(dropped)} dropped",) if dropped else ()
    return _cut(market, spans, notes)


def split(
    market: Market,
    spans: Mapping[str, tuple[str | pd.Timestamp, str | pd.Timestamp]],
    *,
    embargo: str = "14D",
) -> dict[str, Market]:
    """One market for each named span [start, end). Between two spans at least `embargo` is left
    out, taken from the end of the earlier one, so that the span to be judged stays as it was asked
    for.

    Raises `SplitError` for spans that overlap, run backwards or vanish.
    """
    gap = pd.Timedelta(embargo).as_unit("ns").value
    order = sorted(spans, key=lambda name: to_ns(spans[name][0]))
    limits = {name: [to_ns(edge) for edge in spans[name]] for name in order}
    notes: dict[str, tuple[str, ...]] = dict.fromkeys(order, ())
    for name in order:
        if limits[name][0] >= limits[name][1]:
            raise SplitError(
                f"span {name!r} runs from {spans[name][0]} to {spans[name][1]}; expected start"
                " before end"
            )
    for earlier, later in zip(order, order[1:], strict=False):
        if limits[earlier][1] > limits[later][0]:
            raise SplitError(
                f"spans {earlier!r} (to {spans[earlier][1]}) and {later!r} (from {spans[later][0]})"
                " overlap; end the first one earlier"
            )
        latest = limits[later][0] - gap
        if limits[earlier][1] > latest:
            limits[earlier][1] = latest
            notes[earlier] = (
                (
                    f"span {earlier!r} ends at {pd.Timestamp(latest)} to leave {embargo} before"
                    f" {later!r}"
                ),
            )
            if latest <= limits[earlier][0]:
                raise SplitError(
                    f"span {earlier!r} is shorter than the embargo of {embargo} before {later!r};"
                    " lengthen it or lower the embargo"
                )
    parts = {
        name: between(market, *(pd.Timestamp(edge, tz="UTC") for edge in limits[name]))
        for name in spans
    }
    return {name: replace(part, notes=part.notes + notes[name]) for name, part in parts.items()}


def select(market: Market, symbols: Sequence[str]) -> Market:
    """The paths all of whose assets are among `symbols`, sorted as `symbols` by their first asset.
    `SplitError` for one that has none.
    """
    within = [path for path, names in enumerate(market.symbols) if set(names) <= set(symbols)]
    check_known(market, symbols, {name for path in within for name in market.symbols[path]})
    order = sorted(within, key=lambda path: list(symbols).index(market.symbols[path][0]))
    return _cut(
        market,
        [(path, int(market.paths[path][0]), int(market.paths[path][1])) for path in order],
        (),
    )


def narrowed(market: Market, symbols: Sequence[str]) -> Market:
    """Of a market whose paths all hold the same assets, only `symbols`, in their order. Raises
    `SplitError` for an unknown or doubled symbol, and where the paths differ.
    """
    names = market.symbols[0]
    if len(set(market.symbols)) > 1:
        raise SplitError("the paths hold different assets; give a market that holds the same ones")
    check_once(symbols)
    check_known(market, symbols, set(names))
    columns = [names.index(symbol) for symbol in symbols]
    return replace(
        market,
        bars=np.ascontiguousarray(market.bars[:, columns]),
        features=np.ascontiguousarray(market.features[:, columns]),
        symbols=(tuple(symbols),) * len(market.symbols),
    )


def stack(markets: Sequence[Market]) -> Market:
    """All paths of several markets, one behind another. `SplitError` where they differ in bars,
    features, venue or number of assets.
    """
    if not markets:
        raise SplitError("no market to stack; give at least one")
    kinds = {(m.bar_hours, m.table, m.venue, m.n_assets) for m in markets}
    if len(kinds) > 1:
        raise SplitError(
            "markets differ in bar length, features, venue or number of assets; build them alike"
        )
    offsets = np.cumsum([0, *(len(m.bars) for m in markets[:-1])])
    return replace(
        markets[0],
        bars=np.concatenate([m.bars for m in markets]),
        features=np.concatenate([m.features for m in markets]),
        paths=np.concatenate(
            [m.paths + offset for m, offset in zip(markets, offsets, strict=True)]
        ),
        close_ns=np.concatenate([m.close_ns for m in markets]),
        symbols=tuple(names for m in markets for names in m.symbols),
        notes=tuple(dict.fromkeys(note for m in markets for note in m.notes)),
        cautions=tuple(dict.fromkeys(text for m in markets for text in m.cautions)),
        shocked=any(m.shocked for m in markets),
    )


def path_range(market: Market, first: int, last: int) -> Market:
    """The paths first .. last - 1, sharing the memory of the market; their rows must stand one
    behind another, as those of any built market do.
    """
    low, high = int(market.paths[first, 0]), int(market.paths[last - 1, 1])
    return replace(
        market,
        bars=market.bars[low:high],
        features=market.features[low:high],
        paths=market.paths[first:last] - low,
        close_ns=market.close_ns[low:high],
        symbols=market.symbols[first:last],
    )


def check_once(symbols: Sequence[str]) -> None:
    """Raise `SplitError` where no symbol is given, or one twice."""
    if len(symbols) < 1 or len(set(symbols)) < len(symbols):
        raise SplitError(
            f"symbols {list(symbols)}: expected at least one and each once; drop the duplicates"
        )


def check_known(market: Market, symbols: Sequence[str], known: set[str]) -> None:
    """Raise `SplitError` for the first of `symbols` that is not `known`."""
    for symbol in symbols:
        if symbol not in known:
            have = ", ".join("+".join(names) for names in dict.fromkeys(market.symbols))
            raise SplitError(f"symbol {symbol!r} is not in the market; it has {have}")


def _cut(market: Market, spans: Sequence[tuple[int, int, int]], notes: tuple[str, ...]) -> Market:
    """Rows [first, last) of the given paths, each span a path of its own."""
    rows = np.concatenate([np.arange(first, last) for _, first, last in spans])
    ends = np.cumsum([last - first for _, first, last in spans])
    return replace(
        market,
        bars=market.bars[rows],
        features=market.features[rows],
        paths=np.column_stack([np.r_[0, ends[:-1]], ends]).astype(np.int64),
        close_ns=market.close_ns[rows],
        symbols=tuple(market.symbols[path] for path, _, _ in spans),
        notes=market.notes + notes,
    )


def extent(market: Market) -> str:
    """What the market holds, for an error message."""
    spans = (
        f"{'+'.join(names)} {market.times(p)[0]:%Y-%m-%d %H:%M} .."
        f" {market.times(p)[-1]:%Y-%m-%d %H:%M}"
        for p, names in enumerate(market.symbols)
    )
    return f"the market has {'; '.join(spans)}"
