"""Settled rates and prices against the basis and the mark price."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fundenv.market import layout
from fundenv.market.features import funding_estimate
from fundenv.market.files.frames import HOUR_NS
from fundenv.market.plausibility import limits
from fundenv.market.plausibility.finding import Finding, at
from fundenv.market.plausibility.subject import Floats, Subject

_DAY_NS = 24 * HOUR_NS
# What a ratio of settled to implied rates looks like, and the remedy.
_UNITS = (
    (100.0, "percent", "divide them by 100"),
    (1095.0, "a rate per year", "divide them by the settlements of a year (1095 of 8 h)"),
    (10_000.0, "basis points", "divide them by 10000"),
)


class _Pairs:
    """Settled rates beside those that the basis implies, bp per 8 h (K,), and their instants."""

    def __init__(self, subject: Subject) -> None:
        settled, bars = subject.bars.settlements, subject.bars
        rows = np.searchsorted(bars.open_ns, settled.ns)
        with np.errstate(invalid="ignore"):
            paid = settled.rate / (settled.hours / 8.0) * 1e4
        estimate = funding_estimate(bars, subject.venue)
        inside = (rows > 0) & (rows < len(bars.open_ns))
        implied = np.where(inside, estimate[np.where(inside, rows - 1, 0)], np.nan)
        use = inside & np.isfinite(paid) & np.isfinite(implied)
        self.ns, self.paid, self.implied = settled.ns[use], paid[use], implied[use]


def rates(subject: Subject) -> Iterator[Finding]:
    """Size and sign of the settled rates against the basis."""
    pairs = _Pairs(subject)
    if len(pairs.ns) < limits.RATE_LEAST:
        return
    yield from _scale(subject, pairs)
    yield from _outliers(subject, pairs)
    windows = _windows(pairs, limits.SIGN_LEAST)
    bars, settled = subject.bars, subject.bars.settlements
    between = float(np.nanmedian(settled.hours)) * 3.6e12 / np.median(np.diff(bars.open_ns))
    for rows in windows if between >= limits.SIGN_BARS else windows[-1:]:
        fit = _fit(pairs.paid[rows], pairs.implied[rows])
        if fit < limits.SIGN_REFUSED:
            yield Finding(
                "rate_sign",
                subject.symbol,
                subject.name("funding", "rate"),
                at(pairs.ns[rows[0]]),
                f"rates correlate {fit:.2f} with those that the basis implies",
                "above 0: longs pay (a rate > 0) where the perpetual stands above spot",
                "turn the sign, or exchange the perp and spot files",
                refused=True,
            )
            return


def _windows(pairs: _Pairs, least: int, days: int = limits.RATE_DAYS) -> list[NDArray[np.int64]]:
    """Rows of each span of so many days with at least so many settlements, and of the whole
    file.
    """
    rows = np.arange(len(pairs.ns))
    window = (pairs.ns - pairs.ns[0]) // (days * _DAY_NS)
    spans = np.split(rows, np.flatnonzero(np.diff(window)) + 1)
    return [span for span in (*spans, rows) if len(span) >= least]


def _outliers(subject: Subject, pairs: _Pairs) -> Iterator[Finding]:
    """Single settlements far above what the basis implies: a few rows in percent."""
    times = np.abs(pairs.paid) / np.maximum(np.abs(pairs.implied), limits.RATE_ONE_FLOOR_BP)
    found = np.flatnonzero(times > limits.RATE_ONE_RATIO)
    if len(found):
        worst = int(times.argmax())
        yield Finding(
            "rate_scale",
            subject.symbol,
            subject.name("funding", "rate"),
            at(pairs.ns[found[0]]),
            f"{pairs.paid[worst]:.4g} bp per 8 h at {at(pairs.ns[worst]):%Y-%m-%d %H:%M}, where the"
            f" basis implies {pairs.implied[worst]:.3g} ({len(found)} such row(s))",
            f"at most {limits.RATE_ONE_RATIO:g} times what the basis implies",
            "correct the row or remove it",
            refused=len(found) >= limits.RATE_ONE_FEW,
        )


def _scale(subject: Subject, pairs: _Pairs) -> Iterator[Finding]:
    whole = _ratio(pairs, slice(None))
    month = _windows(pairs, limits.RATE_LEAST)
    year = _windows(pairs, limits.RATE_LONG_LEAST, limits.RATE_LONG_DAYS)
    asked = [(rows, limits.RATE_RATIO_REFUSED, -1.0) for rows in month]
    asked += [(rows, limits.RATE_LONG_RATIO, limits.RATE_LONG_FIT) for rows in year]
    for rows, limit, fit in asked:
        ratio = _ratio(pairs, rows)
        if ratio > limit and (fit < 0 or _fit(pairs.paid[rows], pairs.implied[rows]) >= fit):
            middle = float(np.median(np.abs(pairs.paid[rows])))
            implied = float(np.median(np.abs(pairs.implied[rows])))
            unit = next(
                (u for u in _UNITS if u[0] / 3 < middle / max(implied, 1e-9) < u[0] * 3), None
            )
            seems = f", as if in {unit[1]}" if unit else ""
            yield Finding(
                "rate_scale",
                subject.symbol,
                subject.name("funding", "rate"),
                at(pairs.ns[rows[0]]),
                f"the median rate is {middle:.3g} bp per 8 h, {ratio:.3g} times what the basis"
                f" implies{seems}",
                f"at most {limit:g} times",
                f"write rates as fractions of one settlement: {unit[2] if unit else 'scale them'}",
                refused=True,
            )
            return
    if whole < limits.RATE_RATIO_SMALL:
        yield Finding(
            "rate_scale",
            subject.symbol,
            subject.name("funding", "rate"),
            at(pairs.ns[0]),
            f"the median rate is {whole:.2g} times what the basis implies",
            f"at least {limits.RATE_RATIO_SMALL:g} times",
            "write rates as fractions of one settlement",
            refused=False,
        )


def _ratio(pairs: _Pairs, rows: NDArray[np.int64] | slice) -> float:
    """Median size of the settled rates over that of the implied ones."""
    implied = float(np.median(np.abs(pairs.implied[rows])))
    return float(np.median(np.abs(pairs.paid[rows]))) / max(implied, limits.RATE_FLOOR_BP)


def _fit(one: Floats, two: Floats) -> float:
    """Correlation, single outliers cut; 0 where one stands still."""
    return float(np.mean(_standardised(one) * _standardised(two)))


def lag(subject: Subject) -> Iterator[Finding]:
    """Hours by which the rates fit the basis better than at the interval that they close."""
    settled = subject.bars.settlements
    fits = _fits_by_shift(subject)
    if not fits:
        return
    near = max(
        fit
        for shift, fit in fits.items()
        if abs(shift) * subject.step_hours <= limits.FUNDING_LAG_NEAR or abs(shift) <= 1
    )
    best = max(fits, key=lambda shift: fits[shift])
    hours_off = abs(best) * subject.step_hours
    if (
        hours_off < limits.FUNDING_LAG_HOURS
        or fits[best] < limits.FUNDING_LAG_FIT
        or fits[best] - near < limits.FUNDING_LAG_GAIN
    ):
        return
    yield Finding(
        "funding_lag",
        subject.symbol,
        subject.name("funding", "time"),
        at(settled.ns[0]),
        f"the rates fit the basis {hours_off:g} h {'later' if best > 0 else 'earlier'} better"
        f" (correlation {fits[best]:.2f} against {near:.2f} where they stand)",
        f"within {limits.FUNDING_LAG_HOURS:g} h",
        "write the times of all files in UTC: exports in local time lie some hours off",
        refused=True,
    )


def _fits_by_shift(subject: Subject) -> dict[int, float]:
    """Bars -> correlation of the rates with the mean basis so many bars after the interval whose
    basis the venue's rule takes.
    """
    bars, settled = subject.bars, subject.bars.settlements
    most = int(limits.LAG_HOURS // subject.step_hours)
    expected = int(subject.venue.value("funding", "lag_intervals"))
    hours = np.nan_to_num(settled.hours)
    count = np.round(hours / subject.step_hours).astype(np.int64)
    ends = np.searchsorted(bars.open_ns, settled.ns) - expected * count
    use = (count > 0) & (ends - count >= most) & (ends + most <= len(bars.open_ns))
    if use.sum() < limits.FUNDING_LAG_LEAST:
        return {}
    ends, count = ends[use], count[use]
    paid = _standardised(settled.rate[use] / hours[use])
    sums = np.r_[0.0, np.cumsum(np.clip(np.nan_to_num(bars.basis), -0.005, 0.005))]
    return {
        shift: float(
            np.mean(paid * _standardised((sums[ends + shift] - sums[ends + shift - count]) / count))
        )
        for shift in range(-most, most + 1)
    }


def _standardised(values: Floats) -> Floats:
    """Less the mean and over the deviation, single outliers cut; 0 where all are equal."""
    off = values - values.mean()
    most = 4.0 * float(np.std(off))
    off = np.clip(off, -most, most)
    deviation = float(np.std(off))
    return np.asarray((off - off.mean()) / deviation if deviation > 0.0 else 0.0 * off)


def prices(subject: Subject) -> Iterator[Finding]:
    """Mark prices published with settlements against the bars on both sides of the instant."""
    bars, settled = subject.bars, subject.bars.settlements
    rows = np.searchsorted(bars.open_ns, settled.ns)
    with np.errstate(invalid="ignore", divide="ignore"):
        price = np.log(settled.price)
    use = np.flatnonzero((rows > 0) & (rows < len(bars.open_ns)) & np.isfinite(price))
    if not len(use):
        return
    at_row = rows[use]
    high, low = np.log(bars.bars[:, layout.MARK_HIGH]), np.log(bars.bars[:, layout.MARK_LOW])
    above = price[use] - np.maximum(high[at_row], high[at_row - 1])
    below = np.minimum(low[at_row], low[at_row - 1]) - price[use]
    off = np.maximum(above, below)
    found = np.flatnonzero(off > limits.SETTLE_PRICE_NOTED)
    if not len(found):
        return
    worst = int(off.argmax())
    refused = bool(off[worst] > limits.SETTLE_PRICE_REFUSED)
    limit = limits.SETTLE_PRICE_REFUSED if refused else limits.SETTLE_PRICE_NOTED
    yield Finding(
        "settlement_price",
        subject.symbol,
        subject.name("funding", "mark_price"),
        at(settled.ns[use[found[0]]]),
        f"{settled.price[use[worst]]:.6g} at {at(settled.ns[use[worst]]):%Y-%m-%d %H:%M}, the"
        f" perpetual {bars.bars[at_row[worst], layout.PERP_OPEN]:.6g} ({len(found)} such row(s))",
        f"within {np.expm1(limit):.0%} of the bars beside it",
        "write it in quote per base as the bars are, or leave it empty",
        refused,
    )
