"""A small entry point, compiled in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from numba import types
from numba.core import config as numba_config

from fundenv.compiler import cache
from fundenv.compiler.pipelines import EntryCompiler

ROOT = Path(__file__).parents[2]
CALL = """
import ctypes, sys
from numba import types
from fundenv.compiler import cache
from fundenv.compiler.pipelines import EntryCompiler
from tests.compiler.small_entry import double
made = cache.compile_entry(
    double, types.void(types.CPointer(types.int64), types.int64, types.int64), EntryCompiler,
    lambda: sys.stderr.write("compiling\\n"),
)
number = (ctypes.c_int64 * 1)(21)
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(made.address)
call(number, 0, 0)
print(number[0], cache.cache_folder())
"""
compiled = pytest.mark.skipif(numba_config.DISABLE_JIT, reason="nothing is compiled here")


def double(table: Any, first: int, last: int) -> None:
    """An entry point that takes a moment to compile."""
    table[0] = 2 * table[0] + first - last


def start(
    folder: Path | None, root: Path = ROOT, script: str = CALL, **variables: str
) -> subprocess.Popen[str]:
    """A fresh process that calls `double`, its code below `folder`; None: no folder is named."""
    named = {} if folder is None else {"NUMBA_CACHE_DIR": str(folder)}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    }
    return subprocess.Popen(
        [sys.executable, "-B", "-W", "ignore", "-c", script],
        cwd=root,
        env=kept | named | {"PYTHONPATH": str(root)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """(what it calculated and where it keeps its code, what it said)."""
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    number, _, folder = out.strip().partition(" ")
    assert number == "42"
    return folder, said


def compile_ahead(names: Sequence[str]) -> None:
    """What `fundenv.compiler.beside` starts; leaves a note of who compiled."""
    folder = Path(str(cache.cache_folder()))
    with (folder / "compiled.log").open("a") as log:
        log.write(f"{os.getpid()} {' '.join(names)}\n")
    if (folder / "fail").exists():
        raise RuntimeError("out of memory, say")
    kind = types.void(types.CPointer(types.int64), types.int64, types.int64)
    for name in names:
        cache.compile_entry(globals()[name], kind, EntryCompiler, lambda: None, has_turn=True)
