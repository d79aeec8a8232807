"""Compiled code on disk: where it is kept, when it may be used again, and who compiles it.

numba keys its own cache on the file that holds a compiled function, so an edited callee in another
file keeps serving the old number; where its folder cannot be written it falls back to a
`__pycache__` beside the source, under the same key. Here the folder is named by the hash of every
source file that is compiled (`KERNEL`), and the file by all else that machine code depends on:
Python, numba, LLVM and the processor. So clones of one version share their code, no edit is missed,
and an unreadable or cut-off file is compiled anew.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding
import numba
from numba.core import config as numba_config
from numba.core.ccallback import CFunc
from numba.core.codegen import get_host_cpu_features
from numba.core.sigutils import normalize_signature

from fundenv.compiler.object_code import ObjectCode, load, object_code

try:
    import fcntl
except ImportError:  # Windows: two processes that begin at once then both compile
    fcntl = None  # type: ignore[assignment]

PACKAGE = Path(__file__).resolve().parents[1]
# Files below the package whose functions or constants are compiled into the kernel.
KERNEL = (
    "compiler/*.py",
    "formulas/*.py",
    "dynamics/*.py",
    "batch/entry.py",
    "batch/loop.py",
    "batch/tables.py",
    "batch/simd/*.py",
    "market/layout.py",
    "choices.py",
)
PATIENCE = 600.0  # seconds that a process waits for another one to compile, before it does so too
_DIGEST = hashlib.sha256().digest_size


def source_digest(*patterns: str) -> str:
    """Sixteen hex digits over the names and the text of all files that match, and numba's
    version.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)}):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def cache_folder(*more: str) -> str | None:
    """Folder, which can be written, of what is compiled from `KERNEL` and the files that match
    `more`: below NUMBA_CACHE_DIR or the user's cache folder, else a temporary one of this user;
    None where there is none.
    """
    for folder in wished_folder(*more), _temporary(_name(*more)):
        if folder is not None and _can_write(folder):
            return str(folder)
    return None


def _name(*more: str) -> str:
    return f"fundenv-{source_digest(*KERNEL, *more)}"


@cache
def wished_folder(*more: str) -> Path | None:
    """The folder that `cache_folder` prefers, whether it can be written or not; None for a user
    without a home.
    """
    given = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(given) if given else Path("~/.cache").expanduser()) / _name(*more)
    except RuntimeError:  # a user without a home, as in many containers
        return None


def _temporary(name: str) -> Path | None:
    """A folder that nobody else can write, for what lies there is run: /tmp belongs to all."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        own = Path(tempfile.gettempdir()) / f"fundenv-{user}"
        own.mkdir(mode=0o700, exist_ok=True)
        found = own.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022
    mine = not hasattr(os, "getuid") or found.st_uid == user
    return own / name if private and mine else None


def _can_write(folder: Path) -> bool:
    """By trying: the rights alone do not say it (a file system mounted read-only, a quota)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@contextmanager
def cached_on_disk(*more: str) -> Iterator[bool]:
    """Loops that numba's own decorators cache: what is decorated inside with `cache=` the value
    given lies in `cache_folder(*more)`. numba reads its setting at decoration, so other packages
    keep theirs.
    """
    folder, others = cache_folder(*more), numba_config.CACHE_DIR
    numba_config.CACHE_DIR = folder or others
    try:
        yield folder is not None
    finally:
        numba_config.CACHE_DIR = others


@cache
def file_name(function: Callable[..., Any]) -> str:
    """Name of the file of a function's compiled code: another one for another Python, numba or
    processor.
    """
    facts = (
        sys.implementation.cache_tag,
        sys.abiflags if hasattr(sys, "abiflags") else "",
        llvmlite.__version__,
        llvmlite.binding.get_process_triple(),
        numba_config.CPU_NAME or llvmlite.binding.get_host_cpu_name(),
        get_host_cpu_features() if numba_config.CPU_FEATURES is None else numba_config.CPU_FEATURES,
        numba_config.OPT,
        numba_config.LOOP_VECTORIZE,
        numba_config.SLP_VECTORIZE,
    )
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return f"{function.__name__}-{digest}.code"


