"""The observation: a copy of the market features and the state of the account, in fixed declared
scales.
"""

from __future__ import annotations

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import params_of
from fundenv.dynamics.balance import margin_balance
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.capital import capital_parts, gross_of
from fundenv.dynamics.columns import Column, by_name, clip, put, put_scaled
from fundenv.dynamics.holdings import coins_of
from fundenv.dynamics.kinds import of_leg
from fundenv.dynamics.legs import base_of, quote_of
from fundenv.dynamics.more_columns import observe_more
from fundenv.dynamics.reward import LOG_FLOOR
from fundenv.dynamics.types import (
    ACCRUED,
    BOOK,
    CASH,
    EQUITY,
    EQUITY_PEAK,
    FUNDING_FEATURE,
    IDLE_BARS,
    INVERSE,
    LIQUIDATED,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    OBSERVED,
    PENDING,
    PERP,
    PLACED,
    ROW,
    SPOT,
    TARGET_CARRY,
    TARGET_HEDGE,
    TARGET_LEVERAGE,
)
from fundenv.dynamics.wallets import wallet_of
from fundenv.market.layout import MARK_CLOSE, SIGMA_DAY, SPOT_CLOSE

# Place, scale and limits of an observation stand here alone: `observe` reads them by its name.
LEG_COLUMNS = (
    Column("perp_weight", "signed perpetual notional over equity", "fraction", -10, 10, 1),
    Column(
        "spot_weight",
        "signed spot value over equity (inverse: all coins, margin and unrealised profit included)",
        "fraction",
        -10,
        10,
        1,
    ),
    Column(
        "hedge_ratio",
        "minus spot (inverse: all coins) over perp in base units, 0 without a perpetual position",
        "fraction",
        -10,
        10,
        1,
    ),
    Column(
        "leverage",
        "perpetual notional over margin balance (margin + unrealised profit), 0 without a position",
        "times",
        0,
        10,
        10,
    ),
    Column("target_leverage", "leverage of the last decision", "times", 0, 10, 10),
    Column(
        "margin_distance",
        "margin above maintenance over notional, in daily volatilities; the maximum without a"
        " position",
        "sigma",
        0,
        10,
        10,
    ),
    Column(
        "accrued_funding",
        "funding received since the perpetual position was opened, over equity",
        "fraction",
        -10,
        10,
        0.01,
    ),
    Column("idle_time", "time since the last fill", "days", 0, 10, 10),
    Column(
        "carry",
        "carry held now: minus perpetual notional over equity x (1 + L) / L x A (shared capital:"
        " without A), L the target leverage (inverse: without (1 + L) / L)",
        "fraction",
        -10,
        10,
        1,
    ),
    Column(
        "net_carry",
        "annualised funding_ewma_9 minus the hurdle cash_rate (1 + L) / L (inverse: cash_rate)",
        "per year",
        -10,
        10,
        0.5,
    ),
    Column("liquidated", "1 if the leg was liquidated during the last step", "flag", 0, 1, 1),
    Column("pending", "1 while an after-liquidation order waits", "flag", 0, 1, 1),
    Column("target_carry", "carry of the last decision that was not hold", "fraction", -1, 1, 1),
    Column(
        "target_hedge", "hedge ratio of the last decision that was not hold", "fraction", 0, 2, 1
    ),
)
ACCOUNT_COLUMNS = (
    Column(
        "free_cash", "cash that is neither borrowed nor locked, over equity", "fraction", -10, 10, 1
    ),
    Column("drawdown", "1 - equity / highest equity of the episode", "fraction", 0, 10, 0.1),
    Column("cash_rate", "rate that idle cash earns", "per year", -10, 10, 0.05),
    Column(
        "wallet_share", "margin balance of all perp wallets over equity", "fraction", -10, 10, 1
    ),
)


LEG, ACCOUNT = by_name("LegSeen", LEG_COLUMNS), by_name("AccountSeen", ACCOUNT_COLUMNS)
N_LEG_COLUMNS = len(LEG_COLUMNS)
N_ACCOUNT_COLUMNS = len(ACCOUNT_COLUMNS)
_PER_YEAR = 1e-4 * 3.0 * 365.0  # bp per 8 h to a fraction per year
_DAYS = 365.0


@jit
def moved_level(p, seen, added, low, high):
    """A feature that was `seen`, at the level of funding of the episode; added, low, high: columns
    of `World.levels`.
    """
    return clip(p.funding_scale * seen + p.funding_shift * added, low, high)


@jit
def _shift_level(world, p, obs, i, at):
    """Bring the funding features of one asset, which stand from obs[i, at] on, to the level of
    funding of the episode.
    """
    levels = world.levels
    for f in range(levels.shape[0]):
        if levels[f, 0] > 0.0:
            moved = moved_level(p, obs[i, at + f], levels[f, 1], levels[f, 2], levels[f, 3])
            obs[i, at + f] = moved


