"""Compiled code on disk, on an entry point of one line: when it is used again, and where it
lies.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from fundenv.compiler import cache
from tests.compiler.small_entry import ROOT, compiled, double, end, start
from tests.test_imports import edges


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
def test_another_processor_compiles_for_itself(folder: Path) -> None:
    """As where a home is shared by machines, or an image was built on another one."""
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert end(start(folder, **other))[1] == "compiling\n"
    for variables in ({}, other):
        assert end(start(folder, **variables))[1] == ""
    assert len(list(folder.rglob("double-*.code"))) == 2


def test_another_python_has_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for tag in ("cpython-311", "cpython-312"):
        monkeypatch.setattr(sys.implementation, "cache_tag", tag)
        names.add(cache.file_name.__wrapped__(double))
    monkeypatch.setattr(cache.llvmlite, "__version__", "0.0")
    names.add(cache.file_name.__wrapped__(double))
    assert len(names) == 3


@compiled
def test_of_several_processes_one_compiles_and_the_others_wait(folder: Path) -> None:
    import fcntl

    (code,) = folder.rglob("double-*.code")
    kept = code.read_bytes()
    code.unlink()
    with Path(f"{code}.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a process that compiles
        others = [start(folder) for _ in range(2)]
        waiting = "fundenv: another process compiles the simulation; waiting\n"
        assert [other.stderr.readline() for other in others if other.stderr] == [waiting] * 2
        assert [other.poll() for other in others] == [None, None]
        code.write_bytes(kept)
    for other in others:
        assert end(other)[1] == ""


@compiled
def test_processes_that_begin_at_once_all_end_well(tmp_path: Path) -> None:
    said = [end(process)[1] for process in [start(tmp_path) for _ in range(4)]]
    assert sum("compiling" in each for each in said) == 1
    assert {path.suffix for path in tmp_path.rglob("*.*") if path.is_file()} == {".code", ".lock"}


@compiled
@pytest.mark.parametrize("damage", ["cut off", "changed", "empty"])
def test_a_damaged_file_is_compiled_anew(folder: Path, damage: str) -> None:
    (code,) = folder.rglob("double-*.code")
    kept = code.read_bytes()
    changed = {"cut off": kept[:-100], "changed": kept[:-1] + b"?", "empty": b""}
    code.write_bytes(changed[damage])
    assert end(start(folder)) == (str(code.parent), "compiling\n")
    assert end(start(folder)) == (str(code.parent), "")


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
