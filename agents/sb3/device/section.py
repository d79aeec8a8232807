"""A part of a training that a GPU runs as one CUDA graph. Imported only when SB3 is needed.

What is captured is a function without arguments that reads and writes tensors which stay where they
are. On the CPU, and on a GPU until it is captured, the same function is called.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch

WARM = 3  # calls before the capture: they compile kernels, choose algorithms and make Adam's state


class Recorder(Protocol):
    """Records a function once, and returns what replays the record."""

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        """The record of `function`; raises `RuntimeError` where it cannot be recorded."""


class Section:
    """`function`, called at every call of this, and from the call after `WARM` on recorded and
    replayed. Every call does the work of the function once, whether it is recorded or not.

    Where the recording fails, a warning says why and the function is called from then on. `aside`
    is what the host has to put back after it has recorded: it is entered around the recording.
    """

    def __init__(
        self,
        function: Callable[[], None],
        *,
        name: str,
        recorder: Recorder | None,
        aside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.function, self.name, self.recorder, self.aside = function, name, recorder, aside
        self.calls = 0
        self._replay: Callable[[], None] | None = None

    @property
    def recorded(self) -> bool:
        """Whether it is replayed."""
        return self._replay is not None

    def __call__(self) -> None:
        """Do the work of the function once."""
        if self._replay is None and self.recorder is not None and self.calls >= WARM:
            self._record()
        self.calls += 1
        if self._replay is not None:
            self._replay()
        elif isinstance(self.recorder, CudaGraphs):
            self.recorder.warm(self.function)
        else:
            self.function()

    def _record(self) -> None:
        assert self.recorder is not None
        try:
            with self.aside():
                made = self.recorder(self.function)
            self._replay = made
        except RuntimeError as error:
            self.recorder = None
            reason = " ".join(str(error).split())[:200]
            warnings.warn(
                f"{self.name} was not captured in a CUDA graph ({reason}); every kernel of it is"
                " launched from Python",
                stacklevel=2,
            )


class CudaGraphs:
    """Records on a GPU into CUDA graphs.

    A side stream warms up and records: the handles of cuBLAS and the gradients' accumulators belong
    to the stream on which they are first used, and the legacy stream cannot be captured. numba-cuda
    frees no memory meanwhile. Random numbers come from the generator of the device, which a graph
    registers: every replay draws new ones.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm(self, function: Callable[[], None]) -> None:
        """Call `function` on the side stream, after all that is queued and before what follows."""
        present = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(present)
        with torch.cuda.stream(self.stream):
            function()
        present.wait_stream(self.stream)

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        """A graph of what `function` queues; nothing of it runs before the first replay."""
        from numba import cuda

        graph: Any = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self.device)
        with (
            cuda.defer_cleanup(),
            torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
        ):
            function()
        replay: Callable[[], None] = graph.replay
        return replay
