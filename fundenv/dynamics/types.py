"""What a step reads and writes: NamedTuples for the rules, and the columns in which the same fields
are stored.

Storage is one row per environment in plain arrays, so that a backend chooses the memory order and
the rules never notice. Columns are numbered in the order in which they stand here. Signs: + long, -
short; money from the agent's side, + received.
"""

from __future__ import annotations

from itertools import count
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundenv import choices
from fundenv.choices import codes
from fundenv.market.layout import N_COLUMNS

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

# --- account: one row per environment -------------------------------------------------------------
_column = count()
CASH = next(_column)  # quote on the spot wallet; negative = borrowed quote
EQUITY = next(_column)  # quote, at the last close
EQUITY_PEAK = next(_column)  # highest equity at a decision since the start of the episode
EPISODE_REWARD = next(_column)
N_ACCOUNT = next(_column)

# --- leg: one row per environment and asset -------------------------------------------------------
_column = count()
SPOT = next(_column)  # base units; negative = borrowed base
PERP = next(_column)  # signed size: base units; inverse contracts: quote units (contracts x face)
ENTRY = next(_column)  # average entry price of the perpetual; 0 when flat
# perp wallet, quote (inverse: coins), without unrealised profit; a wallet that legs share (cross
# mode of linear contracts) stands at the first of them
MARGIN = next(_column)
TARGET_CARRY = next(_column)  # carry of the last decision that was not `hold`
TARGET_HEDGE = next(_column)
TARGET_LEVERAGE = next(_column)
PENDING = next(_column)  # what the next open owes after a liquidation: a PENDING_* code
IDLE_BARS = next(_column)  # bars since the last fill
ACCRUED = next(_column)  # funding received since the perpetual position was opened, quote
WANT_SPOT = next(_column)  # order of the current bar, base units (scratch of a step)
WANT_PERP = next(_column)
REASON = next(_column)  # why the last order was not filled whole: a REASON_* code
LIQUIDATED = next(_column)  # liquidations of this leg during the step
TOUCH = next(_column)  # which rule placed the order of this bar: a TOUCH_* code (scratch)
SHRINK = next(_column)  # whether the order of the current bar uses free cash (scratch)
N_LEG = next(_column)
# of no meaning between steps: the plain loop and the vector form leave other values there
SCRATCH = (WANT_SPOT, WANT_PERP, TOUCH, SHRINK)

# a stressed order is forced; the last two follow a crash of the mark price, the very last is forced
TOUCH_NONE, TOUCH_NORMAL, TOUCH_STRESSED, TOUCH_CRASHED, TOUCH_FORCED_CRASHED = range(5)
# FOUND stands for USES while the other legs are tried
SHRINK_RESTS, SHRINK_USES, SHRINK_FOUND = (0.0, 1.0, 2.0)

PENDING_NONE, PENDING_FLATTEN, PENDING_REHEDGE = 0, 1, 2
(
    REASON_NONE,
    REASON_HOLD,
    REASON_BAND,
    REASON_SIZE,
    REASON_PARTICIPATION,
    REASON_FUNDS,
    REASON_HALTED,
) = range(7)
REASON_BORROW, REASON_BRACKET, REASON_CALLED = 7, 8, 9
REASON_UNLISTED, REASON_DELISTED = 10, 11
REASON_SUPPLY, REASON_RECALLED = 12, 13
REASON_FAILED, REASON_FROZEN = 14, 15
REASONS = (
    "none",
    "hold",
    "inside the band",
    "below lot or minimum notional",
    "participation",
    "not enough funds",
    "halted",
    "no borrow",
    "leverage limit of the bracket",
    "loan called",
    "not listed",
    "delisted",
    "no more coins to borrow",
    "loan recalled",
    "the venue failed",
    "the coins are frozen",
)

# --- displaced prices, money on its way: one row per environment and asset, of no meaning to drafts
# quote (perp of inverse contracts: coin) that orders have paid to displace the price and that
# later ones get back; + where own purchases hold the price up
_column = count()
DISPLACED_SPOT = next(_column)
DISPLACED_PERP = next(_column)
# quote on its way between cash and the wallet of the perpetual, + towards the wallet, and the bars
# until it is there
SENT = next(_column)
SENT_BARS = next(_column)
N_DISPLACED = next(_column)

# --- episode: one row per environment -------------------------------------------------------------
_column = count()
SEED = next(_column)
EPISODE = next(_column)  # how many episodes this environment has begun, from 0
PATH = next(_column)
ROW = next(_column)  # row of the bar that closed last
LAST_ROW = next(_column)  # last row of the path
DECISION = next(_column)  # decisions taken in this episode
MUST_RESET = next(_column)  # NEXT_STEP face: the step to come only resets
BOOK = next(_column)  # row of `World.symbols`: the rules in force when the episode began
N_EPISODE = next(_column)

