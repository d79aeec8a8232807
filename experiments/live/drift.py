"""Compare the assumptions of a paper account with reality: differences, their intervals and alarms,
and the share of the planned capital that the results support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.analysis.statistics import LEAST_DAYS, block_length, paired
from experiments.core.run_folder import RunError
from experiments.live import reality
from experiments.rollout.rollout import Rollout, read_rollouts
from fundenv import metrics
from fundenv.live import Paper

Array = NDArray[np.float64]
TOLERANCE_BP = 1.0  # of the price; costs that exceed those assumed by less are no alarm
RATE_BP = 0.2  # per interval; a smaller error of the estimate is no alarm
SCALE_DAYS = 14  # days of results before the report names a scale
DRAWS = 2000
_NAN = float("nan")


class Line(NamedTuple):
    """One comparison: the mean of `n` values and the ends of its 95 % interval, NaN where the
    values are too few.
    """

    name: str
    unit: str
    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A drift report. alarms: a sentence for each. notes: comparisons that were not possible.
    scale: see `scale_of`; None before `SCALE_DAYS`.
    """

    decisions: int
    days: int
    lines: list[Line]
    alarms: list[str]
    notes: list[str]
    scale: tuple[float, float, float] | None

    def record(self) -> dict[str, Any]:
        """The report as JSON values; unknown values are null."""
        lines = [
            {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in x._asdict().items()}
            for x in self.lines
        ]
        return asdict(self) | {"lines": lines}


def drift(paper: Paper, band: Path | None = None) -> Drift:
    """The report of a paper account. band: run folder of `evaluate` or `benchmark` with rollouts of
    the same agent, whose windows of as many days are the band of the backtest.

    Raises `RunError` where that folder has no such rollouts.
    """
    notes: list[str] = []
    alarms: list[str] = []
    fills, books, rates = reality.fills(paper), reality.books(paper), reality.rates(paper)
    lines = _costs(fills, books, alarms) + _rates(rates, alarms)
    if not len(fills):
        notes.append("no fill has been compared with a book yet")
    net = daily(paper)
    days = 0 if net is None else len(net)
    scale = None
    if net is not None and days:
        lines.append(_line("net growth a day", "bp", 1e4 * net))
        expected = None if band is None else _backtest(paper, band)
        if expected is not None:
            _within(net, expected, lines, alarms, notes)
        least = None if expected is None else float(np.var(expected, ddof=1))
        if days >= SCALE_DAYS:
            scale = scale_of(net - _extra(paper, fills, days), least)
    if scale is None:
        notes.append(f"no scale of capital before {SCALE_DAYS} days of results; there are {days}")
    return Drift(
        decisions=len(paper.account.decisions),
        days=days,
        lines=lines,
        alarms=alarms,
        notes=notes,
        scale=scale,
    )


def daily(paper: Paper) -> Array | None:
    """Log growth net of the cash rate on each whole day (days,), mean of the accounts; None before
    the first one.
    """
    steps = paper.account.steps
    hours = paper.account.step_ms / 3_600_000
    if len(steps) * hours < 24:
        return None
    start = float(paper.plan.settings["initial_equity"])
    equity = np.vstack([np.full(len(steps[0].equity), start), [step.equity for step in steps]])
    rate = float(paper.plan.settings["cash_rate"])
    series = [
        metrics.daily_net_log_returns(own, step_hours=hours, cash_rate=rate) for own in equity.T
    ]
    return np.asarray(np.mean(series, axis=0))


def scale_of(net: Array, variance: float | None = None) -> tuple[float, float, float]:
    """(share of the planned capital to begin with, median share, share of the draws whose mean is
    above 0).

    The share is the growth-optimal one (Kelly): mean over variance of the daily growth above cash,
    limited to 0 .. 1. It is computed for each draw of a stationary bootstrap of the days. The first
    value is its 5 % quantile: one in 20 such histories supports less. variance: the smallest
    variance to use, because a few weeks may hold none of the bad days of a backtest.
    """
    rng = np.random.default_rng(0)
    block = block_length(net) if np.ptp(net) > 1e-15 else 1.0
    drawn = net[_blocks(len(net), block, rng)]
    means = drawn.mean(axis=1)
    spread = np.maximum(drawn.var(axis=1, ddof=1), max(variance or 0.0, 1e-12))
    shares = np.clip(means / spread, 0.0, 1.0)
    low, middle = np.quantile(shares, (0.05, 0.5))
    return float(low), float(middle), float((means > 0).mean())


def text(report: Drift, name: str) -> str:
    """The report for the screen."""
    out = [f"{name}: {report.decisions} decisions, {report.days} whole days"]
    for line in report.lines:
        ends = "" if np.isnan(line.low) else f"  95 % {line.low:+.2f} .. {line.high:+.2f}"
        out.append(f"  {line.name:<44}{line.mean:+8.2f} {line.unit:<4}{ends}  ({line.n})")
    out += [f"  ALARM  {alarm}" for alarm in report.alarms]
    out += [f"  note   {note}" for note in report.notes]
    if report.scale is not None:
        low, middle, chance = report.scale
        out.append(
            f"  scale  begin with {100 * low:.0f} % of the planned capital (median"
            f" {100 * middle:.0f} %; above cash in {100 * chance:.0f} % of the draws)"
        )
    return "\n".join(out)


