"""The best schedule of carry for a trader who knows the future: dynamic programming on the
environment's own prices, rates and costs.

    V_t(w) = b_t w + max over w' of [ g_t(w') - cost_t(w' - w) + V_(t+1)(w') ]
    V = 0 at the end of the episode

w: carry as the perpetual notional sold over equity (+ = long spot, short perpetual), a grid; b_t:
what w earns until the orders of decision t fill (the settlement on that instant, and the gap to the
open); g_t: funding and change of the basis from the fill to the end of the step, less the cost of
the capital that w binds; all in log growth net of the cash rate. Left out: the drift of w between
trades, orders of the keeper, auto-deleveraging, and liquidation (a leverage that would not survive
a step is not chosen). So V is what such a plan is worth on paper; `fundenv.optima.bound` is never
exceeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.compiler.cache import cached_on_disk
from fundenv.dynamics import types as t
from fundenv.dynamics.execution import impact_fraction
from fundenv.market import layout

Array = NDArray[np.float64]
_impact = np.vectorize(getattr(impact_fraction, "py_func", impact_fraction), otypes=[float])


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop that Python calls itself, unlike the rules of the kernel, and that calls none
    of them; cached beside the kernel.
    """
    with cached_on_disk("optima/*.py") as kept:
        return numba.njit(cache=kept, nogil=True, error_model="numpy")(function)


class Gains(NamedTuple):
    """What carry earns and costs: n problems (one per environment and asset) of T decisions, on a
    grid of W weights.
    """

    before: (
        Array  # (n, T) per unit of weight held when the decision is taken, until its orders fill
    )
    # (n, T, W) of each weight from the fill to the end of the step, net of the cost of its capital;
    # -inf where it is not possible
    after: Array
    up: Array  # (n, T) cost of raising the weight by one: sell perpetual, buy spot
    down: Array  # (n, T) cost of lowering it
    # (n, T, 2) highest leverage on offer that survives the step, for positive and for negative
    # weights; 0 = none does
    leverage: Array


def solve(weights: Array, gains: Gains) -> tuple[Array, NDArray[np.int64]]:
    """(value (n, T + 1, W), choice (n, T, W)): V_t at every weight before the decision, and the
    index of the weight to trade to; O(n T W).

    weights: (W,) ascending. Ties go to not trading.
    """
    n, steps, size = gains.after.shape
    value, choice = np.zeros((n, steps + 1, size)), np.zeros((n, steps, size), dtype=np.int64)
    _solve(np.asarray(weights, float), *gains[:4], value, choice)
    return value, choice


@compiled
def _solve(weights, before, after, up, down, value, choice):  # type: ignore[no-untyped-def]
    n, steps, size = after.shape
    for i in range(n):
        for s in range(steps - 1, -1, -1):
            for k in range(size):
                value[i, s, k] = after[i, s, k] + value[i, s + 1, k]
                choice[i, s, k] = k
            best, at = value[i, s, size - 1], size - 1
            for k in range(size - 2, -1, -1):  # raise the weight
                best -= up[i, s] * (weights[k + 1] - weights[k])
                stay = after[i, s, k] + value[i, s + 1, k]
                if stay >= best:
                    best, at = stay, k
                value[i, s, k], choice[i, s, k] = best, at
            best, at = after[i, s, 0] + value[i, s + 1, 0], 0
            for k in range(1, size):  # or lower it
                best -= down[i, s] * (weights[k] - weights[k - 1])
                stay = after[i, s, k] + value[i, s + 1, k]
                if stay >= best:
                    best, at = stay, k
                if best > value[i, s, k]:
                    value[i, s, k], choice[i, s, k] = best, at
            for k in range(size):
                value[i, s, k] += before[i, s] * weights[k]


def grid(carries: Sequence[float], leverages: Sequence[float], assets: int = 1) -> Array:
    """Every weight that a carry and a leverage give, and 0, ascending: c L / (1 + L) / A."""
    found = [0.0] + [c * lev / (1.0 + lev) / assets for c in carries for lev in leverages]
    return np.unique(np.round(found, 15))


def _params(batch: Batch, envs: Any, name: str) -> Array:
    """One of `Params` for some environments, (m, 1, 1)."""
    rows = batch.store.params
    column = rows[:, t.Params._fields.index(name)]
    return np.asarray(column[envs] if len(rows) > 1 else np.repeat(column, len(envs)))[
        :, None, None
    ]


