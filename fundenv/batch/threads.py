"""Threads that step a batch in chunks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fundenv.compiler.memory import LANES


class Threads:
    """Threads that step the chunks of a batch beside the caller's own.

    A process that is forked has none of its parent's threads: the first step in it begins its own.
    """

    def __init__(self, count: int) -> None:
        self._count, self._process = count, 0
        self._threads: ThreadPoolExecutor | None = None

    def step(self, step: Callable[[int, int], None], chunks: Sequence[tuple[int, int]]) -> None:
        """Step all chunks; all are done on return, also where Ctrl-C interrupts the caller's."""
        if self._threads is None or self._process != os.getpid():
            self._threads, self._process = ThreadPoolExecutor(self._count), os.getpid()
        others = [self._threads.submit(step, *chunk) for chunk in chunks[1:]]
        try:
            step(*chunks[0])
        finally:
            for other in others:
                other.result()

    def close(self) -> None:
        """Stop the threads of this process."""
        if self._threads is not None and self._process == os.getpid():
            self._threads.shutdown()
        self._threads = None


def chunks(count: int, threads: int) -> list[tuple[int, int]]:
    """(first, behind the last) of `count` environments for each of the threads that has any; all
    but the last chunk fill whole lanes where there are enough, the plain loop steps what is left.
    """
    unit = LANES if count >= LANES * threads else 1
    edges = unit * np.linspace(0, count / unit, threads + 1).astype(int)
    edges[-1] = count
    return [(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]
