"""Jobs as tasks of a Ray cluster, for a run folder that every node sees; Ray is imported when a
command asks for it.

A job whose worker or node is lost begins again on another worker, from its last checkpoint in the
run folder. What the jobs share lies in Ray's object store: once on each node, mapped by its
workers.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from agents import AgentError
from experiments.core.cli import Stopped, deferred
from experiments.core.pool import Reporter
from experiments.core.provenance import commit
from experiments.core.run_folder import RunError, write_text

LOST = 5  # workers that one job may lose before the run ends
SAID = 0.5  # seconds between two looks of the driver, and at least between messages of a job
MESSAGES = 1000  # messages a second of all jobs together
STORE = 1_000_000_000  # bytes of the object store of a Ray that is started here
_MARK = ".seen-by-ray"  # a file of the run folder by which a worker knows that it sees the folder
_PACKAGES = ("numpy", "pandas", "numba", "torch", "stable-baselines3", "gymnasium")


class RayPool:
    """A connection to Ray at `address` ("auto", host:port; "local" starts Ray here with `workers`
    CPUs), for jobs that write into `folder`. A context manager.

    Raises `AgentError` where Ray is not installed or no cluster answers.
    """

    def __init__(self, address: str, folder: Path, workers: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise AgentError(
                f"--ray {address} needs Ray ({error}); install it with: pip install"
                " 'fundenv[rllib]'"
            ) from None
        self.ray, self.address, self.workers = ray, address, workers
        self.folder, self._begun = folder.resolve(), False

    def __enter__(self) -> RayPool:
        from agents.rllib.runner import start

        self._begun = start(self.address, self.workers - 1, STORE)
        self._mark = uuid.uuid4().hex
        write_text(self.folder / _MARK, self._mark)
        return self

    def __exit__(self, *raised: object) -> None:
        (self.folder / _MARK).unlink(missing_ok=True)
        if self._begun:
            self.ray.shutdown()

    def run(
        self,
        jobs: Sequence[Any],
        work: Callable[..., None],
        context: Any,
        progress: Reporter,
        left: Callable[[Any], float],
    ) -> None:
        """Call `work(job, context, reporter)` for every job, one CPU each. `left` is what a job
        still counts on the bar, asked when it begins and when it begins again.

        Raises KeyboardInterrupt after Ctrl-C, once every job has written its checkpoint, and
        `RunError` where a job failed or was lost more than `LOST` times.
        """
        if not jobs:
            return
        ray = self.ray
        board = ray.remote(num_cpus=0)(_Board).options(**_here(ray)).remote()
        seen: dict[str, Any] = {"mark": self._mark, "folder": self.folder, "software": software()}
        seen["pause"] = max(SAID, len(jobs) / MESSAGES)
        shared = ray.put(context)
        task = ray.remote(num_cpus=1, max_retries=LOST)(_task)
        names = {task.remote(work, job, shared, board, seen, k): k for k, job in enumerate(jobs)}
        watch = _Watch(jobs, progress, left)
        failure: Exception | None = None
        waiting, stopped = list(names), False
        with deferred() as ctrl_c:
            while waiting:
                done, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=SAID)
                watch.hear(ray.get(board.take.remote()))
                for ended in done:
                    failure = failure or _problem(ray, ended, jobs[names[ended]])
                if waiting and not stopped and (ctrl_c.requested or failure is not None):
                    stopped = True
                    for each in waiting:
                        ray.cancel(each)
        watch.hear(ray.get(board.take.remote()))
        ray.kill(board)
        if failure is not None:
            raise failure
        if ctrl_c.requested:
            raise KeyboardInterrupt


class _Board:
    """Messages of the workers, kept until the driver takes them: an actor on the driver's node."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, ...]] = []

    def put(self, *message: Any) -> None:
        self.messages.append(message)

    def take(self) -> list[tuple[Any, ...]]:
        found, self.messages = self.messages, []
        return found


