"""What more threads bring on this machine to loops that do nothing else: the most that the
environment can hope for.

Virtual cores may share a physical core, its caches or its memory bandwidth, so n threads need not
be n times as fast at anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from rich.table import Table

from experiments.speed.stepping import MODES

_ROUNDS = 1 << 22


class Load(NamedTuple):
    """`on(threads)` gives a function that works on so many threads and returns how much it did."""

    name: str
    batch: int
    on: Callable[[int], Callable[[], int]]


def loads() -> list[Load]:
    """Four kinds of work: a sum that waits for itself, eight that fill a core's arithmetic, vectors
    that fill its widest units from the first cache, as a step of many environments does, and copies
    of more than the caches hold. Threads of one core share its units; then the third gains least.
    """
    return [
        Load("arithmetic, waiting", 1, lambda threads: _shared_out(_one_sum, threads)),
        Load("arithmetic, dense", 1, lambda threads: _shared_out(_eight_sums, threads)),
        Load("arithmetic, vectors", 1, lambda threads: _shared_out(_vectors(threads), threads)),
        Load("memory", 1, lambda threads: _shared_out(_copier(threads), threads)),
    ]


def stepping_load(mode: str, count: int, settings: dict[str, Any]) -> Load:
    """Environments on the CPU; `mode` of `experiments.speed.stepping.MODES`."""
    return Load(mode, count, lambda threads: MODES[mode](count, settings, threads, "cpu").run)


def gain(
    load: Load, threads: int, repeats: int, speed: Callable[[Callable[[], int]], float]
) -> dict[str, Any]:
    """A row: how many times faster than one thread, the two measured in turns; `speed` gives the
    work per second of a function.
    """
    alone, together = load.on(1), load.on(threads)
    times = [1 / speed(alone) * speed(together) for _ in range(repeats)]
    spread = {
        "times_one_thread": statistics.median(times),
        "lowest": min(times),
        "highest": max(times),
    }
    return {"mode": load.name, "batch": load.batch, "threads": threads} | spread


def table(gains: list[dict[str, Any]]) -> Table:
    """The rows for the screen."""
    shown = Table("mode", "envs", "threads", "times one thread (median)", "lowest", "highest")
    for row in gains:
        numbers = (f"{row[key]:.2f}" for key in ("times_one_thread", "lowest", "highest"))
        shown.add_row(row["mode"], f"{row['batch']:,}", str(row["threads"]), *numbers)
    return shown


def _shared_out(work: Callable[[int], Any], threads: int) -> Callable[[], int]:
    pool = ThreadPoolExecutor(threads)

    def run() -> int:
        list(pool.map(work, range(threads)))
        return threads

    return run


def _copier(threads: int) -> Callable[[int], Any]:
    arrays = np.ones((threads, 2, 1 << 23))  # 64 MiB to read and as much to write, a thread

    def copy(number: int) -> None:
        np.copyto(arrays[number, 0], arrays[number, 1])

    return copy


def _vectors(threads: int) -> Callable[[int], Any]:
    arrays = np.ones((threads, 512))  # 4 KiB a thread
    return lambda number: _scale(arrays[number])


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _scale(values: Any) -> None:
    for _ in range(_ROUNDS >> 4):
        for k in range(values.size):
            values[k] = values[k] * 0.999 + 1.0


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _one_sum(first: int) -> float:
    total = float(first)
    for _ in range(_ROUNDS):
        total = total * 0.999 + 1.0
    return total


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _eight_sums(first: int) -> float:
    a = b = c = d = e = f = g = h = float(first)
    for _ in range(_ROUNDS):
        a, b, c, d = a * 0.999 + 1.0, b * 0.998 + 1.0, c * 0.997 + 1.0, d * 0.996 + 1.0
        e, f, g, h = e * 0.995 + 1.0, f * 0.994 + 1.0, g * 0.993 + 1.0, h * 0.992 + 1.0
    return a + b + c + d + e + f + g + h
