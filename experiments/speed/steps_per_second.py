"""Environment steps per second: the median of repetitions, each long enough for the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from experiments.speed.peers import Peer
from experiments.speed.stepping import MODES
from fundenv.config import hours
from fundenv.market import Market

MIN_SECONDS = 0.5  # of one repetition
TURNS = 15  # of two environments that are timed in turns


class Timing(NamedTuple):
    """How modes are timed."""

    device: str
    threads: int
    clock: Literal["wall", "cpu"]
    repeats: int


def mode_row(
    mode: str, count: int, interval: str, market: Market, timing: Timing
) -> dict[str, Any]:
    """One mode of `experiments.speed.stepping.MODES`: median, lowest and highest steps per second
    over the repetitions. A training (`ppo`) is run once.
    """
    stepper = MODES[mode](
        count, {"market": market, "decision_interval": interval}, timing.threads, timing.device
    )
    found = (
        speeds(stepper.run, timing)
        if mode != "ppo"
        else speeds(stepper.run, timing._replace(repeats=1), grow=False)
    )
    bars = round(hours(interval, "--intervals") / market.bar_hours)
    row = _row(mode, count, found) | {
        "device": timing.device,
        "threads": timing.threads,
        "decision_bars": bars,
        "obs_size": stepper.obs_size,
        "bars_per_s": statistics.median(found) * bars,
        "bytes_per_env": stepper.bytes_per_env,
        "bytes_per_step": stepper.bytes_per_step,
    }
    if timing.device != "cpu" and stepper.bytes_per_step:
        moved = row["steps_per_s"] * stepper.bytes_per_step
        row["bandwidth_share"] = moved / _bandwidth(timing.device)
    return row


def peer_row(peer: Peer, timing: Timing, own: Callable[[], int] | None = None) -> dict[str, Any]:
    """Another environment, on one thread of the CPU; `in_turns`: how many times as fast as it
    `own` makes its steps, both timed in turns.
    """
    row = _row(peer.name, peer.batch, speeds(peer.run, timing)) | {
        "device": "cpu",
        "threads": 1,
        "decision_bars": 1,
        "obs_size": peer.obs_size,
    }
    if own is not None:
        row["in_turns"] = in_turns(own, peer.run, timing)
    return row | {"bars_per_s": row["steps_per_s"], "compared_with": peer.mode}


def in_turns(own: Callable[[], int], other: Callable[[], int], timing: Timing) -> list[float]:
    """Steps per second of `own` over those of `other`, of each turn: a machine whose speed changes
    changes both.
    """
    short = timing._replace(repeats=1)
    turns = (
        [speeds(steps, short, at_least=MIN_SECONDS / 5)[0] for steps in (own, other)]
        for _ in range(TURNS)
    )
    return [mine / theirs for mine, theirs in turns]


def speeds(
    steps: Callable[[], int], timing: Timing, grow: bool = True, at_least: float = MIN_SECONDS
) -> list[float]:
    """Steps per second of each repetition; `steps` returns how many it made.

    grow: repetitions call `steps` until they last so many seconds `at_least`, else once.
    """
    now = time.perf_counter if timing.clock == "wall" else time.thread_time

    def timed() -> tuple[int, float]:
        begun = now()
        done = sum(steps() for _ in range(amount))
        return done, now() - begun

    steps()
    amount = 1
    while grow and timed()[1] < at_least:
        amount *= 2
    return [done / seconds for done, seconds in (timed() for _ in range(timing.repeats))]


def _row(mode: str, count: int, found: list[float]) -> dict[str, Any]:
    return {
        "mode": mode,
        "batch": count,
        "steps_per_s": statistics.median(found),
        "lowest": min(found),
        "highest": max(found),
    }


def _bandwidth(device: str) -> float:
    """Bytes per second that a plain copy of 1 GiB reads and writes on the device."""
    import torch

    source = torch.zeros(1 << 28, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(10):
        torch.cuda.synchronize(device)
        begun = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begun)
    return 2 * source.nbytes / min(seconds)
