"""From the rows of environments to lanes, and back. See `fundenv.batch.simd.lanes`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from fundenv.batch.simd.draft import (
    AT_LEDGER,
    AT_LEG,
    AT_REWARD,
    AT_SCALE,
    AT_SHIFT,
    AT_TRADES,
    N_AFTER,
    N_ASKED,
    N_BARS,
    N_BEFORE,
    N_FACTS,
    N_PARAMS,
    N_READ,
    N_SEEN,
    N_TERMS,
    TERM_FIELDS,
)
from fundenv.batch.simd.market_copy import RUN
from fundenv.compiler.jit import jit_outer
from fundenv.compiler.memory import LANES, alone, copy_run, local_f4, local_f8, local_i8, put
from fundenv.compiler.squares import collect, turn_in, turn_out
from fundenv.dynamics import types as t
from fundenv.dynamics.access import params_of
from fundenv.dynamics.observation import moved_level
from fundenv.market.layout import N_COLUMNS

N_ACCOUNT, N_LEG, N_EPISODE, N_LEDGER, N_TRADE = (
    t.N_ACCOUNT,
    t.N_LEG,
    t.N_EPISODE,
    t.N_LEDGER,
    t.N_TRADE,
)
_CASH_RATE, _FEE_SCALE, _COST_SCALE, _FUNDING_SCALE, _FUNDING_SHIFT = TERM_FIELDS
READ_REST = N_READ - 8  # columns of the leg that are read, beyond a square of eight


class Lanes(NamedTuple):
    """The arrays in which the environments of a block stand side by side; the last axis of each is
    the lane.
    """

    when: Any  # (N_EPISODE, LANES) int64: columns of the episode before the step
    rows: Any  # (LANES,) int64: rows of the market of the bar that is stepped
    bars: Any  # (N_COLUMNS, LANES): that bar, see `fundenv.batch.simd.draft`
    features: Any  # (1, N_BARS, LANES) float32
    facts: Any  # (N_FACTS, LANES)
    terms: Any  # (N_TERMS, LANES): numbers that may differ from one environment to the next
    asked: Any  # (N_ASKED, LANES): what `action.decode` returns
    before: Any  # (N_BEFORE, LANES)
    left: Any  # (LANES,) int64: rows from the one that closed last to the last one of the path
    after: Any  # (N_AFTER, LANES)
    seen: Any  # (N_SEEN, LANES) float32


@jit_outer
def new_lanes():
    """Arrays of the caller's own; no feature is known yet."""
    lanes = Lanes(
        local_i8((N_EPISODE, LANES)),
        local_i8((LANES,)),
        local_f8((N_COLUMNS, LANES)),
        local_f4((1, N_BARS, LANES)),
        local_f8((N_FACTS, LANES)),
        local_f8((N_TERMS, LANES)),
        local_f8((N_ASKED, LANES)),
        local_f8((N_BEFORE, LANES)),
        local_i8((LANES,)),
        local_f8((N_AFTER, LANES)),
        local_f4((N_SEEN, LANES)),
    )
    for lane in range(LANES):
        lanes.features[0, 0, lane], lanes.features[0, 1, lane] = math.nan, math.nan
    return lanes


@jit_outer
def load_bars(world, store, tape, start, ahead, lanes):
    """The bars `ahead` of where the environments start..start+LANES-1 stand; the feature of the
    last bar of the decision.
    """
    bars_at = local_i8((LANES,))
    funding, latest = (
        2 * tape.first_seen + world.codes[t.FUNDING_FEATURE],
        world.features.shape[0] - 1,
    )
    for lane in range(LANES):
        row = alone(store.episode, (start + lane) * N_EPISODE + t.ROW) + ahead
        row = min(row, latest)  # an environment that waits for its reset may stand on the last row
        lanes.rows[lane], bars_at[lane] = row, row * tape.row_step
    if ahead == tape.bars:
        for lane in range(LANES):
            place = 2 * tape.row_step * lanes.rows[lane] + funding
            lanes.features[0, 1, lane] = alone(tape.f4, place)
    for half in range(0, LANES, 8):
        for c in range(0, N_COLUMNS, 8):
            collect(lanes.bars, c * LANES + half, LANES, tape.f8, bars_at, half, c, 8)


