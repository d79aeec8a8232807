"""The loop over environments in blocks of lanes: load, step, save, and the fallbacks. See
`fundenv.batch.simd.lanes`.
"""

from __future__ import annotations

import math

from fundenv.batch.simd.asked import MAX_LEVERAGE, N_DIALS, load_asked
from fundenv.batch.simd.draft import AT_NEEDS_FALLBACK, AT_TERMINATED, AT_TRUNCATED, N_AFTER
from fundenv.batch.simd.lanes import bar_lanes, end_lanes, step_lanes, turn_lanes
from fundenv.batch.simd.market_copy import RUN, tape_of
from fundenv.batch.simd.rows import (
    is_shifted,
    keep_aside,
    load_bars,
    load_state,
    load_terms,
    new_lanes,
    save,
    shift_levels,
    spread_terms,
    turned_levels,
)
from fundenv.compiler.jit import jit_outer
from fundenv.compiler.memory import (
    LANES,
    LINE,
    alone,
    call_entry,
    local_f4,
    local_f8,
    local_i8,
    local_u1,
    put,
)
from fundenv.compiler.prefetch import prefetch_lines
from fundenv.dynamics import types as t
from fundenv.market.layout import N_COLUMNS

N_ACCOUNT, N_LEG, N_EPISODE = t.N_ACCOUNT, t.N_LEG, t.N_EPISODE
HALF_LINES = N_COLUMNS * 8 // LINE  # of a bar, and of its features
# fallbacks, stepped together: the code of neither loop drives that of the other out of the cache
# at every block
MOST_FALLBACKS = 256
AHEAD = 4  # blocks between the hint and the step that reads the row


@jit_outer
def _mark_needs_fallback(when, after, needs_fallback):
    """Mark the lanes that the plain loop steps again: rare, at the end of an episode, or waiting
    for a reset. Returns how many.
    """
    rare = 0
    for lane in range(LANES):
        ended = after[AT_TERMINATED, lane] + after[AT_TRUNCATED, lane] > 0.0
        needs_fallback[lane] = (
            1
            if after[AT_NEEDS_FALLBACK, lane] > 0.0 or ended or when[t.MUST_RESET, lane] != 0
            else 0
        )
        rare += needs_fallback[lane]
    return rare


@jit_outer
def _defer(start, needs_fallback, deferred, count):
    """Note the fallbacks behind the `count` noted so far; returns how many there are now."""
    for lane in range(LANES):
        if needs_fallback[lane]:
            put(deferred, count, start + lane)
            count += 1
    return count


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
def _ask_for_first(store, tape, first, end):
    """Ask for all bars of the blocks that no earlier one asks for."""
    for start in range(first, min(first + AHEAD * LANES, end), LANES):
        for ahead in range(1, tape.bars + 1):
            _ask(store, tape, start, ahead, 0, LANES)


