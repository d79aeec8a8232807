"""Checks that paper accounts at a mock exchange with faults equal those of the backtest.

    python -m experiments.studies.live_faults
    python -m experiments.studies.live_faults --kills 50 --days 7
    python -m experiments.studies.live_faults --sound --venues binance --days 365

A month of synthetic days at two venues, with faults drawn at random: errors, broken answers, nulls,
rows that are late, doubled or out of order, a process that sleeps. With --kills the command `paper`
runs in its own processes, which are killed (SIGKILL) at random instants and started again.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import agents
from experiments.core.cli import run
from experiments.core.run_folder import RunError
from experiments.live.check import check
from experiments.live.mock import MockExchange
from experiments.live.mock_world import Fault, World, world_of
from experiments.rollout.make import JUDGED
from fundenv.config import EnvConfig
from fundenv.live import LiveFeed, Paper, Plan, Waits
from fundenv.market import synthetic_frames
from fundenv.market.download import Policy, Rest
from fundenv.venues import load_venue

HOUR_MS = 3_600_000
_DAY = 24 * HOUR_MS
_WEEK = 7 * _DAY
_MONTH = 30 * _DAY
# every row arrives in the end: the accounts wait for it, so that they must equal the backtest
WAITS = Waits(hole=_WEEK, gone=_WEEK)
# the faults of a server; the first kinds end an answer, the others change it
KINDS = (
    "reset truncate slow page null empty holes double status:429 status:418 status:451 status:500"
    " status:503"
).split()
_PLACES = "klines|kline markPriceKlines|mark-price-kline fundingRate|funding/history time".split()


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the study."""

    agent: str = "har"
    """The rule of the accounts."""
    venues: tuple[str, ...] = ("binance", "bybit")
    """Venues: binance, bybit or both."""
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT")
    """Number of coins."""
    days: int = 30
    """Simulated days."""
    faults: int = 200
    """Number of faults of each server; the same number of rows is late."""
    kills: int = 0
    """How many times the process is killed."""
    sound: bool = False
    """Without faults: only measure the time of a poll and the growth of memory."""
    seed: int = 0
    """Seed of all random draws."""


def main(args: Args) -> None:
    """Run the accounts, with faults and without, and compare."""
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(study(args, Path(scratch)), indent=1))


def study(args: Args, folder: Path) -> dict[str, Any]:
    """Figures of one study. Raises `RunError` where an account differs."""
    begun = time.monotonic()
    clean = {venue: _run(args, venue, folder / "clean", faulty=False) for venue in args.venues}
    figures: dict[str, Any] = dict(clean) if args.sound else {}
    for venue in () if args.sound else args.venues:
        if args.kills:
            figures[venue] = _killed(args, venue, folder / "killed")
        else:
            figures[venue] = _run(args, venue, folder / "faulty", faulty=True)
        if figures[venue]["fingerprint"] != clean[venue]["fingerprint"]:
            raise RunError(f"{venue}: the account differs from the one without faults")
    return figures | {"minutes": round((time.monotonic() - begun) / 60, 1)}


def frames_of(args: Args, venue: str) -> dict[str, Any]:
    """The coins of a venue."""
    first = 100 * args.venues.index(venue) + args.seed
    return {
        symbol: synthetic_frames(
            "btc" if symbol.startswith("BTC") else "alt",
            years=(62 + args.days) / 365,
            seed=first + k,
            start="2024-01-01",
            symbol=symbol,
        )
        for k, symbol in enumerate(args.symbols)
    }


def plan(args: Args, venue: str, agent: Any) -> Plan:
    """The plan of the accounts of a venue."""
    given = {"venue": venue} | agent.env_settings() | JUDGED
    return Plan(
        venue=load_venue(venue),
        symbols=args.symbols,
        agent=args.agent,
        settings=json.loads(json.dumps(EnvConfig.from_dict(given).to_dict())),
    )


