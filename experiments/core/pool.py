"""Jobs in parallel processes with one progress bar; after Ctrl-C each job writes its checkpoint."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from experiments.core.cli import Stopped, deferred
from experiments.core.run_folder import RunError

_POLL = 0.5  # seconds between looks at the workers


class Reporter(Protocol):
    """Receives the progress of a job: `experiments.benchmarking.training.Progress` is one."""

    def at(self, title: str) -> None:
        """Name what is running."""

    def add(self, cost: float, note: str | None = None) -> None:
        """Count `cost` as done."""


class _RemoteReporter:
    """The reporter in a worker process: sends everything to the parent, and ends the worker where
    the parent is gone.
    """

    def __init__(self, events: Any) -> None:
        self.events, self.parent = events, os.getppid()

    def at(self, title: str) -> None:
        self.events.put(("at", title))

    def add(self, cost: float, note: str | None = None) -> None:
        if os.getppid() != self.parent:
            sys.exit(1)
        self.events.put(("add", cost, note))


def _worker(work: Callable[..., None], context: Any, jobs: Any, events: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)  # a Ctrl-C at the terminal reaches the parent alone, which passes it on
    warnings.simplefilter("ignore")  # the parent has shown them
    far = _RemoteReporter(events)
    try:
        # the parent knows: it passed the Ctrl-C on
        with contextlib.suppress(Stopped, KeyboardInterrupt):
            # held back until here: in the middle of imports there is nothing to save
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            while not stop.is_set() and (job := jobs.get()) is not None:
                work(job, context, far)
    except Exception as error:
        events.put(("failed", f"{type(error).__name__}: {error}"))
        raise


def run_jobs(
    jobs: Sequence[Any], work: Callable[..., None], context: Any, progress: Reporter, workers: int
) -> None:
    """Call `work(job, context, reporter)` for every job, in order, on so many processes; with one,
    in this process.

    `work` is a function of a module and `context` can be pickled. Raises KeyboardInterrupt after
    Ctrl-C, once the workers have stopped, and `RunError` where a worker failed.
    """
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            work(job, context, progress)
        return
    spawn = multiprocessing.get_context("spawn")  # no forked threads, locks or CUDA contexts
    waiting, events, stop = spawn.Queue(), spawn.Queue(), spawn.Event()
    for job in [*jobs, *[None] * workers]:
        waiting.put(job)
    processes = [
        spawn.Process(target=_worker, args=(work, context, waiting, events, stop), daemon=True)
        for _ in range(min(workers, len(jobs)))
    ]
    stopped, failure = False, ""
    # from the start on: it takes seconds, in which the first workers are at work already
    with deferred() as ctrl_c:
        # which the workers inherit
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for process in processes:
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        while any(process.is_alive() for process in processes) or not events.empty():
            if ctrl_c.requested and not stopped:
                stopped = True
                stop.set()
                _interrupt(processes)
            kind = ""
            # nobody has anything to say: look at the workers again
            with contextlib.suppress(queue.Empty):
                kind, *what = events.get(timeout=_POLL)
            if kind == "at":
                progress.at(*what)
            elif kind == "add":
                progress.add(*what)
            elif kind == "failed":
                failure = what[0]
                stop.set()
                _interrupt(processes)
    if failure:
        raise RunError(
            f"a worker failed ({failure}); run with --workers 1 to see where, finished parts are"
            " kept"
        )
    if stopped:
        raise KeyboardInterrupt
    if any(process.exitcode for process in processes):
        raise RunError(
            "a worker was killed (out of memory?); finished parts are kept, go on with --resume and"
            " --workers 1"
        )


def _interrupt(processes: Sequence[Any]) -> None:
    for process in processes:
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGINT)