@jit
def _observe_account(world, store, p, obs, i, row, at, wallets, per_equity):
    """The columns of the account, from obs[i, at] on; wallets: balance of all perp wallets [quote],
    per_equity: 1 / equity.
    """
    account = store.account
    free = account[i, CASH] - locked_cash(world, store, i, row, SPOT_CLOSE)
    put(obs, i, at, ACCOUNT.free_cash, free * per_equity)
    put(obs, i, at, ACCOUNT.drawdown, 1.0 - account[i, EQUITY] / account[i, EQUITY_PEAK])
    put(obs, i, at, ACCOUNT.cash_rate, p.cash_rate)
    put(obs, i, at, ACCOUNT.wallet_share, wallets * per_equity)


@jit
def observe(world, store, obs, i):
    """Write the observation of environment i, taken at the close of its current bar, into
    obs[i].
    """
    p = params_of(store.params, i)
    account, legs, bars = store.account, store.legs, world.bars
    row = store.episode[i, ROW]
    assets, features = legs.shape[1], world.features.shape[2]
    equity = max(account[i, EQUITY], LOG_FLOOR * p.initial_equity)
    per_equity = 1.0 / equity
    mode = world.codes[MARGIN_MODE]
    cross = mode == MARGIN_PORTFOLIO or (mode != MARGIN_ISOLATED and world.contract != INVERSE)
    at, wallets = 0, 0.0
    for a in range(assets):
        for f in range(features):
            obs[i, at + f] = world.features[row, a, f]
        if p.funding_scale != 1.0 or p.funding_shift != 0.0:
            _shift_level(world, p, obs, i, at)
        funding = (
            obs[i, at + world.codes[FUNDING_FEATURE]]
            * world.scales[world.codes[FUNDING_FEATURE]]
            * _PER_YEAR
        )
        at += features
        size, spot, mark = legs[i, a, PERP], legs[i, a, SPOT], bars[row, a, MARK_CLOSE]
        first = 0 if cross else a
        book = store.episode[i, BOOK]
        own = of_leg(world, book, a)
        if cross and world.contract >= PLACED:
            first = wallet_of(world, book, a)
        balance, needed, value = margin_balance(
            world, store, i, first, assets if cross else a + 1, row
        )
        if first == a:
            wallets += balance
        leverage, hedge = 0.0, 0.0
        distance = LEG.margin_distance.high / LEG.margin_distance.per
        if value > 0.0:
            leverage = value / balance if balance > 0.0 else 100.0
            distance = (balance - needed) / (value * bars[row, a, SIGMA_DAY])
        if own.contract == INVERSE:
            spot = coins_of(store, i, a, mark)
        if size != 0.0:
            hedge = -spot / base_of(own.contract, size, mark)
        target = legs[i, a, TARGET_LEVERAGE]
        weight = quote_of(own.contract, size, mark) * per_equity
        gross = gross_of(own, world.symbols[book, a], target)
        put(obs, i, at, LEG.perp_weight, weight)
        put(obs, i, at, LEG.spot_weight, spot * bars[row, a, SPOT_CLOSE] * per_equity)
        put(obs, i, at, LEG.hedge_ratio, hedge)
        put(obs, i, at, LEG.leverage, leverage)
        put(obs, i, at, LEG.target_leverage, target)
        put(obs, i, at, LEG.margin_distance, distance)
        accrued = LEG.accrued_funding.per * legs[i, a, ACCRUED] * per_equity
        put_scaled(obs, i, at, LEG.accrued_funding, accrued)
        idle = LEG.idle_time.per * _DAYS * p.bar_years * legs[i, a, IDLE_BARS]
        put_scaled(obs, i, at, LEG.idle_time, idle)
        put(obs, i, at, LEG.carry, -weight * gross * capital_parts(world, assets))
        put(obs, i, at, LEG.net_carry, funding - p.cash_rate * gross)
        obs[i, at + LEG.liquidated.at] = 1.0 if legs[i, a, LIQUIDATED] > 0.0 else 0.0
        obs[i, at + LEG.pending.at] = 1.0 if legs[i, a, PENDING] != 0.0 else 0.0
        obs[i, at + LEG.target_carry.at] = legs[i, a, TARGET_CARRY]
        obs[i, at + LEG.target_hedge.at] = legs[i, a, TARGET_HEDGE]
        at += N_LEG_COLUMNS
    _observe_account(world, store, p, obs, i, row, at, wallets, per_equity)
    if world.codes[OBSERVED] != 0:
        observe_more(world, store, obs, i, row, at + N_ACCOUNT_COLUMNS)
