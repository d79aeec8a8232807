"""A small batch of discrete and continuous actions, and what fits it."""

from __future__ import annotations

from typing import Any

import numpy as np

import fundenv  # noqa: F401  (registers)
from tests.markets import PLAIN_VENUE, wild_market

MARKET = wild_market(5, paths=3, length=120)
COMMON: dict[str, Any] = {
    "market": MARKET,
    "venue": PLAIN_VENUE,
    "decision_interval": "4h",
    "episode": "2D",
}
N, W = 4, 3
GOOD = np.linspace(-1.0, 1.0, N * W).reshape(N, W).astype(np.float32)
