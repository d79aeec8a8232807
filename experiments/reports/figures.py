"""The figures of a comparison: intervals by a paired stationary bootstrap, months, worst episodes, what to beware of, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from numpy.typing import NDArray

import agents
from agents import AgentError
from experiments.reports.runs import Run, Track
from experiments.verdict import CLAIRVOYANT
from fundenv import metrics
from fundenv.dynamics.types import PARTS
from fundenv.market.frames import GENERATED
from fundenv.venues import VenueError, load_venue

Float64 = NDArray[np.float64]
DRAWS = 2000
SHORTEST_BLOCK = 5  # days
ENOUGH_SEEDS = 10
EMBARGO = pd.Timedelta("14D")  # the longest look-back of a feature that still matters


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Growth above the cash rate of one agent, per year, with its 95 % interval over days and seeds."""

    label: str
    seeds: int
    growth: float
    low: float
    high: float
    better: dict[str, float]  # other label -> share of the draws in which this agent's growth is higher
    draws: Float64  # (DRAWS,)


def daily(tracks: list[Track]) -> dict[str, list[pd.Series[float]]]:
    """Per label one series per seed: net log return of each UTC day, mean over the symbols (one equal account each)."""
    found: dict[str, dict[int, list[pd.Series[float]]]] = {}
    for track in tracks:
        curve = track.net_log()
        last = by_day(curve) if track.step_hours < 24 else curve
        found.setdefault(track.label, {}).setdefault(track.seed, []).append(last.diff().fillna(last))
    return {label: [pd.concat(seed, axis=1).mean(axis=1) for seed in seeds.values()] for label, seeds in found.items()}


def by_day(curve: pd.Series[float]) -> pd.Series[float]:
    """The last value of each UTC day; what ends at midnight belongs to the day that ends."""
    return curve.groupby((pd.DatetimeIndex(curve.index) - pd.Timedelta("1ns")).floor("D")).last()


def intervals(tracks: list[Track]) -> list[Interval]:
    """Intervals of all agents from the same draws of days, so that differences are paired; each draw also takes one of the agent's seeds."""
    series = daily(tracks)
    whole = pd.concat([one for seeds in series.values() for one in seeds], axis=1).fillna(0.0)
    values = whole.to_numpy(np.float64)
    per_year = len(values) / years(tracks)
    owner = np.repeat(np.arange(len(series)), [len(seeds) for seeds in series.values()])
    rng = np.random.default_rng(0)
    bootstrap = StationaryBootstrap(_block(values), values, seed=0)
    draws = np.empty((DRAWS, len(series)))
    for d, (data, _) in enumerate(bootstrap.bootstrap(DRAWS)):
        means = np.asarray(data)[0].mean(axis=0) * per_year
        for k in range(len(series)):
            own = np.flatnonzero(owner == k)
            draws[d, k] = means[rng.choice(own, len(own))].mean()
    labels = list(series)
    found = []
    for k, label in enumerate(labels):
        better = {other: _share(draws[:, k] - draws[:, j]) for j, other in enumerate(labels) if j != k}
        low, high = np.quantile(draws[:, k], [0.025, 0.975])
        found.append(
            Interval(
                label=label,
                seeds=len(series[label]),
                growth=float(values[:, owner == k].mean() * per_year),
                low=float(low),
                high=float(high),
                better=better,
                draws=draws[:, k],
            )
        )
    return found


def _share(difference: Float64) -> float:
    """Share of positive differences; one of exactly 0 counts half."""
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def years(tracks: list[Track]) -> float:
    """Length of the longest curve."""
    return max(len(track.steps) * track.step_hours for track in tracks) / metrics.HOURS_PER_YEAR


