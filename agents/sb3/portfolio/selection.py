"""Is what was learned kept? The greedy policy, at several parts of its strength, against the rule
that it steers, on half-years of the training span that it has not learned from.

Every half-year is played from cash, with random subsets of the coins, at several cash rates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.margin.dials import DialledCarry
from agents.margin.episodes import WALKED, Earned, hidden, mask, merits
from agents.margin.params import LearnedMarginParams
from agents.sb3.portfolio.params import OBSERVE
from fundenv.envs.portfolio import by_asset
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import Market, between, stack

SCALES = (1.0, 0.5, 0.25)  # parts of the learned dials that are tried
SUBSETS, CASH_RATES = 8, (0.0, 0.02, 0.045)  # walks of each half-year
_SHORTEST = pd.Timedelta(days=60)  # of the last one
_EVERY = 3  # every third half-year is kept for the selection


class Verdict(NamedTuple):
    """What the selection found."""

    scale: float  # part of the learned dials that is kept; 0: the rule
    merit: tuple[float, ...]  # of each part: relative growth above the rule's, less the charges
    error: tuple[float, ...]  # standard errors over the half-years
    halves: int
    walks: int  # of each part
    seen: bool  # whether the half-years were learned from, too

    def words(self) -> str:
        """One line for the log."""
        tried = ", ".join(
            f"{scale:g}: {merit:+.3f} +- {error:.3f}"
            for scale, merit, error in zip(SCALES, self.merit, self.error, strict=True)
        )
        told = (
            f"dropped, the agent is its fallback, the rule that it started from ({tried})"
            if self.scale == 0
            else f"kept at {self.scale:g} of its strength ({tried})"
        )
        kind = "the only half-years" if self.seen else "half-years not learned from"
        return (
            f"what was learned is {told}; relative growth above the rule's on {self.halves}"
            f" {kind}, {self.walks} walks of each of {len(SCALES)} strengths"
        )


def parts(market: Market, seed: int) -> tuple[Market, Market, bool]:
    """(market to learn from, half-years to select on, whether these are the same).

    The training span is cut into half-years. Every third is kept for the selection, from which one
    on depends on the seed; where there are fewer than three, all serve for both.
    """
    first = pd.Timestamp(int(market.close_ns.min()), tz="UTC")
    last = pd.Timestamp(int(market.close_ns.max()), tz="UTC")
    months = pd.date_range(first, last, freq=pd.DateOffset(months=6))
    edges = [*months[months < last - _SHORTEST], last + pd.Timedelta(1, "ns")]
    spans = list(zip(edges, edges[1:], strict=False))
    if len(spans) < _EVERY:
        return market, stack([between(market, *span) for span in spans]), True
    kept = [number % _EVERY == (seed + 1) % _EVERY for number in range(len(spans))]
    learned: list[tuple[pd.Timestamp, pd.Timestamp]] = []
    for number, (start, end) in enumerate(spans):
        if kept[number]:
            continue
        if number and not kept[number - 1]:  # two half-years in a row are one path
            start = learned.pop()[0]
        learned.append((start, end))
    chosen = [span for span, its in zip(spans, kept, strict=True) if its]
    first_part, second = (
        stack([between(market, *span) for span in own]) for own in (learned, chosen)
    )
    return first_part, second, False


def judged(
    policy: Any,
    rule: DialledCarry,
    market: Market,
    settings: dict[str, Any],
    params: Any,
    *,
    seed: int,
    subsets: int = SUBSETS,
    cash_rates: tuple[float, ...] = CASH_RATES,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(merit, standard error over the half-years), each (scales,); the error of one half-year is
    infinite, so that nothing is kept on it. policy: (obs (n, D), scales (n, 1)) -> dials.
    """
    scales = np.array((0.0, *SCALES))
    halves, rng = market.n_paths, np.random.default_rng([seed, 0x5E1])
    each = halves * subsets * len(cash_rates)
    n = len(scales) * each
    path = np.repeat(np.arange(halves), subsets * len(cash_rates))
    env = FundingHedgeVectorEnv(
        n,
        autoreset_mode="same_step",
        copy=False,
        market=market,
        threads=params.threads,
        per_env={"cash_rate": np.tile(cash_rates, n // len(cash_rates))},
        **settings | WALKED,
    )
    batch: Any = env.batch
    rule.look_up(batch)
    rule.reset()
    batch.reset([int(seed)] * n, paths=np.tile(path, len(scales)))
    columns = len(batch.observation_table)
    rows, _ = by_asset(np.arange(columns), market.n_assets, OBSERVE)
    every = slice(None, None, subsets)  # of every half-year one walk with all coins
    hides = hidden(halves * subsets, params.fewest_coins, market.n_assets, rng, every)
    hides = np.tile(np.repeat(hides, len(cash_rates), axis=0), (len(scales), 1))
    shown = mask(hides, rows, columns)
    part = np.repeat(scales, each)[:, None]
    earned = Earned(batch, np.tile(cash_rates, n // len(cash_rates)))
    while earned.active.any():
        obs = batch.obs * shown
        rule.dials = policy(obs, part)
        batch.step(rule.act(obs))
        earned.add()
    batch.close()
    played = earned.played((len(scales), each))
    merit = merits(played, LearnedMarginParams(small=params.small))[1:].reshape(
        len(SCALES), halves, -1
    )
    by_half = merit.mean(axis=2)
    if halves < 2:  # its walks share one path, so their spread is no error
        return by_half.mean(axis=1), np.full(len(SCALES), np.inf)
    return by_half.mean(axis=1), by_half.std(axis=1, ddof=1) / np.sqrt(halves)


def verdict(
    merit: NDArray[np.float64], error: NDArray[np.float64], halves: int, walks: int, seen: bool
) -> Verdict:
    """The strength with the highest merit, where that is clear of its standard error; else 0."""
    best = int(np.argmax(merit))
    scale = SCALES[best] if merit[best] > max(error[best], 0.0) else 0.0
    return Verdict(scale, tuple(merit.tolist()), tuple(error.tolist()), halves, walks, seen)
