"""What a report says in words: what to beware of, and the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from experiments.html_report.figures import Interval, best_rule, foresees, learns
from experiments.html_report.read_runs import Run
from fundenv import metrics
from fundenv.market.files.frames import GENERATED
from fundenv.venues import VenueError, load_venue

ENOUGH_SEEDS = 10
EMBARGO = pd.Timedelta("14D")  # the longest look-back of a feature that still matters


def cautions(run: Run) -> list[str]:
    """What a reader has to know before believing a run, one sentence each."""
    found = [
        f"{label} knows the future: a bound on what can be earned, and no opponent."
        for label in run.labels
        if foresees(label)
    ]
    for label in run.labels:
        seeds = run.rows[(run.rows["label"] == label) & (run.rows["split"] == run.split)][
            "seed"
        ].nunique()
        if label.split(" · ")[0].endswith("_ensemble"):
            found.append(
                f"{label}: one ensemble of trained seeds. How far another would differ is not"
                " known."
            )
        elif learns(label) and seeds < ENOUGH_SEEDS:
            found.append(
                f"{label}: {seeds} seed(s). Trainings differ by luck; fewer than {ENOUGH_SEEDS}"
                " seeds say little about the method."
            )
    accepted = {
        text for part in run.provenance["markets"].values() for text in part.get("cautions", ())
    }
    found += [f"Accepted though it looks wrong: {text}." for text in sorted(accepted)]
    found += _overlaps(run.provenance["markets"])
    years = max(
        (len(t.steps) * t.step_hours / metrics.HOURS_PER_YEAR for t in run.tracks), default=0.0
    )
    if years < 1.9:
        found.append(
            f"The {run.split} span has {years:.2f} years; funding differs strongly between years,"
            " so one of them is one observation."
        )
    liquidated = sum(int(t.steps["liquidations"].sum()) for t in run.tracks)
    if liquidated:
        found.append(
            f"{liquidated} liquidation(s) happened on the {run.split} span, over all agents, seeds"
            " and symbols."
        )
    if run.split != "test":
        found.append(
            f"There is no test span here: everything below is on the span called {run.split}."
        )
    return found + _unsourced(run)


def _overlaps(markets: dict[str, Any]) -> list[str]:
    """A sentence for each symbol whose training span touches its test span, or comes nearer than
    the embargo.
    """
    found = []
    train, test = (markets.get(name, {"paths": []})["paths"] for name in ("train", "test"))
    for symbol, *span in train:
        first, last = (pd.Timestamp(edge) for edge in span)
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


def _unsourced(run: Run) -> list[str]:
    """Which numbers of the venue no exchange document backs."""
    name = str(run.config.get("venue", "binance"))
    try:
        venue = load_venue(name)
    except VenueError as error:
        return [f"The venue file of the run cannot be read any more: {error}"]
    symbols = list(dict.fromkeys(part for label in run.symbols for part in label.split("+")))
    made_up = [symbol for symbol in symbols if symbol.startswith(GENERATED)]
    found = (
        [f"{', '.join(made_up)}: a made-up market. Its figures say nothing about a real one."]
        if made_up
        else []
    )
    keys = sorted({key for symbol in symbols for key in venue.unsourced(symbol)})
    return (
        [
            *found,
            (
                f"Venue {name}: no exchange document backs {', '.join(keys)}; results that hang on"
                " them are assumptions."
            ),
        ]
        if keys
        else found
    )


def subject(found: list[Interval]) -> str:
    """Whom a verdict is about: the best learner, or the best agent where none learns; one that
    knows the future only where there is no other.
    """
    ranked = _ranked(found)
    return next((item.label for item in ranked if learns(item.label)), ranked[0].label)


def _ranked(found: list[Interval]) -> list[Interval]:
    """The most growth first, whoever knows the future last."""
    return sorted(found, key=lambda item: (foresees(item.label), -item.growth))


def verdict(found: list[Interval], run: Run) -> str:
    """One paragraph: who earned most, whether it is told apart from the best rule and from cash,
    what it lived on and how near it came to death.
    """
    ranked = _ranked(found)
    best, rule = ranked[0], best_rule(found)
    learners = [item for item in ranked if learns(item.label)]
    said = [
        f"On the {run.split} span {best.label} grew most: {_percent(best)} a year above the cash"
        f" rate of {100 * run.config['cash_rate']:g} %."
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
    spread = (
        f"difference {signed(learner.growth - rule.growth)} % a year, 95 % interval {signed(low)}"
        f" .. {signed(high)}"
    )
    return (
        f"The best learner, {learner.label}, {word} the best rule, {rule.label} ({spread}; better"
        f" in {100 * learner.better[rule.label]:.0f} % of the draws)."
    )


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
    funding, costs = (
        rows["funding"].mean(),
        rows[["fees", "spread", "impact", "borrow_interest", "liquidation_loss"]]
        .sum(axis=1)
        .mean(),
    )
    price = rows[["spot_pnl", "perp_pnl"]].sum(axis=1).mean()
    distances = [float(t.steps["margin_distance"].min()) for t in run.tracks if t.label == label]
    liquidations = sum(int(t.steps["liquidations"].sum()) for t in run.tracks if t.label == label)
    died = (
        f"it was liquidated {liquidations} time(s)" if liquidations else "it was never liquidated"
    )
    near = f"at its nearest the margin was {min(distances):.1f} daily volatilities from liquidation"
    if not rows["turnover_per_year"].any():
        return "It never traded, so there is nothing that could have liquidated it."
    return (
        f"Its funding brought {signed(funding)} % a year, prices {signed(price)} %, costs"
        f" {signed(costs)} %; the deepest fall of an account was"
        f" {100 * rows['max_drawdown'].max():.2f} %, {died}, and {near}."
    )
