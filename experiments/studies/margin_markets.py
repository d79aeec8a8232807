"""Parts of the studies of portfolio margin: the coins with one account each and on one capital, the
spans, and growth per year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.core.market_args import span_edges
from experiments.rollout.sweep import Sweep
from fundenv.market import Market, between, joint, load_market

COINS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT")
RICH, THIN = "2024-05:2025-06", "2021-12:2023-06"  # the spans of the published table
PORTFOLIO: dict[str, Any] = {"margin_mode": "portfolio"}


@dataclass(frozen=True)
class Coins:
    """Some coins: a market with one path for each, and a market with one path of all coins."""

    single: Market
    together: Market

    def within(self, span: str, days: int = 0) -> Coins:
        """The part within START:END, which begins `days` later."""
        first, last = span_edges(span, "--spans")
        first = first + np.timedelta64(days, "D")
        return Coins(between(self.single, first, last), between(self.together, first, last))


def load(data: Path, symbols: Sequence[str], venue: str = "binance") -> Coins:
    """The coins of a folder. The joint path has the bars that all coins have; the path of each coin
    has its own bars.
    """
    single = load_market(data, list(symbols), venue=venue)
    return Coins(single, joint(single, list(symbols), common=True))


def yearly(found: Sweep) -> NDArray[np.float64]:
    """Growth above cash, % a year, of each setting and account (K, S)."""
    return np.asarray(100.0 * 365.0 * found.growth.mean(axis=2, dtype=np.float64))
