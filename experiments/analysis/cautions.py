"""What a reader has to know before believing a comparison."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from experiments.analysis.comparison import Comparison, Standing, no_statement
from experiments.analysis.statistics import LEAST_SEEDS
from fundenv.market.files.frames import GENERATED
from fundenv.venues import VenueError, load_venue

ENOUGH_SEEDS = 10
EMBARGO = pd.Timedelta("14D")  # the longest look-back of a feature that still matters


def cautions(
    comparison: Comparison, markets: dict[str, Any], venue: str, venue_date: str | None = None
) -> list[str]:
    """One sentence each; arguments as of `experiments.analysis.verdict.with_words`."""
    judged = markets.get(comparison.span, {"paths": []})
    found = [
        f"{each.agent} knows the future: a bound on what can be earned, and no baseline."
        for each in comparison.standings
        if each.kind == "bound"
    ]
    found += [line for each in comparison.standings if (line := _few_seeds(each))]
    found += _accepted(markets)
    found += overlaps(markets)
    if comparison.years < 1.9:
        found.append(
            f"The {comparison.span} span has {comparison.years:.2f} years; funding differs strongly"
            " between years, so one of them is one observation."
        )
    liquidated = [each.agent for each in comparison.standings if each.liquidations_per_year > 0]
    if liquidated:
        found.append(
            f"Accounts were liquidated on the {comparison.span} span: {', '.join(liquidated)}."
        )
    if comparison.span != "test":
        found.append(
            f"There is no test span here: everything is judged on the span {comparison.span}."
        )
    symbols = list(
        dict.fromkeys(part for label, *_ in judged["paths"] for part in label.split("+"))
    )
    found += _made_up(symbols) + _venue(venue, symbols)
    return found + _brackets(venue, judged["paths"], venue_date)


def _few_seeds(item: Standing) -> str:
    if item.kind != "learner":
        return ""
    if item.agent.endswith("_ensemble"):
        return (
            f"{item.agent}: one ensemble of trained seeds. How far another would differ is not"
            " known."
        )
    if item.seeds < LEAST_SEEDS:
        return (
            f"{item.agent}: {no_statement(item.seeds)} about its method. Trainings differ by luck."
        )
    if item.seeds < ENOUGH_SEEDS:
        return (
            f"{item.agent}: {item.seeds} seeds. Trainings differ by luck; fewer than {ENOUGH_SEEDS}"
            " seeds say little about the method."
        )
    return ""


def overlaps(markets: dict[str, Any]) -> list[str]:
    """A sentence for each symbol whose training span touches its test span, or comes nearer than
    the embargo.
    """
    found = []
    train, test = (markets.get(name, {"paths": []})["paths"] for name in ("train", "test"))
    for symbol, *own in train:
        first, last = (pd.Timestamp(edge) for edge in own)
        for other, *edges in test:
            begin, end = (pd.Timestamp(edge) for edge in edges)
            if other != symbol:
                continue
            if first <= end and begin <= last:
                found.append(
                    f"{symbol}: training {first:%Y-%m-%d} .. {last:%Y-%m-%d} and test"
                    f" {begin:%Y-%m-%d} .. {end:%Y-%m-%d} overlap."
                )
            elif (gap := begin - last if begin > last else first - end) < EMBARGO:
                found.append(
                    f"{symbol}: training and test are only {gap / pd.Timedelta('1D'):.1f} days"
                    " apart; features look back 14 days and more."
                )
            if begin < first:
                found.append(
                    f"{symbol}: the test span lies before the training span, which no trader could"
                    " have done."
                )
    return list(dict.fromkeys(found))


def _made_up(symbols: Iterable[str]) -> list[str]:
    own = [symbol for symbol in symbols if symbol.startswith(GENERATED)]
    return (
        [f"{', '.join(own)}: a made-up market. Its figures say nothing about a real one."]
        if own
        else []
    )


def _venue(name: str, symbols: Iterable[str]) -> list[str]:
    """Which rules were in force, and which of their numbers no exchange document backs."""
    try:
        venue = load_venue(name)
    except VenueError as error:
        return [f"The venue file of the run cannot be read any more: {error}"]
    keys = sorted({key for symbol in symbols for key in venue.unsourced(symbol)})
    if not keys:
        return []
    return [
        f"Venue {name}: no exchange document backs {', '.join(keys)}; results that hang on them are"
        " assumptions."
    ]


def _brackets(name: str, paths: Iterable[list[str]], venue_date: str | None) -> list[str]:
    """Which bracket tables of each real symbol held over the span, or on the date of the config."""
    try:
        venue = load_venue(name)
    except VenueError:  # `_venue` says so
        return []
    found = []
    for label, *span in paths:
        first, last = (pd.Timestamp(venue_date or edge).date() for edge in span)
        for symbol in label.split("+"):
            if symbol.startswith(GENERATED):
                continue
            tables = venue.brackets_in_force(symbol, first, last)
            days = ", ".join(
                f"{day}{'' if known else ' (not sourced)'}" for day, _, known in tables
            )
            found.append(
                f"{symbol}: maintenance brackets of {days}; their sources are in the venue's file."
            )
    return list(dict.fromkeys(found))


def _accepted(markets: dict[str, Any]) -> list[str]:
    """Findings in the data of any of the markets that the user let through."""
    found = {text for market in markets.values() for text in market.get("cautions", ())}
    return [f"Accepted though it looks wrong: {text}." for text in sorted(found)]
