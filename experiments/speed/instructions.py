"""Counts the machine instructions of one step of one environment exactly (Linux, no profiler)."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.core.cli import run
from experiments.core.run_folder import RunError
from experiments.speed.stepping import drawn
from fundenv.batch.cpu import Batch

_TRACE_ME, _SINGLE_STEP = 0, 9  # requests of ptrace(2)


def count(run: Callable[[], object]) -> int:
    """Instructions that `run` executes in user space: a forked copy of this process runs it one
    instruction at a time, about 20 us each.

    What a function does is done in the copy alone. Raises `RunError` where processes cannot be
    traced.
    """
    if not sys.platform.startswith("linux"):
        raise RunError(
            f"instructions are counted by Linux's ptrace, this is {sys.platform}; use a profiler of"
            " the system"
        )
    return _counted(run) - _counted(lambda: None)


def _counted(run: Callable[[], object]) -> int:
    """The same, with what Python does around the call."""
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    trace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    child = os.fork()
    if child == 0:
        _run_traced(trace, run)
    try:
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            raise RunError(
                "the system lets no process be traced (ptrace); allow it, or use a profiler"
            )
        instructions = 0
        while True:
            if trace(_SINGLE_STEP, child, None, None):
                raise RunError(
                    "the system steps no process through single instructions (ptrace); use a"
                    " profiler"
                )
            _, status = os.waitpid(child, 0)
            if not os.WIFSTOPPED(status):
                raise RunError(
                    f"the traced process ended early (status {status}); call the function once"
                    " untraced to see why"
                )
            if os.WSTOPSIG(status) == signal.SIGSTOP:
                return instructions
            # any other signal is not for the copy
            instructions += os.WSTOPSIG(status) == signal.SIGTRAP
    finally:
        if os.WIFSTOPPED(status):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _run_traced(trace: Callable[..., int], run: Callable[[], object]) -> None:
    """In the child: `run` between two stops."""
    try:
        gc.disable()
        if trace(_TRACE_ME, 0, None, None) == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            run()
            os.kill(os.getpid(), signal.SIGSTOP)
    finally:
        os._exit(1)


def per_step(batch: Batch, seed: int = 0) -> float:
    """Instructions of one step of one environment of the compiled loop, on average over all;
    random actions.
    """
    rng = np.random.default_rng(seed)
    return of_first(batch, batch.num_envs, lambda: drawn(batch, rng))


def of_first(batch: Batch, several: int, act: Callable[[], Any]) -> float:
    """The same of the first `several` environments with the actions that `act` gives.

    The batch is stepped forty times before, so that accounts are invested; what the counted step
    does is lost with the copy.
    """
    batch.reset(0)
    for _ in range(40):
        batch.step(act())
    batch.gate.take(act())
    step = batch.calls.step
    return (count(lambda: step(0, several)) - count(lambda: step(0, 0))) / several


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the count."""

    intervals: tuple[str, ...] = ("1h", "8h")
    """Decision intervals; the embedded market has bars of 1 h."""


def main(args: Args) -> None:
    """Count and show the plain loop and, where it fits, the vector form."""
    table = Table("decision interval", "form", "environments", "instructions a step")
    for interval in args.intervals:
        for form, count_of in (("plain", 8), ("vector", 64)):
            batch = Batch(count_of, decision_interval=interval, autoreset="same_step")
            if form == "vector":
                batch.use_vectors()
            taken = per_step(batch)
            table.add_row(interval, form, str(count_of), f"{taken:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    run(Args, main, __doc__)
