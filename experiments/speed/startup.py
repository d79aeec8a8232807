"""Seconds until the first step of a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from rich.table import Table

_FIRST_STEP = """
import time; t = time.perf_counter(), time.process_time()
import gymnasium; import fundenv
a = time.perf_counter(), time.process_time()
env = gymnasium.make("fundenv/FundingHedge-v0"); env.reset(seed=0)
env.step(env.action_space.sample())
b = time.perf_counter(), time.process_time()
env.unwrapped.batch.use_compiled()
c = time.perf_counter()
print(a[0] - t[0], b[0] - a[0], c - t[0], b[1] - t[1])
"""


def startup_table() -> Table:
    """Seconds of import and first step in a fresh process, and until its compiled code steps:
    without compiled code and with it.
    """
    columns = ("imports", "make, reset, first step", "until compiled code steps")
    table = Table("start-up", *columns, "processor until the first step")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("nothing compiled", "compiled before", "compiled before"):
            done = subprocess.run(
                [sys.executable, "-c", _FIRST_STEP],
                env=os.environ | {"NUMBA_CACHE_DIR": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            table.add_row(name, *(f"{float(seconds):.2f} s" for seconds in done.stdout.split()))
    return table
