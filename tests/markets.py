"""Hand-made markets for the tests: tapes of a few bars with round numbers, and wild ones in which
everything happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout, synthetic_frames, write_frames
from fundenv.market.layout import N_COLUMNS
from fundenv.market.market import Feature, Market
from fundenv.venues import legs_of

PLAIN_VENUE = str(Path(__file__).parent / "laws" / "plain.toml")
TABLE = (
    Feature("basis_deviation", "basis less its trailing mean", "bp", -5.0, 5.0, 10.0),
    Feature("funding_ewma_9", "mean of the last settlements", "bp", -5.0, 5.0, 2.0),
)
Row = list[float]


def bar(
    start: float,
    end: float | None = None,
    high: float | None = None,
    low: float | None = None,
    **columns: float,
) -> Row:
    """One bar in which spot, perpetual and mark move alike; `columns` (names of the layout in lower
    case) overrides single numbers.
    """
    end = start if end is None else end
    values = dict.fromkeys(("spot_open", "perp_open", "mark_open"), start) | dict.fromkeys(
        ("spot_close", "perp_close", "mark_close"), end
    )
    values |= dict.fromkeys(
        ("spot_volume", "perp_volume", "spot_day_volume", "perp_day_volume"), 1e9
    )
    values |= {
        "mark_high": max(start, end) if high is None else high,
        "mark_low": min(start, end) if low is None else low,
        "sigma_day": 0.04,
    }
    row = [0.0] * N_COLUMNS
    for name, value in (values | columns).items():
        row[getattr(layout, name.upper())] = value
    return row


def tape(
    *rows: Row | Sequence[Row],
    symbols: Sequence[str] = ("PLAIN",),
    bar_hours: float = 1.0,
    start: str = "2024-01-01",
    deviation: float = 0.0,
) -> Market:
    """A market of one path; each row is a `bar`, or one `bar` per asset. An episode that starts at
    row 0 trades first at the open of row 1.
    """
    bars = np.array(
        [[row] if isinstance(row[0], float | int) else list(row) for row in rows], float
    )
    return _market(
        bars,
        len(bars),
        (tuple(symbols),),
        bar_hours,
        start,
        np.full((*bars.shape[:2], len(TABLE)), deviation, np.float32),
    )


def wild_market(
    seed: int,
    symbols: Sequence[str] = ("PLAIN",),
    paths: int = 1,
    length: int = 60,
    bar_hours: float = 1.0,
    listings: bool = False,
    failures: bool = False,
    account: str = "plain",
) -> Market:
    """Paths with crashes, gaps, wicks, funding at the caps, thin or halted bars; each path has its
    own temper. `listings`: all assets but the first come late, go early, or go and come back.
    `failures`: a venue of the last asset fails; `account`: that of names that say none.
    """
    rng = np.random.default_rng(seed)
    rows, assets = paths * length, len(symbols)
    bars = np.concatenate(
        [np.stack([_wild_path(rng, length) for _ in symbols], axis=1) for _ in range(paths)]
    )
    features = rng.uniform(-5, 5, (rows, assets, len(TABLE))).astype(np.float32)
    if listings:
        for path, asset in np.ndindex(paths, assets - 1):
            _come_and_go(rng, bars[path * length : (path + 1) * length, 1 + asset])
    if failures:
        for path in range(paths):
            _fail(rng, bars[path * length : (path + 1) * length], symbols, account)
    return _market(bars, length, (tuple(symbols),) * paths, bar_hours, "2024-01-01", features)


def _fail(
    rng: np.random.Generator, bars: NDArray[np.float64], symbols: Sequence[str], account: str
) -> None:
    """Let a venue of the last asset of a path (n, A, 16) freeze and, mostly, default, for all that
    lies there; `account`: the venue of names that say none.
    """
    first = int(rng.integers(5, 30))
    last = first + int(rng.integers(0, 12))
    places = [[place.venue or account for place in legs_of(name)] for name in symbols]
    venue, defaults = places[-1][int(rng.random() < 0.3)], rng.random() < 0.8
    for a, (perp, spot) in enumerate(places):
        if venue in (perp, spot):
            _freeze(bars[first:last, a], layout.FROZEN if perp == venue else layout.FROZEN_SPOT)
        if venue in (perp, spot) and defaults:
            _default(bars[last - 1 :, a], perp == venue, spot == venue)


def _freeze(bars: NDArray[np.float64], state: float) -> None:
    trades = bars[:, layout.HALTED] == layout.TRADED
    bars[:, layout.HALTED] = np.where(trades, state, bars[:, layout.HALTED])


def _default(bars: NDArray[np.float64], perp: bool, spot: bool) -> None:
    """Rows of an asset from the last before its venue defaults; perp, spot: what lies there."""
    state = layout.FAILED_WHOLE if perp and spot else layout.FAILED
    bars[1, layout.HALTED] = state if perp else layout.FAILED_SPOT
    bars[2:, layout.HALTED] = layout.UNLISTED
    bars[1 if perp else 2 :, [layout.SETTLE_RATE, layout.SETTLE_PRICE]] = 0.0
    if perp:
        bars[1:, 2:8] = bars[0, [3, 3, 7, 7, 7, 7]]
    if spot:
        bars[1:, :2] = bars[0, 1]


def _market(
    bars: NDArray[np.float64],
    length: int,
    symbols: tuple[tuple[str, ...], ...],
    bar_hours: float,
    start: str,
    features: Any,
) -> Market:
    first = np.arange(len(symbols)) * length
    step = int(bar_hours * 3600e9)
    close_ns = pd.Timestamp(start).value + np.arange(len(bars), dtype=np.int64) * step
    return Market(
        bars=bars,
        features=features,
        paths=np.stack([first, first + length], axis=1).astype(np.int64),
        close_ns=close_ns,
        symbols=symbols,
        bar_hours=bar_hours,
        table=TABLE,
        venue="binance",
    )


def _come_and_go(rng: np.random.Generator, bars: NDArray[np.float64]) -> None:
    """Take a coin (n, 16) off the venue in some bars."""
    first, last = int(rng.integers(0, 25)), int(rng.integers(25, 70))
    back = last + int(rng.integers(3, 12))
    bars[:first] = [1.0] * 8 + [0.0] * 6 + [1.0, layout.UNLISTED]
    for row in range(last, min(back, len(bars))):
        bars[row, :8] = bars[row - 1, [1, 1, 3, 3, 7, 7, 7, 7]]
        bars[row, [layout.SETTLE_RATE, layout.SETTLE_PRICE]] = 0.0
        bars[row, layout.HALTED] = layout.UNLISTED


def _wild_path(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """One asset: student returns, gaps at the opens, a mean-reverting basis, wicks, settlements
    every 1, 2, 4 or 8 bars.
    """
    temper = rng.choice([0.002, 0.01, 0.04])
    # open against the last close, close against the open
    jumps = rng.standard_t(3, (n, 2)) * temper * [0.3, 1.0]
    jumps += rng.choice([0.0, 0.45, -0.6, 0.1], (n, 2), p=[0.955, 0.015, 0.015, 0.015])
    log_price = np.cumsum(np.clip(jumps, -1.2, 1.2).ravel()) + np.log(
        rng.choice([0.5, 40.0, 3000.0])
    )
    spot = np.exp(np.clip(log_price, -6, 12)).reshape(n, 2)
    perp = spot * (1 + 0.01 * temper / 0.01 * np.clip(rng.standard_normal((n, 2)), -3, 3))
    mark = spot + 0.8 * (perp - spot)
    wick = np.abs(rng.standard_t(3, (n, 2))) * temper * 0.5
    bars = np.zeros((n, N_COLUMNS))
    bars[:, [layout.SPOT_OPEN, layout.SPOT_CLOSE]] = spot
    bars[:, [layout.PERP_OPEN, layout.PERP_CLOSE]] = perp
    bars[:, [layout.MARK_OPEN, layout.MARK_CLOSE]] = mark
    bars[:, layout.MARK_HIGH] = mark.max(axis=1) * (1 + wick[:, 0])
    bars[:, layout.MARK_LOW] = mark.min(axis=1) / (1 + wick[:, 1])
    settles = np.arange(n) % rng.choice([1, 2, 4, 8]) == 0
    bars[:, layout.SETTLE_RATE] = np.where(
        settles, np.clip(rng.standard_t(2, n) * 0.004, -0.02, 0.02), 0.0
    )
    bars[:, layout.SETTLE_PRICE] = np.where(
        settles, mark[:, 0] * (1 + 0.001 * rng.standard_normal(n)), 0.0
    )
    size = rng.choice([1e6, 1e8]) / spot[:, 0]  # quote traded in a bar
    bars[:, layout.SPOT_VOLUME] = size * rng.lognormal(0, 1.5, n) * (rng.random(n) > 0.03)
    bars[:, layout.PERP_VOLUME] = size * rng.lognormal(0, 1.5, n) * (rng.random(n) > 0.03)
    bars[:, layout.SPOT_DAY_VOLUME] = 24 * size * rng.lognormal(0, 0.5, n) * (rng.random(n) > 0.02)
    bars[:, layout.PERP_DAY_VOLUME] = 24 * size * rng.lognormal(0, 0.5, n) * (rng.random(n) > 0.02)
    bars[:, layout.SIGMA_DAY] = temper * rng.uniform(2, 6, n)
    for row in np.flatnonzero(rng.random(n) < 0.03):
        if row:  # prices of the bar before are carried
            bars[row, :8] = bars[row - 1, [1, 1, 3, 3, 7, 7, 7, 7]]
            bars[row, layout.HALTED] = 1.0
    return bars


def write_coins(
    folder: Path, symbols: Sequence[str] = ("AAAUSDT", "BBBUSDT"), *, years: float, start: str
) -> None:
    """Write files of synthetic coins of one venue into `folder`."""
    for seed, symbol in enumerate(symbols):
        frames = synthetic_frames(years=years, seed=seed, symbol=symbol, start=start)
        write_frames(frames, folder, venue="binance")
