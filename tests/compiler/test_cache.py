"""Compiled code on disk, on an entry point of one line: when it is used again, and where it
lies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from numba.core import config as numba_config

from fundenv.compiler import cache
from tests.test_imports import edges

ROOT = Path(__file__).parents[2]
CALL = """
import ctypes, sys
from numba import types
from fundenv.compiler import cache
from fundenv.compiler.pipelines import EntryCompiler
from tests.compiler.test_cache import double
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


def start(folder: Path | None, root: Path = ROOT, **variables: str) -> subprocess.Popen[str]:
    """A fresh process that calls `double`, its code below `folder`; None: no folder is named."""
    named = {} if folder is None else {"NUMBA_CACHE_DIR": str(folder)}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    }
    return subprocess.Popen(
        [sys.executable, "-B", "-W", "ignore", "-c", CALL],
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


@compiled
def test_code_is_compiled_once_and_announced_whenever_it_is(tmp_path: Path) -> None:
    folder, said = end(start(tmp_path))
    assert said == "compiling\n"
    assert Path(folder).parent == tmp_path
    assert end(start(tmp_path)) == (folder, "")
    # a clone has the same text, so it has the same code, wherever it stands
    clone = tmp_path / "clone"
    for part in ("fundenv", "tests"):
        shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
    assert end(start(tmp_path, clone)) == (folder, "")
    # an edit of what is compiled makes it anew, though the other's code lies there
    with (clone / "fundenv/dynamics/rng.py").open("a") as file:
        file.write("A = 1\n")
    assert end(start(tmp_path, clone))[1] == "compiling\n"
    # an edit of what is not compiled does not
    with (clone / "fundenv/batch/cpu.py").open("a") as file:
        file.write("A = 1\n")
    assert end(start(tmp_path, clone))[1] == ""


@compiled
def test_another_processor_compiles_for_itself(tmp_path: Path) -> None:
    """As where a home is shared by machines, or an image was built on another one."""
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    end(start(tmp_path))
    assert end(start(tmp_path, **other))[1] == "compiling\n"
    for variables in ({}, other):
        assert end(start(tmp_path, **variables))[1] == ""
    assert len(list(tmp_path.rglob("double-*.code"))) == 2


def test_another_python_has_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for tag in ("cpython-311", "cpython-312"):
        monkeypatch.setattr(sys.implementation, "cache_tag", tag)
        names.add(cache.file_name.__wrapped__(double))
    monkeypatch.setattr(cache.llvmlite, "__version__", "0.0")
    names.add(cache.file_name.__wrapped__(double))
    assert len(names) == 3


@compiled
def test_of_several_processes_one_compiles_and_the_others_wait(tmp_path: Path) -> None:
    import fcntl

    folder, _ = end(start(tmp_path))
    (code,) = Path(folder).glob("double-*.code")
    kept = code.read_bytes()
    code.unlink()
    with Path(f"{code}.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a process that compiles
        others = [start(tmp_path) for _ in range(2)]
        time.sleep(8.0)
        assert [other.poll() for other in others] == [None, None]
        code.write_bytes(kept)
    for other in others:
        assert end(other)[1] == "fundenv: another process compiles the simulation; waiting\n"


@compiled
def test_processes_that_begin_at_once_all_end_well(tmp_path: Path) -> None:
    said = [end(process)[1] for process in [start(tmp_path) for _ in range(4)]]
    assert sum("compiling" in each for each in said) == 1
    assert {path.suffix for path in tmp_path.rglob("*.*") if path.is_file()} == {".code", ".lock"}


@compiled
@pytest.mark.parametrize("damage", ["cut off", "changed", "empty"])
def test_a_damaged_file_is_compiled_anew(tmp_path: Path, damage: str) -> None:
    folder, _ = end(start(tmp_path))
    (code,) = Path(folder).glob("double-*.code")
    kept = code.read_bytes()
    changed = {"cut off": kept[:-100], "changed": kept[:-1] + b"?", "empty": b""}
    code.write_bytes(changed[damage])
    assert end(start(tmp_path)) == (folder, "compiling\n")
    assert end(start(tmp_path)) == (folder, "")


# --- folders that cannot be written ---------------------------------------------------------------


def unwritable(folder: Path) -> None:
    """As another user's folder, or the layer of a container: root may write everywhere, so a
    process of root drops that right in `as_user`.
    """
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that begin now may not write where their user may not."""
    if os.getuid() != 0:
        return
    drop = shutil.which("setpriv")
    if drop is None:
        pytest.skip("root writes everywhere, and setpriv is not here")
    rights = "--bounding-set=-dac_override,-dac_read_search,-fowner"
    plain = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **how: plain([drop, rights, *command], **how)
    )


@compiled
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are told otherwise here")
def test_a_read_only_folder_gives_way_to_a_temporary_one(tmp_path: Path, as_user: None) -> None:
    """It exists, so making it raises nothing; numba fell back to a `__pycache__` in the source."""
    probe, read_only, temporary = (tmp_path / name for name in ("probe", "ro", "tmp"))
    name = Path(end(start(probe))[0]).name
    (read_only / name).mkdir(parents=True)
    temporary.mkdir()
    unwritable(read_only)
    folder, said = end(start(read_only, TMPDIR=str(temporary)))
    own = temporary / f"fundenv-{os.getuid()}"
    assert (Path(folder), said) == (own / name, "compiling\n")
    assert own.stat().st_mode & 0o777 == 0o700
    assert end(start(read_only, TMPDIR=str(temporary))) == (folder, "")
    assert not list(read_only.rglob("*.*"))


@compiled
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are told otherwise here")
def test_code_in_a_read_only_folder_is_used(tmp_path: Path, as_user: None) -> None:
    """As in the image of a container that was warmed up when it was built."""
    end(start(tmp_path / "ro"))
    (tmp_path / "tmp").mkdir()
    unwritable(tmp_path / "ro")
    _, said = end(start(tmp_path / "ro", TMPDIR=str(tmp_path / "tmp")))
    assert said == ""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`cache_folder` of a process that has not asked yet."""
    monkeypatch.setattr(cache, "wished_folder", cache.wished_folder.__wrapped__)
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return cache.cache_folder.__wrapped__


def test_a_user_without_a_home_keeps_code_in_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any
) -> None:
    """As in a container with a user of any number: `~` has no meaning there."""

    def nowhere(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nowhere)
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    assert Path(fresh()).parent.parent == tmp_path


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are told otherwise here")
@pytest.mark.parametrize("kind", ["open to all", "a link", "a file"])
def test_a_temporary_folder_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any, kind: str
) -> None:
    """What lies there is run: another user could have put it there."""
    own = tmp_path / f"fundenv-{os.getuid()}"
    if kind == "open to all":
        own.mkdir()
        own.chmod(0o777)
    elif kind == "a link":
        (tmp_path / "other").mkdir()
        own.symlink_to(tmp_path / "other")
    else:
        own.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/dev/null/nowhere")
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    assert fresh() is None