# --- parts of one step: money, + = received -------------------------------------------------------
_column = count()
SPOT_PNL = next(_column)
PERP_PNL = next(_column)
FUNDING = next(_column)
FEES = next(_column)
SPREAD = next(_column)
IMPACT = next(_column)
BORROW_INTEREST = next(_column)
CASH_INTEREST = next(_column)
LIQUIDATION_LOSS = next(_column)
# not a part: conditional mean of the price profit, which the `expected` reward uses in its place
N_PARTS = EXPECTED_PNL = next(_column)
N_LEDGER = next(_column)
PARTS = (
    "spot_pnl",
    "perp_pnl",
    "funding",
    "fees",
    "spread",
    "impact",
    "borrow_interest",
    "cash_interest",
    "liquidation_loss",
)

# --- trade of one step: one row per environment and asset -----------------------------------------
_column = count()
REQUESTED_SPOT = next(_column)  # base units asked for at the first open of the step
REQUESTED_PERP = next(_column)
# base units filled during the step, the keeper's and the after-liquidation orders included
FILLED_SPOT = next(_column)
FILLED_PERP = next(_column)
# sum of |fill| x price, then of |fill|: their ratio is the average fill price
SPOT_VALUE = next(_column)
SPOT_QUANTITY = next(_column)
PERP_VALUE = next(_column)
PERP_QUANTITY = next(_column)
TURNOVER = next(_column)  # quote traded on both legs during the step
N_TRADE = next(_column)

# --- codes of a batch: one int64 row --------------------------------------------------------------
_column = count()
DECISION_BARS = next(_column)
ACTION_MODE = next(_column)
MARGIN_MODE = next(_column)
AFTER_LIQUIDATION = next(_column)
REWARD = next(_column)
AUTORESET = next(_column)
KEEPER_BARS = next(_column)  # 0 = no keeper
FREE_DIALS = next(_column)  # bit 0 carry, bit 1 hedge, bit 2 leverage, bit 3 keeper
RANDOM_START = next(_column)
EPISODE_STEPS = next(_column)  # 0 = to the end of the data
BASIS_FEATURE = next(_column)  # column of basis_deviation among the market features
FUNDING_FEATURE = next(_column)  # column of funding_ewma_9
GRID_CARRY = next(_column)  # lengths of the discrete grids
GRID_HEDGE = next(_column)
GRID_LEVERAGE = next(_column)
ACTION_WIDTH = next(_column)  # entries of an action row per asset
ENTRY_MARGIN = next(_column)  # OF_NONE, OF_ALL or OF_SOME: whose rules have entry_margin
FIRST_PATH = next(_column)  # episodes begin on the paths FIRST_PATH .. FIRST_PATH + OPEN_PATHS - 1
OPEN_PATHS = next(_column)
SETTLE_ON_SPOT = next(_column)  # the same of settles_on_spot
# whether each asset has an equal part of the capital, or all share the whole
CAPITAL = next(_column)
KEEPER_WATCHES = next(_column)  # what the margin keeper compares with the target: a KEEPER_* code
LISTINGS = next(_column)  # 1 = some coin of the market is not listed in some bar
OBSERVED = next(_column)  # columns of `observe`: bit k is column k of `margin_columns`
GRID_KEEPER = next(_column)  # length of the discrete grid of the keeper
REMEMBERS = next(_column)  # 1 = impact has a memory, or another exponent than 1/2
TRANSFER_BARS = next(_column)  # bars that money travels to the wallets that are away; 0 = none is
FAILURES = next(_column)  # 1 = a venue of the market fails in some bar
N_CODES = next(_column)
KEEPER_DIAL = 8  # bit of FREE_DIALS
OF_NONE, OF_ALL, OF_SOME = 0, 1, 2  # assets that a rule of a venue concerns

