"""Hindsight as a potential: the growth that an account can still earn from here if it knows the
future, starting flat or invested.

A reward r + gamma Phi(s') - Phi(s) has the same optimal policy as r, whatever Phi is (Ng, Harada
and Russell, ICML 1999): over an episode the potentials cancel, except the first and the last. Here
Phi is the value of the best on/off schedule for the path that is being played, so the shaped reward
is the regret of the last decision, instead of a gain that appears months later under the noise of
the basis. The agent cannot exploit a potential that knows the future: the market does not react to
the agent, and the observations do not change.

Values are log growth per unit of notional over equity, net of the cash rate, at the env's cost of a
small order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv.market import Market
from fundenv.market.layout import HALTED, MARK_CLOSE, SETTLE_PRICE, SETTLE_RATE, SPOT_CLOSE

Array = NDArray[np.float64]


class Terms(NamedTuple):
    """Costs and funding of a carry: one entry per kind of environment (C,)."""

    # cost of the capital per unit of notional and decision: cash rate x (1 + L) / L x years
    hurdle: Array
    cost: Array  # of opening or closing one unit of notional, both legs
    scale: Array  # of every settled rate
    shift: Array  # annual rate added to funding


class Earned(NamedTuple):
    """Profit of one unit of notional of carry, per decision (T, P, A): decision k of path p starts
    at row `first[p] + k x bars`.
    """

    price: Array  # from the decision to the next one
    due: Array  # rate settled at the instant of the decision, on what was held before it
    due_years: Array  # length of the interval that it closes
    after: Array  # rates settled after the decision and before the instant of the next
    after_years: Array
    tradable: NDArray[np.bool_]  # whether orders of the decision can be filled
    first: NDArray[np.int64]  # (P,)
    length: NDArray[np.int64]  # (P,) decisions


def first_decisions(market: Market, bars: int) -> NDArray[np.int64]:
    """First row of each path whose close falls on the decision grid, (P,)."""
    bar_ns = round(market.bar_hours * 3600e9)
    first = market.paths[:, 0]
    return np.asarray(first + -(market.close_ns[first] // bar_ns) % bars, np.int64)


def earned(market: Market, bars: int) -> Earned:
    """Price and funding profit of long spot, short perpetual, one unit of quote each at the start
    of every decision of `bars` bars.
    """
    start = first_decisions(market, bars)
    count = (market.paths[:, 1] - 1 - start) // bars
    price, due, due_years, after, after_years = np.zeros(
        (5, int(count.max()), market.n_paths, market.n_assets)
    )
    tradable = np.zeros(price.shape, bool)
    spot, mark = market.bars[:, :, SPOT_CLOSE], market.bars[:, :, MARK_CLOSE]
    settled = market.bars[:, :, SETTLE_PRICE] > 0
    rate = np.where(settled, market.bars[:, :, SETTLE_RATE], 0.0)
    years = np.zeros(rate.shape)
    for first, last in market.paths:
        years[first:last] = _interval_years(settled[first:last], market.bar_hours)
    # [r]: sum over the rows before r
    paid, passed = (
        np.concatenate([np.zeros((1, market.n_assets)), np.cumsum(each, axis=0)])
        for each in (rate, years)
    )
    for p, n in enumerate(count):
        row = start[p] + bars * np.arange(n)
        price[:n, p] = spot[row + bars] / spot[row] - mark[row + bars] / mark[row]
        due[:n, p], due_years[:n, p] = rate[row + 1], years[row + 1]
        tradable[:n, p] = market.bars[row + 1, :, HALTED] <= 0
        after[:n, p], after_years[:n, p] = (
            total[row + bars + 1] - total[row + 2] for total in (paid, passed)
        )
    return Earned(price, due, due_years, after, after_years, tradable, start, count)


def _interval_years(settled: NDArray[np.bool_], bar_hours: float) -> Array:
    """Years since the settlement before, at most eight hours (T, A), where one is settled; else
    0.
    """
    out = np.zeros(settled.shape)
    for a in range(settled.shape[1]):
        at = np.flatnonzero(settled[:, a])
        out[at, a] = np.minimum(np.diff(at, prepend=-1_000_000) * bar_hours, 8.0) / 8760
    return out


def schedule_values(gains: Earned, terms: Terms, gamma: float) -> NDArray[np.float32]:
    """Discounted value of the best on/off schedule before the settlement of decision k, (T + 1, P,
    A, C, 2): last axis off, on.

        V_k(s) = s due_k + max over s' of [s' (price_k + after_k - hurdle) - cost |s' - s| + gamma
        V_(k+1)(s')],  V = 0 at the end of the path

    with rates at the level of funding that the terms name; where the market is halted after
    decision k, s' = s.
    """
    steps, paths, assets = gains.due.shape
    values = np.zeros((steps + 1, paths, assets, len(terms.cost), 2), np.float32)
    off, on = np.zeros((2, paths, assets, len(terms.cost)))
    for k in range(steps - 1, -1, -1):
        due, due_years, price, after, after_years = (
            part[k][..., None]
            for part in (gains.due, gains.due_years, gains.price, gains.after, gains.after_years)
        )
        stay_off = gamma * off
        stay_on = (
            price + terms.scale * after + terms.shift * after_years - terms.hurdle + gamma * on
        )
        open_ = (k < gains.length)[:, None, None]
        cost = np.where(gains.tradable[k][..., None], terms.cost, np.inf)
        off = np.where(open_, np.maximum(stay_off, stay_on - cost), 0.0)
        on = np.where(
            open_,
            np.maximum(stay_off - cost, stay_on) + terms.scale * due + terms.shift * due_years,
            0.0,
        )
        values[k, ..., 0], values[k, ..., 1] = off, on
    return values


class Hindsight:
    """Phi of every environment of a batch, in log growth.

    With w = L / (1 + L) of equity on A assets and carry n_a (perp notional short over equity):

        Phi = sum over assets of (w / A) V(off) + n_a (V(on) - V(off))
    """

    def __init__(
        self,
        market: Market,
        *,
        bars: int,
        gamma: float,
        terms: Terms,
        kind: NDArray[np.int64],
        leverage: float,
        of: NDArray[np.int64] | None = None,
    ) -> None:
        """`of` (P',): for each path of the batch the path of `market` that contains it, if they
        differ.
        """
        gains = earned(market, bars)
        # tables: value (T + 1, P, A, C, 2), first row and number of decisions of each path (P,),
        # kind of each environment (n,); w / A
        self.values = schedule_values(gains, terms, gamma)
        self.first, self.count, self.bars, self.kind = gains.first, gains.length, bars, kind
        self.weight = leverage / (1 + leverage) / market.n_assets
        self.of = np.arange(market.n_paths) if of is None else of

    def __call__(
        self, path: NDArray[np.int64], row: NDArray[np.int64], short: NDArray[Any]
    ) -> Array:
        """Phi (n,) at the close of `row` of `path` (n,), with `short` (n, A) the perpetual notional
        sold over equity.
        """
        path = self.of[path]
        at = np.minimum((row - self.first[path]) // self.bars, self.count[path])
        value = self.values[at, path, :, self.kind].astype(np.float64)  # (n, A, 2)
        phi: Array = (self.weight * value[..., 0] + short * (value[..., 1] - value[..., 0])).sum(
            axis=1
        )
        return phi
