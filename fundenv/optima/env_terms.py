"""What the env of a batch pays and charges: its parameters, rules, costs of trading and
settlements, read for problems that know the future.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.batch.params import span
from fundenv.dynamics import types as t
from fundenv.dynamics.costs import impact_fraction
from fundenv.market import layout

Array = NDArray[np.float64]
_impact = np.vectorize(getattr(impact_fraction, "py_func", impact_fraction), otypes=[float])


def first_day(batch: Batch) -> dt.date:
    """The day whose rules hold at the start of the market: what is known of the venue then."""
    return span(batch.market, batch.config)[0]


def param(batch: Batch, name: str, env: int = 0) -> float:
    """One of `Params` for one environment."""
    return float(params(batch, [env], name).item())


def params(batch: Batch, envs: Any, name: str) -> Array:
    """One of `Params` for some environments, (m, 1, 1)."""
    rows = batch.store.params
    column = rows[:, t.Params._fields.index(name)]
    return np.asarray(column[envs] if len(rows) > 1 else np.repeat(column, len(envs)))[
        :, None, None
    ]


def rule(batch: Batch, envs: Any, name: str) -> Array:
    """One of `AssetRules` for every asset of some environments, (m, A, 1)."""
    symbols = batch.world.symbols[batch.store.episode[envs, t.BOOK]]
    return np.asarray(batch.world.rules[symbols, t.AssetRules._fields.index(name)])[:, :, None]


def rule_of_books(batch: Batch, name: str) -> Array:
    """One of `AssetRules` for each row of `World.symbols` (books, A)."""
    return np.asarray(batch.world.rules[batch.world.symbols, t.AssetRules._fields.index(name)])


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
    stress, fees = params(batch, envs, "cost_scale"), params(batch, envs, "fee_scale")
    both = []
    for sign in (1.0, -1.0):
        cost = 0.0
        for leg, price, volume, side in (
            ("spot", layout.SPOT_OPEN, layout.SPOT_DAY_VOLUME, sign),
            ("perp", layout.PERP_OPEN, layout.PERP_DAY_VOLUME, -sign),
        ):
            slip = rule(batch, envs, f"half_spread_{leg}") * stress
            slip = (
                slip
                + _impact(
                    order,
                    bar[..., volume],
                    bar[..., layout.SIGMA_DAY],
                    rule(batch, envs, "impact"),
                )
                * stress
            )
            cost = cost + bar[..., price] * (
                slip + fees * rule(batch, envs, f"fee_{leg}") * (1.0 + side * slip)
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
    flag = batch.world.rules[:, t.AssetRules._fields.index("settles_on_spot")]
    # (P, A), the same in every era
    on_spot = flag[batch.world.symbols[: batch.market.n_paths]] != 0.0
    lengths = np.diff(batch.market.paths)[:, 0]
    price = np.where(
        np.repeat(on_spot, lengths, axis=0),
        np.roll(bars[:, :, layout.SPOT_CLOSE], 1, axis=0),
        bars[:, :, layout.SETTLE_PRICE],
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
