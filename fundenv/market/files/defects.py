"""The table of bars that an exchange published and that are wrong; `align` treats such a bar as
missing.

Every entry was seen by comparing spot, last-traded and mark prices of the same hour; none is
inferred from later rows at run time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Defect(NamedTuple):
    """Bars of one kind and length, opening from `first` to `last` (both included), on which no
    price may be trusted.
    """

    venue: str
    kind: str
    step: str
    symbols: tuple[str, ...]  # empty: every symbol of the venue
    first: str
    last: str
    reason: str


_STOPPED = "spot trading stopped inside the bar, its close is stale"

KNOWN_DEFECTS: tuple[Defect, ...] = (
    Defect("binance", "spot", "1h", (), "2020-02-19 11:00", "2020-02-19 11:00", _STOPPED),
    Defect("binance", "spot", "1h", (), "2020-03-04 09:00", "2020-03-04 09:00", _STOPPED),
    Defect("binance", "spot", "1h", (), "2020-12-21 13:00", "2020-12-21 13:00", _STOPPED),
    Defect("binance", "spot", "1h", (), "2021-02-11 02:00", "2021-02-11 03:00", _STOPPED),
    Defect("binance", "spot", "1h", (), "2023-03-24 11:00", "2023-03-24 12:00", _STOPPED),
    Defect(
        "binance",
        "mark",
        "1h",
        (),
        "2020-07-27 19:00",
        "2020-07-27 20:00",
        "the mark price stood still while spot and perpetual moved by 4 %",
    ),
    Defect("binance", "perp", "4h", (), "2023-11-10 12:00", "2023-11-10 12:00", "wrong close"),
    Defect(
        "binance",
        "perp",
        "1h",
        (),
        "2024-10-28 20:00",
        "2024-10-28 21:00",
        "partial bar of an outage",
    ),
    Defect(
        "binance",
        "perp",
        "4h",
        (),
        "2024-10-28 20:00",
        "2024-10-28 20:00",
        "partial bar of an outage",
    ),
)


def known_bad(
    venue: str, kind: str, symbol: str, step_ns: int, open_ns: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which bars (n,) of a table are in the list, and the reasons of the entries that matched at
    least one of them.
    """
    bad = np.zeros(len(open_ns), dtype=bool)
    reasons: list[str] = []
    for defect in KNOWN_DEFECTS:
        if (defect.venue, defect.kind) != (venue, kind) or pd.Timedelta(
            defect.step
        ).value != step_ns:
            continue
        if defect.symbols and symbol not in defect.symbols:
            continue
        hit = (open_ns >= _ns(defect.first)) & (open_ns <= _ns(defect.last))
        if hit.any():
            bad |= hit
            reasons.append(f"{defect.first} {defect.reason}")
    return bad, tuple(reasons)


def _ns(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").as_unit("ns").value)
