"""One row of figures for each coin, horizon and forecaster, and the same over all coins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fundenv.forecast import HORIZONS, Panel, scores

BASES = ("no_change", "clipped_har")
ALL = "all coins"
QUANTILES = ("q5", "q25", "q50", "q75", "q95")
UNTRACKED = ("u5", "u25", "u50", "u75", "u95")


def usual_errors(panel: Panel, start: pd.Timestamp) -> dict[tuple[str, int], float]:
    """Mean absolute error of no change before the test span, for each coin and horizon: the unit
    of MASE.
    """
    found = {}
    for history in panel.until(int(start.value) - 1):
        errors = np.abs(history.targets() - history.rate[:, None])
        for j, horizon in enumerate(HORIZONS):
            found[history.symbol, horizon] = float(np.nanmean(errors[:, j]))
    return found


def figures(
    forecasts: pd.DataFrame, usual: dict[tuple[str, int], float], *, confidence: bool = True
) -> list[dict[str, Any]]:
    """Rows of `coin, horizon, forecaster` with the figures of `scores`.

    Forecasts of several seeds are averaged; `skill_seeds` holds the skill of each seed. Only
    origins that every forecaster has are judged. The row `all coins` pools the errors. Its
    Diebold-Mariano test takes the mean loss over the coins at each settlement, because the rates of
    coins are correlated.
    """
    rows: list[dict[str, Any]] = []
    known = forecasts[np.isfinite(forecasts["target"])]
    order = list(dict.fromkeys(known["forecaster"]))
    coins = list(dict.fromkeys(known["symbol"]))
    for horizon in HORIZONS:
        at = known[known["horizon"] == horizon]
        keys = ["symbol", "time"]
        values = ["last", "target", "mean", *QUANTILES, *UNTRACKED]
        means = at.groupby(["forecaster", *keys], sort=False)[values].mean()
        single = {
            name: means.loc[name] for name in order if name in means.index.get_level_values(0)
        }
        common = None
        for table in single.values():
            common = table.index if common is None else common.intersection(table.index)
        if common is None or len(common) < 30:
            continue
        common = common.sort_values()
        aligned = {name: table.loc[common] for name, table in single.items()}
        seeds = _by_seed(at, common)
        for coin in [*coins, *([ALL] if len(coins) > 1 else [])]:
            chosen = slice(None) if coin == ALL else common.get_level_values("symbol") == coin
            part = {name: table[chosen] for name, table in aligned.items()}
            if len(next(iter(part.values()))) <= horizon + 30:
                continue
            rows += _rows(coin, horizon, part, usual, seeds, confidence)
    return rows


def _by_seed(at: pd.DataFrame, common: pd.Index) -> dict[str, list[pd.DataFrame]]:
    found: dict[str, list[pd.DataFrame]] = {}
    for (name, _), table in at.groupby(["forecaster", "seed"], sort=False):
        found.setdefault(str(name), []).append(table.set_index(["symbol", "time"]).loc[common])
    return found


def _rows(
    coin: str,
    horizon: int,
    part: dict[str, pd.DataFrame],
    usual: dict[tuple[str, int], float],
    seeds: dict[str, list[pd.DataFrame]],
    confidence: bool,
) -> list[dict[str, Any]]:
    first = next(iter(part.values()))
    target = first["target"].to_numpy()
    unit = float(np.mean([usual[symbol, horizon] for symbol in first.index.get_level_values(0)]))
    losses = {
        name: ((table["mean"] - table["target"]) ** 2).groupby(level="time").mean()
        for name, table in part.items()
    }
    inside = (
        scores.confidence_set(pd.DataFrame(losses).reset_index(drop=True), horizon)
        if confidence
        else {}
    )
    rows = []
    for name, table in part.items():
        mean = table["mean"].to_numpy()
        quantiles, untracked = (table[list(q)].to_numpy() for q in (QUANTILES, UNTRACKED))
        row: dict[str, Any] = {
            "coin": coin,
            "horizon": horizon,
            "forecaster": name,
            "n": len(target),
            "rmse": scores.rmse(target, mean),
            "mae": scores.mae(target, mean),
            "mase": scores.mase(target, mean, unit),
            "sign": scores.sign_accuracy(target, mean),
            "direction": scores.direction_accuracy(target, mean, table["last"].to_numpy()),
            "pinball": scores.pinball(target, quantiles),
            "crps": scores.crps(target, quantiles),
            "coverage": scores.coverage(target, quantiles),
            "crps_untracked": scores.crps(target, untracked),
            "coverage_untracked": scores.coverage(target, untracked),
            "below": scores.below(target, quantiles).tolist(),
            "mcs_p": inside.get(name),
        }
        for base in BASES:
            if base in part:
                other = part[base]["mean"].to_numpy()
                row[f"skill_{base}"] = scores.skill(row["rmse"], scores.rmse(target, other))
                row[f"mae_skill_{base}"] = scores.skill(row["mae"], scores.mae(target, other))
        if "clipped_har" in part:
            row |= _tests(losses[name], losses["clipped_har"], horizon)
            row["skill_seeds"] = _seeds(coin, seeds.get(name, []), part["clipped_har"])
        rows.append(row)
    return rows


def _tests(first: pd.Series, second: pd.Series, horizon: int) -> dict[str, float]:
    """Both tests of two series of squared errors. `p` is the larger p-value."""
    zero, one, two = (
        np.zeros(len(first)),
        np.sqrt(first.to_numpy()),
        np.sqrt(second.to_numpy()),
    )
    hac = scores.diebold_mariano(zero, one, two, horizon)
    fixed = scores.fixed_smoothing(zero, one, two, horizon)
    return {
        "dm": hac.statistic,
        "dm_p": hac.p_value,
        "fixed_p": fixed.p_value,
        "p": max(hac.p_value, fixed.p_value),
    }


def _seeds(coin: str, tables: list[pd.DataFrame], base: pd.DataFrame) -> list[float]:
    found = []
    for table in tables:
        own = table if coin == ALL else table.loc[base.index]
        target = own["target"].to_numpy()
        error = scores.rmse(target, own["mean"].to_numpy())
        found.append(scores.skill(error, scores.rmse(target, base["mean"].to_numpy())))
    return found


def coverage_by_fold(forecasts: pd.DataFrame) -> list[dict[str, Any]]:
    """Coverage of the 90 % interval for each forecaster, coin, fold and horizon; the quantiles are
    averaged over the seeds, as in the other tables.
    """
    keys = ["forecaster", "symbol", "fold", "horizon"]
    ends = ["target", "q5", "q95", "u5", "u95"]
    known = forecasts[np.isfinite(forecasts["target"])]
    known = known.groupby([*keys, "time"], sort=False)[ends].mean().reset_index()
    inside = pd.DataFrame(
        {
            name: 100.0 * known["target"].between(known[f"{end}5"], known[f"{end}95"])
            for name, end in (("coverage", "q"), ("untracked", "u"))
        }
    )
    grouped = inside.groupby([known[key] for key in keys], sort=False)
    table = grouped.mean().assign(n=grouped.size())
    records = table.reset_index().to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in records]
