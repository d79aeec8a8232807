"""Seconds until the first step of a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from rich.table import Table

_FIRST_STEP = """
import time; t = time.perf_counter(); import gymnasium
a = time.perf_counter(); import fundenv
b = time.perf_counter(); env = gymnasium.make("fundenv/FundingHedge-v0"); env.reset(seed=0)
env.step(env.action_space.sample())
print(a - t, b - a, time.perf_counter() - b)
"""


def startup_table() -> Table:
    """Seconds of import and first step in a fresh process, compiled anew and from the disk."""
    table = Table("start-up", "import gymnasium", "import fundenv", "make, reset, first step")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("compiling", "compiled before", "compiled before"):
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            done = subprocess.run(
                [sys.executable, "-c", _FIRST_STEP],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            table.add_row(name, *(f"{float(seconds):.2f} s" for seconds in done.stdout.split()))
    return table