class _Watch:
    """The driver's view: the bar, and which jobs have begun."""

    def __init__(
        self, jobs: Sequence[Any], progress: Reporter, left: Callable[[Any], float]
    ) -> None:
        self.jobs, self.progress, self.left = jobs, progress, left
        self.whole: dict[int, float] = {}  # of each job that has begun, when it first did
        self.counted: dict[int, float] = {}

    def hear(self, messages: Sequence[tuple[Any, ...]]) -> None:
        """Move the bar."""
        for kind, number, *what in messages:
            if kind == "begin":
                self._begin(number)
            elif kind == "at":
                self.progress.at(*what)
            else:
                self.counted[number] = self.counted.get(number, 0.0) + what[0]
                self.progress.add(*what)

    def _begin(self, number: int) -> None:
        """A job that begins again has only its checkpoint done."""
        left = self.left(self.jobs[number])
        if number in self.whole:
            kept = self.whole[number] - left
            self.progress.add(
                kept - self.counted.get(number, 0.0),
                f"{self.jobs[number].key} lost its worker and goes on from its checkpoint",
            )
            self.counted[number] = kept
        self.whole.setdefault(number, left)


class _Reporter:
    """The reporter in a worker: at most one message in `pause` seconds."""

    def __init__(self, board: Any, number: int, pause: float) -> None:
        self.board, self.number, self.pause = board, number, pause
        self.unsaid, self.note, self.said = 0.0, None, time.monotonic()
        self.board.put.remote("begin", number)

    def at(self, title: str) -> None:
        self.flush()
        self.board.put.remote("at", self.number, title)

    def add(self, cost: float, note: str | None = None) -> None:
        self.unsaid, self.note = self.unsaid + cost, note or self.note  # type: ignore[assignment]
        if time.monotonic() - self.said > self.pause:
            self.flush()

    def flush(self) -> None:
        if self.unsaid or self.note:
            self.board.put.remote("add", self.number, self.unsaid, self.note)
        self.unsaid, self.note, self.said = 0.0, None, time.monotonic()


@cache
def software() -> dict[str, str]:
    """Versions that decide the bits of a result, and the commit of fundenv."""
    found = {"fundenv": commit()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _task(
    work: Callable[..., None],
    job: Any,
    context: Any,
    board: Any,
    seen: dict[str, Any],
    number: int,
) -> None:
    """Runs in a worker."""
    import platform
    import warnings

    warnings.simplefilter("ignore")  # the driver has shown them
    node, mark = platform.node(), seen["folder"] / _MARK
    if not mark.is_file() or mark.read_text(encoding="utf-8") != seen["mark"]:
        raise RunError(
            f"node {node} does not see the run folder {seen['folder']}; give an --out on storage"
            " that all nodes share"
        )
    for name, here in software().items():
        if here != seen["software"][name]:
            raise RunError(
                f"node {node} has {name} {here}, the driver {seen['software'][name]}; install the"
                " same on every node"
            )
    reporter = _Reporter(board, number, seen["pause"])
    try:
        work(job, context, reporter)
    finally:
        reporter.flush()


def _here(ray: Any) -> dict[str, Any]:
    """Options that keep an actor on the driver's node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _problem(ray: Any, ended: Any, job: Any) -> Exception | None:
    """Why a task ended, where it did not end well; None where it was stopped."""
    try:
        ray.get(ended)
    except (Stopped, ray.exceptions.TaskCancelledError):
        return None
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        if isinstance(cause, RunError):
            return RunError(str(cause))
        return RunError(
            f"{job.key} failed ({type(cause).__name__}: {str(cause).splitlines()[-1][:200]}); run"
            " it without --ray to see where, finished parts are kept"
        )
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:120]
        return RunError(
            f"{job.key} lost its worker {LOST + 1} times ({reason}); finished parts are kept, go"
            " on with --resume"
        )
    return None
