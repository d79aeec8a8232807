"""Made-up histories of funding."""

from __future__ import annotations

import numpy as np

from fundenv.forecast import History

HOUR = 3_600_000_000_000
START = 1_600_000_000 // 28_800 * 28_800 * 10**9


def rates(n: int, seed: int, phi: float = 0.8) -> np.ndarray:
    """An autoregression around 1 bp."""
    noise = np.random.default_rng(seed).normal(0.0, 0.5, n)
    out = np.empty(n)
    level = 0.0
    for k in range(n):
        level = phi * level + noise[k]
        out[k] = 1.0 + level
    return out


def history(symbol: str, rate: np.ndarray, seed: int = 0) -> History:
    """A history with hourly bars whose basis is noise."""
    ns = START + np.arange(len(rate), dtype=np.int64) * 8 * HOUR
    close = START - 24 * HOUR + np.arange(8 * len(rate) + 24, dtype=np.int64) * HOUR
    rng = np.random.default_rng(seed)
    spot = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, len(close))))
    columns = {"spot": spot, "perp": spot * (1 + rng.normal(-3e-4, 2e-4, len(close)))}
    return History(symbol, ns, rate, 0, close, columns)