@compiled
def test_without_any_folder_every_process_compiles(tmp_path: Path) -> None:
    nowhere = {"NUMBA_CACHE_DIR": "/dev/null/nowhere", "TMPDIR": "/dev/null"}
    (tmp_path / "fundenv-0").touch()
    script = CALL.replace("made =", "cache.tempfile.gettempdir = lambda: '/dev/null'; made =")
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            cwd=ROOT,
            env=os.environ | nowhere | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("42 None\n", "compiling\n")


def test_a_full_disk_costs_the_next_run_a_compilation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.write_code(tmp_path / "gone" / "double.code", b"code")
    said = capsys.readouterr().err
    assert said.startswith("fundenv: the compiled code cannot be kept in ")
    assert said.count("\n") == 1


# --- what the hash covers -------------------------------------------------------------------------


def test_the_hash_covers_every_file_that_is_compiled() -> None:
    """Whatever the entry points import, straight or not, is hashed; but for a table of columns that
    no rule reads.
    """
    graph = edges(ROOT)
    reached, left = set(), ["fundenv.batch.entry"]
    while left:
        module = left.pop()
        if module in reached or module in UNCOMPILED:
            continue
        reached.add(module)
        left += graph[module]
    hashed = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for pattern in cache.KERNEL
        for path in (ROOT / "fundenv").glob(pattern)
    }
    assert len(reached) > 25
    assert not sorted(reached - hashed)


UNCOMPILED = {"fundenv.market", "fundenv.market.market"}  # `Feature`, a row of the table of columns


@pytest.mark.parametrize("file", ["dynamics/rng.py", "batch/loop.py", "market/layout.py"])
def test_an_edit_of_what_is_compiled_in_changes_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    for name in ("dynamics/rng.py", "batch/loop.py", "market/layout.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("A = 1\n")
    monkeypatch.setattr(cache, "PACKAGE", tmp_path)
    before = cache.source_digest(*cache.KERNEL)
    (tmp_path / file).write_text("A = 2\n")
    assert cache.source_digest(*cache.KERNEL) != before
