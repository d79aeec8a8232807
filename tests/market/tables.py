"""Small tables with round numbers, and a synthetic symbol that several tests share."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fundenv.market import SymbolFrames, synthetic_frames

START = pd.Timestamp("2024-01-01", tz="UTC")


def times(n: int, hours: float = 1.0, start: pd.Timestamp = START) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(start + pd.Timedelta(hours=hours) * np.arange(n))


def bars(
    closes: Any, *, hours: float = 1.0, start: pd.Timestamp = START, volume: Any = 10.0
) -> pd.DataFrame:
    """Bars that open at the close before, with high and low 1 % outside; the first one opens at its
    own close.
    """
    close = np.asarray(closes, float)
    opens = np.r_[close[0], close[:-1]]
    table = pd.DataFrame({"time": times(len(close), hours, start), "open": opens})
    table["high"], table["low"] = np.maximum(opens, close) * 1.01, np.minimum(opens, close) * 0.99
    table["close"], table["volume"] = close, volume
    return table


def funding(
    rates: Any, *, hours: float = 8.0, start: pd.Timestamp = START, **columns: Any
) -> pd.DataFrame:
    return pd.DataFrame(
        {"time": times(len(rates), hours, start), "rate": np.asarray(rates, float), **columns}
    )


def frames(
    perp: pd.DataFrame, spot: pd.DataFrame, paid: pd.DataFrame, symbol: str = "XYZ", **others: Any
) -> SymbolFrames:
    return SymbolFrames(symbol=symbol, funding=paid, perp=perp, spot=spot, **others)


def flat(n: int = 24, *, symbol: str = "XYZ", rates: Any = None, **others: Any) -> SymbolFrames:
    """n hourly bars at 100 / 100.1 with a settlement of 1 bp every 8 h from the first open on."""
    return frames(
        bars([100.1] * n),
        bars([100.0] * n),
        funding([1e-4] * (n // 8 + 1) if rates is None else rates),
        symbol,
        **others,
    )


@cache
def synthetic(
    years: float = 0.35, seed: int = 7, bar_hours: int = 1, symbol: str = "SYNTH-BTC"
) -> SymbolFrames:
    return synthetic_frames("btc", years=years, seed=seed, bar_hours=bar_hours, symbol=symbol)


def real_data() -> Path:
    """The folder of real files, or skip."""
    folder = os.environ.get("FUNDENV_DATA")
    if not folder:
        pytest.skip("FUNDENV_DATA does not name a folder of real data")
    return Path(folder)
