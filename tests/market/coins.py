"""Tables of a coin that looks real, and the ways in which files do not belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fundenv.market import SymbolFrames
from tests.market.tables import START, synthetic

HOUR = pd.Timedelta(hours=1)
PRICES = ["open", "high", "low", "close"]


def coin(**tables: Any) -> SymbolFrames:
    """Four months of a synthetic symbol under the name of a contract, some tables exchanged."""
    made = replace(synthetic(), symbol="AAAUSDT")
    return replace(made, **tables)


def scaled(table: pd.DataFrame, factor: float, rows: Any = slice(None)) -> pd.DataFrame:
    """Prices of some rows times a factor."""
    table = table.copy()
    table.loc[rows, PRICES] *= factor
    return table


def later(table: pd.DataFrame, hours: float) -> pd.DataFrame:
    """The same rows stamped some hours later."""
    return table.assign(time=table["time"] + hours * HOUR)


def walk(n: int, *, hours: float = 1.0, seed: int = 0, start: pd.Timestamp = START) -> pd.DataFrame:
    """Bars of a random walk about 100 with an hourly deviation of 0.5 %."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.005 * np.sqrt(hours), n)))
    opens = np.r_[100.0, close[:-1]]
    high, low = np.maximum(opens, close) * 1.001, np.minimum(opens, close) * 0.999
    times = start + HOUR * hours * np.arange(n)
    return pd.DataFrame(
        {"time": times, "open": opens, "high": high, "low": low, "close": close, "volume": 10.0}
    )
