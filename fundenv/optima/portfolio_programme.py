"""The linear programme of one capital over several coins in portfolio margin: positions, cash and
borrowing that bring most, from prices, rates and costs that are given.

Money, for an equity of 1 at the start. Variables for every decision k: the positions z of each coin
in base units of carry (long spot, short perpetual), by bucket of the price at which they were
opened; what is bought; the equity E_k; free and borrowed cash.

    E_(k+1) = E_k + z_(k-1) before_k + z_k move_k - costs_k + r free_k - b borrowed_k
    free_k - borrowed_k = cash after the orders
    E_k - sum (1 - collateral rate) z spot >= 1.05 x maintenance of the first bracket

Where quote comes out of a pool, a step also pays the interest beyond the flat rate, which is convex
in the loan: it is at least what each of some tangents says. A coin that is not open has z = 0.

An unrealised loss of a perpetual is not borrowed, so interest depends on the prices at which
positions were opened. A bucket counts every entry at its lower edge, which makes the cash, and what
it earns, no smaller than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_CALL = 1.05  # x maintenance: specification 10.3
BUCKETS = 6


class Inputs(NamedTuple):
    """K decisions of A coins, per base unit [quote]."""

    before: Array  # (K, A) of the position held before the orders, until they fill
    move: Array  # (K, A) of the new position, from the fill to the end of the step
    early: Array  # (K, A) funding of the step that may be counted from its start
    up: Array  # (K, A) cost of opening
    down: Array  # (K, A) cost of closing
    spot: Array  # (K, A) spot open at which orders fill
    perp: Array  # (K, A) perpetual open
    close: Array  # (K, A) spot close at the end of the step
    mark: Array  # (K, A) mark close at the end of the step
    last: Array  # (K, A) mark close at which the decision is taken
    collateral: Array  # (A,)
    maintenance: Array  # (A,) of the first bracket
    lend: float  # earned on cash in a step
    borrow: float  # paid for borrowed quote in a step
    open: NDArray[np.bool_] | None = None  # (K, A) whether the coin may be held; none: always
    # (K, J) each: a loan of B pays at least slopes B - levels more in the step
    slopes: Array | None = None
    levels: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The optimum of the linear programme."""

    equity: Array  # (K + 1,) at the closes, 1 at the start
    position: Array  # (K, A) base units after the orders of each decision
    growth: float  # log growth of the equity net of the cash rate


def solve(
    data: Inputs,
    limit: Array | None = None,
    share: Array | None = None,
    buckets: int = BUCKETS,
) -> Plan:
    """The optimum of the programme by HiGHS.

    limit: (K, A) largest position, base units for an equity of 1 at the start. share: (A,) equity
    that one quote of notional ties up (specification 6.2); all coins together then use at most the
    equity. Raises `RuntimeError` where HiGHS finds no optimum.
    """
    from scipy.optimize import linprog

    programme = _Programme(data, buckets)
    bounds = np.zeros((programme.size, 2))
    bounds[:, 1] = np.inf
    bounds[programme.equity_at(0)] = 1.0
    if limit is not None:
        k, a, b = np.indices(programme.shape)
        bounds[programme.z(k, a, b).ravel(), 1] = np.broadcast_to(
            limit[:, :, None], programme.shape
        ).ravel()
    if data.open is not None:
        k, a, b = np.indices(programme.shape)
        bounds[programme.z(k, a, b)[~data.open].ravel(), 1] = 0.0
    above, most = programme.inequalities(share, limit)
    equal, rest = programme.equalities()
    gain = np.zeros(programme.size)
    gain[programme.equity_at(programme.steps)] = -1.0
    found = linprog(
        gain, A_ub=above, b_ub=most, A_eq=equal, b_eq=rest, bounds=bounds, method="highs-ipm"
    )
    if found.status != 0:
        raise RuntimeError(f"the plan of the portfolio has no optimum: {found.message}")
    count = int(np.prod(programme.shape))
    position = found.x[:count].reshape(programme.shape).sum(axis=2)
    equity = found.x[programme.equity_at(np.arange(programme.steps + 1))]
    return Plan(equity=equity, position=position, growth=float(np.log(equity[-1])))


