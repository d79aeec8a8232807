"""What one capital over several coins can earn in portfolio margin with perfect foresight: the
linear programme of `portfolio_programme` on the environment's own prices, rates and costs.

`portfolio_bound` maximises E at the end: no account that keeps to hedge ratio 1 and long carry and
is never liquidated has more, in any margin mode (an isolated or cross account borrows no quote and
holds more margin than the programme asks for). A coin that is not listed is not held. A pool of
quote charges its rising rate; that it lends no more than it has is relaxed.

Relaxed in its favour: no impact, no stress on any order, no limit of volume, no lots, no smallest
order, no halt, no initial margin (or that of the highest leverage at the lowest price so far, see
`leverage`), maintenance at the first bracket and at closes alone, interest on funding from the
start of a step, entry prices rounded down, closed lots chosen freely, positions sold at the end or
not. What impact that stays behind (`impact_lasting`) gives back has been paid before, so it needs
no allowance.

Not covered: reverse carry, hedge ratios other than 1 and what lots leave open, liquidations (which
leave spot open until the next bar), auto-deleveraging, and fees on a displaced price, which may be
lower by fee x displacement.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.dynamics.lending import KINK
from fundenv.market import layout
from fundenv.optima.env_terms import first_day, param, settlements, trade_costs
from fundenv.optima.portfolio_programme import BUCKETS, Array, Inputs, solve

LOANS = np.geomspace(0.02, 20.0, 10)  # equities at which the interest of a pool has tangents
_STILL = 1e-6  # of equity: what the solver leaves of a position that stays as it is


def inputs(batch: Batch, path: int, first: int, steps: int, stride: int, env: int = 0) -> Inputs:
    """`Inputs` of `steps` decisions of `stride` bars from row `first` of the market on.

    Fees, spreads, funding level, cash and borrow rates are those of environment `env` and of the
    rules in force when its episode began.
    """
    bars, envs = batch.market.bars, np.array([env])
    at = first + stride * np.arange(steps)
    then, opened, close = bars[at], bars[at + 1], bars[at + stride]
    listed = bars[..., layout.HALTED] < layout.UNLISTED
    slopes, levels = _scarcity(batch, env, at, stride)
    recorded, annual = (np.cumsum(flow, axis=0) for flow in settlements(batch))
    single, single_annual = settlements(batch)
    scale, shift = param(batch, "funding_scale", env), param(batch, "funding_shift", env)

    def settled(begin: int, end: int) -> Array:
        flows = (paid[at + end] - paid[at + begin] for paid in (recorded, annual))
        return np.asarray(scale * next(flows) + shift * next(flows))

    each = scale * single + shift * single_annual
    early: Any = sum(
        (np.maximum(each[at + k], 0.0) for k in range(2, stride + 1)), np.zeros(then.shape[:2])
    )
    up, down = trade_costs(batch, envs, opened.swapaxes(0, 1)[None], 0.0)
    years, rate = param(batch, "bar_years", env), param(batch, "cash_rate", env)
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
        collateral=rules[:, t.AssetRules._fields.index("collateral_rate")],
        maintenance=tiers[:, 0, 1],
        lend=(1.0 + rate * years) ** stride - 1.0,
        borrow=stride * years * quote_rate(batch),
        open=np.all([listed[at + k] for k in range(stride + 1)], axis=0),
        slopes=slopes,
        levels=levels,
    )


def _scarcity(
    batch: Batch, env: int, at: Any, stride: int
) -> tuple[Array, Array] | tuple[None, None]:
    """Tangents (K, J) of the interest beyond the flat rate that a loan of quote pays in each step
    (specification 11.2), for an equity of 1 at the start; none where the pool is endless.
    """
    supply = param(batch, "quote_supply", env) / param(batch, "initial_equity", env)
    if supply <= 0.0 or batch.world.codes[t.MARGIN_MODE] != t.MARGIN_PORTFOLIO:
        return None, None
    rows = batch.market.bars[np.asarray(at)[:, None] + np.arange(1, stride + 1)]
    listed = rows[..., layout.HALTED] < layout.UNLISTED
    count = np.maximum(listed.sum(axis=-1), 1)
    sigma = np.where(listed, rows[..., layout.SIGMA_DAY], 0.0).sum(axis=-1) / count
    lent = np.maximum(param(batch, "borrow_used", env), param(batch, "borrow_slope", env) * sigma)[
        ..., None
    ]
    steep = param(batch, "borrow_steep", env) * param(batch, "bar_years", env) / (1.0 - KINK)
    beyond = lent + LOANS / supply - KINK
    interest = steep * LOANS * np.maximum(beyond, 0.0)
    slope = np.where(beyond > 0.0, steep * (beyond + LOANS / supply), 0.0)
    return slope.sum(axis=1), (slope * LOANS - interest).sum(axis=1)


def quote_rate(batch: Batch) -> float:
    """Annual rate that borrowed quote costs in the env of `batch`."""
    given, day = batch.config.quote_borrow_rate, first_day(batch)
    return float(
        given if given is not None else batch.venue.value("borrow", "quote_annual", date=day)
    )


def require(batch: Batch, follow: bool = True) -> None:
    """Raise `ValueError` where the programme does not describe the env, or, with `follow`, the
    account cannot follow the plan.
    """
    if batch.world.contract in (t.INVERSE, t.MIXED):
        raise ValueError(
            f"venue = {batch.config.venue!r} trades inverse contracts, which the portfolio's plan"
            " does not cover; use a venue of linear ones"
        )
    if follow and batch.world.codes[t.MARGIN_MODE] != t.MARGIN_PORTFOLIO:
        raise ValueError(
            f"margin_mode = {batch.config.margin_mode!r}: the portfolio's plan is for 'portfolio';"
            " use fundenv.optima.foresight for the others"
        )
    if follow and batch.n_assets > 1 and batch.world.codes[t.CAPITAL] != t.CAPITAL_SHARED:
        raise ValueError(
            "capital = 'parts': the portfolio's plan moves one capital; use capital = 'shared'"
        )
    if quote_rate(batch) < batch.config.cash_rate:
        raise ValueError(
            f"quote_borrow_rate = {quote_rate(batch):g} is below cash_rate ="
            f" {batch.config.cash_rate:g}: borrowing to lend would pay without limit; raise it"
        )


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
    default. Orders are granted at every bar where the keeper trades too, or coins come and go, else
    at decisions. The account begins in cash. Raises `ValueError` for what the programme does not
    describe.
    """
    require(batch, follow=False)
    begin, end = (int(row) for row in batch.world.paths[path])
    bars = min(end - begin - start - 1, steps if steps is not None else end)
    codes = batch.world.codes
    wallets = codes[t.MARGIN_MODE] != t.MARGIN_PORTFOLIO
    kept = codes[t.KEEPER_BARS] and (wallets or codes[t.KEEPER_WATCHES])
    # a coin may leave within a decision
    stride = 1 if kept or codes[t.LISTINGS] else int(codes[t.DECISION_BARS])
    count = bars // stride
    if count < 1:
        raise ValueError(f"start = {start}: path {path} has {end - begin} bars; leave some behind")
    data = inputs(batch, path, begin + start, count, stride)
    gross = (1.0 + leverage * (1.0 - data.collateral)) / leverage
    held = np.asarray(data.open)
    lowest = np.minimum.accumulate(np.where(held, data.last, np.inf), axis=0)
    plan, highest = solve(data, buckets=buckets), np.inf
    for _ in range(8):  # a position is at most what the highest equity could open
        before, highest = highest, float(np.exp(plan.growth))
        if highest > 0.999 * before:
            break
        plan = solve(data, limit=highest / (gross * lowest), buckets=buckets)
    years = count * stride * param(batch, "bar_years")
    return plan.growth - param(batch, "cash_rate") * years


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
