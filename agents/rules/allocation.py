"""Allocation by a linear programme: shares of one capital that are optimal on a forecast path of
funding, costs included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import Params, Range
from agents.reasons import Reason, first_reason
from agents.rules.actions import HELD, targets
from agents.rules.base import BP_PER_YEAR, Rule
from agents.rules.capital import Array, Capital, OneCapital
from agents.rules.memory import Mean, Settled

_NOTHING = -1e4  # bp: a loss larger than any cost, so that the coin is not held
BLOCKS = (1, 2, 4, 8, 16, 32)  # settlements over which the shares of the plan stay as they are


@dataclass(frozen=True, kw_only=True)
class AllocationParams(Params):
    """Parameters of the allocation."""

    span: Annotated[float, Range(1, 2000, "settlements")] = 21.0
    """Span of the mean of settled rates from which the forecast starts."""
    long: Annotated[float, Range(1, 2000, "settlements")] = 270.0
    """Span of the mean to which the forecast reverts."""
    persistence: Annotated[float, Range(0, 1, "of the distance")] = 0.98
    """Share of the distance between the two means that remains after one settlement."""
    cost: Annotated[float, Range(0, 1000, "bp of notional")] = 17.0
    """Cost of entering or leaving, both legs; 34 for a round trip."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet; portfolio margin: as for rotation."""


class Allocation(OneCapital, Rule):
    """Solves a linear programme at every decision and trades to the first shares of its plan.

    Forecast h settlements ahead: long mean + (mean - long mean) x persistence^h, less the hurdle of
    rotation, over the next 63 settlements. Variables are the share of the capital in each coin in
    each block of settlements, and the purchases and sales between blocks. Shares sum to 1 at most,
    and the last position is sold. The programmes of all environments are one call of HiGHS (Q.
    Huangfu and J. Hall, Math. Program. Comput. 10, 2018), by `scipy.optimize.linprog`.

    It is a baseline with a lower growth than rotation: with forecasts that revert to the mean it
    leaves too soon.
    """

    name = "allocation"
    parameters = AllocationParams
    params: AllocationParams

    def look_up(self, batch: Any) -> None:
        """Find the columns, and the margin that each coin needs in this margin mode."""
        table = batch.observation_table
        self.carry, self.pending, self.cash_rate = (
            observed(table, name) for name in ("carry", "pending", "cash_rate")
        )
        self.settled, self.short, self.long = Settled(table), Mean(table), Mean(table)
        self.memories = [self.settled, self.short, self.long]
        self.capital = Capital(batch)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The first shares of the plan where they differ from those held."""
        self.capital.see(obs)
        p = self.p
        rate, new = self.settled.see(obs)
        short = self.short.see(obs, rate, new, p.span)
        long = self.long.see(obs, rate, new, p.long)
        hurdle = self.capital.hurdle(p.leverage, self.cash_rate.of(obs)) * BP_PER_YEAR
        held = np.clip(self.carry.of(obs).astype(np.float64), 0.0, 1.0)
        held = held / np.maximum(held.sum(axis=1, keepdims=True), 1.0)
        cost = np.broadcast_to(np.asarray(p.cost, float), held.shape)
        trades = self.capital.available
        value = np.where(trades[..., None], path(short, long, p.persistence, hurdle), _NOTHING)
        kept = np.where(trades, 0.0, held)  # a coin held is kept while it is halted
        room = 1.0 - kept.sum(axis=1)
        wanted = plan(value, np.where(trades, held, 0.0), cost, room) + kept
        pending = self.pending.of(obs) != 0
        inside = held > HELD
        wanted = np.where(wanted > HELD, wanted, 0.0)
        dust = (wanted == 0.0) & (held > 0.0)  # closed, however small
        hold = ((np.abs(wanted - held) <= HELD) & ~dust) | pending | ~trades
        self.reasons = first_reason(
            [pending, ~trades, hold & inside, hold, wanted > held],
            [Reason.PENDING, Reason.CLOSED, Reason.HOLD, Reason.NEUTRAL, Reason.ENTER],
            Reason.EXIT,
        )
        return targets(hold, wanted, leverage=p.leverage)


def path(short: Array, long: Array, persistence: Any, hurdle: Array) -> Array:
    """Forecast carry of each block (n, A, B), bp: the sum over its settlements, less the hurdle of
    each [bp per 8 h].
    """
    ends = np.cumsum(BLOCKS)
    steps = np.arange(1, ends[-1] + 1)
    left = np.asarray(persistence, float)[..., None] ** steps
    ahead = (long - hurdle)[..., None] + (short - long)[..., None] * left
    return np.stack(
        [ahead[..., end - size : end].sum(axis=-1) for size, end in zip(BLOCKS, ends, strict=True)],
        axis=-1,
    )


def plan(value: Array, held: Array, cost: Array, room: Array | None = None) -> Array:
    """The shares (n, A) of the first block that maximise the value of all blocks less costs.

    value: (n, A, B) of a share of 1. held, cost: (n, A) the present shares, and the cost of buying
    or selling a share of 1. room: (n,) largest sum of the shares, by default 1. Raises
    `RuntimeError` where HiGHS finds no optimum.
    """
    from scipy.optimize import linprog
    from scipy.sparse import diags_array, eye_array, hstack, kron

    n, coins, blocks = value.shape
    count = n * coins
    trades = np.repeat(cost.ravel(), blocks)
    last = np.zeros((n, coins, blocks))
    last[..., -1] = cost
    gain = np.concatenate([(last - value).ravel(), trades, trades])
    step = diags_array([np.ones(blocks), -np.ones(blocks - 1)], offsets=[0, -1])
    every = eye_array(count * blocks)
    balance = hstack([kron(eye_array(count), step), -every, every], format="csr")
    begins = np.zeros((n, coins, blocks))
    begins[..., 0] = held
    whole = kron(kron(eye_array(n), np.ones((1, coins))), eye_array(blocks))
    nothing = kron(eye_array(n * blocks), np.zeros((1, 2 * coins)))
    found = linprog(
        gain,
        A_ub=hstack([whole, nothing], format="csr"),
        b_ub=np.repeat(np.ones(n) if room is None else room, blocks),
        A_eq=balance,
        b_eq=begins.ravel(),
        method="highs",
    )
    if found.status != 0:
        raise RuntimeError(
            f"the linear programme of the allocation has no optimum: {found.message}"
        )
    shares: Array = found.x[: count * blocks].reshape(n, coins, blocks)[..., 0]
    return shares
