"""The loop over environments in blocks of lanes: from rows to lanes, the step, and back. See `fundenv.batch.lanes`."""

from __future__ import annotations

import math
from weakref import WeakValueDictionary

import numpy as np
from numba.core import config as numba_config
from numpy.typing import NDArray

from fundenv.batch.lanes import (
    AT_GIVEN_UP,
    AT_LEDGER,
    AT_LEG,
    AT_LIMIT,
    AT_REWARD,
    AT_TERMINATED,
    AT_TIERS,
    AT_TRADES,
    AT_TRUNCATED,
    CODES,
    LAST_MARK,
    LAST_SPOT,
    N_ACTIONS,
    N_AFTER,
    N_BARS,
    N_BEFORE,
    N_FACTS,
    N_READ,
    N_RULES,
    N_SEEN,
    PARAMS,
    bar_lanes,
    end_lanes,
    step_lanes,
)
from fundenv.batch.memory import (
    LANES,
    LINE,
    aligned,
    alone,
    call_entry,
    collect,
    copy_run,
    local_f4,
    local_f8,
    local_i8,
    local_u1,
    put,
    turn_in,
    turn_out,
)
from fundenv.batch.prefetch import prefetch_lines
from fundenv.dynamics import types as t
from fundenv.dynamics.jit import jit_outer
from fundenv.dynamics.margin import FEW_BRACKETS
from fundenv.market.layout import HALTED, MARK_CLOSE, N_COLUMNS, SIGMA_DAY, SPOT_CLOSE

N_ACCOUNT, N_LEG, N_EPISODE, N_LEDGER, N_TRADE = t.N_ACCOUNT, t.N_LEG, t.N_EPISODE, t.N_LEDGER, t.N_TRADE
RUN = 16  # features copied at once
READ_REST = N_READ - 8  # columns of the leg that are read, beyond a square of eight
RECORD = 32  # doubles of a row of the tape: a bar and up to 32 features
HALF_LINES = N_COLUMNS * 8 // LINE  # of either
MOST_PUT_OFF = 256  # given up and stepped together: the code of neither loop drives that of the other out of the cache at every block
AHEAD = 4  # blocks between the hint and the step that reads the row

_TAPES: WeakValueDictionary[tuple[int, int, bool], t.Float64] = (
    WeakValueDictionary()
)  # whoever holds a tape holds the arrays of its key too


def fits(world: t.World, params: t.Float64, n: int) -> bool:
    """Whether n environments have what `step_lanes` takes for granted: one linear asset, continuous actions with all dials, isolated margin,
    `log_growth` and a keeper that looks at every bar (`CODES`), no scaled funding, no stress (`PARAMS`), at most 32 features, and one
    row of Params for all.

    Where Intel's vector library is installed, a logarithm in a vector might differ from one alone by its last bit.
    """
    sized = n >= LANES and world.bars.shape[1] == 1 and len(params) == 1 and world.features.shape[2] <= 2 * RUN
    usual = sized and world.contract == t.LINEAR and not numba_config.USING_SVML
    return usual and (
        all(world.codes[code] == value for code, value in CODES.items())
        and all(params[0, t.Params._fields.index(name)] == value for name, value in PARAMS.items())
        and bool((params[0, t.Params._fields.index("initial_equity")] < 0.5 * _limits(world)).all())
    )


def facts(world: t.World) -> t.Float64:
    """(S, N_FACTS): what `step_lanes` knows of each symbol."""
    table = np.zeros((len(world.rules), N_FACTS))
    table[:, :N_RULES] = world.rules
    table[:, AT_LIMIT] = (1.0 - 1e-9) * _limits(world)  # the rules divide where `step_lanes` multiplies
    first = np.full((len(table), FEW_BRACKETS, 4), np.inf)
    first[:, : world.tiers.shape[1]] = world.tiers[:, :FEW_BRACKETS]
    table[:, AT_TIERS:] = first.transpose(0, 2, 1).reshape(len(table), -1)
    return table


def tape(world: t.World) -> t.Float64:
    """(R x RECORD,): the bars and their float32 features, from a cache line on and in whole lines, as `_places` says where.

    Two columns hold the closes of the row before (`LAST_SPOT`, `LAST_MARK`), so that a bar reads one row; a halted bar has no volatility here.
    """
    rows, features = world.features.shape[0], world.features.shape[2]
    together = bool(world.codes[t.DECISION_BARS] == 1)
    key = id(world.bars), id(world.features), together
    known = _TAPES.get(key)
    if known is not None:
        return known
    table: t.Float64 = aligned(rows * RECORD)
    halves = table.reshape(rows, 2, N_COLUMNS) if together else table.reshape(2, rows, N_COLUMNS).swapaxes(0, 1)
    bars = halves[:, 0]
    bars[:] = world.bars[:, 0]
    bars[1:, LAST_SPOT], bars[1:, LAST_MARK] = world.bars[:-1, 0, SPOT_CLOSE], world.bars[:-1, 0, MARK_CLOSE]
    bars[world.bars[:, 0, HALTED] != 0.0, SIGMA_DAY] = math.nan
    as_float32: NDArray[np.float32] = halves[:, 1].view(np.float32)
    as_float32[:, :features] = world.features[:, 0]
    _TAPES[key] = table
    return table


