"""The draft of a lane: a copy of its state in local variables, the world as it sees it, and the
columns of the arrays in which lanes stand. See `fundenv.batch.simd.lanes`.

Settings that a batch of the usual kind has are constants here (`CODES`, `PARAMS`), so that no
branch and no loop is left but those that a vector can take as a choice.
"""

from __future__ import annotations

import math

from fundenv.compiler.jit import jit_outer
from fundenv.compiler.memory import lane_rows, lane_table, local_f4, local_f8, local_i8, local_u1
from fundenv.dynamics import types as t
from fundenv.dynamics.margin import FEW_BRACKETS
from fundenv.dynamics.observation import N_ACCOUNT_COLUMNS, N_LEG_COLUMNS
from fundenv.market.layout import (
    HALTED,
    MARK_CLOSE,
    MARK_HIGH,
    MARK_LOW,
    MARK_OPEN,
    N_COLUMNS,
    PERP_CLOSE,
    PERP_OPEN,
    SIGMA_DAY,
    SPOT_CLOSE,
)

# numba takes a global as a constant only under its own name.
N_ACCOUNT, N_LEG, N_EPISODE, N_LEDGER, N_TRADE, N_CODES = (
    t.N_ACCOUNT,
    t.N_LEG,
    t.N_EPISODE,
    t.N_LEDGER,
    t.N_TRADE,
    t.N_CODES,
)
N_PARAMS, N_RULES = t.N_PARAMS, t.N_RULES
N_ASKED = 4  # hold, carry, hedge ratio and leverage: what `action.decode` returns

