"""Compiling in a process of its own, while this one steps in plain Python.

The process goes on when this one ends, so that the next run finds what it has kept. On one machine
a single process compiles: it holds the lock that `fundenv.compiler.cache` waits for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from fundenv.compiler.cache import PACKAGE, cache_folder, is_kept, take_turn

LOOK = 0.25  # seconds between two looks at the disk


class _Process(subprocess.Popen[bytes]):
    """A process that may go on when this one ends: `Popen` itself would warn of that."""

    def __del__(self) -> None:
        self.poll()  # takes its exit status, so that no ended process stays in the table


class Beside:
    """Waits for compiled code: `module.compile_ahead(names)` compiles and keeps the functions
    `names` of a module.

    `announce` is called once, when somebody is known to compile.
    """

    def __init__(
        self, functions: Sequence[Callable[..., Any]], announce: Callable[[], None]
    ) -> None:
        self._functions, self._announce = functions, announce
        self._process: _Process | None = None
        self._next = 0.0
        self._over = self._announced = False

    def is_over(self) -> bool:
        """Whether waiting is over: everything is kept, or no other process will compile it."""
        now = time.monotonic()
        if not self._over and now >= self._next:
            self._next = now + LOOK
            self._over = self._look()
        return self._over

    def _look(self) -> bool:
        running = self._process is not None and self._process.poll() is None
        if all(map(is_kept, self._functions)):
            return True
        if running:
            return False
        turns: list[tuple[Callable[..., Any], Any]] = []
        try:
            for function in self._functions:
                if (turn := take_turn(function)) is not None:
                    turns.append((function, turn))
            return not self._begin([turn for turn in turns if not is_kept(turn[0])])
        except OSError:  # nothing can be locked, or no process be started
            return True
        finally:
            for _, turn in turns:
                turn.close()  # a process that was started has it too

    def _begin(self, turns: Sequence[tuple[Callable[..., Any], Any]]) -> bool:
        """Whether others will compile what is missing: another process, or one that starts now."""
        if not turns:
            others = not all(map(is_kept, self._functions))
            if others:
                self._announce_once()
            return others
        if self._process is not None or not _can_start():  # it came to nothing: fail where it shows
            return False
        command = [sys.executable, "-P", "-m", "fundenv.compiler.beside", str(cache_folder())]
        names = [function.__name__ for function, _ in turns]
        self._process = _Process(
            [*command, turns[0][0].__module__, *names],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[turn.fileno() for _, turn in turns],
            start_new_session=True,
        )
        self._announce_once()
        return True

    def _announce_once(self) -> None:
        if not self._announced:
            self._announced = True
            self._announce()


def _can_start() -> bool:
    """Whether `sys.executable` is Python: where Python is embedded, it is the application."""
    name = Path(sys.executable or "").name.lower()
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def _environment() -> dict[str, str]:
    """The same modules and the same folder as here, whatever this process has changed since."""
    paths = [str(PACKAGE.parent), *(path or os.getcwd() for path in sys.path)]
    folder = Path(str(cache_folder())).parent
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NUMBA_CACHE_DIR": str(folder)}


def main(folder: str, module: str, *names: str) -> int:
    """The process: 1 where its code is another one than that of the process that waits."""
    if cache_folder() != folder:
        return 1
    compile_ahead, turns = import_module(module).compile_ahead, []
    for name in names:
        with suppress(OSError):  # inherited already, but for a lock of a network file system
            turns.append(take_turn(getattr(import_module(module), name)))
    compile_ahead(names)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
