"""Bars that a solvable problem writes by hand, and the market that they make: spot stands at 1
unless it is moved.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import Feature, Market, layout

Array = NDArray[np.float64]


def stationary_signal(
    generator: np.random.Generator, paths: int, decisions: int, phi: float, mean: float, sd: float
) -> Array:
    """Stationary AR(1) paths (P, T)."""
    shocks = generator.standard_normal((paths, decisions))
    shocks[:, 1:] *= np.sqrt(1.0 - phi**2)
    x = np.empty_like(shocks)
    x[:, 0] = shocks[:, 0]
    for k in range(1, decisions):
        x[:, k] = phi * x[:, k - 1] + shocks[:, k]
    return mean + sd * x


def still_bars(paths: int, decisions: int, stride: int) -> Array:
    """Bars (P, 1 + T stride, 16) in which nothing happens: all prices 1."""
    bars = np.zeros((paths, 1 + decisions * stride, layout.N_COLUMNS))
    bars[..., : layout.MARK_CLOSE + 1] = 1.0
    bars[..., layout.SIGMA_DAY] = 0.01
    return bars


def move_together(bar: Array, opened: Array, closed: Array) -> None:
    """Spot, perpetual and mark move together from open to close."""
    bar[..., [layout.SPOT_OPEN, layout.PERP_OPEN, layout.MARK_OPEN]] = opened[..., None]
    bar[..., [layout.SPOT_CLOSE, layout.PERP_CLOSE, layout.MARK_CLOSE]] = closed[..., None]
    bar[..., layout.MARK_HIGH], bar[..., layout.MARK_LOW] = (
        np.maximum(opened, closed),
        np.minimum(opened, closed),
    )


def move_perpetual(bars: Array, gap: Array, move: Array) -> None:
    """Perpetual and mark: `gap` up before the open of each first bar and back by its close, `move`
    within the second; fractions (P, T).
    """
    level = np.cumprod(1.0 + move, axis=1)
    before = np.concatenate([np.ones((len(level), 1)), level[:, :-1]], axis=1)
    for bar, opened, closed in (
        (bars[:, 1::2], before * (1.0 + gap), before),
        (bars[:, 2::2], before, level),
    ):
        bar[..., [layout.PERP_OPEN, layout.MARK_OPEN]] = opened[..., None]
        bar[..., [layout.PERP_CLOSE, layout.MARK_CLOSE]] = closed[..., None]
        bar[..., layout.MARK_HIGH], bar[..., layout.MARK_LOW] = (
            np.maximum(opened, closed),
            np.minimum(opened, closed),
        )


def settle(bar: Array, rate: Array) -> None:
    """Funding of `rate` at the opens of the bars, on mark."""
    bar[..., layout.SETTLE_RATE], bar[..., layout.SETTLE_PRICE] = rate, bar[..., layout.MARK_OPEN]


def signal_market(bars: Array, signal: Array, stride: int, symbol: str, sd: float) -> Market:
    """The market of bars (P, 1 + T stride, 16) whose observation `signal`, over `sd`, is (P, T)."""
    paths, rows = bars.shape[:2]
    table = (
        Feature(
            "signal",
            "what the next decision earns per unit of position",
            "units of the problem",
            -10.0,
            10.0,
            sd,
        ),
        Feature("basis_deviation", "0: the expected move of the basis", "bp", -10.0, 10.0, 5.0),
        Feature("funding_ewma_9", "0: not used", "bp per 8 h", -10.0, 10.0, 3.0),
    )
    features = np.zeros((paths, rows, 1, len(table)), np.float32)
    # row k x stride is the close at which decision k is taken
    seen = np.repeat(signal, stride, axis=1)
    features[:, :-1, 0, 0] = np.clip(seen / sd, -10.0, 10.0)
    features[:, -1, 0, 0] = features[:, -2, 0, 0]
    first = np.arange(paths, dtype=np.int64) * rows
    hour = 3_600_000_000_000
    # on the grid of decisions
    begin = pd.Timestamp("2024-01-01").value // (hour * stride) * hour * stride
    return Market(
        bars=bars.reshape(paths * rows, 1, layout.N_COLUMNS),
        features=features.reshape(paths * rows, 1, len(table)),
        paths=np.stack([first, first + rows], axis=1),
        close_ns=np.tile(begin + hour * np.arange(rows, dtype=np.int64), paths),
        symbols=((symbol,),) * paths,
        bar_hours=1.0,
        table=table,
        venue="solvable",
    )