@jit_outer
def _places(rows, count):
    """(doubles from a row of the tape to the next, double at which the features of the first begin): the features stand behind their bar, or, where a
    decision has several bars, behind all bars, so that these are one run in memory."""
    return (RECORD, N_COLUMNS) if count == 1 else (N_COLUMNS, rows * N_COLUMNS)


def _limits(world: t.World) -> t.Float64:
    return world.tiers[:, FEW_BRACKETS, 0] if world.tiers.shape[1] > FEW_BRACKETS else np.full(len(world.tiers), np.inf)


@jit_outer
def _load_bars(world, store, tape, tape_f4, row_step, first_seen, start, ahead, count, rows, bars, features):
    """The bars `ahead` of where the environments start..start+LANES-1 stand; the feature of the last of `count` bars."""
    bars_at = local_i8((LANES,))
    funding, latest = 2 * first_seen + world.codes[t.FUNDING_FEATURE], world.features.shape[0] - 1
    for lane in range(LANES):
        row = alone(store.episode, (start + lane) * N_EPISODE + t.ROW) + ahead
        row = min(row, latest)  # an environment that waits for its reset may stand on the last row
        rows[lane], bars_at[lane] = row, row * row_step
    if ahead == count:
        for lane in range(LANES):
            features[0, 1, lane] = alone(tape_f4, 2 * row_step * rows[lane] + funding)
    for half in range(0, LANES, 8):
        for c in range(0, N_COLUMNS, 8):
            collect(bars, c * LANES + half, LANES, tape, bars_at, half, c, 8)


@jit_outer
def _load(world, store, actions, facts, start, when, known, acts, before, left):
    """From the rows of the environments start..start+LANES-1 to lanes."""
    facts_at = local_i8((LANES,))
    for lane in range(LANES):
        facts_at[lane] = alone(world.symbols, alone(store.episode, (start + lane) * N_EPISODE + t.BOOK)) * N_FACTS
    for half in range(0, LANES, 8):
        i = start + half
        turn_in(when, half, LANES, store.episode, i * N_EPISODE, N_EPISODE, 8)
        for c in range(0, N_FACTS, 8):
            collect(known, c * LANES + half, LANES, facts, facts_at, half, c, 8)
        turn_in(before, AT_LEG * LANES + half, LANES, store.legs, i * N_LEG, N_LEG, 8)
    for lane in range(0, LANES, 4):
        turn_in(before, lane, LANES, store.account, (start + lane) * N_ACCOUNT, N_ACCOUNT, 4)
    for lane in range(0, LANES, READ_REST):
        turn_in(before, (AT_LEG + 8) * LANES + lane, LANES, store.legs, (start + lane) * N_LEG + 8, N_LEG, READ_REST)
    for lane in range(LANES):
        left[lane] = when[t.LAST_ROW, lane] - when[t.ROW, lane]
        for c in range(N_ACTIONS):
            acts[c, lane] = actions[start + lane, c]


@jit_outer
def _keep(store, out, start, bars, given_up, account, legs, flags, back):
    """Copy the state of what is given up and the flags of its last step aside, or back."""
    for lane in range(LANES):
        if given_up[lane]:
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
def _save(store, out, start, bars, rows, when, tape_f4, row_step, first_seen, features, after, seen):
    """From lanes to rows."""
    width = out.obs.shape[1]
    for lane in range(LANES):
        out.reward[start + lane] = after[AT_REWARD, lane]
    for lane in range(LANES):  # an episode that has ended is given up, and keeps its flags until the reset
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
        put(store.episode, i * N_EPISODE + t.ROW, when[t.ROW, lane] + bars)
        put(store.episode, i * N_EPISODE + t.DECISION, when[t.DECISION, lane] + 1)
        for c in range(8, N_LEDGER):
            put(out.ledger, i * N_LEDGER + c, 0.0)  # what only rare rules and other rewards book
        for c in range(8, N_TRADE):
            put(out.trades, i * N_TRADE + c, after[AT_TRADES + c, lane])
        for c in range(17, N_SEEN):
            put(out.obs, i * width + features + c - 1, seen[c, lane])
    if features >= RUN:
        for lane in range(LANES):
            at, place = 2 * (row_step * rows[lane] + first_seen), (start + lane) * width
            copy_run(tape_f4, at, out.obs, place, RUN)
            copy_run(tape_f4, at + features - RUN, out.obs, place + features - RUN, RUN)  # runs may overlap
    else:
        for lane in range(LANES):
            for c in range(features):
                out.obs[start + lane, c] = tape_f4[2 * (row_step * rows[lane] + first_seen) + c]


@jit_outer
def _ask(store, tape, row_step, first_seen, start, ahead, count, first, end):
    """Ask for the bars `ahead` of lanes of a later block, and for the features of the last of `count`; in parts between the work, because a core waits
    for only some twenty lines at a time."""
    for lane in range(first, end):
        place = row_step * (alone(store.episode, (start + lane) * N_EPISODE + t.ROW) + ahead)
        prefetch_lines(tape, place, HALF_LINES)
        if ahead == count:
            prefetch_lines(tape, first_seen + place, HALF_LINES)


