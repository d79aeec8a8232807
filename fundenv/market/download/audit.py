"""The contents of a data folder and checks of them: gaps, age, an implausible basis, settlements
that occur twice, funding that its own premium does not explain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.formulas.premium import running_premium
from fundenv.formulas.rates import rate_by_rule
from fundenv.market.download.series import HOUR_MS, KINDS, DownloadError, Series, Span, stamp
from fundenv.market.download.store import Store
from fundenv.market.download.tables import gaps, unstored
from fundenv.market.files.frames import floats
from fundenv.market.files.read import read_table
from fundenv.venues import load_venue

FAR_BASIS = 0.01  # fraction: a larger difference between two prices of one coin is odd
FAR_FUNDING_BP = 5.0  # basis points per settlement
_TWICE_MS = 60_000


class Status(NamedTuple):
    """One series: rows, first and last `time` (None without rows), hours since, gaps inside the
    span and the rows that they lack, months still open.
    """

    series: Series
    rows: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    age_hours: float
    gaps: tuple[Span, ...]
    lacking: int
    unfinished: tuple[str, ...]
    damage: tuple[str, ...]


class Finding(NamedTuple):
    """One check of one symbol.

    times: instants (n,) in ms at which it was compared; values: what was found there, in `unit`;
    odd: which of them are (n,).
    """

    symbol: str
    check: str
    unit: str
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    odd: NDArray[np.bool_]

    def line(self) -> str:
        """One line: how many are odd, the worst, the median size."""
        if not len(self.values):
            return f"{self.symbol}: {self.check}: nothing to compare"
        worst = int(np.abs(self.values).argmax())
        middle = float(np.median(np.abs(self.values)))
        say = (
            f"worst {self.values[worst]:.4g} {self.unit} at {stamp(int(self.times[worst]))}, median"
            f" size {middle:.3g}"
        )
        return (
            f"{self.symbol}: {self.check}: {int(self.odd.sum())} of {len(self.values)} odd, {say}"
        )


def status(store: Store, series: Series, now_ms: int) -> Status:
    """Count what a series has. Files are compared with the manifest's SHA-256."""
    parts = store.parts(series)
    damage = tuple(
        text for month, part in parts.items() if (text := store.damage(series, month, part))
    )
    table = None if damage else _table(store, series)
    if table is None:
        open_months = tuple(month for month, part in parts.items() if not part.complete)
        return Status(series, 0, None, None, float("nan"), (), 0, open_months, damage)
    times = table["time"].to_numpy()
    found = tuple(gaps(times, series, Span(int(times[0]), int(times[-1]) + 1)))
    lacking = (
        sum((gap.end - gap.start) // series.step_ms for gap in found)
        if series.step_ms
        else len(found)
    )
    first, last = (
        pd.Timestamp(int(t) + series.shift_ms, unit="ms", tz="UTC") for t in (times[0], times[-1])
    )
    known = int(times[-1]) + (series.step_ms or 0)
    late = tuple(month for month, part in parts.items() if not part.complete)
    return Status(
        series, len(table), first, last, (now_ms - known) / HOUR_MS, found, lacking, late, damage
    )


def findings(store: Store, venue: str, symbol: str) -> list[Finding]:
    """Every check that the tables of a symbol allow."""
    own = {
        series.kind: series
        for series in store.series()
        if (series.venue, series.symbol) == (venue, symbol)
    }
    tables = {
        kind: table for kind, series in own.items() if (table := _table(store, series)) is not None
    }
    found = []
    for kind in ("spot", "mark", "index"):
        if kind in tables and "perp" in tables and own[kind].step == own["perp"].step:
            found.append(_basis(symbol, kind, tables["perp"], tables[kind]))
    if "funding" in tables:
        found.append(_twice(symbol, tables["funding"]))
        if "premium" in tables:
            found.append(
                _explained(
                    venue, symbol, tables["funding"], tables["premium"], own["premium"].step_ms
                )
            )
    return found


def _table(store: Store, series: Series) -> pd.DataFrame | None:
    """All rows of a series as its source gave them (`time` a bar's open, ms); None where there is
    no row.
    """
    if not any(part.rows for part in store.parts(series).values()):
        return None
    kind = series.kind if KINDS[series.kind].known_late_ms is None else "extra"
    return unstored(read_table(store.folder(series), kind), series)  # type: ignore[arg-type]


def _basis(symbol: str, kind: str, perp: pd.DataFrame, other: pd.DataFrame) -> Finding:
    """Perpetual against another price at the close of the same bar. It finds a wrong bar, a wrong
    clock or another coin.
    """
    both = perp.merge(other, on="time", suffixes=("", " other"))
    value = (both["close"] / both["close other"] - 1.0).to_numpy()
    return Finding(
        symbol,
        f"perp / {kind} - 1",
        "of the price",
        both["time"].to_numpy(),
        value,
        np.abs(value) > FAR_BASIS,
    )


def _twice(symbol: str, funding: pd.DataFrame) -> Finding:
    """Minutes between settlements; two within a minute are the same one, stored twice."""
    times = funding["time"].to_numpy()
    spacing = np.diff(times)
    return Finding(
        symbol, "spacing of settlements", "min", times[1:], spacing / 60_000, spacing <= _TWICE_MS
    )


def _explained(
    venue: str, symbol: str, funding: pd.DataFrame, premium: pd.DataFrame, step_ms: int
) -> Finding:
    """Settled rate less the venue's own rule on the average of the premium bars since the
    settlement before, basis points.

    The mean of its four prices represents a bar. The venue averages samples some seconds apart, so
    small differences are no error.
    """
    times, rate = funding["time"].to_numpy(), funding["rate"].to_numpy()
    settled = np.round(times / 60_000).astype(np.int64) * 60_000
    opens, sample = (
        premium["time"].to_numpy(),
        premium[["open", "high", "low", "close"]].mean(axis=1).to_numpy(),
    )
    closing = opens + step_ms
    # the settlement at or after the bar's close
    interval = np.searchsorted(settled, closing, side="left")
    rules = load_venue(venue)
    rule = rules.choice("funding", "rule")
    average = pd.Series(
        running_premium(
            sample, interval, "linear" if rule in ("binance", "bybit", "okx") else "equal"
        ),
        interval,
    )
    last, count = average[~average.index.duplicated(keep="last")], average.groupby(level=0).size()
    hours = np.r_[np.nan, np.diff(settled) / HOUR_MS]
    whole = [
        k
        for k in range(1, len(settled))
        if count.get(k, 0) == round(hours[k] * HOUR_MS / step_ms) > 0
    ]
    if not whole:
        return Finding(
            symbol, "settled rate less its rule", "bp", times[:0], rate[:0], np.zeros(0, dtype=bool)
        )
    interest, clamp, scaled = (
        rules.value("funding", key) for key in ("interest_8h", "clamp", "scaled")
    )
    cap = rules.value("funding", "cap", symbol)
    mean = pd.Series(rate).rolling(8, min_periods=1).mean().to_numpy()
    ruled = rate_by_rule(
        rule, floats(last[whole]), hours[whole], interest, clamp, cap, bool(scaled), mean[whole]
    )
    error = (rate[whole] - ruled) * 1e4
    return Finding(
        symbol,
        "settled rate less its rule",
        "bp",
        times[whole],
        error,
        np.abs(error) > FAR_FUNDING_BP,
    )


def symbols(store: Store) -> list[tuple[str, str]]:
    """Venue and symbol of everything in the folder. Raises `DownloadError` where there is
    nothing.
    """
    found = sorted({(series.venue, series.symbol) for series in store.series()})
    if not found:
        raise DownloadError(
            f"{store.root}: no downloaded series; fetch some with python -m experiments.download"
            f" --out {store.root}"
        )
    return found
