"""From the tidy rows of a benchmark to its verdict: who is better than whom, by how much, and how
sure that is.

The score of a run on a symbol is its growth per year net of the cash rate, mean over the cash rates
of the comparison, at single costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.analysis.overfit import deflated
from experiments.analysis.statistics import (
    Interval,
    improvement_interval,
    interval,
    paired,
    profile,
)
from experiments.analysis.tables import Cells
from experiments.benchmarking.jobs import FINAL, learns
from experiments.benchmarking.trials import recipe_of
from fundenv.metrics import NO_RISK

Array = NDArray[np.float64]
CLAIRVOYANT, ALWAYS_ON = "clairvoyant", "carry"


def scores(
    tidy: pd.DataFrame, agent: str, *, cost: float = 1.0, column: str = "net_log_growth"
) -> Array:
    """(seeds, symbols) of one agent, mean over the cash rates (and folds); symbols in alphabetical
    order.
    """
    own = tidy[(tidy["agent"] == agent) & (tidy["cost"] == cost)]
    return own.pivot_table(index="seed", columns="symbol", values=column, aggfunc="mean").to_numpy()


def daily_means(daily: pd.DataFrame, agent: str) -> pd.Series:
    """Daily net log return of an agent, mean over its seeds, the symbols and the cash rates:
    capital spread evenly.
    """
    return daily[daily["agent"] == agent].groupby("time")["net"].mean()


def choose(tidy: pd.DataFrame, agent: str) -> int:
    """The candidate of a learner with the highest interquartile mean on the validation pieces of
    all folds; the first of equals.
    """
    own = tidy[tidy["agent"] == agent]
    merit = {
        c: interval(scores(own[own["candidate"] == c], agent), draws=1).value
        for c in sorted(own["candidate"].unique())
    }
    return int(max(merit, key=lambda c: merit[c]))


def standings(tidy: pd.DataFrame, cash_rates: Sequence[float]) -> Cells:
    """One line per agent: IQM with interval, growth at every cash rate, at double costs, share of
    the bound, worst seed, risk.
    """
    table = [
        [
            "agent",
            "growth (IQM)",
            "95 %",
            *(f"at {100 * rate:g} %" for rate in cash_rates),
            "2x costs",
            "of bound",
        ]
    ]
    table[0] += ["worst seed", "drawdown", "liq.", "turnover", "in market"]
    for agent in tidy["agent"].unique():
        own = tidy[(tidy["agent"] == agent) & (tidy["cost"] == 1.0)]
        found = interval(scores(tidy, agent))
        rates = [
            100 * own[own["cash_rate"] == rate]["net_log_growth"].mean() for rate in cash_rates
        ]
        double = scores(tidy, agent, cost=2.0)
        table.append(
            [
                agent,
                f"{100 * found.value:+.2f}",
                _span(found),
                *(f"{rate:+.2f}" for rate in rates),
                f"{100 * double.mean():+.2f}" if double.size else "",
                _share(tidy, agent),
                f"{100 * scores(tidy, agent).mean(axis=1).min():+.2f}",
                f"{100 * own['max_drawdown'].mean():.2f}",
                f"{own['liquidations_per_year'].mean():.2f}",
                f"{own['turnover_per_year'].mean():.1f}",
                f"{own['time_in_market'].mean():.2f}",
            ]
        )
    return table


def terms(tidy: pd.DataFrame) -> Cells:
    """One line per agent: growth at every cash rate, at double costs, and in every fold, % a year;
    mean over symbols and seeds.
    """
    final = tidy[tidy["fold"] == FINAL]
    rates, folds = sorted(final["cash_rate"].unique()), sorted(set(tidy["fold"]) - {FINAL})
    table = [
        [
            "agent",
            *(f"at {100 * rate:g} %" for rate in rates),
            "mean",
            "2x costs",
            *(f"fold {fold + 1}" for fold in folds),
        ]
    ]
    for agent in final["agent"].unique():
        own = final[(final["agent"] == agent) & (final["cost"] == 1.0)]
        pieces = [tidy[(tidy["fold"] == fold)] for fold in folds]
        values = [own[own["cash_rate"] == rate]["net_log_growth"].mean() for rate in rates]
        values += [
            scores(each, agent, cost=cost).mean()
            for each, cost in ((final, 1.0), (final, 2.0), *((piece, 1.0) for piece in pieces))
        ]
        # never -0.00
        table.append([str(agent), *(f"{round(100 * value, 2) + 0.0:+.2f}" for value in values)])
    return table


def duels(tidy: pd.DataFrame, daily: pd.DataFrame) -> Cells:
    """One line per learner and rule: probability of improvement, and the paired test of daily
    returns.
    """
    table = [["learner", "rule", "P(improvement)", "95 %", "difference, %/year", "95 %", "p"]]
    names = list(tidy["agent"].unique())
    for learner in (name for name in names if learns(name)):
        for rule in (name for name in names if not learns(name) and name != CLAIRVOYANT):
            better = improvement_interval(scores(tidy, learner), scores(tidy, rule))
            mine, other = daily_means(daily, learner).align(daily_means(daily, rule), join="inner")
            test = paired(mine.to_numpy(), other.to_numpy())
            table.append(
                [
                    learner,
                    rule,
                    f"{better.value:.2f}",
                    _span(better, 1.0),
                    f"{36500 * test.value:+.2f}",
                    _span(Interval(test.value, test.low, test.high), 36500),
                    f"{test.p_value:.3f}" if np.isfinite(test.p_value) else "",
                ]
            )
    return table


def luck(tidy: pd.DataFrame, daily: pd.DataFrame, others: pd.DataFrame) -> Cells:
    """One line per learner: Sharpe ratio of its mean daily returns, the configurations tried, those
    of them that left no figure, and the deflated Sharpe ratio.

    others: configurations tried besides, as `experiments.benchmarking.trials.others` gives them.
    """
    table = [["learner", "sharpe", "configurations tried", "without a figure", "deflated sharpe"]]
    returns = {
        name: daily_means(daily, name).to_numpy() for name in tidy["agent"].unique() if learns(name)
    }
    sharpes = {
        name: float(own.mean()) / spread if (spread := float(own.std(ddof=1))) > NO_RISK else 0.0
        for name, own in returns.items()
    }
    for learner, own in returns.items():
        here = [value for name, value in sharpes.items() if recipe_of(name) == recipe_of(learner)]
        trials = np.r_[
            here,
            others[others["agent"].map(recipe_of) == recipe_of(learner)]["daily_sharpe"].to_numpy(
                float
            ),
        ]
        unknown = int(np.isnan(trials).sum())
        table.append(
            [
                learner,
                f"{sharpes[learner] * 365**0.5:.2f}",
                str(len(trials)),
                str(unknown),
                f"{deflated(own, trials):.2f}",
            ]
        )
    return table


def profiles(tidy: pd.DataFrame, points: int = 201) -> pd.DataFrame:
    """Performance profiles: share of runs and symbols above each growth, a column per agent."""
    merits = {agent: scores(tidy, agent) for agent in tidy["agent"].unique()}
    low, high = min(x.min() for x in merits.values()), max(x.max() for x in merits.values())
    at = np.linspace(low - 0.002, high + 0.002, points)
    return pd.DataFrame(
        {"growth": at} | {agent: profile(values, at) for agent, values in merits.items()}
    )


def picture(tidy: pd.DataFrame, path: Path) -> None:
    """Interquartile means with intervals beside the performance profiles, PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(tidy["agent"].unique())
    colours = dict(zip(names, plt.get_cmap("tab10").colors * 2, strict=False))  # type: ignore[attr-defined]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 0.45 * len(names) + 2.2), constrained_layout=True
    )
    for row, agent in enumerate(reversed(names)):
        found = interval(scores(tidy, agent))
        if np.isfinite(found.low):
            left.plot(
                [100 * found.low, 100 * found.high],
                [row, row],
                color=colours[agent],
                linewidth=6,
                alpha=0.4,
                solid_capstyle="butt",
            )
        left.plot(100 * found.value, row, "o", color=colours[agent])
    left.set_yticks(range(len(names)), reversed(names))
    left.axvline(0, color="0.7", linewidth=1)
    left.set_xlabel("net growth, % per year: interquartile mean and 95 % interval")
    curves = profiles(tidy)
    for agent in names:
        right.plot(
            100 * curves["growth"],
            curves[agent],
            color=colours[agent],
            label=agent,
            linewidth=2 if learns(agent) else 1.2,
        )
    right.set_xlabel("net growth, % per year")
    right.set_ylabel("share of seeds x symbols above")
    right.legend(fontsize=8, frameon=False)
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, dpi=110)
    plt.close(figure)
    partial.replace(path)