@jit_outer
def _next_bar(
    world, store, scale, tape, tape_f4, row_step, first_seen, start, later, ahead, count, rows, bars, features, known, held, moved
):
    """The bar `ahead` of a step of `count` bars."""
    _ask(store, tape, row_step, first_seen, later, ahead, count, 0, LANES // 2)
    _load_bars(world, store, tape, tape_f4, row_step, first_seen, start, ahead, count, rows, bars, features)
    _ask(store, tape, row_step, first_seen, later, ahead, count, LANES // 2, LANES)
    bar_lanes(world, store.params, scale, bars, features, known, held, moved)


@jit_outer
def _catch_up(plain, table, put_off, count):
    """Step by the plain loop what was given up."""
    for k in range(count):
        call_entry(plain, table, put_off[k], put_off[k] + 1)


@jit_outer
def step_blocks(plain, table, world, store, out, actions, facts, tape, tape_f4, first, last):
    """Step the environments first..last-1 by one decision each, `LANES` at a time, bar by bar.

    plain, table: address of the entry point of the plain loop and its first argument; it steps, some blocks later, what is given up or ends an episode,
    and what is left over.
    facts, tape: of the functions of these names; tape_f4: the tape as float32.
    """
    when, rows, bars, features, known = (
        local_i8((N_EPISODE, LANES)), local_i8((LANES,)), local_f8((N_COLUMNS, LANES)), local_f4((1, N_BARS, LANES)), local_f8((N_FACTS, LANES))
    )  # fmt: skip
    acts, before, left = local_f4((N_ACTIONS, LANES)), local_f8((N_BEFORE, LANES)), local_i8((LANES,))
    after, seen, given_up = local_f8((N_AFTER, LANES)), local_f4((N_SEEN, LANES)), local_i8((LANES,))
    held, moved = local_f8((N_AFTER, LANES)), local_f8((N_AFTER, LANES))
    account, legs, flags = local_f8((LANES, N_ACCOUNT)), local_f8((LANES, N_LEG)), local_u1((2, LANES))
    put_off = local_i8((MOST_PUT_OFF,))
    for lane in range(LANES):
        features[0, 0, lane], features[0, 1, lane] = math.nan, math.nan
    width, count = world.features.shape[2], world.codes[t.DECISION_BARS]
    row_step, first_seen = _places(world.features.shape[0], count)
    scale = world.scales[world.codes[t.FUNDING_FEATURE]]
    count_off = 0
    end = last - (last - first) % LANES
    for start in range(first, min(first + AHEAD * LANES, end), LANES):
        for ahead in range(1, count + 1):
            _ask(store, tape, row_step, first_seen, start, ahead, count, 0, LANES)
    for start in range(first, end, LANES):
        later = min(start + AHEAD * LANES, end - LANES)
        _ask(store, tape, row_step, first_seen, later, 1, count, 0, 5)
        _load_bars(world, store, tape, tape_f4, row_step, first_seen, start, 1, count, rows, bars, features)
        _load(world, store, actions, facts, start, when, known, acts, before, left)
        _ask(store, tape, row_step, first_seen, later, 1, count, 5, 10)
        step_lanes(world, store.params, scale, bars, features, known, acts, before, when[t.DECISION], left, after, seen)
        _ask(store, tape, row_step, first_seen, later, 1, count, 10, LANES)
        if count > 1:
            _next_bar(
                world, store, scale, tape, tape_f4, row_step, first_seen, start, later, 2, count, rows, bars, features, known, after, held
            )
            for ahead in range(3, count + 1):
                _next_bar(
                    world,
                    store,
                    scale,
                    tape,
                    tape_f4,
                    row_step,
                    first_seen,
                    start,
                    later,
                    ahead,
                    count,
                    rows,
                    bars,
                    features,
                    known,
                    held,
                    moved,
                )
                held, moved = moved, held
            end_lanes(
                world, store.params, scale, bars, features, known, before, held, when[t.DECISION], left, count, after, seen
            )  # fmt: skip
        rare = 0
        for lane in range(LANES):
            ended = after[AT_TERMINATED, lane] + after[AT_TRUNCATED, lane] > 0.0
            given_up[lane] = 1 if after[AT_GIVEN_UP, lane] > 0.0 or ended or when[t.MUST_RESET, lane] != 0 else 0
            rare += given_up[lane]
        if rare > 0:
            _keep(store, out, start, count, given_up, account, legs, flags, False)
        _save(store, out, start, count, rows, when, tape_f4, row_step, first_seen, width, after, seen)
        if rare > 0:
            _keep(store, out, start, count, given_up, account, legs, flags, True)
            for lane in range(LANES):
                if given_up[lane]:
                    put(put_off, count_off, start + lane)
                    count_off += 1
            if count_off > MOST_PUT_OFF - LANES:
                _catch_up(plain, table, put_off, count_off)
                count_off = 0
    _catch_up(plain, table, put_off, count_off)
    call_entry(plain, table, end, last)
