"""Measures the growth of one capital over several coins on paper and in the environment, line by
line: of the rotation rule, and of the clairvoyant that holds one coin at a time.

Growth above cash, % a year. Paper: a notional of 0.75 of equity in one coin or none, funding alone,
34 bp for a round trip, decisions every 8 h; the position is sold at the end. Each line changes one
thing of the line before: the last position counts at its price and is not sold; the change of the
basis counts; the venue's fees and half-spreads replace the 34 bp; and last everything else that the
environment has (wallets and their keeper at leverage 3, drift of the notional, impact, lots). The
clairvoyant chooses a new schedule for each line; in the last one it follows its schedule. Then
portfolio margin: the rule, and the clairvoyant of `fundenv.optima.portfolio`, which may hold
several coins and borrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import agents
from agents.rules.actions import targets
from experiments.core.cli import run
from experiments.rollout.make import roll_out
from experiments.studies.margin_markets import COINS, load
from fundenv.batch.cpu import Batch
from fundenv.market import Market
from fundenv.optima.env_terms import settlements
from fundenv.optima.one_place import Paper, earned, schedule
from fundenv.optima.portfolio import inputs

Array = NDArray[np.float64]
NOTIONAL, ROUND_TRIP, STRIDE_HOURS = 0.75, 34e-4, 8
ENTER, EXIT, SWAP = 0.2, -0.2, 0.8  # of the rotation rule, bp per 8 h
PUBLISHED = {"rotation": 2.95, "clairvoyant": 3.64}  # on paper


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    span: str = "2024-07:2025-06"
    """START:END."""
    cash_rates: tuple[float, ...] = (0.0, 0.02, 0.045)
    """Cash rates; the table also shows the mean over them."""
    portfolio: bool = True
    """Also compute portfolio margin; its clairvoyant takes minutes."""


def main(args: Args) -> None:
    """Compute and print the lines."""
    market = load(args.data, args.symbols).within(args.span).together
    head = "".join(f"{f'cash {100 * rate:g} %':>12}" for rate in args.cash_rates)
    print(f"{args.span}, {', '.join(args.symbols)}\n{'':<50}{head}{'mean':>8}{'step':>8}")
    for name in ("rotation", "clairvoyant"):
        last: float | None = None
        for text, earn in LINES:
            last = _print(f"{name}, {text}", [earn(name, market, r) for r in args.cash_rates], last)
            if text == LINES[0][0]:
                print(
                    f"{'  published':<50}{'':>{12 * len(args.cash_rates)}}{PUBLISHED[name]:>8.2f}"
                )
    if args.portfolio:
        for name in ("rotation", "portfolio_clairvoyant"):
            for leverage in (1.0, 3.0):
                found = [_portfolio(name, market, rate, leverage) for rate in args.cash_rates]
                closed = sum(liquidations for _, liquidations in found)
                text = f"{name}, portfolio, L {leverage:g}" + (" (liquidated)" if closed else "")
                _print(text, [growth for growth, _ in found], None)


def _print(text: str, found: list[float], last: float | None) -> float:
    mean = float(np.mean(found))
    cells = "".join(f"{value:>12.2f}" for value in found)
    step = "" if last is None else f"{mean - last:>+8.2f}"
    print(f"{text:<50}{cells}{mean:>8.2f}{step}", flush=True)
    return mean


def batch_of(market: Market, cash_rate: float, **settings: Any) -> Batch:
    """One account on the first path, from its first row to its last."""
    given: dict[str, Any] = {"capital": "shared", "actions": "target", "cash_rate": cash_rate}
    fixed: dict[str, Any] = {"episode": None, "random_start": False, "autoreset": "disabled"}
    batch = Batch(1, market=market, **given | fixed | settings)
    batch.reset(0)
    return batch


def paper(batch: Batch, *, basis: bool, venue: bool) -> Paper:
    """Profit and cost under the accounting of a line."""
    first, end = (int(row) for row in batch.world.paths[0])
    stride = round(STRIDE_HOURS / batch.market.bar_hours)
    steps = (end - first - 1) // stride
    data = inputs(batch, 0, first, steps, stride)
    before, move = data.before, data.move
    if not basis:
        paid = np.cumsum(settlements(batch)[0], axis=0)
        at = first + stride * np.arange(steps)
        before, move = paid[at + 1] - paid[at], paid[at + stride] - paid[at + 1]
    side = np.full(before.shape, ROUND_TRIP / 2)
    up, down = (data.up / data.last, data.down / data.last) if venue else (side, side)
    return Paper(before / data.last, move / data.last, up, down)


def rotation(batch: Batch, steps: int, cash_rate: float) -> NDArray[np.int64]:
    """The coin that the rotation rule holds after each decision (K,), -1 for none."""
    first = int(batch.world.paths[0, 0])
    stride = round(STRIDE_HOURS / batch.market.bar_hours)
    names = [feature.name for feature in batch.market.table]
    column = names.index("funding_ewma_90")
    scale = batch.market.table[column].scale
    mean = batch.market.features[first + stride * np.arange(steps), :, column] * scale
    signal = mean - cash_rate / NOTIONAL * 1e4 / 1095
    held, path = -1, np.zeros(steps, dtype=np.int64)
    for k, row in enumerate(signal):
        best = int(row.argmax())
        if held < 0 or row[held] < EXIT or row[best] - row[held] > SWAP:
            held = best if row[best] > ENTER else -1
        path[k] = held
    return path


def on_paper(
    basis: bool, venue: bool, closed: bool = False
) -> Callable[[str, Market, float], float]:
    """Growth of a line of paper accounting, % a year."""

    def earn(name: str, market: Market, cash_rate: float) -> float:
        batch = batch_of(market, cash_rate)
        account = paper(batch, basis=basis, venue=venue)
        steps, hold = len(account.move), cash_rate * STRIDE_HOURS / 8760
        path = (
            schedule(account, hold, NOTIONAL, closed=closed)
            if name == "clairvoyant"
            else rotation(batch, steps, cash_rate)
        )
        years = steps * STRIDE_HOURS / 8760
        return 100 * earned(account, path, hold, NOTIONAL, closed=closed) / years

    return earn


def played(name: str, market: Market, cash_rate: float) -> float:
    """Growth in the environment, isolated margin at leverage 3, % a year."""
    if name == "rotation":
        found = roll_out(agents.make("rotation"), market, {"cash_rate": cash_rate})
        return 100 * found[0].metrics().net_log_growth
    batch = batch_of(market, cash_rate)
    account = paper(batch, basis=True, venue=True)
    hold = cash_rate * STRIDE_HOURS / 8760
    path, held = schedule(account, hold, NOTIONAL), -1
    start, coins = float(batch.store.account[0, 1]), np.arange(batch.n_assets)
    for coin in path:
        same = np.full((1, len(coins)), coin == held)
        batch.step(targets(same, (coins == coin)[None].astype(float), leverage=3.0))
        held = int(coin)
    years = len(path) * STRIDE_HOURS / 8760
    return 100 * float(np.log(float(batch.store.account[0, 1]) / start) / years - cash_rate)


def _portfolio(name: str, market: Market, cash_rate: float, leverage: float) -> tuple[float, float]:
    agent = agents.make(name, leverage=leverage)
    settings = {"cash_rate": cash_rate, "margin_mode": "portfolio"}
    found = roll_out(agent, market, settings)[0]
    return 100 * found.metrics().net_log_growth, float(found.liquidations.sum())


LINES: tuple[tuple[str, Callable[[str, Market, float], float]], ...] = (
    ("paper", on_paper(basis=False, venue=False, closed=True)),
    ("and nothing sold at the end", on_paper(basis=False, venue=False)),
    ("and the basis", on_paper(basis=True, venue=False)),
    ("and the venue's fees and spreads", on_paper(basis=True, venue=True)),
    ("in the environment, isolated, L 3", played),
)


if __name__ == "__main__":
    run(Args, main, __doc__)