def sections(
    tidy: pd.DataFrame, daily: pd.DataFrame, cash_rates: Sequence[float], others: pd.DataFrame
) -> list[tuple[str, Cells]]:
    """Headings and tables of the verdict; `others` as for `luck`."""
    final, folds = tidy[tidy["fold"] == FINAL], tidy[tidy["fold"] != FINAL]
    shown = [("## Verdict on the test span", standings(final, cash_rates))]
    if any(learns(name) for name in final["agent"].unique()):
        test = daily[daily["fold"] == FINAL]
        shown += [
            ("### Learners against rules", duels(final, test)),
            ("### Luck of the search", luck(final, test, others)),
        ]
    if len(folds):
        shown.append(
            (
                "## Walk forward within the training span (validation pieces)",
                standings(folds, cash_rates),
            )
        )
    return shown


def _share(tidy: pd.DataFrame, agent: str) -> str:
    """(agent - always-on) / (clairvoyant - always-on), of mean growth."""
    if not {CLAIRVOYANT, ALWAYS_ON} <= set(tidy["agent"]):
        return ""
    base, bound, own = (scores(tidy, name).mean() for name in (ALWAYS_ON, CLAIRVOYANT, agent))
    return f"{100 * (own - base) / (bound - base):.0f} %" if bound > base else ""


def _span(found: Interval, factor: float = 100) -> str:
    return (
        f"{factor * found.low:+.2f} .. {factor * found.high:+.2f}" if np.isfinite(found.low) else ""
    )


def rows_of(parts: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The tidy rows of all parts."""
    return pd.DataFrame([row for part in parts for row in part["tidy"]])
