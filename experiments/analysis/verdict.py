"""What a comparison says in words: who earned most, how sure that is, and what it lived on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from experiments.analysis.cautions import cautions
from experiments.analysis.comparison import Comparison, Duel, Standing
from experiments.analysis.printers import span
from experiments.analysis.statistics import LEAST_SEEDS
from experiments.analysis.tables import number, signed


def with_words(
    comparison: Comparison, markets: dict[str, Any], config: Mapping[str, Any]
) -> Comparison:
    """The comparison with its sentences and cautions.

    Args:
        markets: name -> `experiments.core.provenance.describe`, as provenance.json has them.
        config: settings of the run, of which `venue`, `venues` and `venue_date` are read.
    """
    return replace(
        comparison,
        verdict=tuple(verdict(comparison)),
        cautions=tuple(cautions(comparison, markets, config)),
    )


def subject(comparison: Comparison) -> Standing:
    """Whom the verdict is about: the best learner, or the best agent where none learns; one that
    knows the future only where there is no other.
    """
    ranked = _ranked(comparison)
    return next((each for each in ranked if each.kind == "learner"), ranked[0])


def best_rule(comparison: Comparison) -> Standing | None:
    """The rule that grew most; None where there is none."""
    return next((each for each in _ranked(comparison) if each.kind == "rule"), None)


def _ranked(comparison: Comparison) -> list[Standing]:
    """The most growth first, whoever knows the future last."""
    return sorted(comparison.standings, key=lambda each: (each.kind == "bound", -each.growth))


def verdict(comparison: Comparison) -> list[str]:
    """Sentences: the best agent, the best learner against the best rule, what it lived on, and how
    near it was to liquidation.
    """
    best, about = _ranked(comparison)[0], subject(comparison)
    said = [
        f"On the {comparison.span} span {best.agent} grew most: {signed(best.growth)} % a year"
        f" above {comparison.cash()}{_within(best)}."
    ]
    rule = best_rule(comparison)
    duel = next(
        (
            each
            for each in comparison.duels
            if rule is not None and (each.agent, each.other) == (about.agent, rule.agent)
        ),
        None,
    )
    if duel is not None and about.kind == "learner":
        said.append(_against(about, duel))
    return [*said, _told_from_cash(about), _lived_on(about)]


def _within(item: Standing) -> str:
    ends = span(item.low, item.high)
    return f" (95 % interval {ends})" if ends else ""


def _against(learner: Standing, duel: Duel) -> str:
    ends = span(duel.low, duel.high)
    size = f"{number(100 * abs(duel.difference))} % a year"
    size += " less" if signed(duel.difference).startswith("-") else " more"
    within = f"95 % interval of the difference {ends}; " if ends else ""
    if duel.statement:
        return (
            f"The best learner, {learner.agent}, grew {size} than the best rule, {duel.other}"
            f" ({within}{duel.statement} about its method, which takes {LEAST_SEEDS} seeds or"
            " more)."
        )
    low, high = duel.low or 0.0, duel.high or 0.0
    word = "beats" if low > 0 else "loses to" if high < 0 else "cannot be told from"
    return (
        f"The best learner, {learner.agent}, {word} the best rule, {duel.other}: it grew {size}"
        f" ({within}P {number(duel.improvement or 0.0)})."
    )


def _told_from_cash(item: Standing) -> str:
    if item.turnover_per_year == 0:
        return f"{item.agent} earned exactly what idle cash earns: it did not trade."
    if item.low is not None and item.low > 0:
        return f"{item.agent} earned more than idle cash."
    if item.high is not None and item.high < 0:
        return f"{item.agent} earned less than idle cash."
    return f"{item.agent} cannot be told from idle cash."


def _lived_on(item: Standing) -> str:
    if item.turnover_per_year == 0:
        return "Nothing could have liquidated it."
    ruined = (
        f"it was liquidated {number(item.liquidations_per_year)} times a year"
        if item.liquidations_per_year
        else "it was never liquidated"
    )
    near = (
        ""
        if item.nearest_margin is None
        else (
            f"; at its nearest the margin was {number(item.nearest_margin, 1)} daily volatilities"
            " from liquidation"
        )
    )
    return (
        f"Its funding brought {signed(item.funding)} % a year, prices {signed(item.price)} %, costs"
        f" {signed(item.costs)} %; the deepest fall of an account was"
        f" {number(100 * item.deepest_fall)} %, and {ruined}{near}."
    )