def _rule(batch: Batch, envs: Any, name: str) -> Array:
    """One of `AssetRules` for every asset of some environments, (m, A, 1)."""
    symbols = batch.world.symbols[batch.store.episode[envs, t.BOOK]]
    return np.asarray(batch.world.rules[symbols, t.AssetRules._fields.index(name)])[:, :, None]


def maintenance_share(batch: Batch, envs: Any, value: Any) -> Array:
    """Maintenance margin over notional of a position worth `value` [quote], (m, A, 1)."""
    # (m, A, K, 3)
    tiers = batch.world.tiers[batch.world.symbols[batch.store.episode[envs, t.BOOK]]]
    k = np.maximum((tiers[..., 0] <= np.reshape(value, (-1, 1, 1))).sum(axis=-1) - 1, 0)
    rate, amount = (np.take_along_axis(tiers[..., c], k[..., None], axis=-1) for c in (1, 2))
    return np.asarray(rate - amount / np.reshape(value, (-1, 1, 1)))


def trade_costs(batch: Batch, envs: Any, bar: Array, order: Any) -> tuple[Array, Array]:
    """Cost [quote per base] of selling the perpetual and buying spot at the opens of `bar` (m, A,
    T, 16), and of the reverse.

    order: size [base] at which the impact is taken; 0 = none.
    """
    stress, fees = _params(batch, envs, "cost_scale"), _params(batch, envs, "fee_scale")
    both = []
    for sign in (1.0, -1.0):
        cost = 0.0
        for leg, price, volume, side in (
            ("spot", layout.SPOT_OPEN, layout.SPOT_DAY_VOLUME, sign),
            ("perp", layout.PERP_OPEN, layout.PERP_DAY_VOLUME, -sign),
        ):
            slip = _rule(batch, envs, f"half_spread_{leg}") * stress
            slip = (
                slip
                + _impact(
                    order,
                    bar[..., volume],
                    bar[..., layout.SIGMA_DAY],
                    _rule(batch, envs, "impact"),
                )
                * stress
            )
            cost = cost + bar[..., price] * (
                slip + fees * _rule(batch, envs, f"fee_{leg}") * (1.0 + side * slip)
            )
        both.append(np.asarray(cost))
    return both[0], both[1]


def settlements(batch: Batch) -> tuple[Array, Array]:
    """What a perpetual of one base unit, sold short, receives at the open of every row [quote],
    (rows, A): at the recorded rates, and at a rate of 1 a year.

    The kernel pays `funding_scale` of the first and `funding_shift` of the second. Where the venue
    settles on its oracle, at the spot close before.
    """
    bars, first = batch.market.bars, batch.market.paths[:, 0]
    due = bars[:, :, layout.SETTLE_PRICE] > 0.0
    price = (
        np.roll(bars[:, :, layout.SPOT_CLOSE], 1, axis=0)
        if batch.world.codes[t.SETTLE_ON_SPOT]
        else bars[:, :, layout.SETTLE_PRICE]
    )
    price = np.where(due, price, 0.0)
    longest = max(round(8.0 / batch.market.bar_hours), 1)
    closed = np.zeros(due.shape)
    for a in range(due.shape[1]):
        rows = np.flatnonzero(due[:, a])
        before = np.append(-longest, rows[:-1])
        # a settlement of another path says nothing
        known = before >= first[np.searchsorted(first, rows, side="right") - 1]
        closed[rows, a] = np.where(known, np.minimum(rows - before, longest), longest)
    return (
        bars[:, :, layout.SETTLE_RATE] * price,
        closed * (batch.market.bar_hours / 8760.0) * price,
    )


