"""What the vector form reads beside the state of the environments: a copy of the market laid out
for it, and facts of each symbol; and for which settings it holds. See `fundenv.batch.simd.lanes`.
"""

from __future__ import annotations

import math
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from numba.core import config as numba_config
from numpy.typing import NDArray

from fundenv.batch.simd.draft import (
    AT_CLOSED,
    AT_LIMIT,
    AT_TIERS,
    CODES,
    LAST_MARK,
    LAST_SPOT,
    N_FACTS,
    N_RULES,
    PARAMS,
    TERMS,
)
from fundenv.compiler.jit import jit_outer
from fundenv.compiler.memory import LANES, aligned
from fundenv.dynamics import types as t
from fundenv.dynamics.funding import LONGEST_YEARS
from fundenv.dynamics.margin import FEW_BRACKETS
from fundenv.market.layout import (
    HALTED,
    MARK_CLOSE,
    N_COLUMNS,
    SETTLE_PRICE,
    SIGMA_DAY,
    SPOT_CLOSE,
)

_AT_STARTS = ("start_invested",)  # what no step reads
_EQUITY, _BAR_YEARS = (t.Params._fields.index(name) for name in ("initial_equity", "bar_years"))
RUN = 16  # features copied at once
RECORD = 32  # doubles of a row of the tape: a bar and up to 32 features

# whoever holds a tape holds the arrays of its key too
_TAPES: WeakValueDictionary[tuple[int, int, bool], t.Float64] = WeakValueDictionary()


def fits(world: t.World, params: t.Float64, n: int) -> bool:
    """Whether n environments have what `step_lanes` takes for granted: one linear asset, isolated
    margin, `log_growth` and a keeper that looks at every bar and is no dial (`CODES`), no stress
    (`PARAMS`), the same numbers of all environments but for `TERMS`, and at most 32 features.

    Where Intel's vector library is installed, a logarithm in a vector might differ from one alone
    by its last bit.
    """
    sized = n >= LANES and world.bars.shape[1] == 1 and world.features.shape[2] <= 2 * RUN
    usual = sized and world.contract == t.LINEAR and not numba_config.USING_SVML
    if not usual or world.codes[t.FREE_DIALS] & t.KEEPER_DIAL:
        return False
    shared = [k for k, name in enumerate(t.Params._fields) if name not in (*TERMS, *_AT_STARTS)]
    return (
        all(world.codes[code] == value for code, value in CODES.items())
        and all(params[0, t.Params._fields.index(name)] == value for name, value in PARAMS.items())
        and bool((params[:, shared] == params[0, shared]).all())
        and bool((world.ranges[shared, 0] == t.RANGE_NONE).all())
        and bool((params[0, _EQUITY] < 0.5 * _limits(world)).all())
    )


def _limits(world: t.World) -> t.Float64:
    return (
        world.tiers[:, FEW_BRACKETS, 0]
        if world.tiers.shape[1] > FEW_BRACKETS
        else np.full(len(world.tiers), np.inf)
    )


def _closed(world: t.World, longest: int) -> t.Float64:
    """(S,): bars that every settlement of a symbol closes, as `funding._years_closed` counts them,
    `longest` at most; NaN where they differ.
    """
    found: list[set[int]] = [set() for _ in world.rules]
    books = world.symbols[:, 0].reshape(-1, len(world.paths))
    for path, (first, last) in enumerate(world.paths):
        settled = np.flatnonzero(world.bars[first:last, 0, SETTLE_PRICE] > 0.0)
        closed = set(np.minimum(np.diff(settled), longest).tolist())
        if len(settled) and settled[0] > 0:
            closed.add(longest)
        for symbol in books[:, path]:
            found[symbol] |= closed
    return np.array([each.pop() if len(each) == 1 else math.nan for each in found])


def facts(world: t.World, params: t.Float64) -> t.Float64:
    """(S, N_FACTS): what `step_lanes` knows of each symbol."""
    table = np.zeros((len(world.rules), N_FACTS))
    table[:, :N_RULES] = world.rules
    table[:, AT_CLOSED] = _closed(world, round(LONGEST_YEARS / params[0, _BAR_YEARS]))
    # the rules divide where `step_lanes` multiplies
    table[:, AT_LIMIT] = (1.0 - 1e-9) * _limits(world)
    first = np.full((len(table), FEW_BRACKETS, 4), np.inf)
    first[:, : world.tiers.shape[1]] = world.tiers[:, :FEW_BRACKETS]
    table[:, AT_TIERS:] = first.transpose(0, 2, 1).reshape(len(table), -1)
    return table


def tape(world: t.World) -> t.Float64:
    """(R x RECORD,): the bars and their float32 features, from a cache line on and in whole lines,
    as `Tape` says where.

    Two columns hold the closes of the row before (`LAST_SPOT`, `LAST_MARK`), so that a bar reads
    one row; a halted bar has no volatility here.
    """
    rows, features = world.features.shape[0], world.features.shape[2]
    together = bool(world.codes[t.DECISION_BARS] == 1)
    key = id(world.bars), id(world.features), together
    known = _TAPES.get(key)
    if known is not None:
        return known
    table: t.Float64 = aligned(rows * RECORD)
    halves = (
        table.reshape(rows, 2, N_COLUMNS)
        if together
        else table.reshape(2, rows, N_COLUMNS).swapaxes(0, 1)
    )
    bars = halves[:, 0]
    bars[:] = world.bars[:, 0]
    bars[1:, LAST_SPOT], bars[1:, LAST_MARK] = (
        world.bars[:-1, 0, SPOT_CLOSE],
        world.bars[:-1, 0, MARK_CLOSE],
    )
    bars[world.bars[:, 0, HALTED] != 0.0, SIGMA_DAY] = math.nan
    as_float32: NDArray[np.float32] = halves[:, 1].view(np.float32)
    as_float32[:, :features] = world.features[:, 0]
    _TAPES[key] = table
    return table


class Tape(NamedTuple):
    """`tape` as the steps of one decision of `bars` bars read it: the features stand behind their
    bar, or, where a decision has several bars, behind all bars, so that these are one run in
    memory.
    """

    f8: t.Float64  # (R x RECORD,)
    f4: t.Float32  # the same memory
    row_step: int  # doubles from a row to the next
    first_seen: int  # double at which the features of the first row begin
    bars: int


@jit_outer
def tape_of(f8, f4, rows, bars):
    """The tape of a market of so many rows."""
    return Tape(
        f8,
        f4,
        RECORD if bars == 1 else N_COLUMNS,
        N_COLUMNS if bars == 1 else rows * N_COLUMNS,
        bars,
    )