@jit_outer
def _put_terms(params, row, lanes, lane):
    at = row * N_PARAMS
    lanes.terms[0, lane] = alone(params, at + _CASH_RATE)
    lanes.terms[1, lane] = alone(params, at + _FEE_SCALE)
    lanes.terms[2, lane] = alone(params, at + _COST_SCALE)
    lanes.terms[AT_SCALE, lane] = alone(params, at + _FUNDING_SCALE)
    lanes.terms[AT_SHIFT, lane] = alone(params, at + _FUNDING_SHIFT)


@jit_outer
def spread_terms(params, lanes):
    """Those that all environments share."""
    for lane in range(LANES):
        _put_terms(params, 0, lanes, lane)


@jit_outer
def load_terms(params, start, lanes):
    """Those of the environments start..start+LANES-1, each of which has a row of `params`."""
    for lane in range(LANES):
        _put_terms(params, start + lane, lanes, lane)


@jit_outer
def load_state(world, store, facts, start, lanes):
    """From the rows of the environments start..start+LANES-1 to lanes."""
    facts_at = local_i8((LANES,))
    for lane in range(LANES):
        facts_at[lane] = (
            alone(world.symbols, alone(store.episode, (start + lane) * N_EPISODE + t.BOOK))
            * N_FACTS
        )
    for half in range(0, LANES, 8):
        i = start + half
        turn_in(lanes.when, half, LANES, store.episode, i * N_EPISODE, N_EPISODE, 8)
        for c in range(0, N_FACTS, 8):
            collect(lanes.facts, c * LANES + half, LANES, facts, facts_at, half, c, 8)
        turn_in(lanes.before, AT_LEG * LANES + half, LANES, store.legs, i * N_LEG, N_LEG, 8)
    for lane in range(0, LANES, 4):
        turn_in(lanes.before, lane, LANES, store.account, (start + lane) * N_ACCOUNT, N_ACCOUNT, 4)
    for lane in range(0, LANES, READ_REST):
        turn_in(
            lanes.before,
            (AT_LEG + 8) * LANES + lane,
            LANES,
            store.legs,
            (start + lane) * N_LEG + 8,
            N_LEG,
            READ_REST,
        )
    for lane in range(LANES):
        lanes.left[lane] = lanes.when[t.LAST_ROW, lane] - lanes.when[t.ROW, lane]


@jit_outer
def keep_aside(store, out, start, bars, needs_fallback, account, legs, flags, back):
    """Copy the state of the fallbacks and the flags of their last step aside, or back."""
    for lane in range(LANES):
        if needs_fallback[lane]:
            i = start + lane
            if back:
                copy_run(account, lane * N_ACCOUNT, store.account, i * N_ACCOUNT, N_ACCOUNT)
                copy_run(legs, lane * N_LEG, store.legs, i * N_LEG, N_LEG)
                store.episode[i, t.ROW] -= bars
                store.episode[i, t.DECISION] -= 1
                out.terminated[i], out.truncated[i] = flags[0, lane], flags[1, lane]
            else:
                copy_run(store.account, i * N_ACCOUNT, account, lane * N_ACCOUNT, N_ACCOUNT)
                copy_run(store.legs, i * N_LEG, legs, lane * N_LEG, N_LEG)
                flags[0, lane], flags[1, lane] = out.terminated[i], out.truncated[i]


