"""What carry earns and costs on the prices, rates and costs of an env, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import layout
from fundenv.optima.env_terms import (
    Array,
    maintenance_share,
    params,
    rule,
    settlements,
    trade_costs,
)


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


def carry_gains(
    batch: Batch, envs: Any, rows: Any, steps: int, weights: Array, leverages: Sequence[float]
) -> Gains:
    """`Gains` of the environments `envs` (m,) of a batch for `steps` decisions from the close of
    `rows` (m,); n = m x A, environment by environment.

    Fees, spreads, impact (at the largest order of the grid, at the initial equity), level of
    funding, cash and borrow rates are those of each environment and of the rules in force when its
    episode began. Decisions that no longer fit into the path, or the episode, earn nothing.
    """
    envs = np.asarray(envs)
    at, fits = _decisions(batch, envs, np.asarray(rows), steps)
    seen = _prices(batch, envs, at)
    largest = np.abs(weights).max() * params(batch, envs, "initial_equity")
    up, down = (
        cost / seen.mark for cost in trade_costs(batch, envs, seen.opened, largest / seen.mark)
    )
    leverage = _surviving(
        batch, envs, at, seen.perp_open, np.sort(np.asarray(leverages, float)), largest
    )
    after = _net_of_capital(batch, envs, seen, weights, leverage)
    live = np.broadcast_to(fits[:, None, :], seen.before.shape)
    shape = (len(envs) * batch.n_assets, steps)
    return Gains(
        np.where(live, seen.before, 0.0).reshape(shape),
        np.where(live[..., None], after, 0.0).reshape(*shape, len(weights)),
        np.where(live, up, 0.0).reshape(shape),
        np.where(live, down, 0.0).reshape(shape),
        leverage.reshape(*shape, 2),
    )


class _Prices(NamedTuple):
    """What T decisions see, (m, A, T)."""

    mark: Array  # close at which the decision is taken
    spot_open: Array  # at which its orders fill
    perp_open: Array
    opened: Array  # (m, A, T, 16) the bar in which they fill
    before: Array  # earned per unit of weight until they fill
    move: Array  # and from then to the end of the step


def _decisions(batch: Batch, envs: Any, rows: Any, steps: int) -> tuple[Any, Any]:
    """(row of each decision, whether its step fits into the path), (m, T)."""
    stride = int(batch.world.codes[t.DECISION_BARS])
    last = batch.world.paths[batch.store.episode[envs, t.PATH], 1] - 1
    at = rows[:, None] + stride * np.arange(steps)
    fits = at + stride <= last[:, None]
    return np.where(fits, at, rows[:, None]), fits


def _prices(batch: Batch, envs: Any, at: Any) -> _Prices:
    stride = int(batch.world.codes[t.DECISION_BARS])
    recorded, yearly = (np.cumsum(flow, axis=0) for flow in settlements(batch))
    scale, shift = params(batch, envs, "funding_scale"), params(batch, envs, "funding_shift")

    def bars(offset: int) -> Array:
        return np.swapaxes(batch.market.bars[at + offset], 1, 2)  # (m, A, T, 16)

    def settled(first: int, end: int) -> Array:
        flows = (
            np.swapaxes(paid[at + end] - paid[at + first], 1, 2) for paid in (recorded, yearly)
        )
        return np.asarray(scale * next(flows) + shift * next(flows))

    then, opened, close = bars(0), bars(1), bars(stride)
    mark = then[..., layout.MARK_CLOSE]
    spot_open, perp_open = opened[..., layout.SPOT_OPEN], opened[..., layout.PERP_OPEN]
    before = (spot_open - then[..., layout.SPOT_CLOSE] - (perp_open - mark) + settled(0, 1)) / mark
    move = (
        close[..., layout.SPOT_CLOSE]
        - spot_open
        - (close[..., layout.MARK_CLOSE] - perp_open)
        + settled(1, stride)
    ) / mark
    return _Prices(mark, spot_open, perp_open, opened, before, move)


def _net_of_capital(
    batch: Batch, envs: Any, seen: _Prices, weights: Array, leverage: Array
) -> Array:
    """(m, A, T, W) what each weight earns from the fill on, net of the cost of its capital; -inf
    where no leverage holds it, or spot may not be sold short.
    """
    years = int(batch.world.codes[t.DECISION_BARS]) * params(batch, envs, "bar_years")
    rate, borrow = params(batch, envs, "cash_rate"), rule(batch, envs, "base_borrow_rate")
    bound = np.where(leverage > 0, leverage, np.nan)
    hold = np.stack(
        [
            years * rate * (seen.spot_open + seen.perp_open / bound[..., 0]) / seen.mark,
            years * (rate * seen.perp_open / bound[..., 1] + borrow * seen.spot_open) / seen.mark,
        ],
        axis=-1,
    )
    side = (weights < 0).astype(int)
    after = weights * seen.move[..., None] - np.abs(weights) * hold[..., side]
    most = leverage / (1.0 + leverage) / batch.n_assets
    possible = np.abs(weights) <= most[..., side] * (1 + 1e-9)
    possible &= (weights >= 0) | (params(batch, envs, "allow_short_spot") > 0.5)[..., None]
    return np.where(weights == 0, 0.0, np.where(possible, after, -np.inf))


def _surviving(
    batch: Batch, envs: Any, at: Any, perp_open: Array, leverages: Array, value: Any
) -> Array:
    """(m, A, T, 2) the highest of the leverages whose margin, set at the open, outlasts the
    extremes of mark until the next decision; 0 where none.
    """
    bars, stride = batch.market.bars, int(batch.world.codes[t.DECISION_BARS])
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
