"""What one capital over several coins can earn in portfolio margin with perfect foresight: a linear
programme over positions, cash and borrowing, on the environment's own prices, rates and costs.

Money, for an equity of 1 at the start. Variables for every decision k: the positions z of each coin
in base units of carry (long spot, short perpetual), by bucket of the price at which they were
opened; what is bought; the equity E_k; free and borrowed cash.

    E_(k+1) = E_k + z_(k-1) before_k + z_k move_k - costs_k + r free_k - b borrowed_k
    free_k - borrowed_k = cash after the orders
    E_k - sum (1 - collateral rate) z spot >= 1.05 x maintenance of the first bracket

An unrealised loss of a perpetual is not borrowed, so interest depends on the prices at which
positions were opened. A bucket counts every entry at its lower edge, which makes the cash, and what
it earns, no smaller than it is.

`portfolio_bound` maximises E at the end: no account that keeps to hedge ratio 1 and long carry and
is never liquidated has more. Relaxed in its favour: no impact, no stress on any order, no limit of
volume, no lots, no smallest order, no halt, no initial margin (or that of the highest leverage at
the lowest price so far, see `leverage`), maintenance at the first bracket and at closes alone,
interest on funding from the start of a step, entry prices rounded down, closed lots chosen freely,
positions sold at the end or not. Not covered: reverse carry, hedge ratios other than 1 and what
lots leave open, liquidations (which leave spot open until the next bar), auto-deleveraging.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import layout
from fundenv.optima.foresight import settlements, trade_costs

Array = NDArray[np.float64]
_CALL = 1.05  # x maintenance: specification 10.3
BUCKETS = 6
_STILL = 1e-6  # of equity: what the solver leaves of a position that stays as it is


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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The optimum of the linear programme."""

    equity: Array  # (K + 1,) at the closes, 1 at the start
    position: Array  # (K, A) base units after the orders of each decision
    growth: float  # log growth of the equity net of the cash rate


def inputs(batch: Batch, path: int, first: int, steps: int, stride: int, env: int = 0) -> Inputs:
    """`Inputs` of `steps` decisions of `stride` bars from row `first` of the market on.

    Fees, spreads, funding level, cash and borrow rates are those of environment `env` and of the
    rules in force when its episode began.
    """
    bars, envs = batch.market.bars, np.array([env])
    at = first + stride * np.arange(steps)
    then, opened, close = bars[at], bars[at + 1], bars[at + stride]
    recorded, annual = (np.cumsum(flow, axis=0) for flow in settlements(batch))
    single, single_annual = settlements(batch)
    scale, shift = _param(batch, env, "funding_scale"), _param(batch, env, "funding_shift")

    def settled(begin: int, end: int) -> Array:
        flows = (paid[at + end] - paid[at + begin] for paid in (recorded, annual))
        return np.asarray(scale * next(flows) + shift * next(flows))

    each = scale * single + shift * single_annual
    early: Any = sum(
        (np.maximum(each[at + k], 0.0) for k in range(2, stride + 1)), np.zeros(then.shape[:2])
    )
    up, down = trade_costs(batch, envs, opened.swapaxes(0, 1)[None], 0.0)
    years, rate = _param(batch, env, "bar_years"), _param(batch, env, "cash_rate")
    symbols = batch.world.symbols[batch.store.episode[env, t.BOOK]]
    rules, tiers = batch.world.rules[symbols], batch.world.tiers[symbols]
    spot_open, perp_open = opened[..., layout.SPOT_OPEN], opened[..., layout.PERP_OPEN]
    mark = then[..., layout.MARK_CLOSE]
    return Inputs(
        before=spot_open - then[..., layout.SPOT_CLOSE] - (perp_open - mark) + settled(0, 1),
        move=close[..., layout.SPOT_CLOSE]
        - spot_open
        - (close[..., layout.MARK_CLOSE] - perp_open)
        + settled(1, stride),
        early=early,
        up=up[0].T,
        down=down[0].T,
        spot=spot_open,
        perp=perp_open,
        close=close[..., layout.SPOT_CLOSE],
        mark=close[..., layout.MARK_CLOSE],
        last=mark,
        collateral=rules[:, t.AssetRules._fields.index("haircut")],
        maintenance=tiers[:, 0, 1],
        lend=(1.0 + rate * years) ** stride - 1.0,
        borrow=stride * years * quote_rate(batch),
    )


def quote_rate(batch: Batch) -> float:
    """Annual rate that borrowed quote costs in the env of `batch`."""
    given = batch.config.quote_borrow_rate
    return float(given if given is not None else batch.venue.value("borrow", "quote_annual"))


def _param(batch: Batch, env: int, name: str) -> float:
    rows = batch.store.params
    return float(rows[env if len(rows) > 1 else 0, t.Params._fields.index(name)])