def carry_gains(
    batch: Batch, envs: Any, rows: Any, steps: int, weights: Array, leverages: Sequence[float]
) -> Gains:
    """`Gains` of the environments `envs` (m,) of a batch for `steps` decisions from the close of
    `rows` (m,); n = m x A, environment by environment.

    Fees, spreads, impact (at the largest order of the grid, at the initial equity), level of
    funding, cash and borrow rates are those of each environment and of the rules in force when its
    episode began. Decisions that no longer fit into the path, or the episode, earn nothing.
    """
    world, market = batch.world, batch.market
    stride, envs, rows = int(world.codes[t.DECISION_BARS]), np.asarray(envs), np.asarray(rows)
    last = world.paths[batch.store.episode[envs, t.PATH], 1] - 1
    at = rows[:, None] + stride * np.arange(steps)
    fits = at + stride <= last[:, None]
    at = np.where(fits, at, rows[:, None])
    recorded, yearly = (np.cumsum(flow, axis=0) for flow in settlements(batch))
    scale, shift = _params(batch, envs, "funding_scale"), _params(batch, envs, "funding_shift")

    def bars(offset: int) -> Array:
        return np.swapaxes(market.bars[at + offset], 1, 2)  # (m, A, T, 16)

    def settled(first: int, end: int) -> Array:
        flows = (
            np.swapaxes(paid[at + end] - paid[at + first], 1, 2) for paid in (recorded, yearly)
        )
        return np.asarray(scale * next(flows) + shift * next(flows))

    then, opened, close = bars(0), bars(1), bars(stride)
    mark, spot_open, perp_open = (
        then[..., layout.MARK_CLOSE],
        opened[..., layout.SPOT_OPEN],
        opened[..., layout.PERP_OPEN],
    )
    before = (spot_open - then[..., layout.SPOT_CLOSE] - (perp_open - mark) + settled(0, 1)) / mark
    move = (
        close[..., layout.SPOT_CLOSE]
        - spot_open
        - (close[..., layout.MARK_CLOSE] - perp_open)
        + settled(1, stride)
    ) / mark
    equity = _params(batch, envs, "initial_equity")
    up, down = (
        cost / mark
        for cost in trade_costs(batch, envs, opened, np.abs(weights).max() * equity / mark)
    )
    leverage = _surviving(
        batch,
        envs,
        market.bars,
        at,
        perp_open,
        np.sort(np.asarray(leverages, float)),
        np.abs(weights).max() * equity,
    )
    years = stride * _params(batch, envs, "bar_years")
    rate, borrow = _params(batch, envs, "cash_rate"), _rule(batch, envs, "base_borrow_rate")
    bound = np.where(leverage > 0, leverage, np.nan)
    hold = np.stack(
        [
            years * rate * (spot_open + perp_open / bound[..., 0]) / mark,
            years * (rate * perp_open / bound[..., 1] + borrow * spot_open) / mark,
        ],
        axis=-1,
    )
    side = (weights < 0).astype(int)
    after = weights * move[..., None] - np.abs(weights) * hold[..., side]
    most = leverage / (1.0 + leverage) / market.n_assets
    possible = np.abs(weights) <= most[..., side] * (1 + 1e-9)
    possible &= (weights >= 0) | (_params(batch, envs, "allow_short_spot") > 0.5)[..., None]
    after = np.where(weights == 0, 0.0, np.where(possible, after, -np.inf))
    live = np.broadcast_to(fits[:, None, :], before.shape)
    shape = (len(envs) * market.n_assets, steps)
    return Gains(
        np.where(live, before, 0.0).reshape(shape),
        np.where(live[..., None], after, 0.0).reshape(*shape, len(weights)),
        np.where(live, up, 0.0).reshape(shape),
        np.where(live, down, 0.0).reshape(shape),
        leverage.reshape(*shape, 2),
    )


def _surviving(
    batch: Batch, envs: Any, bars: Array, at: Any, perp_open: Array, leverages: Array, value: Any
) -> Array:
    """(m, A, T, 2) the highest of the leverages whose margin, set at the open, outlasts the
    extremes of mark until the next decision; 0 where none.
    """
    stride = int(batch.world.codes[t.DECISION_BARS])
    high = np.max([bars[at + k, :, layout.MARK_HIGH] for k in range(1, stride + 1)], axis=0)
    low = np.min([bars[at + k, :, layout.MARK_LOW] for k in range(1, stride + 1)], axis=0)
    rise, fall = np.swapaxes(high, 1, 2) / perp_open - 1.0, 1.0 - np.swapaxes(low, 1, 2) / perp_open
    share = maintenance_share(batch, envs, value)
    found = np.zeros((*rise.shape, 2))
    for leverage in leverages:
        found[..., 0] = np.where(
            rise < (1.0 / leverage - share) / (1.0 + share), leverage, found[..., 0]
        )
        found[..., 1] = np.where(
            fall < (1.0 / leverage - share) / (1.0 - share), leverage, found[..., 1]
        )
    return found


