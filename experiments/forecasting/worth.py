"""What forecasts are worth: growth of one and the same rule on each of them, against the same rule
on an exponential mean and on clipped HAR, and on perfect forecasts, which nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

import agents
from experiments.analysis.statistics import paired
from experiments.forecasting.table import ALL
from experiments.forecasting.worth_tables import AGAINST, PERFECT, RULES, TUNED
from experiments.rollout.make import roll_out
from experiments.rollout.rollout import Rollout
from fundenv.forecast import HORIZONS, LEVELS, Panel, Predicted
from fundenv.forecast.columns import perfect, with_forecasts
from fundenv.market import Market, between
from fundenv.metrics import HOURS_PER_YEAR

Key = tuple[str, str, int]  # rule, forecaster, horizon
HINDSIGHT: dict[str, list[dict[str, float]]] = {
    "forecast": [{"hold": hold} for hold in (3.0, 9.0, 21.0, 63.0, 180.0)],
    "forecast_leverage": [{"enter": at, "exit": -at} for at in (0.1, 0.2, 1.0, 2.0, 5.0)],
}


def worth(
    market: Market,
    panel: Panel,
    forecasts: pd.DataFrame,
    span: tuple[pd.Timestamp, pd.Timestamp],
    cash: float,
) -> list[dict[str, Any]]:
    """Growth above the cash rate, % a year, of every rule, forecaster, horizon and coin over the
    span (start, end). Rows of all coins hold the mean, and `over`: the difference from the same
    rule on each of `AGAINST`, with its 95 % interval and one-sided p-value (`paired`).

    panel: of the whole market, with the delay of the forecasts. Of several seeds the first acts.
    """
    start, end = span
    judged = between(market, str(start), str(end))
    settings = {"venue": market.venue, "cash_rate": cash}
    rows: list[dict[str, Any]] = []
    daily: dict[Key, Daily] = {}
    known = list(_each(forecasts, panel, int(start.value)))
    runs = len(known) + sum(map(len, HINDSIGHT.values())) / len(RULES)
    with tqdm(total=round(runs * len(HORIZONS) * len(RULES))) as bar:
        for name, found in known:
            columns = with_forecasts(judged, found, HORIZONS)
            for rule, horizon in ((r, h) for r in RULES for h in HORIZONS):
                key = {"rule": rule, "forecaster": name, "horizon": horizon}
                bar.set_description(f"{rule} on {name}")
                tried = [(name, roll_out(agents.make(rule, horizon=horizon), columns, settings))]
                bar.update()
                if name == PERFECT:
                    tried.append((TUNED, _best(tried[0][1], key, columns, settings, bar)))
                for own, made in tried:
                    rows += [key | {"forecaster": own} | _figures(item) for item in made]
                    daily[rule, own, horizon] = _daily(made)
    return rows + [_all(rows, daily, *key) for key in daily]


class Daily(NamedTuple):
    """Log growth above cash of the coins, side by side."""

    net: pd.DataFrame  # days x coins; the last day may be a part of one, so that they sum
    per_year: float  # days of a year of this length


def _daily(made: list[Rollout]) -> Daily:
    parts = {}
    for item in made:
        total = item.net_log()
        stride = max(1, round(24 / item.step_hours))
        ends = np.unique(np.r_[np.arange(stride - 1, len(total), stride), len(total) - 1])
        parts[item.symbol] = total.iloc[ends].diff().fillna(total.iloc[ends[0]])
    net = pd.concat(parts, axis=1)
    years = len(made[0].time) * made[0].step_hours / HOURS_PER_YEAR
    return Daily(net, len(net) / years)


def _figures(item: Rollout) -> dict[str, Any]:
    return {
        "coin": item.symbol,
        "growth": 100.0 * item.metrics().net_log_growth,
        "liquidations": int(np.sum(item.liquidations)),
    }


def _best(
    plain: list[Rollout], key: dict[str, Any], market: Market, settings: Any, bar: Any
) -> list[Rollout]:
    """The rule with those of its thresholds, its default ones (`plain`) among them, that prove best
    on the judged span itself.
    """
    tried = [plain]
    for params in HINDSIGHT[key["rule"]]:
        agent = agents.make(key["rule"], horizon=key["horizon"], **params)
        tried.append(roll_out(agent, market, settings))
        bar.update()
    return max(tried, key=lambda made: sum(item.metrics().net_log_growth for item in made))


def _each(
    forecasts: pd.DataFrame, panel: Panel, start: int
) -> Iterator[tuple[str, list[Predicted]]]:
    """Every forecaster with its forecasts, and last the future itself from the same start on."""
    delay = panel.histories[0].delay_ns
    for name, part in forecasts.groupby("forecaster", sort=False):
        yield str(name), predicted(part[part["seed"] == part["seed"].min()], delay)
    ahead = []
    for each in perfect(panel):
        late = each.ns >= start
        ahead.append(
            each._replace(
                ns=each.ns[late],
                mean=each.mean[late],
                quantiles=each.quantiles[late],
                target=each.target[late],
            )
        )
    yield PERFECT, ahead


def _all(
    rows: list[dict[str, Any]],
    daily: dict[Key, Daily],
    rule: str,
    name: str,
    horizon: int,
) -> dict[str, Any]:
    """The row of all coins: capital spread evenly over them."""
    own = [
        row
        for row in rows
        if (row["rule"], row["forecaster"], row["horizon"]) == (rule, name, horizon)
    ]
    over = {}
    for base in AGAINST:
        if base == name or (rule, base, horizon) not in daily:
            continue
        own_days = daily[rule, name, horizon]
        mine, other = own_days.net.align(daily[rule, base, horizon].net, join="inner", axis=0)
        found = paired(mine.mean(axis=1).to_numpy(), other.mean(axis=1).to_numpy())
        ends = (found.value, found.low, found.high)
        yearly = [100.0 * own_days.per_year * value for value in ends]
        over[base] = [*yearly, found.p_value]
    return {
        "rule": rule,
        "forecaster": name,
        "horizon": horizon,
        "coin": ALL,
        "growth": float(np.mean([row["growth"] for row in own])),
        "liquidations": sum(row["liquidations"] for row in own),
        "over": over,
    }


def predicted(forecasts: pd.DataFrame, delay_ns: int = 0) -> list[Predicted]:
    """Forecasts of one forecaster as they were made, from the table of a run; `delay_ns`: how long
    after its settlement each was made.
    """
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
        found.append(Predicted(str(symbol), ns, each["mean"], quantiles, each["target"], delay_ns))
    return found
