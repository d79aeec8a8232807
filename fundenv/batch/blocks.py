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
    N_ACTIONS,
    N_AFTER,
    N_BARS,
    N_BEFORE,
    N_FACTS,
    N_RULES,
    N_SEEN,
    PARAMS,
    step_lanes,
)
from fundenv.batch.memory import LANES, aligned, call_entry, copy_run, local_f4, local_f8, local_i8, turn_in, turn_out
from fundenv.batch.prefetch import prefetch_line, prefetch_row
from fundenv.dynamics import types as t
from fundenv.dynamics.jit import jit_outer
from fundenv.dynamics.margin import FEW_BRACKETS
from fundenv.market.layout import N_COLUMNS

N_ACCOUNT, N_LEG, N_EPISODE, N_LEDGER, N_TRADE = t.N_ACCOUNT, t.N_LEG, t.N_EPISODE, t.N_LEDGER, t.N_TRADE
RUN = 16  # features copied at once
RECORD = 32  # doubles of a row of the tape: a bar and up to 32 features

_TAPES: WeakValueDictionary[tuple[int, int], t.Float64] = WeakValueDictionary()  # whoever holds a tape holds the arrays of its key too


def fits(world: t.World, params: t.Float64, n: int) -> bool:
    """Whether n environments have what `step_lanes` takes for granted: one linear asset, continuous actions with all dials, isolated margin,
    `log_growth`, decisions of one bar and a keeper that looks at every bar (`CODES`), no scaled funding, no stress (`PARAMS`), at most 32 features, and one
    row of Params for all.

    Where Intel's vector library is installed, a logarithm in a vector would differ from one alone by its last bit.
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
    """(R, RECORD): each bar with its features behind it, from a cache line on and in whole lines; the features are float32."""
    rows, features = world.features.shape[0], world.features.shape[2]
    key = id(world.bars), id(world.features)
    known = _TAPES.get(key)
    if known is not None:
        return known
    table: t.Float64 = aligned(rows * RECORD).reshape(rows, RECORD)
    table[:, :N_COLUMNS] = world.bars[:, 0]
    as_float32: NDArray[np.float32] = table.view(np.float32)
    as_float32[:, 2 * N_COLUMNS : 2 * N_COLUMNS + features] = world.features[:, 0]
    _TAPES[key] = table
    return table


def _limits(world: t.World) -> t.Float64:
    return world.tiers[:, FEW_BRACKETS, 0] if world.tiers.shape[1] > FEW_BRACKETS else np.full(len(world.tiers), np.inf)


@jit_outer
def _load(world, store, actions, facts, tape, tape_f4, start, when, bars, features, known, acts, before, left):
    """From the rows of the environments start..start+LANES-1 to lanes."""
    at, legs_at, account_at, bars_at, facts_at = (
        local_i8((LANES,)), local_i8((LANES,)), local_i8((LANES,)), local_i8((LANES,)), local_i8((LANES,))
    )  # fmt: skip
    for lane in range(LANES):
        at[lane], account_at[lane], legs_at[lane] = (start + lane) * N_EPISODE, (start + lane) * N_ACCOUNT, (start + lane) * N_LEG
    for half in range(0, LANES, 8):
        turn_in(when, 0, LANES, store.episode, at, half, 0, 8)
    for lane in range(LANES):
        row = min(when[t.ROW, lane], tape.shape[0] - N_BARS)  # an environment that waits for its reset may stand on the last row
        bars_at[lane], left[lane] = row * RECORD, when[t.LAST_ROW, lane] - when[t.ROW, lane]
        facts_at[lane] = world.symbols[when[t.BOOK, lane], 0] * N_FACTS
        features[0, 1, lane] = tape_f4[row + 1, 0, 2 * N_COLUMNS + world.codes[t.FUNDING_FEATURE]]
    for half in range(0, LANES, 8):
        turn_in(bars, 0, N_BARS * LANES, tape, bars_at, half, 0, 8)  # no rule asks for the other half of the bar before
        turn_in(bars, LANES, N_BARS * LANES, tape, bars_at, half, RECORD, 8)
        turn_in(bars, (8 * N_BARS + 1) * LANES, N_BARS * LANES, tape, bars_at, half, RECORD + 8, 8)
        for c in range(0, N_FACTS, 8):
            turn_in(known, c * LANES, LANES, facts, facts_at, half, c, 8)
        for c in range(0, N_LEG, 8):
            turn_in(before, (AT_LEG + c) * LANES, LANES, store.legs, legs_at, half, c, 8)
    for lane in range(0, LANES, 4):
        turn_in(before, 0, LANES, store.account, account_at, lane, 0, 4)
    for lane in range(LANES):
        for c in range(N_ACTIONS):
            acts[c, lane] = actions[start + lane, c]


@jit_outer
def _save(store, out, tape, start, features, when, before, after, seen, given_up):
    """From lanes to rows; what was given up keeps the state that it had."""
    at, legs_at, account_at, ledger_at, trades_at, obs_at = (
        local_i8((LANES,)), local_i8((LANES,)), local_i8((LANES,)), local_i8((LANES,)), local_i8((LANES,)), local_i8((LANES,))
    )  # fmt: skip
    for lane in range(LANES):
        i = start + lane
        at[lane], account_at[lane], legs_at[lane] = i * N_EPISODE, i * N_ACCOUNT, i * N_LEG
        ledger_at[lane], trades_at[lane], obs_at[lane] = i * N_LEDGER, i * N_TRADE, i * out.obs.shape[1] + features
        when[t.ROW, lane] += 1 - given_up[lane]
        when[t.DECISION, lane] += 1 - given_up[lane]
    for lane in range(LANES):
        if given_up[lane]:
            for c in range(N_BEFORE):
                after[c, lane] = before[c, lane]
        else:  # an episode that has ended is given up, and keeps its flags until the reset
            out.reward[start + lane] = after[AT_REWARD, lane]
            out.terminated[start + lane], out.truncated[start + lane] = False, False
    for half in range(0, LANES, 8):
        turn_out(when, 0, LANES, store.episode, at, half, 0, 8)
        for c in range(0, N_LEG, 8):
            turn_out(after, (AT_LEG + c) * LANES, LANES, store.legs, legs_at, half, c, 8)
        turn_out(after, AT_LEDGER * LANES, LANES, out.ledger, ledger_at, half, 0, 8)
        turn_out(after, (AT_LEDGER + N_LEDGER - 8) * LANES, LANES, out.ledger, ledger_at, half, N_LEDGER - 8, 8)  # squares may overlap
        turn_out(after, AT_TRADES * LANES, LANES, out.trades, trades_at, half, 0, 8)
        turn_out(after, (AT_TRADES + N_TRADE - 8) * LANES, LANES, out.trades, trades_at, half, N_TRADE - 8, 8)
    for lane in range(0, LANES, 4):
        turn_out(after, 0, LANES, store.account, account_at, lane, 0, 4)
    turn_out(seen, LANES, LANES, out.obs, obs_at, 0, 0, 16)
    for lane in range(LANES):
        for c in range(17, N_SEEN):
            out.obs[start + lane, features + c - 1] = seen[c, lane]


@jit_outer
def _ask(store, tape, start, first, end, last):
    """Ask for the bars of lanes of the next block; in parts between the work, because a core waits for only some twenty lines at a time."""
    for lane in range(first, end):
        row = store.episode[min(start + lane, last - 1), t.ROW]
        prefetch_line(tape, row * RECORD)
        prefetch_row(tape, row + 1)


@jit_outer
def step_blocks(plain, table, world, store, out, actions, facts, tape, tape_f4, first, last):
    """Step the environments first..last-1 by one decision each, `LANES` at a time.

    plain, table: address of the entry point of the plain loop and its first argument; it steps what is given up, ends an episode, or is left over.
    facts, tape: of the functions of these names; tape_f4: the tape as float32.
    """
    when, bars, features, known = (
        local_i8((N_EPISODE, LANES)), local_f8((N_COLUMNS, N_BARS, LANES)), local_f4((1, N_BARS, LANES)), local_f8((N_FACTS, LANES))
    )  # fmt: skip
    acts, before, left = local_f4((N_ACTIONS, LANES)), local_f8((N_BEFORE, LANES)), local_i8((LANES,))
    after, seen, given_up = local_f8((N_AFTER, LANES)), local_f4((N_SEEN, LANES)), local_i8((LANES,))
    for lane in range(LANES):
        features[0, 0, lane] = math.nan
        for c in range(8, N_COLUMNS):
            bars[c, 0, lane] = math.nan
    width, count = out.obs.shape[1], world.features.shape[2]
    scale = world.scales[world.codes[t.FUNDING_FEATURE]]
    blocks = (last - first) // LANES
    for start in range(first, first + blocks * LANES, LANES):
        _ask(store, tape, start + LANES, 0, 5, last)
        _load(world, store, actions, facts, tape, tape_f4, start, when, bars, features, known, acts, before, left)
        _ask(store, tape, start + LANES, 5, 10, last)
        step_lanes(world, store.params, scale, bars, features, known, acts, before, when[t.DECISION], left, after, seen)
        _ask(store, tape, start + LANES, 10, LANES, last)
        rare = 0
        for lane in range(LANES):
            ended = after[AT_TERMINATED, lane] + after[AT_TRUNCATED, lane] > 0.0
            given_up[lane] = 1 if after[AT_GIVEN_UP, lane] > 0.0 or ended or when[t.MUST_RESET, lane] != 0 else 0
            rare += given_up[lane]
        _save(store, out, tape, start, count, when, before, after, seen, given_up)
        for lane in range(LANES):
            at, place = (2 * RECORD) * (when[t.ROW, lane]) + 2 * N_COLUMNS, (start + lane) * width
            if count >= RUN:
                copy_run(tape_f4, at, out.obs, place, RUN)
                copy_run(tape_f4, at + count - RUN, out.obs, place + count - RUN, RUN)  # runs may overlap
            else:
                for c in range(count):
                    out.obs[start + lane, c] = tape_f4[when[t.ROW, lane], 0, 2 * N_COLUMNS + c]
        if rare > 0:
            for lane in range(LANES):
                if given_up[lane]:
                    call_entry(plain, table, start + lane, start + lane + 1)
    call_entry(plain, table, first + blocks * LANES, last)