class Foresight:
    """The plan of a trader who knows the future of every environment of a batch, solved anew
    whenever an episode begins.

    `update()` after each reset or step; then `value(weights)` and `choice(weights)` answer for the
    moment at which each environment stands. With portfolio margin there is no leverage that limits
    the plan, so it is not supported.
    """

    def __init__(self, batch: Batch, carries: Sequence[float], leverages: Sequence[float]) -> None:
        if batch.world.contract == t.INVERSE:
            raise ValueError(
                f"venue = {batch.config.venue!r} trades inverse contracts, which the plan does not"
                " cover; use one of linear ones"
            )
        if batch.world.codes[t.MARGIN_MODE] == t.MARGIN_PORTFOLIO:
            raise ValueError(
                "margin_mode = 'portfolio' has no perp wallet that limits carry; use 'isolated' or"
                " 'cross'"
            )
        self.batch, self.leverages = batch, tuple(leverages)
        self.weights = grid(carries, leverages, batch.n_assets)
        self._key = np.full((batch.num_envs, 2), -1, dtype=np.int64)
        self._value: Array = np.zeros((batch.num_envs, batch.n_assets, 1, len(self.weights)))
        self._choice: NDArray[np.int64] = np.zeros(
            (batch.num_envs, batch.n_assets, 0, len(self.weights)), dtype=np.int64
        )
        self._leverage: Array = np.zeros((batch.num_envs, batch.n_assets, 0, 2))

    def update(self) -> None:
        """Solve for the environments whose episode has changed."""
        batch = self.batch
        episode, stride = batch.store.episode, int(batch.world.codes[t.DECISION_BARS])
        first = episode[:, t.ROW] - stride * episode[:, t.DECISION]
        key = np.stack([episode[:, t.PATH], first], axis=1)
        new = np.flatnonzero((key != self._key).any(axis=1))
        if not len(new):
            return
        steps = (episode[new, t.LAST_ROW] - first[new]) // stride
        if batch.world.codes[t.EPISODE_STEPS]:
            steps = np.minimum(steps, batch.world.codes[t.EPISODE_STEPS])
        gains = carry_gains(batch, new, first[new], int(steps.max()), self.weights, self.leverages)
        value, choice = solve(self.weights, gains)
        self._reserve(int(steps.max()))
        shape = (len(new), batch.n_assets)
        self._value[new], self._choice[new] = 0.0, 0
        self._value[new, :, : value.shape[1]] = value.reshape(*shape, *value.shape[1:])
        self._choice[new, :, : choice.shape[1]] = choice.reshape(*shape, *choice.shape[1:])
        self._leverage[new, :, : choice.shape[1]] = gains.leverage.reshape(*shape, -1, 2)
        self._key = key

    def _reserve(self, steps: int) -> None:
        missing = steps - self._choice.shape[2]
        if missing > 0:
            self._value, self._choice, self._leverage = (
                np.concatenate(
                    [old, np.zeros((*old.shape[:2], missing, old.shape[3]), old.dtype)], axis=2
                )
                for old in (self._value, self._choice, self._leverage)
            )

    def value(self, weight: Any) -> Array:
        """V (n, A) at the weights (n, A) held now, linear between the points of the grid: log
        growth net of the cash rate still to come.
        """
        at = self.batch.store.episode[:, t.DECISION]
        table = self._value[np.arange(len(at)), :, at]
        w = np.clip(weight, self.weights[0], self.weights[-1])
        k = np.clip(np.searchsorted(self.weights, w) - 1, 0, len(self.weights) - 2)
        share = (w - self.weights[k]) / (self.weights[k + 1] - self.weights[k])
        low, high = (
            np.take_along_axis(table, index[..., None], axis=-1)[..., 0] for index in (k, k + 1)
        )
        return np.asarray(low + share * (high - low))

    def choice(self, weight: Any) -> tuple[Array, Array, NDArray[np.bool_]]:
        """(weight to trade to, leverage at which it is held (0 = flat), whether that is the grid
        weight held now), each (n, A).
        """
        at = np.minimum(self.batch.store.episode[:, t.DECISION], self._choice.shape[2] - 1)
        n = np.arange(len(at))
        now = np.abs(np.asarray(weight)[..., None] - self.weights).argmin(axis=-1)
        to = np.take_along_axis(self._choice[n, :, at], now[..., None], axis=-1)[..., 0]
        target = self.weights[to]
        leverage = np.where(target < 0, self._leverage[n, :, at, 1], self._leverage[n, :, at, 0])
        return target, np.where(target == 0, 0.0, leverage), to == now
