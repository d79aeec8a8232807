"""What the pass over implausible data finds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fundenv.market.plausibility import Finding, findings
from fundenv.venues import load_venue
from tests.market.coins import PRICES, coin, walk

BINANCE = load_venue("binance")


def found(frames, venue=BINANCE) -> dict[str, Finding]:
    """Kind -> the first finding of it that stops a market."""
    return {f.kind: f for f in reversed(findings(frames, venue)) if f.refused}


def collapse(days: int = 45, *, gap: bool = False):
    """A coin that loses 97 % in three days: the perpetual stands 10 to 25 % below spot, rates sit
    at -2 % every 2 h for a day, and spot is halted for 10 hours.
    """
    n = days * 24
    spot = walk(n, seed=3)
    perp, fall = spot.copy(), np.zeros(n)
    start = n - 10 * 24
    fall[start : start + 72] = np.log(0.03) / 72
    level = np.exp(np.cumsum(fall))
    rng = np.random.default_rng(4)
    basis = np.full(n, 3e-4) + rng.normal(0.0, 2e-4, n)
    basis[start : start + 72] = -0.10 - 0.15 * rng.random(72)
    basis[start + 72 :] = -0.03
    for table, factor in ((spot, level), (perp, level * (1.0 + basis))):
        for column in PRICES:
            table[column] *= factor
        table["open"] = np.r_[table["open"].iloc[0], table["close"].to_numpy()[:-1]]
        table["high"] = table[["open", "high", "close"]].max(axis=1)
        table["low"] = table[["open", "low", "close"]].min(axis=1)
    times = list(spot["time"].iloc[:start:8]) + list(spot["time"].iloc[start::2])
    rate = np.r_[np.full(len(range(0, start, 8)), 1e-4), np.full(len(range(start, n, 2)), -0.02)]
    rate[-60:] = -0.005
    paid = pd.DataFrame({"time": times, "rate": rate})
    spot = spot.drop(index=range(start + 20, start + 30)).reset_index(drop=True) if gap else spot
    return coin(perp=perp, spot=spot, mark=None, funding=paid)
