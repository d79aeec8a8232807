"""Traded volumes against each other and against what a market can trade."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fundenv.market.files.frames import floats
from fundenv.market.plausibility import limits
from fundenv.market.plausibility.finding import Finding, at
from fundenv.market.plausibility.subject import Floats, Subject

_REMEDY = (
    "write volumes in coins, as the columns `volume` of the venues are, not in quote or contracts:"
    " --columns perp.volume=theirs*FACTOR"
)


def volumes(subject: Subject) -> Iterator[Finding]:
    """Volumes whose unit does not seem to be the coin. A note: they affect only the size and the
    cost of orders.
    """
    days = {leg: _daily(subject, leg) for leg in ("perp", "spot")}
    if min(map(len, days.values())) < limits.VOLUME_DAYS:
        return
    with np.errstate(all="ignore"):
        ratio = days["perp"] / days["spot"]
    level = _medians(np.where(np.isfinite(ratio) & (ratio > 0), ratio, np.nan))
    wrong = (level < limits.VOLUME_RATIO[0]) | (level > limits.VOLUME_RATIO[1])
    if wrong.any():
        low, high = limits.VOLUME_RATIO
        said = f"the perpetual trades {level[wrong][0]:.3g} times the volume of the spot"
        yield _finding(subject, "perp", int(wrong.argmax()), said, f"{low:g} to {high:g} times")
        return
    price = np.exp(_days(subject.close("perp"), subject)[:, 0])  # NaN where unknown
    for leg, volume in days.items():
        worth = _medians(volume * price[: len(volume)])
        wrong = worth > limits.VOLUME_WORTH
        if wrong.any():
            said = f"{worth[wrong][0]:.3g} are traded a day, volume times price"
            limit = f"at most {limits.VOLUME_WORTH:.0e}"
            yield _finding(subject, leg, int(wrong.argmax()), said, limit)


def _finding(subject: Subject, leg: str, window: int, said: str, limit: str) -> Finding:
    row = window * limits.VOLUME_DAYS * subject.bars_a_day
    where = subject.name(leg, "volume")
    first = at(subject.bars.open_ns[row])
    remedy = _REMEDY.replace("perp.", f"{leg}.")
    return Finding("volume_unit", subject.symbol, where, first, said, limit, remedy, False)


def _daily(subject: Subject, leg: str) -> Floats:
    """Volume of each whole day (D,), base units; empty where the file has none."""
    table = subject.bars.legs[leg]
    if "volume" not in table:
        return np.zeros(0)
    return np.asarray(np.nansum(_days(floats(table["volume"]), subject), axis=1))


def _days(values: Floats, subject: Subject) -> Floats:
    """The values as rows of whole days (D, bars a day)."""
    whole = len(values) // subject.bars_a_day * subject.bars_a_day
    return values[:whole].reshape(-1, subject.bars_a_day)


def _medians(days: Floats) -> Floats:
    """Medians of consecutive spans of VOLUME_DAYS; NaN where more than half of it is unknown."""
    whole = len(days) // limits.VOLUME_DAYS * limits.VOLUME_DAYS
    spans = days[:whole].reshape(-1, limits.VOLUME_DAYS)
    enough = np.isfinite(spans).mean(axis=1) > 0.5
    found = np.full(len(spans), np.nan)
    found[enough] = np.nanmedian(spans[enough], axis=1)
    return found