def _costs(fills: pd.DataFrame, books: pd.DataFrame, alarms: list[str]) -> list[Line]:
    found = []
    for leg in ("perp", "spot"):
        for table, what in (
            (fills, "price at once, worse than assumed"),
            (books, "half-spread over assumed"),
        ):
            own = table[table["leg"] == leg]
            if not len(own):
                continue
            line = _line(f"{leg} {what}", "bp", _by_decision(own, "extra_bp"))
            found.append(line)
            if line.low > 0 and line.mean > TOLERANCE_BP:
                alarms.append(f"{line.name}: {line.mean:+.2f} bp, 95 % above {line.low:+.2f}")
            if table is fills:
                paid = _by_decision(own, "size_bp")
                found.append(_line(f"{leg} paid beyond the best price, for its size", "bp", paid))
    return found


def _rates(rates: pd.DataFrame, alarms: list[str]) -> list[Line]:
    if not len(rates):
        return []
    off = rates.assign(
        bias=rates["settled"] - rates["expected"],
        gain=(rates["settled"] - rates["last"]).abs()
        - (rates["settled"] - rates["expected"]).abs(),
    )
    bias = _line("funding, settled less expected", "bp", _by_decision(off, "bias"))
    if (bias.low > 0 or bias.high < 0) and abs(bias.mean) > RATE_BP:
        alarms.append(f"{bias.name}: {bias.mean:+.2f} bp of an interval")
    gain = _by_decision(off, "gain")
    return [bias, _line("venue's estimate nearer than the last rate", "bp", gain)]


def _by_decision(table: pd.DataFrame, column: str) -> Array:
    """The mean over the coins at each decision, because their values are correlated."""
    return table.groupby("decision", sort=True)[column].mean().to_numpy(float)


def _line(name: str, unit: str, values: Array) -> Line:
    found = paired(values, np.zeros(len(values)))
    low, high = found.low, found.high
    if len(values) >= LEAST_DAYS and np.ptp(values) < 1e-15:
        low = high = found.value  # all values are equal: the bootstrap has no spread
    return Line(name, unit, len(values), found.value, low, high)


def _backtest(paper: Paper, band: Path) -> Array:
    """Daily net growth of the agent in a backtest, mean of the symbols that have the day."""
    own: Sequence[Rollout] = [
        item
        for item in read_rollouts(band, "test")
        if item.agent == paper.account.agent.name
        and set(item.symbol.split("+")) <= set(paper.plan.symbols)
    ]
    if not own:
        raise RunError(
            f"--band {band}: no rollout of {paper.account.agent.name} on"
            f" {' '.join(paper.plan.symbols)}; evaluate the agent into it"
        )
    series = pd.concat([item.daily().set_index("time")["net"] for item in own], axis=1)
    return np.asarray(series.mean(axis=1).to_numpy(float))


def _within(
    net: Array, expected: Array, lines: list[Line], alarms: list[str], notes: list[str]
) -> None:
    """Compare the mean with those of all windows of the backtest that are as long."""
    days = len(net)
    if len(expected) < 5 * days:
        notes.append(f"the backtest has {len(expected)} days: too few windows of {days}")
        return
    sums = np.concatenate([[0.0], np.cumsum(expected)])
    means = 1e4 * (sums[days:] - sums[:-days]) / days
    low, high = np.quantile(means, (0.025, 0.975))
    own = 1e4 * float(net.mean())
    lines.append(Line(f"the same in the backtest, any {days} days", "bp", len(means),
                      float(means.mean()), float(low), float(high)))  # fmt: skip
    if not low <= own <= high:
        side = "below" if own < low else "above"
        alarms.append(f"net growth of {own:+.2f} bp a day is {side} 95 % of the backtest's windows")


def _extra(paper: Paper, fills: pd.DataFrame, days: int) -> float:
    """The cost of the fills above the assumed one, as growth a day."""
    if not len(fills):
        return 0.0
    equity = float(paper.plan.settings["initial_equity"]) * len(paper.account.steps[0].equity)
    return float((fills["value"] * fills["extra_bp"]).sum()) / 1e4 / equity / days


def _blocks(length: int, block: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Days of each draw (DRAWS, length): blocks of geometric length; after the last day follows the
    first.
    """
    starts = rng.integers(0, length, (DRAWS, length))
    new = rng.random((DRAWS, length)) < 1.0 / block
    new[:, 0] = True
    begun = np.maximum.accumulate(np.where(new, np.arange(length), 0), axis=1)
    first = np.take_along_axis(starts, begun, axis=1)
    return np.asarray((first + np.arange(length) - begun) % length)