class _Programme:
    """Rows and columns of the linear programme: z (K, A, B), bought (K, A), free and borrowed cash
    (K,), equity (K + 1,), interest beyond the flat rate (K,) where there is a pool.
    """

    def __init__(self, data: Inputs, buckets: int) -> None:
        self.data = data
        self.steps, self.coins = data.spot.shape
        known = np.ones(data.perp.shape, bool) if data.open is None else data.open
        low = np.where(known, data.perp, np.inf).min(axis=0)
        high = np.where(known, data.perp, 0.0).max(axis=0)
        low, high = np.where(high > 0.0, low, 1.0), np.where(high > 0.0, high, 1.0)
        powers = np.arange(buckets) / buckets
        self.edges = low[:, None] * (high / low)[:, None] ** powers  # (A, B) lower edges
        self.bucket = np.maximum(
            (self.edges[None] <= data.perp[..., None] * (1 + 1e-12)).sum(axis=2) - 1, 0
        )
        self.shape = (self.steps, self.coins, buckets)
        self._bought = int(np.prod(self.shape))
        self._free = self._bought + self.steps * self.coins
        self._scarce = self._free + 2 * self.steps + self.steps + 1
        self.size = self._scarce + (0 if data.slopes is None else self.steps)

    def z(self, k: Any, a: Any, b: Any) -> Any:
        """Column of a position."""
        return (k * self.coins + a) * self.shape[2] + b

    def bought(self, k: Any, a: Any) -> Any:
        """Column of what is bought."""
        return self._bought + k * self.coins + a

    def equity_at(self, k: Any) -> Any:
        """Column of the equity at the close of decision k."""
        return self._free + 2 * self.steps + k

    def equalities(self) -> tuple[Any, Array]:
        """Equity of each step, and cash after the orders of each step."""
        data, steps = self.data, self.steps
        entries = _Entries()
        k = np.arange(steps)
        entries.add(k, self.equity_at(k + 1), 1.0)
        entries.add(k, self.equity_at(k), -1.0)
        entries.add(k, self._free + k, -data.lend)
        entries.add(k, self._free + steps + k, data.borrow)
        if data.slopes is not None:
            entries.add(k, self._scarce + k, 1.0)
        entries.add(steps + k, self._free + k, 1.0)
        entries.add(steps + k, self._free + steps + k, -1.0)
        entries.add(steps + k, self.equity_at(k), -1.0)
        k, a, b = (index.ravel() for index in np.indices(self.shape))
        later = k > 0
        k1, a1, b1 = k[later], a[later], b[later]
        entries.add(k, self.z(k, a, b), -data.move[k, a])
        cash = data.spot[k, a] + self.edges[a, b] - data.perp[k, a] - data.early[k, a]
        entries.add(steps + k, self.z(k, a, b), cash)
        for row in (k1, steps + k1):
            entries.add(row, self.z(k1 - 1, a1, b1), -data.before[k1, a1])
        # costs: closing down x (z before + bought - z after), opening up x bought
        for row in (0, steps):
            entries.add(row + k, self.z(k, a, b), -data.down[k, a])
            entries.add(row + k1, self.z(k1 - 1, a1, b1), data.down[k1, a1])
        k, a = (index.ravel() for index in np.indices((steps, self.coins)))
        for row in (0, steps):
            entries.add(row + k, self.bought(k, a), data.up[k, a] + data.down[k, a])
        return entries.matrix(2 * steps, self.size), np.zeros(2 * steps)

    def inequalities(self, share: Array | None, limit: Array | None) -> tuple[Any, Array]:
        """Positions that only the bucket of the price of the day can grow, and margin."""
        data, steps = self.data, self.steps
        entries, count = _Entries(), int(np.prod(self.shape))
        k, a, b = (index.ravel() for index in np.indices(self.shape))
        rows = self.z(k, a, b)
        entries.add(rows, rows, 1.0)
        later = k > 0
        entries.add(rows[later], self.z(k[later] - 1, a[later], b[later]), -1.0)
        grows = b == self.bucket[k, a]
        entries.add(rows[grows], self.bought(k[grows], a[grows]), -1.0)
        used = (1.0 - data.collateral) * data.close + _CALL * data.maintenance * data.mark
        entries.add(count + k, rows, used[k, a])
        entries.add(count + np.arange(steps), self.equity_at(np.arange(steps) + 1), -1.0)
        total = count + steps
        if share is not None:
            entries.add(total + k, rows, share[a] * data.last[k, a])
            entries.add(total + np.arange(steps), self.equity_at(np.arange(steps)), -1.0)
            total += steps
        most = np.zeros(total)
        if limit is not None:
            line = k * self.coins + a
            entries.add(total + line, rows, 1.0)
            most = np.concatenate([most, limit.ravel()])
            total += steps * self.coins
        if data.slopes is not None and data.levels is not None:
            k, j = (index.ravel() for index in np.indices(data.slopes.shape))
            line = total + np.arange(len(k))
            entries.add(line, self._free + steps + k, data.slopes[k, j])
            entries.add(line, self._scarce + k, -1.0)
            most = np.concatenate([most, data.levels.ravel()])
            total += len(k)
        return entries.matrix(total, self.size), most


class _Entries:
    """Entries of a sparse matrix; those at one place add up."""

    def __init__(self) -> None:
        self._parts: list[tuple[Any, Any, Any]] = []

    def add(self, row: Any, column: Any, value: Any) -> None:
        """Arrays of one length, or numbers."""
        self._parts.append(tuple(np.broadcast_arrays(row, column, value)))  # type: ignore[arg-type]

    def matrix(self, rows: int, columns: int) -> Any:
        """The matrix in compressed rows."""
        from scipy.sparse import coo_array

        row, column, value = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        return coo_array((value, (row, column)), shape=(rows, columns)).tocsr()
