"""Rollouts of agents on one capital over half-years and subsets of coins at several cash rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.base import Agent
from experiments.core.market_args import span_edges
from experiments.rollout.make import JUDGED
from fundenv import metrics
from fundenv.batch.cpu import Batch
from fundenv.config import hours
from fundenv.dynamics import types as t
from fundenv.market import Market, between, stack

Array = NDArray[np.float64]
PORTFOLIO: dict[str, Any] = {
    "margin_mode": "portfolio",
    "capital": "shared",
    "keeper_watches": "equity",
}


class Walk(NamedTuple):
    """What one agent did in each half-year (H) with one subset of coins, at each cash rate (R)."""

    # (H, days) growth above cash of each day, mean over the cash rates: 365 x its mean over the
    # days of the half-year is the growth; 0 after them
    days: Array
    length: NDArray[np.int64]  # (H,) days of the half-year
    growth: Array  # (H, R) a year, above cash
    fall: Array  # (H, R) deepest fall of equity from its highest
    cvar: Array  # (H, R) mean of the worst 5 % of daily returns above cash
    liquidations: Array  # (H, R) of legs
    parts: Array  # (H, R, 9) of the growth a year, cash included, in the order of `types.PARTS`
    turnover: Array  # (H, R) traded on both legs over equity, a year


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
    """All coins, then random subsets of 3, 2, 4 and 1 coins in turn: `count` in all at most."""
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
    active, held = np.ones(len(equity), bool), [equity.copy()]
    steps: dict[str, list[Array]] = {"on": [], "liquidated": [], "ledger": [], "traded": []}
    while active.any():
        steps["on"].append(active.astype(float))
        batch.step(agent.act(batch.obs))
        steps["liquidated"].append(active * batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1))
        steps["ledger"].append(batch.ledger[:, : t.N_PARTS].copy())
        steps["traded"].append(active * batch.trades[:, :, t.TURNOVER].sum(axis=1) / held[-1])
        held.append(np.where(active, equity, held[-1]))
        active &= ~(batch.terminated | batch.truncated)
    step = hours(batch.config.decision_interval, "decision_interval")
    whole = {name: np.array(values) for name, values in steps.items()}
    return _walk(np.array(held), whole, market, np.asarray(cash_rates, float), step)


def _walk(
    held: Array, steps: Mapping[str, Array], market: Market, rates: Array, step: float
) -> Walk:
    """The walk of accounts (paths x cash rates) from their equity (T + 1, n) and their steps."""
    shape = (market.n_paths, len(rates))
    cash = np.tile(rates, market.n_paths) * step / metrics.HOURS_PER_YEAR
    line, on = np.log(np.maximum(held, 1e-9)), steps["on"]
    years = on.sum(axis=0) * step / metrics.HOURS_PER_YEAR
    net = np.diff(line, axis=0) - on * cash
    fall = -np.expm1((line - np.maximum.accumulate(line, axis=0)).min(axis=0))
    lengths = on.sum(axis=0).astype(int)
    parts = [
        metrics.log_contributions(held[: last + 1, i], steps["ledger"][:last, i]).sum(axis=0)
        for i, last in enumerate(lengths)
    ]
    counts, each_path = _decisions(market, step), net.reshape(len(net), *shape)
    daily = [_by_day(each_path[:, path], count, step) for path, count in enumerate(counts)]
    length = np.array([len(each) for each in daily])
    days = np.zeros((len(daily), length.max()))
    for path, (each, count) in enumerate(zip(daily, counts, strict=True)):
        scale = len(each) * 24 / (count * step)  # the last day may be longer than the others
        days[path, : len(each)] = scale * each.mean(axis=1)
    return Walk(
        days=days,
        length=length,
        growth=(net.sum(axis=0) / years).reshape(shape),
        fall=fall.reshape(shape),
        cvar=np.array(
            [[metrics.cvar(each[:, i], 0.95) for i in range(len(rates))] for each in daily]
        ),
        liquidations=steps["liquidated"].sum(axis=0).reshape(shape),
        parts=(np.array(parts) / years[:, None]).reshape(*shape, -1),
        turnover=(steps["traded"].sum(axis=0) / years).reshape(shape),
    )


def _decisions(market: Market, step: float) -> list[int]:
    """Decisions of each path, where no account is ruined."""
    return [int(rows - 1) // round(step / market.bar_hours) for rows in np.diff(market.paths)[:, 0]]


def _by_day(net: Array, count: int, step: float) -> Array:
    """Sums (days, R) of what steps (T, R) earned, `count` of them; a ruined account earns 0, and
    the last day has what is left of the last.
    """
    net = np.pad(net, ((0, max(0, count - len(net))), (0, 0)))[:count]
    each = max(1, round(24 / step))
    edges = np.arange(0, max(1, count // each)) * each
    return np.asarray(np.add.reduceat(net, edges, axis=0))
