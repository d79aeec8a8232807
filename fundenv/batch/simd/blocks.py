"""The loop over environments in blocks of lanes: from rows to lanes, the step, and back. See
`fundenv.batch.simd.lanes`.
"""

from __future__ import annotations

import math

from fundenv.batch.simd.lanes import (
    AT_GIVEN_UP,
    AT_LEDGER,
    AT_LEG,
    AT_REWARD,
    AT_TERMINATED,
    AT_TRADES,
    AT_TRUNCATED,
    N_ACTIONS,
    N_AFTER,
    N_BARS,
    N_BEFORE,
    N_FACTS,
    N_READ,
    N_SEEN,
    bar_lanes,
    end_lanes,
    step_lanes,
)
from fundenv.batch.simd.market_copy import RUN, tape_of
from fundenv.compiler.jit import jit_outer
from fundenv.compiler.memory import (
    LANES,
    LINE,
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
from fundenv.compiler.prefetch import prefetch_lines
from fundenv.dynamics import types as t
from fundenv.market.layout import N_COLUMNS

N_ACCOUNT, N_LEG, N_EPISODE, N_LEDGER, N_TRADE = (
    t.N_ACCOUNT,
    t.N_LEG,
    t.N_EPISODE,
    t.N_LEDGER,
    t.N_TRADE,
)
READ_REST = N_READ - 8  # columns of the leg that are read, beyond a square of eight
HALF_LINES = N_COLUMNS * 8 // LINE  # of a bar, and of its features
# fallbacks, stepped together: the code of neither loop drives that of the other out of the cache
# at every block
MOST_FALLBACKS = 256
AHEAD = 4  # blocks between the hint and the step that reads the row


@jit_outer
def _load_bars(world, store, tape, start, ahead, rows, bars, features):
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
        rows[lane], bars_at[lane] = row, row * tape.row_step
    if ahead == tape.bars:
        for lane in range(LANES):
            features[0, 1, lane] = alone(tape.f4, 2 * tape.row_step * rows[lane] + funding)
    for half in range(0, LANES, 8):
        for c in range(0, N_COLUMNS, 8):
            collect(bars, c * LANES + half, LANES, tape.f8, bars_at, half, c, 8)


@jit_outer
def _load(world, store, actions, facts, start, when, known, acts, before, left):
    """From the rows of the environments start..start+LANES-1 to lanes."""
    facts_at = local_i8((LANES,))
    for lane in range(LANES):
        facts_at[lane] = (
            alone(world.symbols, alone(store.episode, (start + lane) * N_EPISODE + t.BOOK))
            * N_FACTS
        )
    for half in range(0, LANES, 8):
        i = start + half
        turn_in(when, half, LANES, store.episode, i * N_EPISODE, N_EPISODE, 8)
        for c in range(0, N_FACTS, 8):
            collect(known, c * LANES + half, LANES, facts, facts_at, half, c, 8)
        turn_in(before, AT_LEG * LANES + half, LANES, store.legs, i * N_LEG, N_LEG, 8)
    for lane in range(0, LANES, 4):
        turn_in(before, lane, LANES, store.account, (start + lane) * N_ACCOUNT, N_ACCOUNT, 4)
    for lane in range(0, LANES, READ_REST):
        turn_in(
            before,
            (AT_LEG + 8) * LANES + lane,
            LANES,
            store.legs,
            (start + lane) * N_LEG + 8,
            N_LEG,
            READ_REST,
        )
    for lane in range(LANES):
        left[lane] = when[t.LAST_ROW, lane] - when[t.ROW, lane]
        for c in range(N_ACTIONS):
            acts[c, lane] = actions[start + lane, c]


@jit_outer
def _mark_given_up(when, after, given_up):
    """Mark the lanes that the plain loop steps again: rare, at the end of an episode, or waiting
    for a reset. Returns how many.
    """
    rare = 0
    for lane in range(LANES):
        ended = after[AT_TERMINATED, lane] + after[AT_TRUNCATED, lane] > 0.0
        given_up[lane] = (
            1 if after[AT_GIVEN_UP, lane] > 0.0 or ended or when[t.MUST_RESET, lane] != 0 else 0
        )
        rare += given_up[lane]
    return rare


@jit_outer
def _put_off(start, given_up, put_off, count):
    """Note the fallbacks behind the `count` noted so far; returns how many there are now."""
    for lane in range(LANES):
        if given_up[lane]:
            put(put_off, count, start + lane)
            count += 1
    return count


@jit_outer
def _keep(store, out, start, bars, given_up, account, legs, flags, back):
    """Copy the state of the fallbacks and the flags of their last step aside, or back."""
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
def _save(store, out, tape, start, rows, when, features, after, seen):
    """From lanes to rows."""
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
            at, place = 2 * (tape.row_step * rows[lane] + tape.first_seen), (start + lane) * width
            copy_run(tape.f4, at, out.obs, place, RUN)
            # runs may overlap
            copy_run(tape.f4, at + features - RUN, out.obs, place + features - RUN, RUN)
    else:
        for lane in range(LANES):
            for c in range(features):
                out.obs[start + lane, c] = tape.f4[
                    2 * (tape.row_step * rows[lane] + tape.first_seen) + c
                ]


@jit_outer
def _ask(store, tape, start, ahead, first, end):
    """Ask for the bars `ahead` of lanes of a later block, and for the features of the last of the
    decision; in parts between the work, because a core waits for only some twenty lines at a time.
    """
    for lane in range(first, end):
        place = tape.row_step * (alone(store.episode, (start + lane) * N_EPISODE + t.ROW) + ahead)
        prefetch_lines(tape.f8, place, HALF_LINES)
        if ahead == tape.bars:
            prefetch_lines(tape.f8, tape.first_seen + place, HALF_LINES)


@jit_outer
def _next_bar(
    world, store, scale, tape, start, later, ahead, rows, bars, features, known, held, moved
):
    """The bar `ahead` of a step."""
    _ask(store, tape, later, ahead, 0, LANES // 2)
    _load_bars(world, store, tape, start, ahead, rows, bars, features)
    _ask(store, tape, later, ahead, LANES // 2, LANES)
    bar_lanes(world, store.params, scale, bars, features, known, held, moved)


@jit_outer
def _catch_up(plain, table, put_off, count):
    """Step the fallbacks by the plain loop."""
    for k in range(count):
        call_entry(plain, table, put_off[k], put_off[k] + 1)


@jit_outer
def step_blocks(plain, table, world, store, out, actions, facts, f8, f4, first, last):
    """Step the environments first..last-1 by one decision each, `LANES` at a time, bar by bar.

    plain, table: address of the entry point of the plain loop and its first argument; it steps,
    some blocks later, the fallbacks and what ends an episode, and what is left over. facts, f8: of
    the functions `facts` and `tape`; f4: the tape as float32.
    """
    when, rows, bars, features, known = (
        local_i8((N_EPISODE, LANES)),
        local_i8((LANES,)),
        local_f8((N_COLUMNS, LANES)),
        local_f4((1, N_BARS, LANES)),
        local_f8((N_FACTS, LANES)),
    )
    acts, before, left = (
        local_f4((N_ACTIONS, LANES)),
        local_f8((N_BEFORE, LANES)),
        local_i8((LANES,)),
    )
    after, seen, given_up = (
        local_f8((N_AFTER, LANES)),
        local_f4((N_SEEN, LANES)),
        local_i8((LANES,)),
    )
    held, moved = local_f8((N_AFTER, LANES)), local_f8((N_AFTER, LANES))
    account, legs, flags = (
        local_f8((LANES, N_ACCOUNT)),
        local_f8((LANES, N_LEG)),
        local_u1((2, LANES)),
    )
    put_off = local_i8((MOST_FALLBACKS,))
    for lane in range(LANES):
        features[0, 0, lane], features[0, 1, lane] = math.nan, math.nan
    width, tape = (
        world.features.shape[2],
        tape_of(f8, f4, world.features.shape[0], world.codes[t.DECISION_BARS]),
    )
    scale = world.scales[world.codes[t.FUNDING_FEATURE]]
    count_off = 0
    end = last - (last - first) % LANES
    for start in range(first, min(first + AHEAD * LANES, end), LANES):
        for ahead in range(1, tape.bars + 1):
            _ask(store, tape, start, ahead, 0, LANES)
    for start in range(first, end, LANES):
        later = min(start + AHEAD * LANES, end - LANES)
        _ask(store, tape, later, 1, 0, 5)
        _load_bars(world, store, tape, start, 1, rows, bars, features)
        _load(world, store, actions, facts, start, when, known, acts, before, left)
        _ask(store, tape, later, 1, 5, 10)
        step_lanes(
            world,
            store.params,
            scale,
            bars,
            features,
            known,
            acts,
            before,
            when[t.DECISION],
            left,
            after,
            seen,
        )
        _ask(store, tape, later, 1, 10, LANES)
        if tape.bars > 1:
            _next_bar(
                world, store, scale, tape, start, later, 2, rows, bars, features, known, after, held
            )
            for ahead in range(3, tape.bars + 1):
                _next_bar(
                    world,
                    store,
                    scale,
                    tape,
                    start,
                    later,
                    ahead,
                    rows,
                    bars,
                    features,
                    known,
                    held,
                    moved,
                )
                held, moved = moved, held
            end_lanes(
                world,
                store.params,
                scale,
                bars,
                features,
                known,
                before,
                held,
                when[t.DECISION],
                left,
                tape.bars,
                after,
                seen,
            )
        rare = _mark_given_up(when, after, given_up)
        if rare > 0:
            _keep(store, out, start, tape.bars, given_up, account, legs, flags, False)
        _save(store, out, tape, start, rows, when, width, after, seen)
        if rare > 0:
            _keep(store, out, start, tape.bars, given_up, account, legs, flags, True)
            count_off = _put_off(start, given_up, put_off, count_off)
            if count_off > MOST_FALLBACKS - LANES:
                _catch_up(plain, table, put_off, count_off)
                count_off = 0
    _catch_up(plain, table, put_off, count_off)
    call_entry(plain, table, end, last)
