"""Calibrates rules of one capital on what lies before a fold, by the criterion that trains
`learned_margin`.

Settings are drawn from the grid that `experiments.calibrate` searches. Each walks the training span
once with every piece of capital: all coins and random subsets of three, with funding as it was and
scaled down. A half-year of such a walk is an episode. It counts by its growth relative to that of
the rule's defaults, and a fall that is deeper than 3 % and than theirs is charged
(`agents.margin.episodes.merits`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import agents
from agents.margin.episodes import Played, merits
from agents.margin.params import LearnedMarginParams
from experiments.calibration.search import Dimension, dimensions, in_order
from experiments.rollout.sweep import sweep
from experiments.studies.portfolio_walks import PORTFOLIO
from fundenv.market import Market, narrowed

Array = NDArray[np.float64]
SCALES = (1.0, 0.3, 0.1)  # of funding; learners meet 0.1 .. 1.25
CASH = 0.02
# of rules whose own space has ranges or is too wide to be drawn from
SPACES = {
    "dynamic_leverage": (
        "span=9,21,45",
        "enter=-0.2,0,0.2,0.5",
        "exit=-1,-0.5,-0.2",
        "gain=2,4,10,30",
        "highest=1.5,2,3,5",
    ),
    "ewma": (
        "span=21,45,90,180",
        "enter=0,0.2,0.4,0.6",
        "exit=-0.6,-0.2,0",
        "leverage=1,1.5,2,3",
    ),
    "carry": ("leverage=1,1.5,2,3",),
}


class Pieces(NamedTuple):
    """What each setting (K, the defaults first) did in each episode (E)."""

    growth: Array  # (K, E) a year, above cash
    fall: Array  # (K, E)
    ends: NDArray[np.datetime64]  # (E,) day after the last


def drawn(rule: str, count: int, seed: int) -> dict[str, NDArray[Any]]:
    """The rule's defaults, then `count` settings that keep the order of its parameters."""
    space: Sequence[Dimension] = dimensions(rule, SPACES.get(rule, ()))
    rng = np.random.default_rng(seed)
    many = {d.name: np.array(d.values)[rng.integers(len(d.values), size=50 * count)] for d in space}
    good = np.flatnonzero(in_order(rule, {}, many))[:count]
    own = agents.make(rule).params.to_dict()
    return {name: np.append(own[name], array[good]) for name, array in many.items()}


def capitals(market: Market, subsets: int = 2, seed: int = 0) -> list[tuple[str, ...]]:
    """All coins, and random subsets of three where there are more."""
    rng = np.random.default_rng([seed, 0xCA])
    names, size = [str(symbol) for symbol in market.symbols[0]], min(3, market.n_assets)
    return [tuple(names)] + [
        tuple(names[i] for i in sorted(rng.choice(len(names), size, replace=False)))
        for _ in range(subsets if len(names) > size else 0)
    ]


def pieces(
    rule: str,
    values: Mapping[str, NDArray[Any]],
    market: Market,
    settings: Mapping[str, Any],
    tell: Callable[[], object],
    *,
    subsets: int = 2,
    seed: int = 0,
) -> Pieces:
    """Walk all settings over `market`, its subsets and the scales of funding."""
    growth, fall, ends = [], [], []
    for own in capitals(market, subsets, seed):
        for scale in SCALES:
            terms = {"cash_rate": CASH, "funding_scale": scale}
            found = sweep(
                rule, {}, values, narrowed(market, own), PORTFOLIO | dict(settings) | terms
            )
            assert found is not None  # nobody can stop it
            line = found.growth[:, 0].astype(np.float64)
            for first, last, end in _half_years(found.days):
                part = line[:, first:last]
                growth.append(part.mean(axis=1) * 365)
                equity = np.cumsum(part + CASH / 365, axis=1)
                top = np.maximum.accumulate(np.maximum(equity, 0.0), axis=1)
                fall.append(-np.expm1((equity - top).min(axis=1)))
                ends.append(end)
            tell()
    return Pieces(np.stack(growth, axis=1), np.stack(fall, axis=1), np.array(ends))


def chosen(values: Mapping[str, NDArray[Any]], found: Pieces, end: pd.Timestamp) -> dict[str, Any]:
    """The setting with the highest mean merit over the episodes that end by `end`; the defaults
    where none does.
    """
    known = found.ends <= np.datetime64(end.tz_localize(None))
    if not known.any():
        return {name: array[0].item() for name, array in values.items()}
    played = Played(
        found.growth[:, known], found.fall[:, known], np.zeros((len(found.growth), known.sum()))
    )
    best = int(merits(played, LearnedMarginParams()).mean(axis=1).argmax())
    return {name: array[best].item() for name, array in values.items()}


def _half_years(days: NDArray[np.datetime64]) -> list[tuple[int, int, np.datetime64]]:
    """(first day, one past the last, its date) of each calendar half-year with more than 100 days.

    The first begins with the span and may be cut.
    """
    month = days.astype("datetime64[M]").astype(int)
    half = month // 6
    edges = np.flatnonzero(np.diff(half)) + 1
    cut = [0, *edges.tolist(), len(days)]
    return [
        (first, last, days[last - 1] + 1)
        for first, last in zip(cut, cut[1:], strict=False)
        if last - first > 100
    ]