def _places(function: Callable[..., Any]) -> list[Path]:
    """Where the code of an entry point may lie: a folder that cannot be written can be read, as in
    the image of a container.
    """
    folders = [folder for folder in (wished_folder(), cache_folder()) if folder is not None]
    return [Path(folder) / file_name(function) for folder in folders]


def _read(path: Path) -> bytes | None:
    """What `write_code` wrote; None where there is no such file, or another than was written."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    code = raw[_DIGEST:]
    return code if hashlib.sha256(code).digest() == raw[:_DIGEST] else None


def write_code(path: Path, code: bytes) -> None:
    """Write by an atomic rename; a disk that is full costs the next run a compilation, not this one
    its work.
    """
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        partial.write_bytes(hashlib.sha256(code).digest() + code)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        sys.stderr.write(
            f"fundenv: the compiled code cannot be kept in {path.parent} ({error.strerror}); the"
            " next run compiles it again\n"
        )


def is_kept(function: Callable[..., Any]) -> bool:
    """Whether the code of an entry point is there for this Python and this processor."""
    return any(_read(path) is not None for path in _places(function))


class Loaded(NamedTuple):
    """An entry point in this process: its address, and what has to live as long as it is called."""

    address: int
    owner: Any


def _kept(function: Callable[..., Any]) -> Loaded | None:
    """The entry point as it was compiled before; None where it was not."""
    for path in _places(function):
        code = _read(path)
        address = None if code is None else load(ObjectCode.from_bytes(code))
        if address is not None:
            return Loaded(address, None)
    return None


def _compiled(function: Callable[..., Any], signature: Any, pipeline: Any) -> Loaded:
    """Compile the entry point, and keep it for the processes to come."""
    made: Any = CFunc(
        function,
        normalize_signature(signature),
        {},
        {"error_model": "numpy", "_nrt": False},
        pipeline_class=pipeline,
    )
    made.compile()
    if made._library.has_dynamic_globals:
        raise RuntimeError(f"{function.__name__} holds addresses of this process")
    folder = cache_folder()
    if folder is not None:
        code = object_code(made._library, made.native_name)
        write_code(Path(folder) / file_name(function), code.to_bytes())
    return Loaded(made.address, made)


@contextmanager
def _turn(function: Callable[..., Any]) -> Iterator[None]:
    """One process compiles; those that come meanwhile wait, for they can load what it keeps."""
    folder = cache_folder()
    if fcntl is None or folder is None:
        yield
        return
    with (Path(folder) / f"{file_name(function)}.lock").open("a") as file:
        _wait_for(file)
        try:
            yield
        finally:
            with suppress(OSError):  # explicitly: a process forked meanwhile has the file too
                fcntl.flock(file, fcntl.LOCK_UN)


def _wait_for(file: Any) -> None:
    last, told = time.monotonic() + PATIENCE, False
    while time.monotonic() < last:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                sys.stderr.write("fundenv: another process compiles the simulation; waiting\n")
            told = True
            time.sleep(0.1)
        except OSError:  # a file system without locks
            return


def take_turn(function: Callable[..., Any]) -> Any:
    """The open file that holds the turn of whoever compiles `function`, for as long as it or what
    inherits it is open; None where another process has the turn. Raises `OSError` where there is no
    folder to keep code in, or nothing can be locked.
    """
    folder = cache_folder()
    if fcntl is None or folder is None:
        raise OSError("nothing can be locked here")
    file = (Path(folder) / f"{file_name(function)}.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:
        file.close()
        raise
    return file


def compile_entry(
    function: Callable[..., Any],
    signature: Any,
    pipeline: Any,
    announce: Callable[[], None],
    has_turn: bool = False,
) -> Loaded:
    """`function` as a C callback (`numba.cfunc`), loaded from disk or compiled and kept there.

    `announce` is called before whatever is compiled, for whatever reason: no file, another Python,
    another processor, a damaged file. `has_turn`: this process holds the turn already.
    """
    made = _kept(function)
    if made is not None:
        return made
    with nullcontext() if has_turn else _turn(function):
        made = _kept(function)  # by whoever had the turn before
        if made is None:
            announce()
            made = _compiled(function, signature, pipeline)
    return made
