"""Measures environment steps per second on this machine, after checking that the numbers are right.

Parity with the reference account, accounting, and the CPU's numbers on any other device are checked
on the very market that is timed; every mode is warmed up and repeated, and the median and the
spread are shown.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from experiments.core.cli import run
from experiments.core.run_folder import RunError, write_json
from experiments.speed import instructions, peers, scaling
from experiments.speed.startup import startup_table
from experiments.speed.stepping import MODES
from experiments.speed.steps_per_second import Timing, mode_row, peer_row, speeds
from experiments.speed.verification import device_error, reference_error
from fundenv.batch.cpu import Batch
from fundenv.checks import check_accounting, check_parity
from fundenv.compiler.memory import LANES
from fundenv.market import Market, load_market, synthetic_market

ON_CPU, ON_GPU = (
    (("single", "vector", "sb3", "torch"), (1024, 4096)),
    (("torch",), (4096, 65_536, 1_048_576)),
)


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the speed measurement."""

    data: Path | None = None
    """Folder of Parquet or CSV files; without it the embedded synthetic market."""
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names; none: all that the folder has."""
    device: str = "cpu"
    """cpu, or cuda (torch mode only): first the CPU's numbers are checked on it."""
    modes: tuple[str, ...] = ()
    """Of single (gymnasium.make), vector (gymnasium.make_vec), sb3 (the native VecEnv), torch
    (tensors), ppo (training end to end); none: all but ppo.
    """
    batches: tuple[int, ...] = ()
    """Numbers of environments; ppo takes the first. None: 1024 4096, on a GPU up to 1,048,576."""
    intervals: tuple[str, ...] = ("1h", "8h")
    """Decision intervals."""
    threads: int = 1
    """Threads of a batch; more than one: also how many times faster they are than one, and what
    they bring to loops of arithmetic and of copies.
    """
    clock: Literal["wall", "cpu"] = "wall"
    """What is measured: wall clock, or processor time of the one stepping thread, which other work
    on the machine disturbs less.
    """
    repeats: int = 7
    """Timed repetitions of each mode."""
    peers: bool = False
    """Also time gymnasium's CartPole and, where the extra `peers` is installed, other trading
    environments.
    """
    instructions: bool = False
    """Also count the machine instructions of a step (Linux; half a minute)."""
    startup: bool = False
    """Also time import and first step, without compiled code and with it."""
    json: Path | None = None
    """Also write the rows to this file."""


def main(args: Args) -> None:
    """Check, measure, show."""
    default_modes, default_batches = ON_CPU if args.device == "cpu" else ON_GPU
    modes, batches = args.modes or default_modes, args.batches or default_batches
    _refuse(args, modes)
    market = (
        load_market(args.data, list(args.symbols) or None)
        if args.data
        else synthetic_market("btc", years=3, seed=0)
    )
    console = Console(width=None if sys.stdout.isatty() else 160)
    _check(market, args, console)
    timing = Timing(args.device, args.threads, args.clock, args.repeats)
    rows = [
        _said(mode_row(mode, count, interval, market, timing), console)
        for interval in args.intervals
        for mode in modes
        for count in {"single": (1,), "ppo": batches[:1]}.get(mode, batches)
    ]
    if args.peers:
        settings = {"market": market, "decision_interval": "1h"}
        single = MODES["single"](1, settings, 1, "cpu").run if "single" in modes else None
        rows += [
            _said(peer_row(peer, timing, single if peer.mode == "single" else None), console)
            for peer in peers.installed(batches)
        ]
    console.print(_table(rows, args))
    if args.threads > 1 and args.device == "cpu":
        gains = _thread_gains(modes, batches, market, args.intervals[0], timing)
        console.print(scaling.table(gains))
        rows += gains
    if args.instructions:
        _say_instructions(market, args.intervals, console)
    if args.startup:
        console.print(startup_table())
    if args.json:
        write_json(args.json, rows)


def _refuse(args: Args, modes: tuple[str, ...]) -> None:
    unknown = sorted(set(modes) - set(MODES))
    if unknown:
        raise RunError(f"--modes {unknown[0]}: expected some of {', '.join(MODES)}")
    if args.clock == "cpu" and (args.threads > 1 or args.device != "cpu"):
        raise RunError("--clock cpu sees one thread on the CPU only; use --clock wall")
    if args.device != "cpu" and set(modes) != {"torch"}:
        raise RunError(f"--device {args.device}: only the mode torch runs there; leave --modes out")


