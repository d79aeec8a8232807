"""The compiled entry points of the CPU loops, called through plain C pointers.

Handing two dozen arrays to a numba dispatcher costs about 4 us a call, more than the step of a
single environment. Their addresses and sizes never change while a batch lives, so they are put into
a table once and every call passes one pointer (0.3 us). Sizes that the types fix are constants
here, so the compiler folds them into the addressing.

While they are compiled for the first time in another process, a single environment steps in plain
Python, to the same bits.

A batch with the settings that `fits` names is stepped in vectors (`fundenv.batch.simd.lanes`), to
the same bits. They are compiled apart, and only for a run that lasts: a first step waits for the
plain loop alone.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numba import types
from numba.core import config as numba_config

from fundenv.batch.loop import reset_range, step_range
from fundenv.batch.simd.blocks import step_blocks
from fundenv.batch.simd.draft import N_FACTS
from fundenv.batch.simd.market_copy import RECORD, facts, fits, tape
from fundenv.batch.tables import (
    AT_ACTIONS,
    AT_ASSETS,
    AT_ENVS,
    AT_EPISODE,
    AT_FACTS,
    AT_OBS,
    AT_PLAIN,
    AT_ROWS,
    AT_SYMBOLS,
    AT_TAPE,
    AT_TERMINATED,
    AT_TRUNCATED,
    AT_WIDTH,
    Given,
    out_of,
    reset_mixed_table,
    reset_table,
    step_mixed_table,
    step_table,
    store_of,
    table_of,
    world_of,
)
from fundenv.compiler.addressed import f4_at, f8_at, i8_at, u1_at
from fundenv.compiler.beside import Beside
from fundenv.compiler.cache import cache_folder, compile_entry, is_kept
from fundenv.compiler.memory import call_entry
from fundenv.compiler.pipelines import EntryCompiler, LanesCompiler
from fundenv.compiler.plain import plain
from fundenv.dynamics import types as t
from fundenv.dynamics.types import MUST_RESET, N_EPISODE

# In each of the two buffers: a compilation costs about as much as the vector form saves in 50
# million steps, so whoever steps on costs at most twice the least that was possible. `fundenv
# doctor --warm` compiles it ahead; then it is used at once.
STEPS_TO_LANES = 25_000_000
# What `Calls.step_first` answers: how the step ended, or, from `REFUSED` on, why there was none.
UNDER_WAY, TERMINATED, TRUNCATED, NOT_FINITE, NOT_BEGUN = range(5)
REFUSED = NOT_FINITE


def _step_lanes(table: Any, first: int, last: int) -> None:
    world, actions = (
        world_of(table, 1, 0),
        f4_at(table[AT_ACTIONS], (table[AT_ENVS], table[AT_WIDTH])),
    )
    facts, size = f8_at(table[AT_FACTS], (table[AT_SYMBOLS], N_FACTS)), table[AT_ROWS] * RECORD
    f8, f4 = f8_at(table[AT_TAPE], (size,)), f4_at(table[AT_TAPE], (2 * size,))
    step_blocks(
        table[AT_PLAIN],
        table,
        world,
        store_of(table, 1),
        out_of(table, 1),
        actions,
        facts,
        f8,
        f4,
        first,
        last,
    )


def _step_one_asset(table: Any, first: int, last: int) -> None:
    # constants: the loops over assets vanish (measured: a third faster), and so do the inverse
    # contracts
    step_table(table, 1, 0, first, last)


def _step_assets(table: Any, first: int, last: int) -> None:
    step_table(table, table[AT_ASSETS], 0, first, last)


def _step_inverse(table: Any, first: int, last: int) -> None:
    step_table(table, table[AT_ASSETS], 1, first, last)


def _step_placed(table: Any, first: int, last: int) -> None:
    step_table(table, table[AT_ASSETS], 2, first, last)


def _reset_assets(table: Any, first: int, last: int) -> None:
    reset_table(table, table[AT_ASSETS], 0, first, last)


def _reset_inverse(table: Any, first: int, last: int) -> None:
    reset_table(table, table[AT_ASSETS], 1, first, last)


def _reset_placed(table: Any, first: int, last: int) -> None:
    reset_table(table, table[AT_ASSETS], 2, first, last)


def _step_mixed(table: Any, first: int, last: int) -> None:
    step_mixed_table(table, table[AT_ASSETS], 3, first, last)


def _reset_mixed(table: Any, first: int, last: int) -> None:
    reset_mixed_table(table, table[AT_ASSETS], 3, first, last)


def _step_first(table: Any) -> int:
    if i8_at(table[AT_EPISODE], (N_EPISODE,))[MUST_RESET] != 0:
        return NOT_BEGUN
    action = f4_at(table[AT_ACTIONS], (table[AT_WIDTH],))
    for k in range(table[AT_WIDTH]):
        if not math.isfinite(action[k]):
            return NOT_FINITE
    call_entry(table[AT_PLAIN], table, 0, 1)
    if u1_at(table[AT_TERMINATED], (1,))[0] != 0:
        return TERMINATED
    return TRUNCATED if u1_at(table[AT_TRUNCATED], (1,))[0] != 0 else UNDER_WAY


# kind of contract -> entries of step and reset; linear contracts of one asset have their own step
_ENTRIES = {
    t.LINEAR: (_step_assets, _reset_assets),
    t.INVERSE: (_step_inverse, _reset_inverse),
    t.PLACED: (_step_placed, _reset_placed),
    t.MIXED: (_step_mixed, _reset_mixed),
}
_TABLE = types.CPointer(types.int64)
_SIGNATURE, _OF_FIRST = types.void(_TABLE, types.int64, types.int64), types.int64(_TABLE)


_LONG = "some 20 seconds to a minute"


def _announce(said: str) -> None:
    folder = cache_folder()
    then = (
        f"later runs load it from {folder}"
        if folder
        else "no folder can be written to keep it in, so every run compiles; set NUMBA_CACHE_DIR"
    )
    sys.stderr.write(f"fundenv: {said}; {then}\n")


@cache
def _announce_wait(what: str) -> None:
    _announce(f"compiling {what}, {_LONG}")


def _announce_beside() -> None:
    _announce(
        f"another process compiles the simulation for the first time; until then, {_LONG}, this one"
        " steps in plain Python, the same numbers, but slowly"
    )


@cache
def _compiled(entry: Callable[..., Any], has_turn: bool = False) -> Any:
    in_vectors = entry is _step_lanes
    what = "the vector form of the step" if in_vectors else "the simulation for the first time"
    compiled = compile_entry(
        entry,
        _OF_FIRST if entry is _step_first else _SIGNATURE,
        LanesCompiler if in_vectors else EntryCompiler,
        partial(_announce_wait, what),
        has_turn,
    )
    return (
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(compiled.address),
        compiled,
    )


@cache
def _first() -> Any:
    """`_step_first` for Python. It keeps the GIL: to let go of it costs 3 % of a step, and steps
    are far shorter than the 5 ms after which Python hands the GIL on.
    """
    compiled = _compiled(_step_first)[1]
    return ctypes.PYFUNCTYPE(ctypes.c_int64)(compiled.address)


def compile_ahead(names: Sequence[str]) -> None:
    """Compile and keep entry points: what `fundenv.compiler.beside` starts."""
    for name in names:
        _compiled(globals()[name], has_turn=True)


@cache
def _beside(*entries: Callable[..., None]) -> Beside:
    return Beside((*entries, _step_first), _announce_beside)


class Calls:
    """Steps and resets of one set of arrays; those of compiled code release the GIL, but for
    `step_first`.

    `wait`: whether to wait until they are compiled, or to step in plain Python meanwhile.
    """

    def __init__(
        self,
        world: t.World,
        store: t.Store,
        out: t.Out,
        actions: t.Float32,
        paths: t.Int64,
        rows: t.Int64,
        wait: bool = True,
    ) -> None:
        self._arrays, self._obs = (world, store, out, actions, paths, rows), out.obs
        # of the single environment: it looks at its action and steps, in one short call
        self.step_first: Callable[[], int]
        self.steps_to_lanes = 0  # 0: nothing to wait for
        self.fits_vectors = False
        self.table = table_of(world, store, out, Given(actions, paths, rows))
        self._address = self.table.ctypes.data
        stepped, begun = _ENTRIES[world.contract]
        if world.contract == t.LINEAR and world.bars.shape[1] == 1:
            stepped = _step_one_asset
        self._entries = stepped, begun
        # Intel's vector library has a logarithm of its own, which may differ by its last bit
        if numba_config.DISABLE_JIT:
            self.use_python()
        elif wait or numba_config.USING_SVML or _beside(*self._entries).is_over():
            self.use_compiled()
        else:
            self.step, self.reset = self._step_meanwhile, self._reset_meanwhile
            self.step_first = partial(self._first_by, self._step_meanwhile)

    def use_python(self) -> None:
        """Step in plain Python from now on: the same numbers, some hundred times as slowly."""
        self.step, self.reset = self._plain_step, self._plain_reset
        self.step_first, self.steps_to_lanes = partial(self._first_by, self._plain_step), 0

    def use_compiled(self) -> None:
        """Step by compiled code from now on, and compile it where it is not kept."""
        if numba_config.DISABLE_JIT:
            return
        world, store = self._arrays[:2]
        (step, own), (reset, _) = map(_compiled, self._entries)
        self.step, self.reset = partial(step, self._address), partial(reset, self._address)
        self.table[AT_PLAIN] = own.address
        if len(store.account) == 1:
            # made once: to turn a number into that of C costs as much as the call
            self.step_first = partial(_first(), ctypes.c_void_p.from_param(self._address))
        self.fits_vectors = fits(world, store.params, len(store.account))
        if self.fits_vectors:
            if is_kept(_step_lanes):
                self.use_vectors()
            else:
                self.steps_to_lanes = STEPS_TO_LANES

    def show_in(self, obs: Any) -> None:
        """Write the observations (n, D) of the steps to come into `obs`, which the caller keeps."""
        self.table[AT_OBS] = ctypes.addressof(ctypes.c_char.from_buffer(obs))
        self._obs = obs

    def count(self, steps: int) -> None:
        """Take note of `steps` steps to come; compile their vector form before them where so many
        were made that it pays.
        """
        self.steps_to_lanes -= steps
        if self.steps_to_lanes <= 0:
            self.use_vectors()

    def use_vectors(self) -> None:
        """Step by vector instructions from now on: the same numbers."""
        world, store = self._arrays[:2]
        self._extra = facts(world, store.params), tape(world)
        self.table[[AT_FACTS, AT_TAPE]] = [array.ctypes.data for array in self._extra]
        self.step, self.steps_to_lanes = partial(_compiled(_step_lanes)[0], self._address), 0

    def _first_by(self, step: Callable[[int, int], None]) -> int:
        """What `_step_first` does, by another step than the compiled one."""
        _, store, out, actions = self._arrays[:4]
        if store.episode[0, MUST_RESET]:
            return NOT_BEGUN
        if not np.isfinite(actions).all():
            return NOT_FINITE
        step(0, 1)
        return TERMINATED if out.terminated[0] else TRUNCATED if out.truncated[0] else UNDER_WAY

    def _step_meanwhile(self, first: int, last: int) -> None:
        if _beside(*self._entries).is_over():
            self.use_compiled()
            self.step(first, last)
        else:
            self._plain_step(first, last)

    def _reset_meanwhile(self, first: int, last: int) -> None:
        if _beside(*self._entries).is_over():
            self.use_compiled()
            self.reset(first, last)
        else:
            self._plain_reset(first, last)

    def _plain_step(self, first: int, last: int) -> None:
        world, store, out, actions, _, _ = self._arrays
        with np.errstate(all="ignore"):
            plain(step_range)(world, store, out._replace(obs=self._obs), actions, first, last)

    def _plain_reset(self, first: int, last: int) -> None:
        world, store, out, _, paths, rows = self._arrays
        with np.errstate(all="ignore"):
            plain(reset_range)(world, store, out._replace(obs=self._obs), paths, rows, first, last)
