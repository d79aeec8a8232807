"""What an entry point is made of: rules compiled once, rare ones called, and the arrays that they
get.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import types

from fundenv.compiler.addressed import address_of, f4_at, f8_at, i8_at, u1_at
from fundenv.compiler.cache import Loaded, compile_entry
from fundenv.compiler.jit import jit, jit_rare
from fundenv.compiler.pipelines import EntryCompiler
from tests.compiler.small_entry import compiled

SIGNATURE = types.void(types.CPointer(types.int64), types.int64, types.int64)
CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
ROWS, COLUMNS = 4, 3


@jit
def signed(number, positive):
    return number if positive else -number


@jit_rare
def doubled(world, number):
    return 2 * number


@jit
def twice_signed(number):
    return doubled(0, signed(number, True)) + signed(doubled(0, number), False)


def of_rules(table: Any, first: int, last: int) -> None:
    table[0] = twice_signed(first) + doubled(0, twice_signed(last)) + signed(last, first > 0)


@jit
def fill(f8, f4, i8, u1):
    for r in range(f8.shape[0]):
        for c in range(f8.shape[1]):
            f8[r, c, 0], f8[r, c, 1] = r + 0.5, f8.shape[2] * c
            f4[r, c] = f8[r, c, 0] + 0.25
        i8[r] = int(f4[r, 1]) + f4.shape[1]
        u1[r] = r > 1


def of_arrays(table: Any, first: int, last: int) -> None:
    f8, f4 = f8_at(table[0], (first, last, 2)), f4_at(table[1], (first, 3))
    i8, u1 = i8_at(table[2], (first,)), u1_at(table[3], (4,))
    fill(f8, f4, i8, u1)
    table[4] = address_of(f4)


def of_a_slice(table: Any, first: int, last: int) -> None:
    array = f8_at(table[0], (first, 3))
    array[0] = 1.0


def compile_here(
    entry: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Loaded:
    """Compiled in this process, and kept below `folder`."""
    monkeypatch.setattr("fundenv.compiler.cache.cache_folder", lambda: str(folder))
    monkeypatch.setattr("fundenv.compiler.cache.wished_folder", lambda: str(folder))
    return compile_entry(entry, SIGNATURE, EntryCompiler, lambda: None)


@compiled
def test_a_rule_is_compiled_once_and_a_rare_one_never_inlined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = compile_here(of_rules, tmp_path, monkeypatch)
    result = np.zeros(1, np.int64)
    CALL(made.address)(result.ctypes.data, 5, 7)
    assert result[0] == 7
    for rule in (signed, doubled, twice_signed):  # whatever constants it is called with
        assert len(rule.overloads) == 1, rule
    (rare,), (common,) = doubled.overloads.values(), signed.overloads.values()
    # numba hands a caller's wish to be inlined on to what it calls
    assert (rare.fndesc.inline, common.fndesc.inline) == (False, True)


@compiled
def test_arrays_at_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compile_here(of_arrays, tmp_path, monkeypatch)
    f8, f4 = np.zeros((ROWS, COLUMNS, 2)), np.zeros((ROWS, 3), np.float32)
    i8, u1 = np.zeros(ROWS, np.int64), np.zeros(ROWS, np.bool_)
    table = np.array([*(each.ctypes.data for each in (f8, f4, i8, u1)), 0])
    CALL(made.address)(table.ctypes.data, ROWS, COLUMNS)
    rows, columns = np.indices((ROWS, COLUMNS))
    assert np.array_equal(f8, np.stack([rows + 0.5, 2.0 * columns], axis=2))
    assert np.array_equal(f4, rows + 0.75)
    assert np.array_equal(i8, np.arange(ROWS) + 3)
    assert np.array_equal(u1, np.arange(ROWS) > 1)
    assert table[4] == f4.ctypes.data


@compiled
def test_a_row_of_them_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="expected an integer for every axis"):
        compile_here(of_a_slice, tmp_path, monkeypatch)
