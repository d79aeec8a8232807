"""The compiled entry points of the CPU loops, called through plain C pointers.

Handing two dozen arrays to a numba dispatcher costs about 4 us a call, more than the step of a single environment. Their addresses and sizes never
change while a batch lives, so they are put into a table once and every call passes one pointer (0.3 us). Sizes that the types fix are constants
here, so the compiler folds them into the addressing.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import carray, types
from numba.core import config as numba_config
from numba.extending import intrinsic

from fundenv.batch.loop import reset_range, step_range
from fundenv.dynamics import types as t
from fundenv.dynamics.jit import EntryCompiler, cache_folder, cached_on_disk
from fundenv.market.layout import N_COLUMNS

# `carray` makes arrays, which only code with reference counts may return; the arrays own nothing, so the counts cost nothing.
_jit_with_counts = numba.njit(forceinline=True)
_jit_outer = numba.njit(inline="always")
N_PARAMS, N_RULES = len(t.Params._fields), len(t.AssetRules._fields)
_SIZES = ("rows", "assets", "features", "paths", "symbols", "brackets", "grid", "param_rows", "envs", "observations", "actions", "eras")


def _caster(scalar: Any) -> Any:
    pointer = types.CPointer(scalar)

    @intrinsic
    def cast(_typing: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(pointer))

        return pointer(types.int64), emit

    return cast


_f8, _f4, _i8, _u1 = (_caster(scalar) for scalar in (types.float64, types.float32, types.int64, types.uint8))


@_jit_with_counts
def _world(table, assets, contract):
    rows, features, paths, symbols, brackets, grid = table[0], table[2], table[3], table[4], table[5], table[6]
    return t.World(
        carray(_f8(table[12]), (rows, assets, N_COLUMNS)),
        carray(_f4(table[13]), (rows, assets, features)),
        carray(_i8(table[14]), (paths, 2)),
        carray(_i8(table[15]), (paths, 3)),
        carray(_i8(table[16]), (table[11],)),
        carray(_i8(table[17]), (table[11] * paths, assets)),
        carray(_f8(table[18]), (symbols, N_RULES)),
        carray(_f8(table[19]), (symbols, brackets, 4)),
        carray(_i8(table[20]), (t.N_CODES,)),
        carray(_f8(table[21]), (3, grid)),
        carray(_f8(table[22]), (features,)),
        carray(_f8(table[23]), (features, 4)),
        carray(_f8(table[24]), (N_PARAMS, 3)),
        contract,
    )


@_jit_with_counts
def _store(table, assets):
    envs = table[8]
    return t.Store(
        carray(_f8(table[25]), (table[7], N_PARAMS)),
        carray(_f8(table[26]), (envs, t.N_ACCOUNT)),
        carray(_f8(table[27]), (envs, assets, t.N_LEG)),
        carray(_i8(table[28]), (envs, t.N_EPISODE)),
    )


@_jit_with_counts
def _out(table, assets):
    envs, width = table[8], table[9]
    return t.Out(
        carray(_f4(table[29]), (envs, width)),
        carray(_f4(table[30]), (envs, width)),
        carray(_f8(table[31]), (envs,)),
        carray(_u1(table[32]), (envs,)),
        carray(_u1(table[33]), (envs,)),
        carray(_f8(table[34]), (envs, t.N_LEDGER)),
        carray(_f8(table[35]), (envs, assets, t.N_TRADE)),
        carray(_f8(table[36]), (envs, 3)),
    )


@_jit_outer
def _step(table, assets, contract, first, last):
    actions = carray(_f4(table[37]), (table[8], table[10]))
    step_range(_world(table, assets, contract), _store(table, assets), _out(table, assets), actions, first, last)


@_jit_outer
def _reset(table, assets, contract, first, last):
    paths, rows = carray(_i8(table[38]), (table[8],)), carray(_i8(table[39]), (table[8],))
    reset_range(_world(table, assets, contract), _store(table, assets), _out(table, assets), paths, rows, first, last)


def _step_one_asset(table: Any, first: int, last: int) -> None:
    _step(table, 1, 0, first, last)  # constants: the loops over assets vanish (measured: a third faster), and so do the inverse contracts


def _step_assets(table: Any, first: int, last: int) -> None:
    _step(table, table[1], 0, first, last)


def _step_inverse(table: Any, first: int, last: int) -> None:
    _step(table, table[1], 1, first, last)


def _reset_assets(table: Any, first: int, last: int) -> None:
    _reset(table, table[1], 0, first, last)


def _reset_inverse(table: Any, first: int, last: int) -> None:
    _reset(table, table[1], 1, first, last)


@cache
def _announce() -> None:
    sys.stderr.write("fundenv: compiling the simulation for the first time, about half a minute; later runs load it from disk\n")


@cache
def _compiled(entry: Callable[..., None]) -> Any:
    signature = types.void(types.CPointer(types.int64), types.int64, types.int64)
    if not any(Path(cache_folder()).rglob(f"entry.{entry.__name__}-*.nbi")):
        _announce()
    with cached_on_disk():
        compiled = numba.cfunc(signature, cache=True, error_model="numpy", pipeline_class=EntryCompiler)(entry)
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(compiled.address), compiled


class Calls:
    """Steps and resets of one set of arrays; each call releases the GIL."""

    def __init__(self, world: t.World, store: t.Store, out: t.Out, actions: t.Float32, paths: t.Int64, rows: t.Int64) -> None:
        self._arrays = (world, store, out, actions, paths, rows)
        sizes = dict(
            zip(
                _SIZES,
                (
                    *world.features.shape,
                    len(world.paths),
                    *world.tiers.shape[:2],
                    world.grids.shape[1],
                    len(store.params),
                    *out.obs.shape,
                    actions.shape[1],
                    len(world.eras),
                ),
                strict=True,
            )
        )
        flat = (*world[:-1], *store, *out, actions, paths, rows)  # the contract is a constant of the entry point
        for array in flat:
            if not array.flags.c_contiguous:
                raise ValueError(f"array of shape {array.shape} is not contiguous; the kernel addresses rows directly")
        self._table = np.array([*sizes.values(), *(array.ctypes.data for array in flat)], dtype=np.int64)
        self._address = self._table.ctypes.data
        if numba_config.DISABLE_JIT:
            self.step, self.reset = self._plain_step, self._plain_reset
            return
        linear_step = _step_one_asset if world.bars.shape[1] == 1 else _step_assets
        step = _compiled(_step_inverse if world.contract == t.INVERSE else linear_step)[0]
        reset = _compiled(_reset_inverse if world.contract == t.INVERSE else _reset_assets)[0]
        address = self._address
        self.step = lambda first, last: step(address, first, last)
        self.reset = lambda first, last: reset(address, first, last)

    def _plain_step(self, first: int, last: int) -> None:
        world, store, out, actions, _, _ = self._arrays
        step_range(world, store, out, actions, first, last)

    def _plain_reset(self, first: int, last: int) -> None:
        world, store, out, _, paths, rows = self._arrays
        reset_range(world, store, out, paths, rows, first, last)
