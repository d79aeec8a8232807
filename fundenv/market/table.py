"""The market features: what each is called, means and measures, and how it is scaled. The only
place that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fundenv.market.market import Feature

_8H = "bp per 8 h"
_YEAR = "fraction per year"

FEATURES: tuple[Feature, ...] = (
    Feature("funding_last", "last settled rate over its own interval", _8H, -10.0, 10.0, 3.0),
    Feature(
        "funding_ewma_3",
        "exponential mean of settled rates, span 3 settlements",
        _8H,
        -10.0,
        10.0,
        3.0,
    ),
    Feature("funding_ewma_9", "the same, span 9", _8H, -10.0, 10.0, 3.0),
    Feature("funding_ewma_21", "the same, span 21", _8H, -10.0, 10.0, 3.0),
    Feature("funding_ewma_90", "the same, span 90", _8H, -10.0, 10.0, 3.0),
    Feature(
        "funding_fr3",
        "funding settled in the 3 days up to the last settlement",
        _YEAR,
        -10.0,
        10.0,
        0.3,
    ),
    Feature(
        "funding_fr14",
        "funding settled in the 14 days up to the last settlement",
        _YEAR,
        -10.0,
        10.0,
        0.3,
    ),
    Feature("funding_divergence", "funding_fr3 - funding_fr14", _YEAR, -10.0, 10.0, 0.3),
    Feature(
        "funding_z",
        "(last - mean) / sample deviation of the last 90 settled rates, 0 where all are equal",
        "deviations",
        -10.0,
        10.0,
        1.0,
    ),
    Feature(
        "funding_persistence",
        "settlements in a row with the sign of the last one, negative for negative rates",
        "settlements",
        -10.0,
        10.0,
        50.0,
    ),
    Feature(
        "funding_estimate",
        "running estimate of the pending rate from perp / spot closes since the last settlement",
        _8H,
        -10.0,
        10.0,
        3.0,
    ),
    Feature("basis", "perp close / spot close - 1", "bp", -10.0, 10.0, 10.0),
    Feature("basis_deviation", "basis minus its mean over the last 7 days", "bp", -10.0, 10.0, 5.0),
    Feature(
        "rsi",
        "Wilder's relative strength index, 14 completed spot bars of 4 h (or one bar, if longer),"
        " minus 50",
        "points",
        -2.5,
        2.5,
        20.0,
    ),
    Feature(
        "volatility_1d",
        "realised volatility of spot over the last day",
        "per square-root year",
        0.0,
        10.0,
        0.5,
    ),
    Feature("volatility_7d", "the same over 7 days", "per square-root year", 0.0, 10.0, 0.5),
    Feature("volatility_30d", "the same over 30 days", "per square-root year", 0.0, 10.0, 0.5),
    Feature("return_1d", "log return of spot over the last day", "log", -10.0, 10.0, 0.03),
    Feature("return_3d", "the same over 3 days", "log", -10.0, 10.0, 0.05),
    Feature("return_7d", "the same over 7 days", "log", -10.0, 10.0, 0.08),
    Feature("return_14d", "the same over 14 days", "log", -10.0, 10.0, 0.12),
    Feature(
        "volume_ratio",
        "log of the last day's quote turnover, spot + perp, over its 30-day daily mean; 0 where"
        " unknown",
        "log",
        -10.0,
        10.0,
        0.5,
    ),
    Feature(
        "spread_proxy",
        "mean (high - low) / close of perp bars of the last day, divided by the square root of the"
        " bar's hours",
        "bp",
        0.0,
        10.0,
        100.0,
    ),
    Feature(
        "settlement_sin",
        "sine of the phase since the last settlement, one turn an interval",
        "1",
        -1.0,
        1.0,
        1.0,
    ),
    Feature("settlement_cos", "cosine of that phase", "1", -1.0, 1.0, 1.0),
    Feature(
        "funding_market",
        "mean of funding_last over the symbols loaded together",
        _8H,
        -10.0,
        10.0,
        3.0,
    ),
)
NAMES = tuple(feature.name for feature in FEATURES)
# a level of funding: names begin so
_LEVELS = ("funding_last", "funding_ewma_", "funding_fr", "funding_estimate", "funding_market")
_DIFFERENCES = ("funding_divergence",)
_PER_YEAR = 1e4 / (3.0 * 365.0)  # an annual rate in bp per 8 h


def feature_table(extra: Mapping[str, float]) -> tuple[Feature, ...]:
    """`FEATURES`, then one row for each extra column (name -> scale) in the order given.

    Raises `ValueError` for a name that is taken or a scale that is not positive.
    """
    for name, scale in extra.items():
        if name in NAMES:
            raise ValueError(
                f"extra column {name!r} has the name of a built-in feature; rename it in the data"
            )
        if not 0.0 < scale < float("inf"):
            raise ValueError(
                f"extra column {name!r}: scale {scale!r}; expected a number > 0, about the size of"
                " a typical value"
            )
    meaning = "last value known at the close, at most 24 h old, else 0"
    return (
        *FEATURES,
        *(
            Feature(name, meaning, "as in the data", -10.0, 10.0, float(scale))
            for name, scale in extra.items()
        ),
    )


def funding_levels(table: Sequence[Feature]) -> NDArray[np.float64]:
    """How the features (F) follow the level of funding, (F, 4): 1 where a feature is linear in the
    settled rates, else 0; what an annual shift of 1 of all rates adds to it; its low and high.

    The z-score does not move with level and scale. The persistence of the sign cannot be derived
    from the features; it stays that of the recorded rates.
    """
    rows = np.zeros((len(table), 4))
    for row, feature in zip(rows, table, strict=True):
        level, difference = feature.name.startswith(_LEVELS), feature.name.startswith(_DIFFERENCES)
        shift = (1.0 if feature.unit == _YEAR else _PER_YEAR) / feature.scale
        row[:] = float(level or difference), shift * level, feature.low, feature.high
    return rows
