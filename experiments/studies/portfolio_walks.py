"""Rollouts of agents on one capital over half-years and subsets of coins at several cash rates, and
the paired comparison of two agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from arch.bootstrap import StationaryBootstrap
from numpy.typing import NDArray

from agents.base import Agent
from experiments.analysis.statistics import Paired, block_length
from experiments.core.market_args import span_edges
from experiments.rollout.make import JUDGED
from fundenv.batch.cpu import Batch
from fundenv.config import hours
from fundenv.dynamics import types as t
from fundenv.market import Market, between, narrowed, stack

Array = NDArray[np.float64]
PORTFOLIO: dict[str, Any] = {
    "margin_mode": "portfolio",
    "capital": "shared",
    "keeper_watches": "equity",
}
DRAWS = 2000


class Walk(NamedTuple):
    """The results of one agent in each half-year (H) with one subset of coins."""

    days: Array  # (H, days) growth above cash of each day, mean over the cash rates
    growth: Array  # (H, cash rates) a year, above cash
    fall: Array  # (H, cash rates) deepest fall of equity from its highest
    liquidations: Array  # (H,) of legs, over all cash rates


def half_years(market: Market, span: str) -> tuple[list[str], Market]:
    """(names, market with one path for each) of the half-years of the span START:END."""
    first, last = span_edges(span, "--folds")
    months = pd.date_range(first, last, freq="6MS")
    edges = [*months[months < last], last]
    names, parts = [], []
    for start, end in zip(edges, edges[1:], strict=False):
        part = between(market, start, end)
        parts.append(part)
        names += [f"{start:%Y-%m}"] * part.n_paths
    return names, stack(parts)


def subsets(symbols: Sequence[str], count: int, seed: int) -> list[tuple[str, ...]]:
    """All coins, each coin alone, and random subsets of other sizes: `count` in all at most."""
    rng = np.random.default_rng([seed, 0x5E])
    found = [tuple(symbols)]
    sizes = [size for size in (3, 2, 4, 1) if size < len(symbols)]
    for number in range(50 * count):
        if len(found) >= count or not sizes:
            break
        picked = rng.choice(len(symbols), sizes[number % len(sizes)], replace=False)
        names = tuple(symbols[i] for i in sorted(picked))
        if names not in found:
            found.append(names)
    return found


def walk(
    agent: Agent,
    market: Market,
    cash_rates: Sequence[float],
    settings: Mapping[str, Any] | None = None,
) -> Walk:
    """Run the agent on every path of `market` at every cash rate, from cash at its first row, in an
    env with `settings`.
    """
    paths, count = market.n_paths, len(cash_rates)
    batch = Batch(
        paths * count,
        market=market,
        per_env={"cash_rate": np.tile(cash_rates, paths)},
        **PORTFOLIO | dict(settings or {}) | agent.env_settings() | JUDGED,
    )
    agent.bind(batch)
    agent.reset()
    batch.reset(0, paths=np.repeat(np.arange(paths), count))
    equity = batch.store.account[:, t.EQUITY]
    active, liquidated = np.ones(len(equity), bool), np.zeros(len(equity))
    held, walked_on = [equity.copy()], []
    while active.any():
        walked_on.append(active.copy())
        batch.step(agent.act(batch.obs))
        held.append(np.where(active, equity, held[-1]))
        liquidated += active * batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1)
        active &= ~(batch.terminated | batch.truncated)
    line, on = np.log(np.maximum(np.array(held), 1e-9)), np.array(walked_on)
    step = hours(batch.config.decision_interval, "decision_interval")
    years = on.sum(axis=0) * step / 8760
    net = np.diff(line, axis=0) - on * np.tile(cash_rates, paths) * step / 8760
    decisions = (int(np.diff(market.paths).max()) - 1) // round(step / market.bar_hours)
    # the rollout ends early when all accounts are ruined: the rest of the span counts as zero
    net = np.pad(net, ((0, max(0, decisions - len(net))), (0, 0)))
    each = round(24 / step)
    whole = net[: len(net) // each * each].reshape(-1, each, paths, count).sum(axis=1)
    fall = -np.expm1((line - np.maximum.accumulate(line, axis=0)).min(axis=0))
    return Walk(
        whole.mean(axis=2).T,
        (net.sum(axis=0) / years).reshape(paths, count),
        fall.reshape(paths, count),
        liquidated.reshape(paths, count).sum(axis=1),
    )


def walked(
    agents: Sequence[Agent],
    market: Market,
    span: str,
    chosen: Any,
    cash_rates: Any,
    tell: Any,
    settings: Mapping[str, Any] | None = None,
) -> tuple[list[str], list[list[Walk]]]:
    """(names of the half-years, the walk of each agent with each subset of coins)."""
    names, halves = half_years(market, span)
    found: list[list[Walk]] = []
    for agent in agents:
        found.append([])
        for own in chosen:
            found[-1].append(walk(agent, narrowed(halves, own), cash_rates, settings))
            tell()
    return names, found


def paired_over(difference: Array, *, seed: int = 0, draws: int = DRAWS) -> Paired:
    """Mean of `difference` (days, subsets, seeds) of daily growth, its 95 % interval and one-sided
    p-value: each draw takes days in blocks, whole subsets and whole seeds with replacement.
    """
    days, count, seeds = difference.shape
    mean = difference.mean(axis=(1, 2))
    rng = np.random.default_rng(seed)
    sampler = StationaryBootstrap(max(1, round(block_length(mean))), np.arange(days), seed=seed)
    found = np.empty(draws)
    for k, data in enumerate(sampler.bootstrap(draws)):
        own = difference[data[0][0]].mean(axis=0)
        picked, trained = rng.integers(count, size=count), rng.integers(seeds, size=seeds)
        found[k] = own[np.ix_(picked, trained)].mean()
    low, high = np.quantile(found, (0.025, 0.975))
    return Paired(float(mean.mean()), float(low), float(high), float((found <= 0.0).mean()))
