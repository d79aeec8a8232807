"""The table of the coverage by coin and fold, beside the sampling range of exact intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fundenv.forecast import HORIZONS

BAND = (87.0, 93.0)  # %, around the 90 of the interval
HEADING = "Coverage of the 90 % interval by coin and fold, %"
UNTRACKED = "Without the correction by settled targets: " + HEADING[0].lower() + HEADING[1:]
LEGEND = (
    "Lowest .. highest over coins and folds of at least 100 settled forecasts; in brackets the"
    f" share of them within {BAND[0]:g} .. {BAND[1]:g} %. Targets of long horizons overlap (a"
    " half-year holds nine independent ones over 63 settlements), so that even exact intervals miss"
    " that band: the first line is what they give on a simulated autoregression, 5th .. 95th"
    " percentile."
)
_FEWEST = 100
_SPANS = 1000
_WEIGHT = 0.9


def coverage_cells(rows: Sequence[dict[str, Any]], key: str = "coverage") -> list[list[str]]:
    """Header, a line for exact intervals and a line for each forecaster; key: `coverage`, or
    `untracked` for the intervals without the correction by settled targets.
    """
    known: dict[tuple[str, int], list[float]] = {}
    counts: dict[int, list[int]] = {}
    for row in rows:
        if row["n"] >= _FEWEST:
            known.setdefault((row["forecaster"], row["horizon"]), []).append(row[key])
            counts.setdefault(row["horizon"], []).append(row["n"])
    head = ["forecaster", *(f"h = {h}" for h in HORIZONS)]
    luck = {h: _range(by_luck(int(np.median(n)), h), 5.0) for h, n in counts.items()}
    lines = [["exact intervals", *(luck.get(h, "") for h in HORIZONS)]] if luck else []
    for name in dict.fromkeys(name for name, _ in known):
        own = (known.get((name, h)) for h in HORIZONS)
        lines.append([name, *("" if values is None else _range(values, 0.0) for values in own)])
    return [head, *lines]


def _range(values: Sequence[float], percentile: float) -> str:
    low, high = np.percentile(values, [percentile, 100.0 - percentile])
    inside = np.mean([BAND[0] <= value <= BAND[1] for value in values])
    return f"{low:.0f} .. {high:.0f} ({100 * inside:.0f} %)"


def by_luck(n: int, horizon: int) -> list[float]:
    """Coverage, %, of exact 90 % intervals for the mean of the next h values of an autoregression
    of weight 0.9, in each of 1,000 spans of n settlements.
    """
    from scipy.signal import lfilter

    noise = np.random.default_rng(0).normal(size=n * _SPANS + horizon)
    rate = lfilter([1.0], [1.0, -_WEIGHT], noise)
    total = np.r_[0.0, np.cumsum(rate)]
    target = (total[horizon + 1 :] - total[1 : len(rate) - horizon + 1]) / horizon
    share = _WEIGHT * (1.0 - _WEIGHT**horizon) / (1.0 - _WEIGHT) / horizon
    error = target - share * rate[: len(target)]
    inside = np.abs(error) <= 1.6449 * error.std()
    return [float(each) for each in 100.0 * inside.reshape(_SPANS, n).mean(axis=1)]