@jit_outer
def _next_bar(world, store, scale, tape, start, later, ahead, lanes, held, moved):
    """The bar `ahead` of a step."""
    _ask(store, tape, later, ahead, 0, LANES // 2)
    load_bars(world, store, tape, start, ahead, lanes)
    _ask(store, tape, later, ahead, LANES // 2, LANES)
    bar_lanes(
        world,
        store.params,
        lanes.terms,
        scale,
        lanes.bars,
        lanes.features,
        lanes.facts,
        held,
        moved,
    )


@jit_outer
def _other_bars(world, store, scale, tape, start, later, lanes, first, second):
    """The bars of a decision behind its first one, and its end; first, second: scratch (N_AFTER,
    LANES).
    """
    held, moved = first, second
    _next_bar(world, store, scale, tape, start, later, 2, lanes, lanes.after, held)
    for ahead in range(3, tape.bars + 1):
        _next_bar(world, store, scale, tape, start, later, ahead, lanes, held, moved)
        held, moved = moved, held
    end_lanes(
        world,
        store.params,
        lanes.terms,
        scale,
        lanes.bars,
        lanes.features,
        lanes.facts,
        lanes.before,
        held,
        lanes.when[t.DECISION],
        lanes.left,
        tape.bars,
        lanes.after,
        lanes.seen,
    )


@jit_outer
def _catch_up(plain, table, deferred, count):
    """Step the fallbacks by the plain loop."""
    for k in range(count):
        call_entry(plain, table, deferred[k], deferred[k] + 1)


@jit_outer
def step_blocks(plain, table, world, store, out, actions, facts, f8, f4, first, last):
    """Step the environments first..last-1 by one decision each, `LANES` at a time, bar by bar.

    plain, table: address of the entry point of the plain loop and its first argument; it steps,
    some blocks later, the fallbacks and what ends an episode, and what is left over. facts, f8: of
    the functions `facts` and `tape`; f4: the tape as float32.
    """
    lanes = new_lanes()
    held, moved, needs_fallback = (
        local_f8((N_AFTER, LANES)),
        local_f8((N_AFTER, LANES)),
        local_i8((LANES,)),
    )
    account, legs, flags = (
        local_f8((LANES, N_ACCOUNT)),
        local_f8((LANES, N_LEG)),
        local_u1((2, LANES)),
    )
    deferred = local_i8((MOST_FALLBACKS,))
    dials = local_f4((N_DIALS, LANES))
    log_max = math.log(store.params[0, MAX_LEVERAGE])
    shared = store.params.shape[0] == 1
    if shared:
        spread_terms(store.params, lanes)
    shifted = not shared or is_shifted(lanes, 0)
    opening = turned_levels(world.levels, 0)
    closing = turned_levels(world.levels, max(world.features.shape[2] - RUN, 0))
    run = local_f4((RUN,))
    turned = world.codes[t.ACTION_MODE] == t.ACTION_CONTINUOUS
    width, tape = (
        world.features.shape[2],
        tape_of(f8, f4, world.features.shape[0], world.codes[t.DECISION_BARS]),
    )
    scale = world.scales[world.codes[t.FUNDING_FEATURE]]
    count_off = 0
    end = last - (last - first) % LANES
    _ask_for_first(store, tape, first, end)
    for start in range(first, end, LANES):
        later = min(start + AHEAD * LANES, end - LANES)
        _ask(store, tape, later, 1, 0, 5)
        load_bars(world, store, tape, start, 1, lanes)
        load_state(world, store, facts, start, lanes)
        if not shared:
            load_terms(store.params, start, lanes)
        load_asked(world, store.params, actions, start, log_max, dials, lanes.asked)
        _ask(store, tape, later, 1, 5, 10)
        if turned:
            turn_lanes(
                world,
                store.params,
                lanes.terms,
                scale,
                lanes.bars,
                lanes.features,
                lanes.facts,
                lanes.asked,
                lanes.before,
                lanes.when[t.DECISION],
                lanes.left,
                lanes.after,
                lanes.seen,
            )
        else:
            step_lanes(
                world,
                store.params,
                lanes.terms,
                scale,
                lanes.bars,
                lanes.features,
                lanes.facts,
                lanes.asked,
                lanes.before,
                lanes.when[t.DECISION],
                lanes.left,
                lanes.after,
                lanes.seen,
            )
        _ask(store, tape, later, 1, 10, LANES)
        if tape.bars > 1:
            _other_bars(world, store, scale, tape, start, later, lanes, held, moved)
        rare = _mark_needs_fallback(lanes.when, lanes.after, needs_fallback)
        if rare > 0:
            keep_aside(store, out, start, tape.bars, needs_fallback, account, legs, flags, False)
        save(store, out, tape, start, width, lanes)
        if shifted:
            shift_levels(world, store.params, out.obs, tape, start, lanes, opening, closing, run)
        if rare > 0:
            keep_aside(store, out, start, tape.bars, needs_fallback, account, legs, flags, True)
            count_off = _defer(start, needs_fallback, deferred, count_off)
            if count_off > MOST_FALLBACKS - LANES:
                _catch_up(plain, table, deferred, count_off)
                count_off = 0
    _catch_up(plain, table, deferred, count_off)
    call_entry(plain, table, end, last)