@jit_outer
def save(store, out, tape, start, features, lanes):
    """From lanes to rows; features: of the market."""
    when, after, seen = lanes.when, lanes.after, lanes.seen
    width = out.obs.shape[1]
    for lane in range(LANES):
        out.reward[start + lane] = after[AT_REWARD, lane]
    # an episode that has ended is a fallback, and keeps its flags until the reset
    for lane in range(LANES):
        out.terminated[start + lane], out.truncated[start + lane] = False, False
    for half in range(0, LANES, 8):
        i = start + half
        for c in range(0, N_LEG, 8):
            turn_out(after, (AT_LEG + c) * LANES + half, LANES, store.legs, i * N_LEG + c, N_LEG, 8)
        turn_out(after, AT_LEDGER * LANES + half, LANES, out.ledger, i * N_LEDGER, N_LEDGER, 8)
        turn_out(after, AT_TRADES * LANES + half, LANES, out.trades, i * N_TRADE, N_TRADE, 8)
    for lane in range(0, LANES, 4):
        turn_out(after, lane, LANES, store.account, (start + lane) * N_ACCOUNT, N_ACCOUNT, 4)
    turn_out(seen, LANES, LANES, out.obs, start * width + features, width, 16)
    for lane in range(LANES):
        i = start + lane
        put(store.episode, i * N_EPISODE + t.ROW, when[t.ROW, lane] + tape.bars)
        put(store.episode, i * N_EPISODE + t.DECISION, when[t.DECISION, lane] + 1)
        for c in range(8, N_LEDGER):
            put(out.ledger, i * N_LEDGER + c, 0.0)  # what only rare rules and other rewards book
        for c in range(8, N_TRADE):
            put(out.trades, i * N_TRADE + c, after[AT_TRADES + c, lane])
        for c in range(17, N_SEEN):
            put(out.obs, i * width + features + c - 1, seen[c, lane])
    if features >= RUN:
        for lane in range(LANES):
            at, place = (
                2 * (tape.row_step * lanes.rows[lane] + tape.first_seen),
                (start + lane) * width,
            )
            copy_run(tape.f4, at, out.obs, place, RUN)
            # runs may overlap
            copy_run(tape.f4, at + features - RUN, out.obs, place + features - RUN, RUN)
    else:
        for lane in range(LANES):
            for c in range(features):
                out.obs[start + lane, c] = tape.f4[
                    2 * (tape.row_step * lanes.rows[lane] + tape.first_seen) + c
                ]


@jit_outer
def is_shifted(lanes, lane):
    """Whether the level of funding of a lane is another than the market's."""
    return lanes.terms[AT_SCALE, lane] != 1.0 or lanes.terms[AT_SHIFT, lane] != 0.0


@jit_outer
def turned_levels(levels, first):
    """RUN lines of `World.levels` from `first` on by columns, (4, RUN)."""
    own = local_f8((4, RUN))
    for f in range(RUN):
        for c in range(4):
            own[c, f] = levels[min(first + f, levels.shape[0] - 1), c]
    return own


@jit_outer
def _shift_run(levels, p, f4, at, obs, place, run):
    """A run of features, from the tape; run (RUN,): scratch."""
    copy_run(f4, at, run, 0, RUN)
    for f in range(RUN):
        seen = run[f]
        moved = moved_level(p, seen, levels[1, f], levels[2, f], levels[3, f])
        put(obs, place + f, moved if levels[0, f] > 0.0 else seen)


@jit_outer
def shift_levels(world, params, obs, tape, start, lanes, first, second, run):
    """Bring the features in the observations of the lanes to the level of funding of each; first,
    second: `turned_levels` of the first and of the last run.
    """
    features = world.features.shape[2]
    for lane in range(LANES):
        if is_shifted(lanes, lane):
            p = params_of(params, start + lane)
            at = 2 * (tape.row_step * lanes.rows[lane] + tape.first_seen)
            place = (start + lane) * obs.shape[1]
            if features >= RUN:
                last = features - RUN
                _shift_run(first, p, tape.f4, at, obs, place, run)
                _shift_run(second, p, tape.f4, at + last, obs, place + last, run)
            else:
                for f in range(features):
                    if first[0, f] > 0.0:
                        seen = tape.f4[at + f]
                        moved = moved_level(p, seen, first[1, f], first[2, f], first[3, f])
                        put(obs, place + f, moved)
