"""More training markets out of one: the same history at other levels of funding.

Funding has fallen from year to year, so a policy that knows the past levels only learns to stay invested. Scaling the settled rates together
with the features that are linear in them keeps rates and observations consistent; prices and their features stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fundenv.market import Market, stack
from fundenv.market.layout import SETTLE_RATE

LINEAR = ("funding_last", "funding_ewma_", "funding_fr", "funding_divergence", "funding_estimate", "funding_market")  # names begin so


def with_funding(market: Market, scale: float) -> Market:
    """The market with every settled rate times `scale`."""
    bars, features = market.bars.copy(), market.features.copy()
    bars[:, :, SETTLE_RATE] *= scale
    for column, feature in enumerate(market.table):
        if feature.name.startswith(LINEAR):
            features[:, :, column] = np.clip(features[:, :, column] * scale, feature.low, feature.high)
    return replace(market, bars=bars, features=features)


def at_levels(market: Market, scales: Sequence[float]) -> Market:
    """All paths of the market at every scale of funding; episodes draw among them evenly."""
    if tuple(scales) == (1.0,):
        return market
    return stack([with_funding(market, scale) for scale in scales])
