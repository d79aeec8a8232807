"""A small benchmark from its command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TINY = (
    "--params",
    "ppo.n_envs=16",
    "ppo.n_steps=16",
    "ppo.batch_size=128",
    "ppo.hidden=8",
    "ppo.funding_share=0",
    "ppo.imitate=64",
    "ppo.counterfactual_rounds=1",
    "sac.n_envs=8",
    "sac.batch_size=32",
    "sac.hidden=8",
    "sac.funding_share=0",
)


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["rows"]
    return rows


def command(script: str, *words: object) -> list[str]:
    return [sys.executable, "-m", f"experiments.{script}", *map(str, words)]


def run(script: str, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a script to its end; fails with its output where the exit status is another."""
    done = subprocess.run(
        command(script, *words), cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done