ACTION_CONTINUOUS, ACTION_DISCRETE, ACTION_TARGET, ACTION_INDEXED = codes(choices.Actions)
# the numbers that `action.decode` returns, as the vector form hands them to a step
ACTION_DECODED = len(choices.codes(choices.Actions))
MARGIN_ISOLATED, MARGIN_CROSS, MARGIN_PORTFOLIO = codes(choices.MarginMode)
LINEAR, INVERSE = codes(choices.Contract)
# linear, where a venue has a wallet of its own: all legs there share it, money travels to it, it
# earns interest, or the venue fails
PLACED = 2
MIXED = 3  # as PLACED, with inverse contracts beside linear ones
CAPITAL_PARTS, CAPITAL_SHARED = codes(choices.Capital)
KEEPER_WALLET, KEEPER_EQUITY = codes(choices.KeeperWatches)
AFTER_FLATTEN, AFTER_REHEDGE, AFTER_NAKED = codes(choices.AfterLiquidation)
PROCEDURE_WHOLE, PROCEDURE_TIER, PROCEDURE_TWO_TIERS, PROCEDURE_FIFTH = codes(choices.Procedure)
RANGE_NONE, RANGE_UNIFORM, RANGE_LOG = 0, 1, 2  # how a field of Params is drawn for each episode
REWARD_LOG_GROWTH, REWARD_MEAN_VARIANCE, REWARD_EXPECTED = codes(choices.Reward)
AUTORESET_DISABLED, AUTORESET_NEXT_STEP, AUTORESET_SAME_STEP = codes(choices.Autoreset)


class Params(NamedTuple):
    """Numbers of one environment; they may differ from one environment of a batch to the next
    (domain randomisation).
    """

    initial_equity: float  # quote
    cash_rate: float  # annual, earned on idle cash
    quote_borrow_rate: float  # annual, paid on negative cash
    fee_scale: float  # multiplies every fee
    cost_scale: float  # multiplies half-spread and impact
    max_leverage: float
    rebalance_band: float  # fraction of equity
    max_participation: float  # fraction of a bar's volume; 0 = no limit
    stress_multiplier: float  # multiplies half-spread and impact of forced orders
    keeper_down: float  # the keeper acts below target leverage x keeper_down
    keeper_up: float  # and above target leverage x keeper_up
    ruin_fraction: float  # terminated at or below this fraction of the initial equity
    risk_aversion: float  # gamma of mean_variance
    basis_reversion: (
        float  # fraction of the basis deviation that reverts in one bar (`expected` reward)
    )
    start_invested: float  # probability that a random episode starts with full carry
    allow_short_spot: float  # 1 = base may be borrowed
    frozen_carry: float  # values of dials that the action does not control
    frozen_hedge: float
    frozen_leverage: float
    bar_years: float  # length of a bar
    funding_scale: float  # multiplies every settled rate; the observations of funding follow
    funding_shift: (
        float  # annual rate added to every settlement, in proportion to the interval that it closes
    )
    # a bar whose mark moved by more than this many daily volatilities is a crash; 0 = none
    crash_sigma: float
    # a winning position is deleveraged where mark moves this many daily volatilities its way within
    # a bar; 0 = never
    adl_sigma: float
    adl_share: float  # share of it that is closed then
    # assets over debt of the spot account at or below which borrowed coins are bought back; 0 =
    # never
    margin_level: float
    # pools out of which an asset's coins, and quote, are lent [quote]; 0 = endless at a flat rate
    base_supply: float
    quote_supply: float
    borrow_used: float  # share of a pool that others have borrowed in calm
    borrow_slope: float  # and that they ask for, per unit of daily volatility, where that is more
    borrow_steep: float  # annual, added to the rate where a pool is lent out whole
    # a liquidation fills at this share of the way from its price to the bar's adverse extreme
    liquidation_gap: float
    deficit_share: float  # of a loss beyond a wallet; the account bears it, the venue the rest
    impact_exponent: float  # of order over day volume
    impact_lasting: float  # share of the impact that displaces the price of later orders
    impact_keep: float  # share of the displaced volume that is still there a bar later
    funding_response: float  # change of the settled rate over that of the displaced premium
    transfer_cost: float  # quote that a transfer between venues costs
    failure_loss: float  # share of the money at a venue that is lost where it fails
    crash_spread: float  # multiplies the half-spread of orders behind a crash
    crash_impact: float  # multiplies their impact


class AssetRules(NamedTuple):
    """Numbers of one asset on the venues of its legs."""

    fee_perp: float  # fraction of the traded notional
    fee_spot: float
    half_spread_perp: float  # fraction of the price
    half_spread_spot: float
    impact: float  # Y of Y * sigma_day * sqrt(Q / V_day)
    lot_perp: float  # base units; 0 = no rounding
    lot_spot: float
    min_notional_perp: float  # quote
    min_notional_spot: float
    liquidation_fee: float  # fraction of the closed notional
    base_borrow_rate: float  # annual
    procedure: float  # what a failed margin test leads to: a PROCEDURE_* code
    collateral_rate: float  # share of the coin's value that is collateral in portfolio mode
    partial_above: float  # notional [quote] up to which a position is closed whole at once
    entry_margin: float  # 1 = maintenance margin of the value at ENTRY, not at mark
    # 1 = funding is paid on the oracle or index price, for which the last spot close stands
    settles_on_spot: float
    # number of the venue of the perpetual, and of the spot, among those of the market; 0 = the
    # account's
    perp_venue: float
    spot_venue: float
    inverse: float  # 1 = the perpetual is an inverse contract
    # annual, earned in the wallet of the perpetual where it is not on the account's venue
    wallet_rate: float
    # of forced orders, and of all behind a crash: none of them waits in the book
    forced_fee_perp: float
    forced_fee_spot: float
    forced_spread_perp: float
    forced_spread_spot: float


