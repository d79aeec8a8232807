"""Training markets made from the same history: with a smoothed basis, and with more of the most
volatile days.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.params import AgentError
from fundenv.market import Market
from fundenv.market.layout import (
    MARK_CLOSE,
    MARK_HIGH,
    MARK_LOW,
    MARK_OPEN,
    PERP_CLOSE,
    PERP_OPEN,
    SETTLE_PRICE,
    SPOT_CLOSE,
)


def with_smooth_basis(market: Market, span: float) -> Market:
    """The market with the perpetual's distance from spot replaced by its exponential mean over
    `span` bars, in prices and not in the features.

    No policy can forecast the basis within hours, but its changes at every step are much larger
    than the funding of a decision. The averaged basis keeps its level.
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


CRASHES = 16  # windows that `with_crashes` draws from
_DAY, _APART = 24.0, 7 * 24.0  # hours
_EARLIEST, _LATEST = 10 * 24.0, 24.0  # an episode begins between these hours before a volatile day


class Oversampled(NamedTuple):
    """A market with additional paths that are parts of its own, and for each path the number of the
    original path that contains it (P,).
    """

    market: Market
    of: NDArray[np.int64]


def with_crashes(market: Market, share: float, episode_hours: float) -> Oversampled:
    """The market with additional paths around its most volatile days, so that about `share` of the
    episodes begin one to ten days before one of them.

    Most volatile: the widest range of the mark price within 24 hours, in either direction; at most
    16 days, at least a week apart. Paths are drawn evenly, so the original ones are repeated as
    often as the share asks; no bar is copied. A draw still depends only on (seed, environment,
    episode), so that a training can be repeated and resumed.
    """
    spans = [_around(market, path, row, episode_hours) for path, row in wild_days(market)]
    if not spans:
        raise AgentError(
            f"crash_share = {share:g}: the training span has no day to begin an episode before; use"
            " a longer one, or 0"
        )
    own, extra = market.n_paths, len(spans)
    counts = [
        (max(1, round(crash * extra * (1 - share) / (share * own))), crash) for crash in range(1, 9)
    ]
    original, crash = min(
        counts,
        key=lambda n: (round(abs(n[1] * extra / (n[1] * extra + n[0] * own) - share), 2), n[0]),
    )
    of = np.array([*list(range(own)) * original, *[path for path, _, _ in spans] * crash])
    paths = np.concatenate(
        [
            *[market.paths] * original,
            *[np.array([(first, last) for _, first, last in spans])] * crash,
        ]
    )
    return Oversampled(
        replace(market, paths=paths, symbols=tuple(market.symbols[path] for path in of)), of
    )


def wild_days(market: Market) -> list[tuple[int, int]]:
    """(path, row at whose close it begins) of the most volatile days, in descending order."""
    bars = round(_DAY / market.bar_hours)
    found: list[tuple[float, int, int]] = []
    for path, (first, last) in enumerate(market.paths.tolist()):
        high, low = (
            pd.DataFrame(market.bars[first:last, :, column]) for column in (MARK_HIGH, MARK_LOW)
        )
        width = np.log(high.rolling(bars).max() / low.rolling(bars).min()).max(axis=1).to_numpy()
        for end in np.argsort(-np.nan_to_num(width, nan=0.0), kind="stable").tolist():
            row = first + end - bars
            if (
                end < bars
                or not np.isfinite(width[end])
                or sum(other == path for _, other, _ in found) >= CRASHES
            ):
                break
            if row - _LATEST / market.bar_hours < first:
                continue
            if all(
                other != path or abs(row - taken) * market.bar_hours >= _APART
                for _, other, taken in found
            ):
                found.append((float(width[end]), path, row))
    return [(path, row) for _, path, row in sorted(found, reverse=True)[:CRASHES]]


def _around(market: Market, path: int, row: int, episode_hours: float) -> tuple[int, int, int]:
    """(path, first row, one past the last row) in which an episode of that length can begin only
    between the earliest and the latest hour before `row`.
    """
    first, last = market.paths[path].tolist()
    begin = max(first, row - round(_EARLIEST / market.bar_hours))
    return path, begin, min(last, row - round((_LATEST - episode_hours) / market.bar_hours) + 1)
