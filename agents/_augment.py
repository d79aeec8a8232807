"""A quieter training market: the same history without the hourly noise of the basis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from fundenv.market import Market
from fundenv.market.layout import MARK_CLOSE, MARK_HIGH, MARK_LOW, MARK_OPEN, PERP_CLOSE, PERP_OPEN, SETTLE_PRICE, SPOT_CLOSE


def with_smooth_basis(market: Market, span: float) -> Market:
    """The market with the perpetual's distance from spot replaced by its exponential mean over `span` bars, in prices and not in the features.

    What the basis will do within hours cannot be known, but paid out at every step it drowns the funding of a decision. Averaged it keeps its level.
    """
    bars = market.bars.copy()
    for first, last in market.paths:
        part = bars[first:last]
        ratio = part[:, :, MARK_CLOSE] / part[:, :, SPOT_CLOSE]
        factor = pd.DataFrame(ratio).ewm(span=span, adjust=False).mean().to_numpy() / ratio
        before = np.concatenate([factor[:1], factor[:-1]])
        for column in (PERP_CLOSE, MARK_HIGH, MARK_LOW, MARK_CLOSE):
            part[:, :, column] *= factor
        for column in (PERP_OPEN, MARK_OPEN, SETTLE_PRICE):
            part[:, :, column] *= before
    return replace(market, bars=bars)