# Columns of the state before the step (`before`) and of what it gives (`after`, and `held` between
# its bars): the account and the leg stand alike in all.
AT_LEG = N_ACCOUNT
N_BEFORE = AT_LEG + N_LEG
AT_LEDGER = N_BEFORE
AT_TRADES = AT_LEDGER + N_LEDGER
AT_REWARD = AT_TRADES + N_TRADE
AT_TERMINATED, AT_TRUNCATED, AT_NEEDS_FALLBACK, N_AFTER = range(AT_REWARD + 1, AT_REWARD + 5)
# Columns of the rules of the symbol (`facts`): the fields of AssetRules, the bars that each of its
# settlements closes (NaN where they differ), the value from which its first brackets do not tell,
# these brackets.
AT_CLOSED, AT_LIMIT = N_RULES, N_RULES + 1
AT_TIERS = -(-(N_RULES + 2) // 8) * 8  # whole cache lines
N_KNOWN = N_RULES + 1  # columns that the rules of a draft know
N_FACTS = AT_TIERS + 4 * FEW_BRACKETS
# Observations: one market feature, from which the rules compute another, then the leg's and the
# account's.
N_SEEN = 1 + N_LEG_COLUMNS + N_ACCOUNT_COLUMNS
# Rows of a lane's bars and features: the one that closed last, the one of the step.
N_BARS = 2
# `bars` holds the row of the step; where no rule of the step looks it holds what the rules ask of
# the row before.
LAST_SPOT, LAST_MARK = PERP_CLOSE, HALTED
# Columns of the leg that a step reads; the others it writes first.
N_READ = t.ACCRUED + 1

# what `_codes` takes for granted
CODES = {
    t.MARGIN_MODE: t.MARGIN_ISOLATED,
    t.REWARD: t.REWARD_LOG_GROWTH,
    t.KEEPER_BARS: 1,
    t.ENTRY_MARGIN: 0,
    t.SETTLE_ON_SPOT: 0,
    t.CAPITAL: t.CAPITAL_PARTS,
    t.KEEPER_WATCHES: t.KEEPER_WALLET,
    t.LISTINGS: 0,
    t.OBSERVED: 0,
    t.REMEMBERS: 0,
    t.TRANSFER_BARS: 0,
    t.FAILURES: 0,
}
# what `_params` takes for granted
PARAMS = {
    "crash_sigma": 0.0,
    "adl_sigma": 0.0,
    "margin_level": 0.0,
}
# what may differ from one environment to the next
TERMS = ("cash_rate", "fee_scale", "cost_scale", "funding_scale", "funding_shift")
N_TERMS = len(TERMS)
AT_SCALE, AT_SHIFT = (TERMS.index(name) for name in ("funding_scale", "funding_shift"))
TERM_FIELDS = tuple(t.Params._fields.index(name) for name in TERMS)
_CRASH, _ADL, _LEVEL = (t.Params._fields.index(name) for name in PARAMS)


@jit_outer
def _codes(codes, decision_bars):
    own = local_i8((N_CODES,))
    for k in range(N_CODES):
        own[k] = codes[k]
    own[t.DECISION_BARS], own[t.KEEPER_BARS] = decision_bars, 1
    own[t.ACTION_MODE], own[t.FREE_DIALS], own[t.ACTION_WIDTH] = t.ACTION_DECODED, 0, N_ASKED
    own[t.MARGIN_MODE], own[t.REWARD] = t.MARGIN_ISOLATED, t.REWARD_LOG_GROWTH
    own[t.ENTRY_MARGIN], own[t.SETTLE_ON_SPOT] = 0, 0
    own[t.CAPITAL], own[t.KEEPER_WATCHES] = t.CAPITAL_PARTS, t.KEEPER_WALLET
    own[t.LISTINGS], own[t.OBSERVED], own[t.REMEMBERS] = 0, 0, 0
    own[t.TRANSFER_BARS], own[t.FAILURES] = 0, 0
    own[t.FUNDING_FEATURE] = 0
    return own


@jit_outer
def _params(params, terms, lane):
    own = local_f8((1, N_PARAMS))
    for k in range(N_PARAMS):
        own[0, k] = params[0, k]
    for k in range(N_TERMS):
        own[0, TERM_FIELDS[k]] = terms[k, lane]
    own[0, _CRASH], own[0, _ADL], own[0, _LEVEL] = 0.0, 0.0, 0.0
    return own


@jit_outer
def _levels(levels, feature):
    """Those of one feature."""
    own = local_f8((1, 4))
    for c in range(4):
        own[0, c] = levels[feature, c]
    return own


@jit_outer
def _bars(bars, lane):
    """Two bars; of the first one only the closes are known. A halted bar has no volatility here
    (see `is_within`).
    """
    own = local_f8((N_BARS, 1, N_COLUMNS))
    for c in range(N_COLUMNS):
        own[0, 0, c], own[1, 0, c] = math.nan, bars[c, lane]
    own[0, 0, SPOT_CLOSE], own[0, 0, MARK_CLOSE] = bars[LAST_SPOT, lane], bars[LAST_MARK, lane]
    own[1, 0, PERP_CLOSE], own[1, 0, HALTED] = math.nan, 0.0
    return own


@jit_outer
def _tiers(facts, lane):
    """The first brackets as local variables: from memory the compiler would fetch the chosen one of
    every lane alone.
    """
    own = local_f8((1, FEW_BRACKETS, 4))
    for k in range(FEW_BRACKETS):
        for c in range(4):
            own[0, k, c] = facts[AT_TIERS + c * FEW_BRACKETS + k, lane]
    return own


@jit_outer
def world_of(world, bars, features, facts, scale, decision_bars, lane):
    """The world as one lane sees it: two bars, one feature, one symbol."""
    symbols, scales = local_i8((1, 1)), local_f8((1,))
    symbols[0, 0] = 0
    scales[0] = scale
    return t.World(
        _bars(bars, lane),
        lane_rows(features, lane, (1, N_BARS)),
        world.paths,
        world.starts,
        world.eras,
        symbols,
        lane_table(facts, lane, (N_KNOWN,)),
        _tiers(facts, lane),
        _codes(world.codes, decision_bars),
        world.grids,
        scales,
        _levels(world.levels, world.codes[t.FUNDING_FEATURE]),
        world.ranges,
        0,
    )


@jit_outer
def draft_of(params, terms, before, decided, left, lane):
    """The state before the step."""
    draft = t.Draft(
        _params(params, terms, lane),
        local_f8((1, N_ACCOUNT)),
        local_f8((1, 1, N_LEG)),
        local_i8((1, N_EPISODE)),
        local_u1((1,)),
    )
    for c in range(N_ACCOUNT):
        draft.account[0, c] = before[c, lane]
    for c in range(N_LEG):
        draft.legs[0, 0, c] = before[AT_LEG + c, lane] if c < N_READ else 0.0
    draft.episode[0, t.PATH], draft.episode[0, t.BOOK] = 0, 0
    draft.episode[0, t.ROW], draft.episode[0, t.LAST_ROW] = 0, left[lane]
    draft.episode[0, t.DECISION] = decided[lane]
    draft.needs_fallback[0] = False
    return draft


@jit_outer
def out_of(params):
    """What a draft writes; a draft never ends an episode, so `final_obs` and `final` are not
    written.
    """
    seen = local_f4((1, N_SEEN))
    return t.Out(
        seen,
        seen,
        local_f8((1,)),
        local_u1((1,)),
        local_u1((1,)),
        local_f8((1, N_LEDGER)),
        local_f8((1, 1, N_TRADE)),
        params,
    )


@jit_outer
def is_within(bars, facts, size, equity, lane):
    """Whether the bar is no halted one, the equity a finite number, and a position of this size not
    worth as much as the first brackets tell at any price of the bar.
    """
    price = max(
        max(bars[MARK_OPEN, lane], bars[PERP_OPEN, lane]),
        max(bars[LAST_MARK, lane], bars[MARK_CLOSE, lane]),
    )
    price = max(price, max(bars[MARK_HIGH, lane], bars[MARK_LOW, lane]))
    return (
        size * price < facts[AT_LIMIT, lane]
        and equity - equity == 0.0
        and bars[SIGMA_DAY, lane] == bars[SIGMA_DAY, lane]
    )


@jit_outer
def store_state(draft, out, after, lane):
    """Account, leg and ledger of the draft, into the columns of `after`."""
    for c in range(N_ACCOUNT):
        after[c, lane] = draft.account[0, c]
    for c in range(N_LEG):
        after[AT_LEG + c, lane] = draft.legs[0, 0, c]
    for c in range(N_LEDGER):
        after[AT_LEDGER + c, lane] = out.ledger[0, c]


@jit_outer
def store_end(draft, out, after, seen, needs_fallback, lane):
    """What the step gives, but for its trades, and the observation."""
    # the last thing of a lane, and no loop at its end: else the compiler forgets to step two
    # vectors in turns (`jit_lanes`)
    store_state(draft, out, after, lane)
    for c in range(N_SEEN):
        seen[c, lane] = out.obs[0, c]
    after[AT_REWARD, lane] = out.reward[0]
    after[AT_TERMINATED, lane] = 1.0 if out.terminated[0] else 0.0
    after[AT_TRUNCATED, lane] = 1.0 if out.truncated[0] else 0.0
    after[AT_NEEDS_FALLBACK, lane] = 1.0 if needs_fallback else 0.0


@jit_outer
def draft_between(params, terms, held, lane):
    """The state between two bars of a step."""
    draft = t.QuietDraft(
        _params(params, terms, lane),
        local_f8((1, N_ACCOUNT)),
        local_f8((1, 1, N_LEG)),
        local_i8((1, N_EPISODE)),
        local_u1((1,)),
    )
    for c in range(N_ACCOUNT):
        draft.account[0, c] = held[c, lane]
    for c in range(N_LEG):
        draft.legs[0, 0, c] = held[AT_LEG + c, lane]
    draft.episode[0, t.PATH], draft.episode[0, t.BOOK], draft.episode[0, t.ROW] = 0, 0, 0
    draft.needs_fallback[0] = held[AT_NEEDS_FALLBACK, lane] + held[AT_TERMINATED, lane] > 0.0
    return draft
