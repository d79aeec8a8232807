"""What a reader has to know before believing a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from agents.params import read_pairs
from experiments.analysis.comparison import Comparison, Standing, no_statement
from experiments.analysis.statistics import LEAST_SEEDS
from fundenv.config import EnvConfig
from fundenv.market.files.frames import GENERATED, contract_of
from fundenv.venues import Rulebook, VenueError, is_placed, legs_of

ENOUGH_SEEDS = 10
EMBARGO = pd.Timedelta("14D")  # the longest look-back of a feature that still matters


def cautions(
    comparison: Comparison, markets: dict[str, Any], config: Mapping[str, Any]
) -> list[str]:
    """One sentence each; arguments as of `experiments.analysis.verdict.with_words`."""
    config = {**config, **read_pairs(tuple(config.get("env", ())))}
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
    found += _made_up(symbols) + _on_venues(symbols, config)
    try:
        book = Rulebook.read(config["venue"], config.get("venues", ()))
        found += _unsourced(book, symbols)
        return found + _brackets(book, judged["paths"], config.get("venue_date"))
    except VenueError as error:
        return [*found, f"The venue file of the run cannot be read any more: {error}"]


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
        [f"{', '.join(own)}: a synthetic market. Its figures say nothing about a real one."]
        if own
        else []
    )


def _on_venues(symbols: Iterable[str], config: Mapping[str, Any]) -> list[str]:
    """What the risk of the venues costs, where money lies on several."""
    places = [place for s in symbols for place in legs_of(contract_of(s))]
    venues = sorted({place.venue or config["venue"] for place in places})
    if len(venues) < 2:
        return []
    rate, loss = (
        float(config.get(name, getattr(EnvConfig, name)))
        for name in ("failure_rate", "failure_loss")
    )
    laid = ", ".join(config.get("fail", ()))
    return [
        *([f"Failures of venues were laid over the test span: {laid}."] if laid else []),
        f"Money lies on several venues ({', '.join(venues)}), and no figure counts that one of them"
        f" fails{' by chance' if laid else ''}. At {100 * rate:g} % a year and a loss of"
        f" {100 * loss:g} %, which are assumptions, every tenth of the equity on a venue costs"
        f" {10 * rate * loss:.2f} % a year.",
    ]


def _unsourced(book: Rulebook, symbols: Iterable[str]) -> list[str]:
    """Which numbers in force no exchange document backs, by venue."""
    keys: dict[str, set[str]] = {}
    for symbol in symbols:
        contract = contract_of(symbol) if is_placed(symbol) else symbol
        for venue, own in (book.perp(contract), book.spot(contract)):
            shipped = venue.path == f"{venue.name}.toml"
            keys.setdefault(venue.name if shipped else venue.path, set()).update(
                venue.unsourced(own)
            )
    return [
        f"Venue {name}: no exchange document backs {', '.join(sorted(own))}; results that depend"
        " on them are assumptions."
        for name, own in keys.items()
        if own
    ]


def _brackets(book: Rulebook, paths: Iterable[list[str]], venue_date: str | None) -> list[str]:
    """Which bracket tables of each real symbol held over the span, or on the date of the config."""
    found = []
    for label, *span in paths:
        first, last = (pd.Timestamp(venue_date or edge).date() for edge in span)
        for symbol in label.split("+"):
            if symbol.startswith(GENERATED):
                continue
            venue, own = book.perp(symbol)
            tables = venue.brackets_in_force(own, first, last)
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