def _block(values: Float64) -> int:
    """Median of the optimal block lengths [days] of the series that move at all."""
    moving = [column for column in values.T if column.std() > metrics.NO_RISK]
    if not moving or len(values) < 20:
        return SHORTEST_BLOCK
    lengths = [float(optimal_block_length(column)["stationary"].iloc[0]) for column in moving]
    return int(np.clip(np.nanmedian(lengths), SHORTEST_BLOCK, max(SHORTEST_BLOCK, len(values) // 5)))


def median_seed(tracks: list[Track], label: str) -> int:
    """The seed of an agent whose growth is the median (the lower one of two): what details are shown of."""
    growth: dict[int, list[float]] = {}
    for track in tracks:
        if track.label == label:
            growth.setdefault(track.seed, []).append(float(track.net_log().iloc[-1]))
    ranked = sorted(growth, key=lambda seed: (float(np.mean(growth[seed])), seed))
    return ranked[(len(ranked) - 1) // 2]


def months(track: Track) -> pd.DataFrame:
    """Net log growth of each month, %: years down, months across; nan where there is none."""
    curve = track.net_log()
    start = pd.concat([pd.Series([0.0], index=[curve.index[0] - pd.Timedelta(hours=track.step_hours)]), curve])
    change = 100 * start.diff().dropna()
    began = pd.DatetimeIndex(change.index) - pd.Timedelta(hours=track.step_hours)  # a step belongs to the month in which it began
    table = change.groupby([began.year, began.month]).sum().unstack()
    return table.reindex(columns=range(1, 13))


def worst(track: Track, count: int = 5) -> list[dict[str, Any]]:
    """The deepest falls of equity from a peak to its recovery (or the end), each with the parts that made it, % of the peak, deepest first."""
    equity = track.equity
    times = [track.steps["time"].iloc[0] - pd.Timedelta(hours=track.step_hours), *track.steps["time"]]
    fall = metrics.drawdown(equity)
    found, start = [], 0
    for t in range(1, len(fall) + 1):
        if t < len(fall) and fall[t] > 0:
            continue
        if t - start > 1:
            trough = start + int(np.argmax(fall[start:t]))
            parts = 100 * track.parts[start:trough].sum(axis=0) / equity[start]
            found.append(
                {
                    "symbol": track.symbol, "depth": 100 * float(fall[trough]), "peak": times[start], "trough": times[trough],
                    "recovered": times[t] if t < len(fall) else None, "parts": dict(zip(PARTS, parts.tolist(), strict=True)),
                    "margin": float(track.steps["margin_distance"].iloc[start:trough].min()),
                    "liquidations": int(track.steps["liquidations"].iloc[start:trough].sum()),
                }
            )  # fmt: skip
        start = t
    return sorted(found, key=lambda item: -item["depth"])[:count]


def learns(label: str) -> bool:
    """Whether the agent of a label is a learner; an agent that this version does not know counts as a rule."""
    try:
        return agents.agent_class(label.split(" · ")[0]).learns
    except AgentError:
        return False


def foresees(label: str) -> bool:
    """Whether the agent of a label knows the future: a bound, and no opponent."""
    return label.split(" · ")[0] == CLAIRVOYANT


def best_rule(found: Sequence[Interval]) -> Interval | None:
    """The rule that grew most, of those that could have been traded; None where there is none."""
    return max((item for item in found if not learns(item.label) and not foresees(item.label)), key=lambda item: item.growth, default=None)


def cautions(run: Run) -> list[str]:
    """What a reader has to know before believing a run, one sentence each."""
    found = [f"{label} knows the future: a bound on what can be earned, and no opponent." for label in run.labels if foresees(label)]
    for label in run.labels:
        seeds = run.rows[(run.rows["label"] == label) & (run.rows["split"] == run.split)]["seed"].nunique()
        if label.split(" · ")[0].endswith("_ensemble"):
            found.append(f"{label}: one ensemble of trained seeds. How far another would differ is not known.")
        elif learns(label) and seeds < ENOUGH_SEEDS:
            found.append(
                f"{label}: {seeds} seed(s). Trainings differ by luck; fewer than {ENOUGH_SEEDS} seeds say little about the method."
            )
    found += _overlaps(run.provenance["markets"])
    years = max((len(t.steps) * t.step_hours / metrics.HOURS_PER_YEAR for t in run.tracks), default=0.0)
    if years < 1.9:
        found.append(
            f"The {run.split} span has {years:.2f} years; funding differs strongly between years, so one of them is one observation."
        )
    liquidated = sum(int(t.steps["liquidations"].sum()) for t in run.tracks)
    if liquidated:
        found.append(f"{liquidated} liquidation(s) happened on the {run.split} span, over all agents, seeds and symbols.")
    if run.split != "test":
        found.append(f"There is no test span here: everything below is on the span called {run.split}.")
    return found + _unsourced(run)


def _overlaps(markets: dict[str, Any]) -> list[str]:
    """A sentence for each symbol whose training span touches its test span, or comes nearer than the embargo."""
    found = []
    train, test = (markets.get(name, {"paths": []})["paths"] for name in ("train", "test"))
    for symbol, *span in train:
        first, last = (pd.Timestamp(edge) for edge in span)
        for other, *edges in test:
            begin, end = (pd.Timestamp(edge) for edge in edges)
            if other != symbol:
                continue
            if first <= end and begin <= last:
                found.append(f"{symbol}: training {first:%Y-%m-%d} .. {last:%Y-%m-%d} and test {begin:%Y-%m-%d} .. {end:%Y-%m-%d} overlap.")
            elif (gap := begin - last if begin > last else first - end) < EMBARGO:
                found.append(
                    f"{symbol}: training and test are only {gap / pd.Timedelta('1D'):.1f} days apart; features look back 14 days and more."
                )
            if begin < first:
                found.append(f"{symbol}: the test span lies before the training span, which no trader could have done.")
    return list(dict.fromkeys(found))


def _unsourced(run: Run) -> list[str]:
    """Which numbers of the venue no exchange document backs."""
    name = str(run.config.get("venue", "binance"))
    try:
        venue = load_venue(name)
    except VenueError as error:
        return [f"The venue file of the run cannot be read any more: {error}"]
    symbols = list(dict.fromkeys(part for label in run.symbols for part in label.split("+")))
    made_up = [symbol for symbol in symbols if symbol.startswith(GENERATED)]
    found = [f"{', '.join(made_up)}: a made-up market. Its figures say nothing about a real one."] if made_up else []
    keys = sorted({key for symbol in symbols for key in venue.unsourced(symbol)})
    return (
        [*found, f"Venue {name}: no exchange document backs {', '.join(keys)}; results that hang on them are assumptions."]
        if keys
        else found
    )


def subject(found: list[Interval]) -> str:
    """Whom a verdict is about: the best learner, or the best agent where none learns; one that knows the future only where there is no other."""
    ranked = _ranked(found)
    return next((item.label for item in ranked if learns(item.label)), ranked[0].label)


def _ranked(found: list[Interval]) -> list[Interval]:
    """The most growth first, whoever knows the future last."""
    return sorted(found, key=lambda item: (foresees(item.label), -item.growth))


def verdict(found: list[Interval], run: Run) -> str:
    """One paragraph: who earned most, whether it is told apart from the best rule and from cash, what it lived on and how near it came to death."""
    ranked = _ranked(found)
    best, rule = ranked[0], best_rule(found)
    learners = [item for item in ranked if learns(item.label)]
    said = [
        f"On the {run.split} span {best.label} grew most: {_percent(best)} a year above the cash rate of {100 * run.config['cash_rate']:g} %."
    ]
    if learners and rule is not None:
        said.append(_against(learners[0], rule))
    about = next(item for item in ranked if item.label == subject(found))
    said += [_told_from_cash(about), _living(about.label, run)]
    return " ".join(said)


def _percent(item: Interval) -> str:
    return f"{signed(item.growth)} % (95 % interval {signed(item.low)} .. {signed(item.high)})"


def signed(fraction: float) -> str:
    """A fraction in per cent with its sign; what rounds to nothing has none."""
    text = f"{100 * fraction:+.2f}"
    return "0.00" if float(text) == 0 else text


def _against(learner: Interval, rule: Interval) -> str:
    difference = learner.draws - rule.draws
    low, high = np.quantile(difference, [0.025, 0.975])
    word = "beats" if low > 0 else "loses to" if high < 0 else "cannot be told from"
    spread = f"difference {signed(learner.growth - rule.growth)} % a year, 95 % interval {signed(low)} .. {signed(high)}"
    return f"The best learner, {learner.label}, {word} the best rule, {rule.label} ({spread}; better in {100 * learner.better[rule.label]:.0f} % of the draws)."


def _told_from_cash(item: Interval) -> str:
    if item.low > 0:
        return f"{item.label} earns more than idle cash."
    if item.high < 0:
        return f"{item.label} earns less than idle cash: doing nothing would have been better."
    if item.low == item.high == 0 or max(abs(item.low), abs(item.high)) < 1e-9:
        return f"{item.label} earns exactly what idle cash earns: it did not trade."
    return f"{item.label} cannot be told from idle cash."


def _living(label: str, run: Run) -> str:
    rows = run.rows[(run.rows["label"] == label) & (run.rows["split"] == run.split)]
    if rows.empty:
        return ""
    funding, costs = rows["funding"].mean(), rows[["fees", "spread", "impact", "borrow_interest", "liquidation_loss"]].sum(axis=1).mean()
    price = rows[["spot_pnl", "perp_pnl"]].sum(axis=1).mean()
    distances = [float(t.steps["margin_distance"].min()) for t in run.tracks if t.label == label]
    liquidations = sum(int(t.steps["liquidations"].sum()) for t in run.tracks if t.label == label)
    died = f"it was liquidated {liquidations} time(s)" if liquidations else "it was never liquidated"
    near = f"at its nearest the margin was {min(distances):.1f} daily volatilities from liquidation"
    if not rows["turnover_per_year"].any():
        return "It never traded, so there is nothing that could have liquidated it."
    return (
        f"Its funding brought {signed(funding)} % a year, prices {signed(price)} %, costs {signed(costs)} %; the deepest fall of an account was "
        f"{100 * rows['max_drawdown'].max():.2f} %, {died}, and {near}."
    )
