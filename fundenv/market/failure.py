"""A venue of a joint market that fails: it lets no money go, and then what lies there is lost.

The market says when; how much is lost is the setting `failure_loss` of the env.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout as c
from fundenv.market.files.frames import HOUR_NS, contract_of, to_ns
from fundenv.market.market import Market
from fundenv.market.split import SplitError
from fundenv.settings import nearest
from fundenv.venues import legs_of

_SETTLED = (c.SETTLE_RATE, c.SETTLE_PRICE)
_PERP = (c.PERP_OPEN, c.MARK_OPEN, c.MARK_HIGH, c.MARK_LOW)


class Failure(NamedTuple):
    """What happens to a venue: hours in which it trades and pays nothing out, whether it then
    defaults, and where that is known from.
    """

    frozen_hours: float
    defaults: bool
    source: str


FAILURES = {
    "ftx": Failure(
        72.0,
        True,
        "FTX: withdrawals stopped on 2022-11-08, Chapter 11 petition on 2022-11-11 (case 22-11068,"
        " D. Del.); claims were offered at about a tenth of their value in the weeks after, from"
        " memory and not retrieved",
    ),
    "halt": Failure(
        24.0,
        False,
        "a bridge or chain that stands still for a day and loses nothing: an assumption",
    ),
}


def fail_venue(
    market: Market, venue: str, at: str | pd.Timestamp, failure: str | Failure = "ftx"
) -> Market:
    """The market in which `venue` fails: from the first bar that opens at `at` (UTC) or later no
    money leaves it for the hours of `failure`, and then it defaults.

    market: its assets say where they trade (`fundenv.venues.legs_of`). An asset with a leg on the
    venue is gone with the default: prices of that leg carried, features 0, not listed any more. A
    leg elsewhere keeps its prices. Rows before `at` keep every number. In a path that begins later
    these assets are not listed from its first bar on. Raises `SplitError` where no path holds the
    time, or a bar of it has no price.
    """
    given = _known(failure)
    start, bars, features = to_ns(at), market.bars.copy(), market.features.copy()
    bar_ns = round(market.bar_hours * HOUR_NS)
    frozen, hit = round(given.frozen_hours * HOUR_NS / bar_ns), 0
    for path, (first, last) in enumerate(market.paths):
        begin = int(first + np.searchsorted(market.close_ns[first:last] - bar_ns, start))
        assets = [a for a, name in enumerate(market.symbols[path]) if any(_on(market, name, venue))]
        if market.close_ns[first] - bar_ns > start and given.defaults:  # it stays gone
            for a in assets:
                _default(
                    bars,
                    features,
                    int(first),
                    int(last),
                    a,
                    _on(market, market.symbols[path][a], venue),
                )
                bars[first, a, c.HALTED] = c.UNLISTED
        if market.close_ns[first] - bar_ns > start or begin + frozen + 1 >= last or not assets:
            continue
        for a in assets:
            asset = market.symbols[path][a]
            _freeze(bars, begin, begin + frozen, a, asset, _on(market, asset, venue))
            if given.defaults:
                _default(bars, features, begin + frozen, int(last), a, _on(market, asset, venue))
            hit += 1
    if not hit:
        raise SplitError(
            f"no path with an asset on {venue!r} holds {pd.Timestamp(at):%Y-%m-%d %H:%M} and the"
            f" {given.frozen_hours:g} h behind it; the market has"
            f" {', '.join(dict.fromkeys('+'.join(names) for names in market.symbols))}"
        )
    end = f", then it defaults ({given.source})" if given.defaults else f" ({given.source})"
    note = (
        f"{venue} fails from {pd.Timestamp(at):%Y-%m-%d %H:%M} UTC: no money leaves it for"
        f" {given.frozen_hours:g} h{end}"
    )
    return replace(market, bars=bars, features=features, notes=(*market.notes, note))


def _known(failure: str | Failure) -> Failure:
    if isinstance(failure, Failure):
        return failure
    if failure not in FAILURES:
        raise SplitError(f"unknown failure {failure!r}; {nearest(str(failure), FAILURES)}")
    return FAILURES[failure]


def _on(market: Market, asset: str, venue: str) -> list[bool]:
    """Whether the perpetual and the spot of an asset trade on a venue; names without a venue trade
    on the account's, the first one that the market names.
    """
    home = market.venue.split("+")[0]
    return [(place.venue or home) == venue for place in legs_of(contract_of(asset))]


def _freeze(
    bars: NDArray[np.float64], begin: int, end: int, a: int, what: str, on: list[bool]
) -> None:
    """Freeze the rows begin .. end - 1 of an asset; the one behind them has a price too."""
    if (bars[begin : end + 1, a, c.HALTED] != c.TRADED).any():
        raise SplitError(f"{what} has no price in a bar of the failure; take another time")
    bars[begin:end, a, c.HALTED] = c.FROZEN if on[0] else c.FROZEN_SPOT


def _default(
    bars: NDArray[np.float64],
    features: NDArray[np.float32],
    row: int,
    last: int,
    a: int,
    on: list[bool],
) -> None:
    """The legs of an asset that trade on a venue are gone from `row` on, and so is the asset."""
    perp, spot = on
    gone, known = slice(row, last), bars[row - 1 if row else row, a].copy()
    if perp:
        bars[gone, a, c.PERP_CLOSE] = known[c.PERP_CLOSE]
        bars[gone, a, c.MARK_CLOSE] = known[c.MARK_CLOSE]
        for column in _PERP:
            close = c.PERP_CLOSE if column == c.PERP_OPEN else c.MARK_CLOSE
            bars[gone, a, column] = known[close]
        bars[gone, a, c.PERP_VOLUME] = 0.0
    for column in _SETTLED:  # a perpetual elsewhere settles once more, before it is closed
        bars[row if perp else row + 1 : last, a, column] = 0.0
    if spot:
        bars[gone, a, c.SPOT_OPEN] = bars[gone, a, c.SPOT_CLOSE] = known[c.SPOT_CLOSE]
        bars[gone, a, c.SPOT_VOLUME] = 0.0
    bars[row, a, c.HALTED] = c.FAILED_SPOT if not perp else c.FAILED_WHOLE if spot else c.FAILED
    bars[row + 1 : last, a, c.HALTED] = c.UNLISTED
    features[gone, a] = 0.0
