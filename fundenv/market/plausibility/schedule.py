"""Settlements against the venue's schedule: their hours, and rates that stand more than once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fundenv.market.files.frames import floats, times_ns
from fundenv.market.plausibility import limits
from fundenv.market.plausibility.finding import Finding, at
from fundenv.market.plausibility.subject import Subject

_MINUTE_NS = 60_000_000_000


def hours(subject: Subject) -> Iterator[Finding]:
    """Settlements at hours which the venue's interval, or a shorter one, does not have."""
    stamps = np.round(times_ns(subject.frames.funding) / _MINUTE_NS).astype(np.int64)
    if len(stamps) < 2:
        return
    spacing = np.diff(stamps)
    interval = np.minimum(np.r_[spacing[:1], spacing], np.r_[spacing, spacing[-1:]])
    longest = round(subject.venue.value("funding", "interval_hours") * 60)
    interval = np.minimum(interval, max(longest, 60))
    first = round(subject.venue.value("funding", "first_hour") * 60)
    whole = np.maximum(interval // 60 * 60, 60)  # a spacing of 7 h 50 is no schedule
    off = (stamps - first) % whole != 0
    if not off.any():
        return
    row = int(off.argmax())
    share = float(off.mean())
    refused = share > limits.HOURS_REFUSED and int(off.sum()) >= limits.HOURS_FEW
    every = longest / 60
    yield Finding(
        "settlement_hours",
        subject.symbol,
        f"{subject.name('funding', 'time')}, row {row}",
        at(stamps[row] * _MINUTE_NS),
        f"{share:.0%} of the settlements fall on hours that {subject.venue.name} does not have"
        f" ({_clock(stamps[off])} UTC)",
        f"every {every:g} h or a part of it, counted from {first // 60:02d}:00 UTC",
        "write the times in UTC: exports in local time lie some hours off",
        refused,
    )


def _clock(minutes: NDArray[np.int64]) -> str:
    times = np.unique(minutes % 1440)[:6]
    return ", ".join(f"{t // 60:02d}:{t % 60:02d}" for t in times)


def repeated(subject: Subject) -> Iterator[Finding]:
    """Rates that change only at every k-th row, at one phase: one settlement in k rows."""
    rate = floats(subject.frames.funding["rate"])
    stamps = np.round(times_ns(subject.frames.funding) / _MINUTE_NS).astype(np.int64)
    if len(rate) < 2:
        return
    step = int(np.median(np.diff(stamps)))
    longest = round(subject.venue.value("funding", "interval_hours") * 60)
    changed = np.flatnonzero(rate[1:] != rate[:-1]) + 1
    if step <= 0 or len(changed) < limits.REPEATED_LEAST:
        return
    for whole in (480, 240, 120, 60):
        if whole <= step or whole % step or longest % whole:
            continue
        phase = stamps[changed] % whole
        shares = np.unique(phase, return_counts=True)[1] / len(changed)
        if shares.max() >= limits.REPEATED_SHARE:
            yield Finding(
                "rates_repeated",
                subject.symbol,
                subject.name("funding", "rate"),
                subject.frames.funding["time"].iloc[0],
                f"rows every {step / 60:g} h, but the rate changes only every {whole / 60:g} h:"
                f" each settlement would be paid {whole // step} times",
                "one row for each settlement",
                f"keep the rows at which it is settled, every {whole / 60:g} h",
                refused=True,
            )
            return


def lag(subject: Subject) -> Iterator[Finding]:
    """Hours by which the bars stand off the prices published with the settlements."""
    settled, opens = subject.bars.settlements, subject.bars.open_ns
    leg = "mark" if subject.has_mark else "perp"
    start, rows = subject.log(leg, "open"), np.searchsorted(opens, settled.ns)
    most = max(1, int(limits.LAG_HOURS // subject.step_hours))
    use = np.isfinite(settled.price) & (settled.price > 0)
    use &= (rows >= most) & (rows + most < len(opens))
    if use.sum() < limits.SETTLE_LAG_LEAST:
        return
    price, rows = np.log(settled.price[use]), rows[use]
    off = {
        shift: float(np.nanmedian(np.abs(price - start[rows + shift])))
        for shift in range(-most, most + 1)
        if np.isfinite(start[rows + shift]).any()
    }
    best, here = min(off, key=lambda shift: off[shift]), off.get(0, 0.0)
    if here > limits.SETTLE_LAG_OFF and off[best] < limits.SETTLE_LAG_SHARE * here:
        hours_off = abs(best) * subject.step_hours
        late = "late" if best > 0 else "early"
        yield Finding(
            "lag",
            subject.symbol,
            f"{subject.name(leg)} and {subject.name('funding', 'mark_price')}",
            at(settled.ns[use][0]),
            f"the bars come {hours_off:g} h {late}: the prices of the settlements lie"
            f" {1e4 * off[best]:.2g} bp off them there, {1e4 * here:.2g} bp at their own instant",
            "the nearest prices at the same instant",
            "write the time of every bar as its open, in UTC, and those of the settlements too",
            refused=True,
        )
