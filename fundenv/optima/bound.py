"""What no delta-neutral trader can exceed, whatever he knows: a linear programme over positions,
bar by bar, on the environment's prices and costs.

The position z, base units of carry over equity (priced at the first mark), may be changed at the
open of every bar at the cost of a small order (no impact), is limited by the equity alone, and
moves with the price as a real one does:

    V_k(z) = b_k z + max over z' of [ g_k(z') - cost_k(z' - z) + V_(k+1)(z') ]

Everything an account may gain from is granted: orders in bars in which only the margin keeper could
trade, as much leverage as the keeper tolerates (any, where it looks less often than every bar), and
for a liquidation the difference between the next open and the lowest price at which it could have
happened. So the bound is loose but never beaten. Not covered: hedge ratios other than 1 (and what
lots leave open), naked legs (`after_liquidation="naked"`, or a spot leg that a halt or the
participation limit keeps open), auto-deleveraging (which leaves spot open for a while), portfolio
margin, a reverse carry that the keeper enlarges after the price has multiplied, and terms of second
order in the return of a bar.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import layout
from fundenv.optima.env_terms import maintenance_share, param, settlements, trade_costs
from fundenv.optima.foresight import compiled

Array = NDArray[np.float64]
_CELLS = (
    100  # of the grid of positions below the smallest limit: limits are rounded up, by 1 % at most
)


class _Programme(NamedTuple):
    """K bars, per unit of |z|; money over equity."""

    before: (
        Array  # (K, 2) from the last close to the orders, of a positive and of a negative position
    )
    after: Array  # (K, 2) from the orders to the close, net of the cost of the capital
    up: Array  # (K,) cost of raising z by one
    down: Array  # (K,)
    limit: Array  # (K, 2) largest |z|


def carry_bound(
    batch: Batch,
    path: int = 0,
    *,
    leverage: float,
    reverse: bool = True,
    start: int = 0,
    steps: int | None = None,
) -> Array:
    """Log growth net of the cash rate, (A,), that no account of environment 0 can exceed from row
    `start` of `path` on; the sum for several assets.

    leverage: the highest that the account may ask for; reverse: whether it may be long the
    perpetual; steps: bars, to the end of the path by default. The account begins in cash. Raises
    `ValueError` for inverse contracts, portfolio margin, auto-deleveraging, naked
    legs and interest of wallets away.
    """
    if batch.world.contract in (t.INVERSE, t.MIXED):
        raise ValueError(
            f"venue = {batch.config.venue!r} trades inverse contracts, which the bound does not"
            " cover; use a venue of linear ones"
        )
    if batch.world.codes[t.MARGIN_MODE] == t.MARGIN_PORTFOLIO:
        raise ValueError(
            "margin_mode = 'portfolio' is not covered by the bound; use 'isolated' or 'cross'"
        )
    if batch.world.codes[t.AFTER_LIQUIDATION] == t.AFTER_NAKED:
        raise ValueError(
            "after_liquidation = 'naked' leaves legs open, which no bound covers; use 'flatten' or"
            " 'rehedge'"
        )
    if param(batch, "adl_sigma") > 0.0:
        raise ValueError(
            f"adl_sigma = {param(batch, 'adl_sigma'):g}: auto-deleveraging leaves spot open, which"
            " no bound covers; set it to 0"
        )
    paid = batch.world.rules[:, t.AssetRules._fields.index("wallet_rate")].max()
    if paid > 0.0:
        raise ValueError(
            f"wallet.annual = {paid:g}: wallets away from the account's venue earn interest, which"
            " no bound covers; set it to 0 in the venue file"
        )
    first, end = (int(row) for row in batch.world.paths[path])
    rows = np.arange(
        first + start, min(end, first + start + 1 + (steps if steps is not None else end))
    )
    if len(rows) < 2:
        raise ValueError(
            f"start = {start}: path {path} has {end - first} bars; leave at least one behind it"
        )
    reverse = reverse and bool(param(batch, "allow_short_spot") > 0.5)
    rate = param(batch, "cash_rate")
    # where cash costs interest, none is held
    grant = max(-rate, 0.0) * (len(rows) - 1) * param(batch, "bar_years")
    return np.array(
        [
            _best(_programme(batch, rows, a, leverage), reverse) + grant
            for a in range(batch.n_assets)
        ]
    )


def _tolerated(batch: Batch, leverage: float) -> float:
    """Leverage up to which the keeper lets a position drift."""
    shared = batch.n_assets > 1 and batch.world.codes[t.MARGIN_MODE] == t.MARGIN_CROSS
    if batch.world.codes[t.KEEPER_BARS] != 1 or shared:
        return math.inf
    return leverage * param(batch, "keeper_up")


def _programme(batch: Batch, rows: Any, a: int, leverage: float) -> _Programme:
    bars = batch.market.bars[rows, a]
    last, bar = bars[:-1], bars[1:]
    mark0, mark = last[0, layout.MARK_CLOSE], last[:, layout.MARK_CLOSE]
    spot, spot_open, perp_open = (
        last[:, layout.SPOT_CLOSE],
        bar[:, layout.SPOT_OPEN],
        bar[:, layout.PERP_OPEN],
    )
    recorded, yearly = (flow[rows[1:], a] for flow in settlements(batch))
    due = param(batch, "funding_scale") * recorded + param(batch, "funding_shift") * yearly
    gap = spot_open - spot - (perp_open - mark) + due
    move = bar[:, layout.SPOT_CLOSE] - spot_open - (bar[:, layout.MARK_CLOSE] - perp_open)
    most, env = _tolerated(batch, leverage), np.zeros(1, dtype=np.int64)
    share = float(maintenance_share(batch, env, param(batch, "initial_equity"))[0, a, 0])
    # no short perpetual is closed below this,
    top = mark * (1.0 + max((1.0 / most - share) / (1.0 + share), 0.0))
    bottom = mark * (1.0 - max((1.0 / most - share) / (1.0 - share), 0.0))  # no long one above this
    next_open = np.append(bar[1:, layout.PERP_OPEN], bar[-1, layout.MARK_CLOSE])
    next_due = np.append(due[1:], 0.0)
    hit_top, hit_bottom = bar[:, layout.MARK_HIGH] >= top, bar[:, layout.MARK_LOW] <= bottom
    gap_top, gap_bottom = bar[:, layout.MARK_OPEN] >= top, bar[:, layout.MARK_OPEN] <= bottom
    windfall = [np.where(hit_top, np.maximum(next_open - top - next_due, 0.0), 0.0)]
    windfall += [np.where(hit_bottom, np.maximum(bottom - next_open + next_due, 0.0), 0.0)]
    at_open = [
        np.where(gap_top, np.maximum(perp_open - top, 0.0), 0.0),
        np.where(gap_bottom, np.maximum(bottom - perp_open, 0.0), 0.0),
    ]
    years, rate = param(batch, "bar_years"), max(param(batch, "cash_rate"), 0.0)
    borrow = float(
        batch.world.rules[
            batch.world.symbols[batch.store.episode[0, t.BOOK], a],
            t.AssetRules._fields.index("base_borrow_rate"),
        ]
    )
    capital = [
        years * rate * (np.minimum(spot, spot_open) + mark / most),
        years * (rate * mark / most + borrow * bar[:, layout.SPOT_CLOSE]),
    ]
    limit = [mark0 / (spot + mark / most), mark0 / mark * leverage / (1.0 + leverage)]
    up, down = trade_costs(batch, env, batch.market.bars[rows[1:]].swapaxes(0, 1)[None], 0.0)
    return _Programme(
        np.stack([gap + at_open[0], -gap + at_open[1]], axis=1) / mark0,
        np.stack([move + windfall[0] - capital[0], -move + windfall[1] - capital[1]], axis=1)
        / mark0,
        up[0, a] / mark0,
        down[0, a] / mark0,
        np.stack(limit, axis=1),
    )


def _best(programme: _Programme, reverse: bool) -> float:
    step = float(programme.limit.min()) / _CELLS
    sizes = [math.ceil(float(programme.limit[:, side].max()) / step) + 1 for side in (0, 1)]
    value = np.zeros((2, sizes[0] + (sizes[1] if reverse else 0) + 1))
    zero = sizes[1] if reverse else 0
    return float(_sweep(*programme, step, zero, value))


@compiled
def _sweep(before, after, up, down, limit, step, zero, value):  # type: ignore[no-untyped-def]
    """V of a flat account; value: scratch (2, N), position of index j = (j - zero) x step."""
    size = value.shape[1]
    for j in range(size):
        value[0, j] = 0.0
    for k in range(before.shape[0] - 1, -1, -1):
        longest = zero + math.ceil(limit[k, 0] / step)
        shortest = zero - math.ceil(limit[k, 1] / step)
        for j in range(size):  # what each position is worth after the orders
            side = 0 if j >= zero else 1
            value[1, j] = value[0, j] + after[k, side] * abs(j - zero) * step
            if j > longest:
                value[1, j] = -math.inf
        best = -math.inf
        for j in range(size - 1, -1, -1):  # raise it
            best = max(best - up[k] * step, value[1, j])
            value[0, j] = best
        best = -math.inf
        # or lower it; a reverse carry may drift beyond the limit, but not be enlarged there
        for j in range(size):
            best = best - down[k] * step
            if j >= shortest:
                best = max(best, value[1, j])
            value[0, j] = max(value[0, j], best)
        for j in range(size):
            value[0, j] += before[k, 0 if j >= zero else 1] * abs(j - zero) * step
    return value[0, zero]
