"""From the tables of some symbols to one immutable market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.features import Raw, extra_features, raw_features
from fundenv.market.files.align import align, native_bar_ns
from fundenv.market.files.bar_matrix import Aligned
from fundenv.market.files.frames import (
    HOUR_NS,
    SymbolFrames,
    bar_length_ns,
    contract_of,
    floats,
    step_name,
)
from fundenv.market.files.placed import lent
from fundenv.market.files.schema import DataError
from fundenv.market.market import Feature, Market
from fundenv.market.plausibility import across, check_accept, findings, judge
from fundenv.market.split import between, runs
from fundenv.market.table import feature_table
from fundenv.venues import Rulebook, Venue


def build_market(
    frames: Sequence[SymbolFrames],
    *,
    venue: str | Path | Venue | Rulebook = "binance",
    bar: str | None = None,
    start: str | None = None,
    end: str | None = None,
    extra: Mapping[str, float] | None = None,
    volume_required: bool = True,
    accept: Sequence[str] = (),
) -> Market:
    """One path per symbol (several, where the funding file has holes), with features of every row
    complete.

    Args:
        frames: tables of each symbol; names must differ. venue: name, path or `Venue` whose funding
        constants and known defects apply, or a `Rulebook`: a symbol whose name says where it
        trades (`fundenv.venues.legs_of`) has those of that venue. bar: length of the bars, "1h";
        default: the coarsest step among the tables. start: keep bars that close at `start` (UTC) or
        later; their features still look back before it. end: and before `end`. extra: extra columns
        to add as features, name -> scale; each symbol needs the column in `SymbolFrames.extras`.
        volume_required: False lets files without volumes pass; their volumes are 0 and
        `Market.has_volume` is False. accept: kinds of `fundenv.market.plausibility.KINDS` to
        accept, KIND or KIND:SYMBOL; `Market.cautions` then names each finding.

    Raises `DataError`, which names the fault and the remedy.
    """
    book = venue if isinstance(venue, Rulebook) else Rulebook.read(venue)
    names = [f.symbol for f in frames]
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"symbols {names}: expected at least one and each once; drop the duplicates"
        )
    check_accept(accept)
    bar_ns = bar_length_ns(bar) if bar else max(native_bar_ns(f) for f in frames)
    aligned = [
        align(f, venue=book.account.name, bar_ns=bar_ns, volume_required=volume_required)
        for f in frames
    ]
    found = [
        finding
        for f, a in zip(frames, aligned, strict=True)
        for finding in findings(f, book.perp(contract_of(f.symbol))[0], aligned=a)
    ]
    notes, cautions = judge([*found, *across(frames, aligned)], accept)
    market = assemble(aligned, book, dict(extra or {}))
    market = replace(market, notes=market.notes + notes, cautions=(*lent(frames), *cautions))
    return between(market, start, end) if start or end else market


def assemble(aligned: Sequence[Aligned], book: Rulebook, extra: Mapping[str, float]) -> Market:
    """Features of aligned symbols, and one market of all of them."""
    table = feature_table(extra)
    contracts = [contract_of(a.symbol) for a in aligned]
    raws = [
        raw_features(a, book.perp(contract)[0])
        for a, contract in zip(aligned, contracts, strict=True)
    ]
    _add_market_mean(aligned, raws)
    notes: dict[str, list[str]] = {}
    for a, raw in zip(aligned, raws, strict=True):
        for note in (*a.notes, *_add_extra(a, raw, extra)):
            notes.setdefault(note, []).append(a.symbol)
    return _rows(aligned, raws, table, book.title(contracts), notes)


def _add_market_mean(aligned: Sequence[Aligned], raws: Sequence[Raw]) -> None:
    """funding_market: mean of funding_last over the symbols that have one at the same close."""
    columns = [
        pd.Series(np.where(a.funded, raw["funding_last"], np.nan), a.close_ns)
        for a, raw in zip(aligned, raws, strict=True)
    ]
    mean = pd.concat(columns, axis=1).mean(axis=1)
    for a, raw in zip(aligned, raws, strict=True):
        raw["funding_market"] = floats(mean.reindex(a.close_ns))


def _add_extra(aligned: Aligned, raw: Raw, extra: Mapping[str, float]) -> list[str]:
    """Put the extra columns into `raw`; returns what was missing."""
    for name in extra:
        if name not in aligned.extras:
            have = ", ".join(aligned.extras) or "none"
            raise DataError(
                f"{aligned.symbol}: extra column {name} is missing (found {have}); add a table that"
                " has it or drop it from `extra`"
            )
    values, missing = extra_features(aligned, extra)
    raw.update(values)
    return [
        f"{name} unknown for more than 24 h at {count} closes, 0 there"
        for name, count in missing.items()
        if count
    ]


def _rows(
    aligned: Sequence[Aligned],
    raws: Sequence[Raw],
    table: tuple[Feature, ...],
    venue: str,
    notes: dict[str, list[str]],
) -> Market:
    bars, features, close_ns, paths, symbols = [], [], [], [], []
    rows = 0
    for a, raw in zip(aligned, raws, strict=True):
        matrix = np.column_stack([raw[feature.name] for feature in table])
        complete = a.funded & np.isfinite(matrix).all(axis=1) & np.isfinite(a.bars).all(axis=1)
        spans = [(first, last) for first, last in runs(complete) if last - first > 1]
        if not spans:
            raise DataError(
                f"{a.symbol}: {len(complete)} bars of {step_name(a.bar_ns)} leave no row with"
                " complete features; give more than 31 days"
            )
        notes[_warm_up_note(a, complete, spans)] = [a.symbol]
        for first, last in spans:
            bars.append(a.bars[first:last])
            features.append(scaled(matrix[first:last], table))
            close_ns.append(a.close_ns[first:last])
            paths.append((rows, rows + last - first))
            symbols.append((a.symbol,))
            rows += last - first
    return Market(
        bars=np.concatenate(bars)[:, None, :],
        features=np.concatenate(features)[:, None, :],
        paths=np.array(paths, dtype=np.int64),
        close_ns=np.concatenate(close_ns),
        symbols=tuple(symbols),
        bar_hours=aligned[0].bar_ns / HOUR_NS,
        table=table,
        venue=venue,
        notes=tuple(f"{', '.join(names)}: {note}" for note, names in notes.items()),
    )


def scaled(raw: NDArray[np.float64], table: tuple[Feature, ...]) -> NDArray[np.float32]:
    """clip(raw / scale, low, high) for a matrix (R, F)."""
    scale, low, high = (
        np.array([getattr(f, name) for f in table]) for name in ("scale", "low", "high")
    )
    return np.asarray(np.clip(raw / scale, low, high), dtype=np.float32)


def _warm_up_note(
    aligned: Aligned, complete: NDArray[np.bool_], spans: list[tuple[int, int]]
) -> str:
    first = pd.Timestamp(aligned.open_ns[0])
    starts = pd.Timestamp(aligned.close_ns[spans[0][0]])
    cut = f"; holes cut it into {len(spans)} paths" if len(spans) > 1 else ""
    return (
        f"data from {first:%Y-%m-%d %H:%M}, features complete from {starts:%Y-%m-%d %H:%M},"
        f" {(~complete).sum()} bars left out{cut}"
    )
