"""Regressions of later returns on funding, with errors that allow for overlapping returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray

from experiments.funding_returns.daily import HORIZON_DAYS, complete
from experiments.funding_returns.splits import r_squared, walk_forward

MODELS = {
    "FR3": ("fr3",),
    "FR14": ("fr14",),
    "FR3 + FR14": ("fr3", "fr14"),
    "divergence": ("divergence",),
}


def lags(n: int, horizon: int = HORIZON_DAYS) -> int:
    """Lags of the Newey-West variance: twice the overlap of the returns, since funding persists,
    and at least 4 (n / 100)^(2/9).
    """
    return max(2 * (horizon - 1), int(4 * (n / 100) ** (2 / 9)))


def regress(
    table: pd.DataFrame, columns: Sequence[str], horizon: int = HORIZON_DAYS
) -> dict[str, Any]:
    """Least squares of `forward` [%] on the columns [% a year] over the complete rows.

    Returns n, r2 (in sample), r2_ahead (walk-forward with purge, against the mean known then),
    slopes, t_plain (as if days were independent), t (HAC) and its p, one for each column.
    """
    rows = complete(table)
    x, y = rows[list(columns)].to_numpy(), rows["forward"].to_numpy()
    design = sm.add_constant(x)
    plain = sm.OLS(y, design).fit()
    robust = plain.get_robustcov_results("HAC", maxlags=lags(len(y), horizon), use_correction=True)
    return {
        "n": len(y),
        "r2": float(plain.rsquared),
        "r2_ahead": r_squared(y, *ahead(x, y, horizon)),
        "slopes": plain.params[1:].tolist(),
        "t_plain": plain.tvalues[1:].tolist(),
        "t": robust.tvalues[1:].tolist(),
        "p": robust.pvalues[1:].tolist(),
    }


def ahead(
    x: NDArray[np.float64], y: NDArray[np.float64], horizon: int = HORIZON_DAYS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Forecasts (n,) by the regression and by the mean, each from earlier rows alone; NaN in the
    first piece.
    """
    model, mean = np.full(len(y), np.nan), np.full(len(y), np.nan)
    for learn, judge in walk_forward(len(y), horizon):
        fit = np.linalg.lstsq(sm.add_constant(x[learn]), y[learn], rcond=None)[0]
        model[judge] = sm.add_constant(x[judge], has_constant="add") @ fit
        mean[judge] = y[learn].mean()
    return model, mean


def divergence(
    table: pd.DataFrame, limit: float = 2.0, horizon: int = HORIZON_DAYS
) -> list[dict[str, Any]]:
    """Returns after days on which fr3 - fr14 lies above `limit` % a year, below -limit, or between.

    Each row: side, n, mean and share of positive returns, %; `t` and `p` (HAC) of its mean less
    that of the days between. None where there are too few days.
    """
    rows = complete(table)
    gap, y = rows["divergence"].to_numpy(), rows["forward"].to_numpy()
    sides = {"above": gap > limit, "below": gap < -limit}
    known = [name for name, mask in sides.items() if 5 <= mask.sum() <= len(y) - 5]
    tests: dict[str, tuple[float | None, float | None]] = {}
    if known and not (np.any([sides[name] for name in known], axis=0)).all():
        design = sm.add_constant(np.column_stack([sides[name] for name in known]).astype(float))
        fit = sm.OLS(y, design).fit(cov_type="HAC", cov_kwds={"maxlags": lags(len(y), horizon)})
        tests = {n: (float(fit.tvalues[i]), float(fit.pvalues[i])) for i, n in enumerate(known, 1)}
    found = []
    for name, mask in (*sides.items(), ("between", np.abs(gap) <= limit)):
        t, p = tests.get(name, (None, None))
        some = bool(mask.any())
        found.append(
            {
                "side": name,
                "n": int(mask.sum()),
                "mean": float(y[mask].mean()) if some else None,
                "positive": 100.0 * float((y[mask] > 0).mean()) if some else None,
                "t": t,
                "p": p,
            }
        )
    return found
