"""What forecasts are worth: growth of one and the same rule, `forecast`, on each of them and on
perfect ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import agents
from experiments.rollout.make import roll_out
from fundenv.forecast import HORIZONS, LEVELS, Predicted
from fundenv.forecast.columns import perfect, with_forecasts
from fundenv.market import Market, between

HORIZONS_USED = (1, 9, 63)
PERFECT = "perfect"


def worth(
    market: Market, forecasts: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, cash: float
) -> list[dict[str, Any]]:
    """Growth above the cash rate, % a year, of every forecaster, symbol and horizon of the test."""
    span = between(market, str(start), str(end))
    rows = []
    known = {
        name: predicted(part[part["seed"] == 0])
        for name, part in forecasts.groupby("forecaster", sort=False)
    }
    known[PERFECT] = perfect(market)
    for name, found in known.items():
        with_columns = with_forecasts(span, found, HORIZONS_USED)
        for horizon in HORIZONS_USED:
            agent = agents.make("forecast", horizon=horizon)
            settings = {"venue": market.venue, "cash_rate": cash}
            for item in roll_out(agent, with_columns, settings):
                figures = item.metrics()
                rows.append(
                    {
                        "forecaster": str(name),
                        "coin": item.symbol,
                        "horizon": horizon,
                        "growth": 100.0 * figures.net_log_growth,
                        "liquidations": int(np.sum(item.liquidations)),
                    }
                )
    return rows


def predicted(forecasts: pd.DataFrame) -> list[Predicted]:
    """Forecasts of one forecaster as they were made, from the table of a run."""
    found = []
    for symbol, own in forecasts.groupby("symbol", sort=False):
        columns = [f"q{round(100 * level)}" for level in LEVELS]
        wide = own.pivot(index="time", columns="horizon", values=["mean", "target", *columns])
        wide = wide.sort_index()
        ns = pd.DatetimeIndex(wide.index).as_unit("ns").asi8
        each = {key: wide[key][list(HORIZONS)].to_numpy(np.float64) for key in ("mean", "target")}
        quantiles = np.stack(
            [wide[c][list(HORIZONS)].to_numpy(np.float64) for c in columns], axis=2
        )
        found.append(Predicted(str(symbol), ns, each["mean"], quantiles, each["target"]))
    return found