N_PARAMS, N_RULES = len(Params._fields), len(AssetRules._fields)
KEEPER_DOWN, KEEPER_UP = (Params._fields.index(name) for name in ("keeper_down", "keeper_up"))


class World(NamedTuple):
    """Everything a step only reads. Beside each array its shape: numbers, or sizes by name
    (`fundenv.batch.tables` reads them).
    """

    bars: Annotated[Float64, ("rows", "assets", N_COLUMNS)]
    features: Annotated[Float32, ("rows", "assets", "features")]
    paths: Annotated[Int64, ("paths", 2)]  # first row, one past the last row
    # first row where an episode may start, number of such rows (one every decision interval), bar
    # number of the first open since 1970
    starts: Annotated[Int64, ("paths", 3)]
    # first bar number since 1970 of each set of rules; the first holds from ever
    eras: Annotated[Int64, ("eras",)]
    # row of `rules` and `tiers`, one line per era and path (era x paths + path)
    symbols: Annotated[Int64, ("eras * paths", "assets")]
    rules: Annotated[Float64, ("symbols", N_RULES)]
    # floor, maintenance rate, maintenance amount, maximum leverage; floor and amount in quote
    # (inverse: coins); unused rows have an infinite floor
    tiers: Annotated[Float64, ("symbols", "brackets", 4)]
    codes: Annotated[Int64, (N_CODES,)]
    grids: Annotated[Float64, (4, "grid")]  # discrete carry, hedge ratio, leverage, keeper_up
    scales: Annotated[Float64, ("features",)]  # raw value of a market feature = scale * feature
    # 1 where a feature is linear in the level of funding, what an annual shift of 1 adds to it,
    # its low and high
    levels: Annotated[Float64, ("features", 4)]
    # RANGE_* code, lowest and highest value drawn at the start of an episode
    ranges: Annotated[Float64, (N_PARAMS, 3)]
    # LINEAR, INVERSE, PLACED or MIXED; an entry point passes it as a constant, so that the other
    # kinds cost nothing
    contract: int


class MixedWorld(World):
    """`World` of an account of both kinds of contract, in compiled code: `kinds.of_leg` asks for
    its class.
    """

    __slots__ = ()
    is_mixed = True


class Store(NamedTuple):
    """The state of n environments; `params` has one row that all share, or n."""

    params: Annotated[Float64, ("param_rows", N_PARAMS)]
    account: Annotated[Float64, ("envs", N_ACCOUNT)]
    legs: Annotated[Float64, ("envs", "assets", N_LEG)]
    episode: Annotated[Int64, ("envs", N_EPISODE)]
    displaced: Annotated[Float64, ("envs", "assets", N_DISPLACED)]


class Draft(NamedTuple):
    """`Store` of one environment while a step is tried on a copy of its state."""

    params: Float64
    account: Float64
    legs: Float64
    episode: Int64
    needs_fallback: Bool  # (1,): the step met a rare rule, which does not run on a draft


class QuietDraft(NamedTuple):
    """`Draft` for a bar between two decisions, where an order is as rare as a liquidation
    (`jit.jit_order`).
    """

    params: Float64
    account: Float64
    legs: Float64
    episode: Int64
    needs_fallback: Bool

    @property
    def between_decisions(self) -> bool:
        """No field: `jit.jit_order` asks whether a draft's class has it."""
        return True


class Out(NamedTuple):
    """What a step of n environments writes."""

    # of the new episode where SAME_STEP has reset
    obs: Annotated[Float32, ("envs", "observations")]
    # the observation before that reset, written only where an episode ended
    final_obs: Annotated[Float32, ("envs", "observations")]
    reward: Annotated[Float64, ("envs",)]
    terminated: Annotated[Bool, ("envs",)]
    truncated: Annotated[Bool, ("envs",)]
    ledger: Annotated[Float64, ("envs", N_LEDGER)]
    trades: Annotated[Float64, ("envs", "assets", N_TRADE)]
    # return, length and final equity of the last finished episode
    final: Annotated[Float64, ("envs", 3)]
