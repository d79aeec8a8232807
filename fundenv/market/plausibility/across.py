"""Prices of one coin on several venues against each other: a factor, a lag.

The files of one account must have one clock and one coin: with hours of another time zone, or a
contract of 1,000 coins, the account would earn a spread that does not exist.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from fundenv.market.files.bar_matrix import Aligned
from fundenv.market.files.frames import SymbolFrames, floats
from fundenv.market.plausibility.finding import Finding
from fundenv.market.plausibility.prices import factors, lags
from fundenv.market.plausibility.subject import Compared
from fundenv.venues import Place
from fundenv.venues.load import contract_key

_QUOTES = ("-PERPETUAL", "-USD", "USDT", "USDC", "FDUSD", "BUSD", "USD")


def across(frames: Sequence[SymbolFrames], aligned: Sequence[Aligned]) -> tuple[Finding, ...]:
    """The findings between the perpetuals of one coin on two venues, in the order of the symbols.
    Symbols of one venue, and of different coins, are not compared.
    """
    found: list[Finding] = []
    for (one, a), (two, b) in itertools.combinations(zip(frames, aligned, strict=True), 2):
        here, there = one.place("perp"), two.place("perp")
        if here.venue == there.venue or coin_of(here) != coin_of(there) or a.bar_ns != b.bar_ns:
            continue
        common, *rows = np.intersect1d(a.open_ns, b.open_ns, return_indices=True)
        if len(common) > 1:
            legs = str(here), str(there)
            closes = {
                leg: np.asarray(np.log(floats(bars.legs["perp"]["close"])[at]), dtype=np.float64)
                for leg, bars, at in zip(legs, (a, b), rows, strict=True)
            }
            names = dict(zip(legs, (one.name("perp"), two.name("perp")), strict=True))
            pair = Compared(one.symbol, common, a.bar_ns, closes, (legs,), names)
            found += [*factors(pair), *lags(pair)]
    return tuple(found)


def coin_of(place: Place) -> str:
    """The coin of a contract, without its quote and a venue's marks: BTC of BTCUSDT, BTC-USD,
    PF_XBTUSD.
    """
    name = contract_key(place.symbol.upper().removeprefix("PF_"))
    for quote in _QUOTES:
        if name.endswith(quote) and name != quote:
            return name.removesuffix(quote)
    return name