def draw_faults(args: Args, world: World, venue: str, rng: np.random.Generator) -> None:
    """Draw faults of the server over the span, and rows that are late by up to 1.5 hours."""
    world.faults += [_fault(rng) for _ in range(args.faults // len(args.venues))]
    start = world.now_ms
    for _ in range(args.faults // len(args.venues)):
        symbol = args.symbols[int(rng.integers(len(args.symbols)))]
        kind = ("perp", "spot", "mark", "funding")[int(rng.integers(4))]
        at = start + int(rng.integers(args.days * 24)) * HOUR_MS
        until = at + HOUR_MS + int(rng.integers(HOUR_MS * 3 // 2))
        world.hidden.setdefault((venue, symbol, kind), []).append((at, at + HOUR_MS, until))


def _fault(rng: np.random.Generator) -> Fault:
    kind, _, status = KINDS[int(rng.integers(len(KINDS)))].partition(":")
    place = _PLACES[int(rng.integers(len(_PLACES)))]
    chance = f"/({place})(\\?|$)"
    return Fault(chance, kind, status=int(status or 500), times=int(rng.integers(1, 4)))


def steps(rng: np.random.Generator, *, faulty: bool) -> Iterator[int]:
    """Time between two polls, ms: some hours, and sometimes a sleep of a day. Without faults two
    days, because the number of polls does not change the accounts.
    """
    while True:
        sleeps = rng.random() < 0.02
        hours = rng.uniform(20, 36) if sleeps else rng.uniform(0.5, 15)
        yield int((hours if faulty else 48) * HOUR_MS)


def _run(args: Args, venue: str, folder: Path, *, faulty: bool) -> dict[str, Any]:
    """One venue in this process."""
    rng = np.random.default_rng([args.seed, 7, args.venues.index(venue)])
    start = pd.Timestamp("2024-03-01 05:30", tz="UTC").value // 1_000_000
    world = world_of({venue: frames_of(args, venue)}, start)
    server = MockExchange(world)
    policy = Policy(retries=1, backoff=0.01, longest_wait=0.1, timeout=3.0, rate=1e4)
    agent = agents.make(args.agent)
    paper = Paper(
        plan(args, venue, agent),
        folder / venue,
        LiveFeed(Rest(policy, server.url)),
        agent,
        waits=WAITS,
    )
    end = start + args.days * _DAY
    paper.look()  # the first day begins alike with faults and without
    looks, cpu, peaks, slowest = 1, time.process_time(), [_peak()], 0.0
    if faulty:
        draw_faults(args, world, venue, rng)
    # faults happen all the time: each poll may meet those that are due by now
    due, world.faults = list(world.faults), []
    share = len(due)
    every = args.days * _DAY / max(1, share)
    clock = steps(rng, faulty=faulty)
    while world.now_ms < end or due or (paper.tables.closed or 0) < end:
        world.now_ms += next(clock) if world.now_ms < end else HOUR_MS // 6
        while due and world.now_ms - start >= every * (share - len(due)):
            world.faults.append(due.pop())
        before = time.process_time()
        paper.look()
        slowest = max(slowest, time.process_time() - before)
        looks += 1
        if world.now_ms - start >= len(peaks) * _MONTH:
            peaks.append(_peak())
    found = {
        "steps": len(paper.account.steps),
        "looks": looks,
        "requests": world.asked,
        "faults": world.met,
        "late spans": sum(map(len, world.hidden.values())),
        "cpu seconds a look": round((time.process_time() - cpu) / looks, 3),
        "cpu seconds of the slowest look": round(slowest, 3),
        "peak MiB, month by month": peaks,
        "fingerprint": _until(paper, end),
        "check": check(paper, agents.make(args.agent)).partition(": ")[2],
    }
    paper.close()
    server.close()
    return found


def _peak() -> int:
    """Peak memory of this process so far, MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / 2**20 if sys.platform == "darwin" else most / 1024)


def _until(paper: Paper, end: int) -> str:
    """The fingerprint of the steps that ended by `end`; the last poll may go a little further."""
    return paper.account.fingerprint(until=end - 12 * HOUR_MS)


def _ticks(world: World, end: int, rng: np.random.Generator) -> Iterator[int]:
    """Time that each request for the clock adds to it, ms, until the last day is over."""
    while True:
        yield int(rng.uniform(0.3, 2.5) * HOUR_MS) if world.now_ms < end + HOUR_MS else 0


def _killed(args: Args, venue: str, folder: Path) -> dict[str, Any]:
    """One venue in processes that are killed; each request for the clock advances it."""
    rng = np.random.default_rng([args.seed, 11, args.venues.index(venue)])
    start = pd.Timestamp("2024-03-01 05:30", tz="UTC").value // 1_000_000
    end = start + args.days * _DAY
    world = world_of({venue: frames_of(args, venue)}, start)
    server = MockExchange(world)
    words = ["--venue", venue, "--symbols", *args.symbols, "--agent", args.agent]
    words += ["--out", str(folder), "--mirror", server.url, "--rate", "1000", "--poll", "0.05"]
    words += ["--hole", "168", "--gone", "168"]
    command = [sys.executable, "-m", "experiments.paper", *words]
    subprocess.run([*command, "--once"], check=True, capture_output=True)  # all begin alike
    begun = time.monotonic()
    subprocess.run([*command, "--once"], check=True, capture_output=True)
    whole = time.monotonic() - begun  # of a process that polls once
    world.ticks = _ticks(world, end, rng)
    kills = 0
    lengths = set()
    while kills < args.kills:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        asked, patience = world.asked, time.monotonic() + 120
        while world.asked < asked + 3 and time.monotonic() < patience:  # it is at work
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0, whole)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        lengths.add(sum(path.stat().st_size for path in folder.rglob("*.jsonl")))
        if kills % 10 == 0:
            print(f"{venue}: killed {kills} of {args.kills} times", file=sys.stderr, flush=True)
    world.ticks = None
    world.now_ms = end + HOUR_MS
    subprocess.run([*command, "--once"], check=True, capture_output=True)
    policy = Policy(retries=1, backoff=0.01, timeout=3.0, rate=1e4)
    agent = agents.make(args.agent)
    paper = Paper(
        plan(args, venue, agent),
        folder / venue,
        LiveFeed(Rest(policy, server.url)),
        agent,
        waits=WAITS,
    )
    said = check(paper, agents.make(args.agent))
    found: dict[str, Any] = {"kills": kills, "lengths of the journal at a kill": len(lengths)}
    found |= {"fingerprint": _until(paper, end), "check": said.partition(": ")[2]}
    found["steps"] = len(paper.account.steps)
    paper.close()
    server.close()
    return found


if __name__ == "__main__":
    run(Args, main, __doc__)
