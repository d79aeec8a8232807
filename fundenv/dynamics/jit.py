"""The one decorator of all rules: numba, with a disk cache that notices an edit anywhere in the package.

numba keys its cache on the file that holds the compiled function, so an edited callee in another file keeps serving the old number. Here the
cache folder is named by the hash of every source file of the package instead.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config
from numba.extending import register_jitable

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": False, "error_model": "numpy", "_nrt": False}
PACKAGE = Path(__file__).resolve().parents[1]


@cache
def cache_folder() -> str:
    """Folder of the compiled rules: below NUMBA_CACHE_DIR, else the user's cache folder, else a temporary one."""
    digest = hashlib.sha256(numba.__version__.encode())
    for room in ("dynamics", "batch"):
        for path in sorted((PACKAGE / room).glob("*.py")):
            digest.update(path.read_bytes())
    name = f"fundenv-{digest.hexdigest()[:16]}"
    wished = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    folder = Path(wished) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home: compile into a temporary folder that this user keeps between runs
        folder = Path(tempfile.gettempdir()) / name
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


@contextmanager
def cached_on_disk() -> Iterator[None]:
    """What is decorated inside caches in `cache_folder`; numba reads the setting at decoration, so other packages keep theirs."""
    others = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = cache_folder()
    try:
        yield
    finally:
        numba_config.CACHE_DIR = others


def jit(function: Callable[..., Any]) -> Any:
    """Compile a scalar rule: IEEE arithmetic in program order, no Python objects, no allocation (so no reference counts), cached on disk.

    Rules are inlined into their caller: a call would copy the descriptors of two dozen arrays (measured: 4x slower). With NUMBA_DISABLE_JIT=1 the
    plain Python function comes back.
    """
    with cached_on_disk():
        return numba.njit(function, forceinline=True, **_OPTIONS)


def formula(function: F) -> F:
    """A rule that users call too: plain Python, on numbers or arrays, and inlined where a compiled rule calls it. So a formula stands in one place.

    The body may use arithmetic, abs and numpy's ufuncs only.
    """
    marked: F = register_jitable(error_model="numpy", fastmath=False, forceinline=True)(function)
    return marked


def jit_outer(function: Callable[..., Any]) -> Any:
    """As `jit` for the few functions around all others, each called in one place: pasted into their caller before the types are known, so that
    the whole step is optimised once and not again at every level around it (measured: 39 to 32 s of computing for a cold start)."""
    with cached_on_disk():
        return numba.njit(function, inline="always", **_OPTIONS)


def jit_rare(function: Callable[..., Any]) -> Any:
    """As `jit` for a rule that few steps reach (a liquidation, a new episode): called and not inlined, which halves the time to compile."""
    with cached_on_disk():
        return numba.njit(function, **_OPTIONS)
