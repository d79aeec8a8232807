"""Settled rates of one perpetual."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fundenv.market.download.series import HOUR_MS

LOOK_BACK = 90  # settlements of the z-score, as in the observation `funding_z`
WEEK = 21  # 8 h intervals
_JITTER_MS = 60_000


class History:
    """Settled rates as the venue sent them: a fraction for one interval, positive where longs
    pay.
    """

    def __init__(self) -> None:
        self._rates: dict[int, float] = {}

    def add(self, rows: Iterable[tuple[int, float]], *, keep_from: int = 0) -> None:
        """Add pairs (time in ms, rate); drop those before `keep_from`."""
        for time, rate in rows:
            self._rates[round(time / _JITTER_MS) * _JITTER_MS] = rate
        self._rates = {t: self._rates[t] for t in sorted(self._rates) if t >= keep_from}

    @property
    def last(self) -> int | None:
        """Time of the last settlement, ms."""
        return next(reversed(self._rates), None)

    def intervals(self) -> NDArray[np.float64]:
        """Hours since the settlement before, for each rate (n,); the first equals the second."""
        times = np.array(list(self._rates), dtype=np.int64)
        if len(times) < 2:
            return np.full(len(times), np.nan)
        gaps = np.diff(times) / HOUR_MS
        return np.asarray(np.r_[gaps[0], gaps])

    def per_8h(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(times in ms, rates in bp per 8 h), (n,) each; NaN for a single settlement."""
        times = np.array(list(self._rates), dtype=np.int64)
        rates = np.array(list(self._rates.values()), dtype=np.float64)
        return times, rates * 1e4 * 8.0 / self.intervals()

    def z(self) -> float | None:
        """(last - mean) / sample deviation of the last `LOOK_BACK` rates per 8 h; None where fewer
        are known, 0 where all are equal.
        """
        rates = self.per_8h()[1][-LOOK_BACK:]
        if len(rates) < LOOK_BACK or not np.isfinite(rates).all():
            return None
        spread = float(np.std(rates, ddof=1)) if np.ptp(rates) > 0 else np.inf
        return float((rates[-1] - rates.mean()) / spread)

    def week(self) -> float | None:
        """Mean of the last week, bp per 8 h, each rate weighted by the length of its interval."""
        times, rates = self.per_8h()
        if len(times) < 2:
            return None
        recent = times > times[-1] - WEEK * 8 * HOUR_MS
        hours = self.intervals()[recent]
        return float(np.sum(rates[recent] * hours) / np.sum(hours))

    def changed(self, *later: int) -> tuple[float, float] | None:
        """(hours before, hours now) where the last interval and the one before it differ; later:
        settlements (ms) after the known ones.
        """
        times = [*self._rates, *(time for time in later if time > (self.last or 0))][-3:]
        if len(times) < 3:
            return None
        before, now = (round((b - a) / HOUR_MS, 2) for a, b in zip(times, times[1:], strict=False))
        return (before, now) if before != now else None
