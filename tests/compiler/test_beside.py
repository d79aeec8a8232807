"""Compiling in another process, on an entry point of one line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from fundenv.compiler import beside, cache
from tests.compiler.small_entry import CALL, compiled, double, end, start

BEGIN = """
import sys, time
from fundenv.compiler.beside import Beside
from tests.compiler.small_entry import double
waiting = Beside([double], lambda: sys.stderr.write("beside\\n"))
first = waiting.is_over()
"""
WAIT = "last = time.monotonic() + 120\nwhile not waiting.is_over(): assert time.monotonic() < last"
LOOK_WAIT_CALL = f"{BEGIN}{WAIT}\n{CALL}sys.stderr.write('at once' if first else 'waited')\n"
locking = pytest.mark.skipif(cache.fcntl is None, reason="nothing can be locked here")


def compilations(folder: Path) -> int:
    """How often some process compiled beside another."""
    return sum(len(log.read_text().splitlines()) for log in folder.rglob("compiled.log"))


@compiled
@locking
def test_another_process_compiles_and_the_next_run_finds_it(tmp_path: Path) -> None:
    assert end(start(tmp_path, script=LOOK_WAIT_CALL))[1] == "beside\nwaited"
    assert end(start(tmp_path, script=LOOK_WAIT_CALL))[1] == "at once"
    assert compilations(tmp_path) == 1


@compiled
@locking
def test_of_several_processes_that_begin_at_once_one_compiles(tmp_path: Path) -> None:
    said = [end(each)[1] for each in [start(tmp_path, script=LOOK_WAIT_CALL) for _ in range(4)]]
    assert set(said) <= {"beside\nwaited", "at once"}
    assert compilations(tmp_path) == 1


@compiled
@locking
def test_it_goes_on_when_the_process_that_began_it_ends(tmp_path: Path) -> None:
    process = start(tmp_path, script=BEGIN)
    assert process.communicate(timeout=300)[1] == "beside\n"
    last = time.monotonic() + 120
    while not list(tmp_path.rglob("double-*.code")):
        assert time.monotonic() < last
        time.sleep(0.1)
    assert end(start(tmp_path, script=LOOK_WAIT_CALL))[1] == "at once"


@compiled
@locking
def test_where_it_fails_whoever_waits_compiles_and_sees_why(folder: Path) -> None:
    (code,) = folder.rglob("double-*.code")
    code.unlink()
    (code.parent / "fail").touch()
    assert end(start(folder, script=LOOK_WAIT_CALL))[1] == "beside\ncompiling\nwaited"


@compiled
@pytest.mark.parametrize("why", ["no folder", "no locks", "an application", "frozen"])
def test_nobody_waits_where_no_other_process_can_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(cache, "cache_folder", lambda: None if why == "no folder" else tmp_path)
    monkeypatch.setattr(cache, "wished_folder", lambda: tmp_path)
    if why == "no locks":
        monkeypatch.setattr(cache, "fcntl", None)
    if why == "an application":
        monkeypatch.setattr(beside.sys, "executable", "/usr/bin/desktop")
    if why == "frozen":
        monkeypatch.setattr(beside.sys, "frozen", True, raising=False)
    said: list[Any] = []
    assert beside.Beside([double], lambda: said.append(1)).is_over()
    assert not said


def test_other_code_than_that_of_the_process_that_waits_is_not_compiled(tmp_path: Path) -> None:
    assert beside.main(str(tmp_path / "fundenv-another"), __name__, "double") == 1
    assert not os.listdir(tmp_path)