def _check(market: Market, args: Args, console: Console) -> None:
    interval = args.intervals[0]
    error = check_accounting(market=market, decision_interval=interval)
    check_parity(market=market, decision_interval=interval, episode="30D")
    console.print(f"checked: parts add up to {error:.0e}; single = serial = threaded bit for bit")
    reference = reference_error(market, interval)
    told = (
        "not checked: it is part of the checkout's tests"
        if reference is None
        else f"agrees to {reference:.0e} of the equity"
    )
    console.print(
        f"checked: the reference account {told}"
        if reference is not None
        else f"the reference account is {told}"
    )
    if args.device != "cpu":
        gap = device_error(market, interval, args.device)
        console.print(
            f"checked: {args.device} has the CPU's flags, and its money to {gap:.0e} of the equity"
        )


def _said(row: dict[str, Any], console: Console) -> dict[str, Any]:
    """The row, after it was shown in a line."""
    speed = f"{row['steps_per_s']:>13,.0f} steps/s"
    if "compared_with" in row:
        console.print(f"{row['mode']:<20} {row['batch']:>6,} envs: {speed}")
    else:
        console.print(
            f"{row['mode']:<7} {row['batch']:>9,} envs, {row['decision_bars']} bar(s) per decision:"
            f" {speed}"
        )
    return row


def _thread_gains(
    modes: tuple[str, ...],
    batches: tuple[int, ...],
    market: Market,
    interval: str,
    timing: Timing,
) -> list[dict[str, Any]]:
    """How many times faster the threads are than one: plain loops, then each mode and batch."""
    settings = {"market": market, "decision_interval": interval}
    loads = scaling.loads() + [
        scaling.stepping_load(mode, count, settings)
        for mode in modes
        if mode not in ("single", "ppo")
        for count in batches
    ]
    once = timing._replace(repeats=1)
    return [
        scaling.gain(load, timing.threads, timing.repeats, lambda run: speeds(run, once)[0])
        for load in loads
    ]


def _say_instructions(market: Market, intervals: tuple[str, ...], console: Console) -> None:
    for interval in intervals:
        for count in (64, LANES - 1):
            batch = Batch(count, market=market, decision_interval=interval, autoreset="same_step")
            if batch.fits_vectors:
                batch.use_vectors()
            form = "vector form" if batch.fits_vectors else "scalar loop"
            console.print(
                f"instructions: {instructions.per_step(batch):,.0f} a step of one environment,"
                f" {form}, {count} environments, decisions every {interval}, code for this"
                " processor"
            )


def _table(rows: list[dict[str, Any]], args: Args) -> Table:
    """All rows; a peer also shows how many times faster fundenv is in the mode it is compared
    with, a single one in turns.
    """
    columns = [
        "mode",
        "envs",
        "bars per decision",
        "observations",
        "steps/s (median)",
        "lowest",
        "highest",
        "bars/s",
        "bytes/env",
        "bytes/step",
    ]
    table = Table(
        *columns, "of bandwidth" if args.device != "cpu" else "fundenv is", title=_machine(args)
    )
    own = {
        (row["mode"], row["batch"]): row["steps_per_s"]
        for row in rows
        if row["decision_bars"] == 1 and "compared_with" not in row
    }
    for row in rows:
        speeds = (f"{row[key]:,.0f}" for key in ("steps_per_s", "lowest", "highest", "bars_per_s"))
        sizes = (
            f"{row[key]:,}" if row.get(key) else "" for key in ("bytes_per_env", "bytes_per_step")
        )
        ours = own.get((row.get("compared_with", ""), row["batch"]))
        turns = row.get("in_turns")
        last = (
            f"{median(turns):.2f} x ({min(turns):.2f} .. {max(turns):.2f})"
            if turns
            else f"{row['bandwidth_share']:.0%}"
            if "bandwidth_share" in row
            else f"{ours / row['steps_per_s']:.2f} x"
            if ours
            else ""
        )
        table.add_row(
            row["mode"],
            f"{row['batch']:,}",
            str(row["decision_bars"]),
            str(row["obs_size"] or ""),
            *speeds,
            *sizes,
            last,
        )
    return table


def _machine(args: Args) -> str:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    if args.device != "cpu":
        import torch

        model = f"{torch.cuda.get_device_name(args.device)}, {model}"
    return (
        f"{model}, {os.cpu_count()} cores, {args.threads} thread(s), {args.clock} time, Python"
        f" {platform.python_version()}"
    )


if __name__ == "__main__":
    run(Args, main, __doc__)
