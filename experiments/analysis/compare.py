"""Computes the comparison of a run from its tidy rows and its daily returns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.analysis.comparison import (
    ALWAYS_ON,
    CLAIRVOYANT,
    COSTS,
    PRICE,
    Comparison,
    Duel,
    Luck,
    Standing,
    kind_of,
    no_statement,
)
from experiments.analysis.overfit import deflated
from experiments.analysis.statistics import (
    LEAST_SEEDS,
    Interval,
    improvement_interval,
    iqm,
    paired,
    seed_interval,
)
from fundenv.metrics import sharpe

Array = NDArray[np.float64]
FINAL = -1  # fold number of what is judged on the test span
DAYS = 365


def recipe_of(learner: str) -> str:
    """The learner whose trials a learner shares: an ensemble those of its members, a learner on a
    device those of the usual one.
    """
    return learner.removesuffix("_ensemble").removeprefix("device_")


def compare(
    tidy: pd.DataFrame,
    daily: pd.DataFrame,
    cash_rates: Sequence[float],
    *,
    span: str,
    others: pd.DataFrame | None = None,
) -> Comparison:
    """The comparison of all agents of a run, without its cautions and its sentences.

    Args:
        tidy: a row per agent, candidate, fold, symbol, seed, cash rate and cost, as
        `experiments.benchmarking.evaluation.tidy_rows` makes them. daily: net log returns per day
        at single costs, same keys. others: configurations tried besides, as
        `experiments.benchmarking.trials.others` gives them; None: no judgement of the search.
    """
    final, folds = tidy[tidy["fold"] == FINAL], tidy[tidy["fold"] != FINAL]
    test = daily[daily["fold"] == FINAL]
    pieces = daily[daily["fold"] != FINAL]
    names = list(final["agent"].unique())
    return Comparison(
        span=span,
        years=float(final["years"].max()),
        cash_rates=tuple(cash_rates),
        standings=tuple(_standing(final, test, name, folds) for name in names),
        duels=tuple(_duels(final, test)),
        luck=() if others is None else tuple(judge_luck(names, test, others)),
        folds=tuple(_standing(folds, pieces, name, folds) for name in folds["agent"].unique()),
    )


def scores(
    tidy: pd.DataFrame, agent: str, *, cost: float = 1.0, column: str = "net_log_growth"
) -> Array:
    """(seeds, symbols) of one agent, mean over the cash rates (and folds); symbols in alphabetical
    order.
    """
    own = tidy[(tidy["agent"] == agent) & (tidy["cost"] == cost)]
    return own.pivot_table(index="seed", columns="symbol", values=column, aggfunc="mean").to_numpy()


def daily_means(daily: pd.DataFrame, agent: str) -> pd.DataFrame:
    """Daily net log returns of an agent, (days, seeds), mean over the symbols and the cash rates:
    capital spread evenly.
    """
    own = daily[daily["agent"] == agent]
    return own.pivot_table(index="time", columns="seed", values="net", aggfunc="mean")


def choose(tidy: pd.DataFrame, agent: str) -> int:
    """The candidate of a learner with the highest interquartile mean on the validation pieces of
    all folds; the first of equals.
    """
    own = tidy[tidy["agent"] == agent]
    candidates = sorted(own["candidate"].unique())
    return int(max(candidates, key=lambda c: iqm(scores(own[own["candidate"] == c], agent))))


def _standing(tidy: pd.DataFrame, daily: pd.DataFrame, agent: str, folds: pd.DataFrame) -> Standing:
    own = tidy[(tidy["agent"] == agent) & (tidy["cost"] == 1.0)]
    merit, double = scores(tidy, agent), scores(tidy, agent, cost=2.0)
    found, days = seed_interval(merit), daily_means(daily, agent)
    over_days = paired(days.to_numpy(), np.zeros((len(days), 1)))
    parts = own[[*PRICE, *COSTS, "funding", "cash_interest"]].mean()
    mine = folds[(folds["agent"] == agent) & (folds["cost"] == 1.0)]
    return Standing(
        agent=agent,
        kind=kind_of(agent),
        seeds=len(merit),
        growth=float(merit.mean()),
        low=_known(over_days.low * DAYS),
        high=_known(over_days.high * DAYS),
        iqm=found.value,
        iqm_low=_known(found.low),
        iqm_high=_known(found.high),
        by_seed=_means(own, "seed"),
        by_cash_rate=_means(own, "cash_rate"),
        by_fold=_means(mine, "fold"),
        double_costs=float(double.mean()) if double.size else None,
        of_bound=_share(tidy, agent),
        worst_seed=float(merit.mean(axis=1).min()),
        sharpe=float(own["sharpe"].mean()),
        max_drawdown=float(own["max_drawdown"].mean()),
        deepest_fall=float(own["max_drawdown"].max()),
        liquidations_per_year=float(own["liquidations_per_year"].mean()),
        turnover_per_year=float(own["turnover_per_year"].mean()),
        time_in_market=float(own["time_in_market"].mean()),
        nearest_margin=_known(float(own["nearest_margin"].min())),
        funding=float(parts["funding"]),
        price=float(parts[list(PRICE)].sum()),
        costs=float(parts[list(COSTS)].sum()),
        cash=float(parts["cash_interest"]),
    )


def _duels(tidy: pd.DataFrame, daily: pd.DataFrame) -> list[Duel]:
    """Each learner against each rule; the best rule against the others where nobody learns."""
    names = list(tidy["agent"].unique())
    learners = [name for name in names if kind_of(name) == "learner"]
    rules = [name for name in names if kind_of(name) == "rule"]
    about = learners or sorted(rules, key=lambda name: -scores(tidy, name).mean())[:1]
    return [_duel(tidy, daily, mine, other) for mine in about for other in rules if other != mine]


def _duel(tidy: pd.DataFrame, daily: pd.DataFrame, mine: str, other: str) -> Duel:
    own, against = daily_means(daily, mine).align(daily_means(daily, other), join="inner", axis=0)
    test = paired(own.to_numpy(), against.to_numpy())
    merit = scores(tidy, mine)
    seeded = kind_of(mine) == "learner"  # a rule has no seeds, so no chance that one beats another
    few = seeded and len(merit) < LEAST_SEEDS
    better = improvement_interval(merit, scores(tidy, other)) if seeded and not few else _NOTHING
    return Duel(
        agent=mine,
        other=other,
        difference=DAYS * test.value,
        low=_known(DAYS * test.low),
        high=_known(DAYS * test.high),
        improvement=_known(better.value),
        improvement_low=_known(better.low),
        improvement_high=_known(better.high),
        p_value=None if few else _known(test.p_value),
        statement=no_statement(len(merit)) if few else "",
    )


def judge_luck(names: Sequence[str], daily: pd.DataFrame, others: pd.DataFrame) -> list[Luck]:
    """Deflated Sharpe ratio of each learner among `names`; the learners of one recipe count as each
    other's trials. others: as of `compare`.
    """
    returns = {
        name: daily_means(daily, name).mean(axis=1).to_numpy()
        for name in names
        if kind_of(name) == "learner"
    }
    ratios = {name: sharpe(own, days_per_return=DAYS) for name, own in returns.items()}
    recipes = others["agent"].map(recipe_of)
    found = []
    for learner, own in returns.items():
        recipe = recipe_of(learner)
        here = [value for name, value in ratios.items() if recipe_of(name) == recipe]
        trials = np.r_[here, others[recipes == recipe]["daily_sharpe"].to_numpy(float)]
        found.append(
            Luck(
                agent=learner,
                sharpe=ratios[learner] * DAYS**0.5,
                configurations=len(trials),
                without_figure=int(np.isnan(trials).sum()),
                deflated_sharpe=deflated(own, trials),
            )
        )
    return found


def _share(tidy: pd.DataFrame, agent: str) -> float | None:
    """(agent - always-on) / (clairvoyant - always-on), of mean growth."""
    if not {CLAIRVOYANT, ALWAYS_ON} <= set(tidy["agent"]):
        return None
    base, bound, own = (scores(tidy, name).mean() for name in (ALWAYS_ON, CLAIRVOYANT, agent))
    return float((own - base) / (bound - base)) if bound > base else None


def _means(own: pd.DataFrame, column: str) -> dict[str, float]:
    """Mean growth by the values of a column, which become texts as JSON wants them."""
    means = own.groupby(column)["net_log_growth"].mean()
    return {f"{key:g}": float(value) for key, value in means.items()}


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


_NOTHING = Interval(float("nan"), float("nan"), float("nan"))
