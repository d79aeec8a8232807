"""A random forest that forecasts the return, judged in four ways: what makes it look good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from experiments.funding_returns.daily import HORIZON_DAYS, complete
from experiments.funding_returns.splits import Rows, blocks, r_squared, shuffled, walk_forward

Array = NDArray[np.float64]
WAYS: dict[str, Callable[[int, int], Iterator[tuple[Rows, Rows]]]] = {
    "shuffled": shuffled,
    "blocks": blocks,
    "walk_forward": walk_forward,
}
INPUTS = ("FR3 + FR14", "FR3 + FR14 + FR30", "noise", "the date alone")


def inputs(rows: pd.DataFrame, name: str, seed: int = 0) -> Array:
    """(n, F) inputs: means of funding; means of white noise over the same days, which know nothing;
    or the number of the day.
    """
    if name == "the date alone":
        return np.asarray((rows.index - rows.index[0]).days, dtype=np.float64)[:, None]
    windows = (3, 14, 30) if name == "FR3 + FR14 + FR30" else (3, 14)
    if name == "noise":
        drawn = np.random.default_rng(seed).normal(size=len(rows) + max(windows))
        means = [pd.Series(drawn).rolling(w).mean().to_numpy()[-len(rows) :] for w in windows]
        return np.column_stack(means)
    return rows[[f"fr{w}" for w in windows]].to_numpy()


def scores(
    table: pd.DataFrame,
    *,
    trees: int = 200,
    leaf: int = 1,
    horizon: int = HORIZON_DAYS,
    seed: int = 0,
    done: Callable[[], Any] = lambda: None,
) -> list[dict[str, Any]]:
    """R2 of the forest for each kind of inputs: in sample, and in the three ways of `WAYS`, each
    against the mean of the days learned from. `done` is called after each kind.
    """
    rows = complete(table)
    y = rows["forward"].to_numpy()
    found = []
    for name in INPUTS:
        x = inputs(rows, name, seed)
        fit = _forest(trees, leaf, seed).fit(x, y)
        mean = np.full(len(y), y.mean())
        row: dict[str, Any] = {"inputs": name, "in_sample": r_squared(y, fit.predict(x), mean)}
        for way, splits in WAYS.items():
            row[way] = r_squared(y, *_ahead(x, y, splits(len(y), horizon), trees, leaf, seed))
        found.append(row)
        done()
    return found


def _ahead(
    x: Array, y: Array, splits: Iterator[tuple[Rows, Rows]], trees: int, leaf: int, seed: int
) -> tuple[Array, Array]:
    model, mean = np.full(len(y), np.nan), np.full(len(y), np.nan)
    for learn, judge in splits:
        model[judge] = _forest(trees, leaf, seed).fit(x[learn], y[learn]).predict(x[judge])
        mean[judge] = y[learn].mean()
    return model, mean


def _forest(trees: int, leaf: int, seed: int) -> Any:
    return RandomForestRegressor(trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