def require(batch: Batch) -> None:
    """Raise `ValueError` where the programme does not describe the env."""
    if batch.world.contract == t.INVERSE:
        raise ValueError(
            f"venue = {batch.config.venue!r} trades inverse contracts, which the portfolio's plan"
            " does not cover; use a venue of linear ones"
        )
    if batch.world.codes[t.MARGIN_MODE] != t.MARGIN_PORTFOLIO:
        raise ValueError(
            f"margin_mode = {batch.config.margin_mode!r}: the portfolio's plan is for 'portfolio';"
            " use fundenv.optima.foresight for the others"
        )
    if batch.n_assets > 1 and batch.world.codes[t.CAPITAL] != t.CAPITAL_SHARED:
        raise ValueError(
            "capital = 'parts': the portfolio's plan moves one capital; use capital = 'shared'"
        )
    if quote_rate(batch) < batch.config.cash_rate:
        raise ValueError(
            f"quote_borrow_rate = {quote_rate(batch):g} is below cash_rate ="
            f" {batch.config.cash_rate:g}: borrowing to lend would pay without limit; raise it"
        )


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
    (K,), equity (K + 1,).
    """

    def __init__(self, data: Inputs, buckets: int) -> None:
        self.data = data
        self.steps, self.coins = data.spot.shape
        low, high = data.perp.min(axis=0), data.perp.max(axis=0)
        powers = np.arange(buckets) / buckets
        self.edges = low[:, None] * (high / low)[:, None] ** powers  # (A, B) lower edges
        self.bucket = np.maximum(
            (self.edges[None] <= data.perp[..., None] * (1 + 1e-12)).sum(axis=2) - 1, 0
        )
        self.shape = (self.steps, self.coins, buckets)
        self._bought = int(np.prod(self.shape))
        self._free = self._bought + self.steps * self.coins
        self.size = self._free + 2 * self.steps + self.steps + 1

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


def portfolio_bound(
    batch: Batch,
    path: int = 0,
    *,
    leverage: float,
    start: int = 0,
    steps: int | None = None,
    buckets: int = BUCKETS,
) -> float:
    """Log growth net of the cash rate that no account of environment 0 can exceed from row `start`
    of `path` on, for hedge ratio 1, carry of 0 or more and no liquidation.

    leverage: the highest that the account may ask for. steps: bars, to the end of the path by
    default. Orders are granted at every bar where the keeper trades too, else at decisions. The
    account begins in cash. Raises `ValueError` for what the programme does not describe.
    """
    require(batch)
    begin, end = (int(row) for row in batch.world.paths[path])
    bars = min(end - begin - start - 1, steps if steps is not None else end)
    kept = batch.world.codes[t.KEEPER_BARS] and batch.world.codes[t.KEEPER_WATCHES]
    stride = 1 if kept else int(batch.world.codes[t.DECISION_BARS])
    count = bars // stride
    if count < 1:
        raise ValueError(f"start = {start}: path {path} has {end - begin} bars; leave some behind")
    data = inputs(batch, path, begin + start, count, stride)
    gross = (1.0 + leverage * (1.0 - data.collateral)) / leverage
    lowest = np.minimum.accumulate(data.last, axis=0)
    plan, highest = solve(data, buckets=buckets), np.inf
    for _ in range(8):  # a position is at most what the highest equity could open
        before, highest = highest, float(np.exp(plan.growth))
        if highest > 0.999 * before:
            break
        plan = solve(data, limit=highest / (gross * lowest), buckets=buckets)
    years = count * stride * _param(batch, 0, "bar_years")
    return plan.growth - _param(batch, 0, "cash_rate") * years


class PortfolioForesight:
    """The plan of a trader who knows the future of every environment of a batch in portfolio
    margin, solved anew whenever an episode begins.

    The plan trades at decisions and keeps all positions within what `leverage` asks of the equity
    at the last prices, so that the account can follow it. Raises `ValueError` as `portfolio_bound`.
    A year of five coins takes about half a minute.
    """

    def __init__(self, batch: Batch, leverage: float, buckets: int = 2) -> None:
        require(batch)
        self.batch, self.leverage, self.buckets = batch, leverage, buckets
        self._key = np.full((batch.num_envs, 2), -1, dtype=np.int64)
        self._weight: list[Array] = [np.zeros((0, batch.n_assets))] * batch.num_envs
        self._trades: list[NDArray[np.bool_]] = [np.zeros((0, batch.n_assets), bool)] * len(
            self._weight
        )

    def update(self) -> None:
        """Solve for the environments whose episode has changed."""
        batch = self.batch
        episode, stride = batch.store.episode, int(batch.world.codes[t.DECISION_BARS])
        first = episode[:, t.ROW] - stride * episode[:, t.DECISION]
        key = np.stack([episode[:, t.PATH], first], axis=1)
        for env in np.flatnonzero((key != self._key).any(axis=1)):
            steps = int(episode[env, t.LAST_ROW] - first[env]) // stride
            if batch.world.codes[t.EPISODE_STEPS]:
                steps = min(steps, int(batch.world.codes[t.EPISODE_STEPS]))
            if steps < 1:
                continue
            data = inputs(batch, int(key[env, 0]), int(first[env]), steps, stride, int(env))
            share = (1.0 + self.leverage * (1.0 - data.collateral)) / self.leverage
            plan = solve(data, share=share, buckets=self.buckets)
            moved = np.diff(plan.position, axis=0, prepend=np.zeros((1, batch.n_assets)))
            self._weight[env] = plan.position * data.last / plan.equity[:-1, None]
            self._trades[env] = np.abs(moved) * data.last > _STILL * plan.equity[:-1, None]
        self._key = key

    def choice(self) -> tuple[Array, NDArray[np.bool_]]:
        """(notional over equity, whether the plan trades), each (n, A), for the moment at which
        each environment stands.
        """
        at = self.batch.store.episode[:, t.DECISION]
        shape = (len(at), self.batch.n_assets)
        weight, trades = np.zeros(shape), np.zeros(shape, bool)
        for env, k in enumerate(at):
            if k < len(self._weight[env]):
                weight[env], trades[env] = self._weight[env][k], self._trades[env][k]
        return weight, trades
