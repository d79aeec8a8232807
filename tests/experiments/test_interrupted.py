"""Runs that are interrupted or go on, and slips of the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import agents
from experiments import benchmark, train
from experiments.benchmarking import trials
from experiments.core.market_args import span_edges
from tests.experiments.called import Capture, called, refused
from tests.experiments.small_benchmark import ROOT, TINY, command, rows_of

STEPS = 10_000
# bytes: the warm start writes a tenth of it, and a training of so many steps forty times as much
UNDER_WAY = 20_000


def interrupt_when(started: Path, process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C once the training whose events lie in `started` is under way; returns what the
    process said.
    """
    deadline = time.monotonic() + 600
    while sum(path.stat().st_size for path in started.glob("*tfevents*")) < UNDER_WAY:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=600)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2])  # in this process, and in two workers
def test_ctrl_c_leaves_a_checkpoint_from_which_the_run_goes_on(
    data: Path, tmp_path: Path, seeds: int
) -> None:
    out = tmp_path / "run"
    size = ("--seeds", seeds, "--folds", 0, "--workers", 2, "--steps", STEPS)
    words = (
        "--data",
        data,
        "--symbols",
        "AAAUSDT",
        "--agents",
        "carry",
        "ppo",
        "--out",
        out,
        *size,
        *TINY[:7],
    )
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command("benchmark", *words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    said = interrupt_when(out / "tensorboard" / "learning" / "ppo-0", process)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("interrupted")
    assert "--resume" in last
    done = agents.load(out / "agents" / "ppo-0").steps_done  # type: ignore[attr-defined]
    assert 0 < done < STEPS
    begun = trials.read(tmp_path / "trials.csv").set_index("training")["daily_sharpe"]
    assert np.isnan(begun["run/ppo-0"])  # what was begun counts, whatever becomes of it
    assert called(benchmark, *map(str, words), "--resume") == 0
    assert agents.load(out / "agents" / "ppo-0").steps_done >= STEPS  # type: ignore[attr-defined]
    rows = rows_of(out)
    assert {r["agent"] for r in rows} == {"carry", "ppo"}
    ended = trials.read(tmp_path / "trials.csv").set_index("training")["daily_sharpe"]
    assert sorted(ended.index) == [f"run/ppo-{seed}" for seed in range(seeds)]
    assert np.isfinite(ended).all()


def test_training_alone_goes_on_to_more_steps(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "ppo"
    words = (
        "--data",
        data,
        "--symbols",
        "AAAUSDT",
        "--out",
        out,
        "--params",
        *(word.removeprefix("ppo.") for word in TINY[1:7]),
    )
    for more in (("--steps", "256"), ("--steps", "512", "--resume")):
        assert called(train, *map(str, words), *more) == 0
    assert agents.load(out).steps_done == 512  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--agents", "ppo", "zscroe"), "unknown agent 'zscroe'; did you mean zscore?"),
        (
            ("--symbols", "AAAUSDT", "XYZ"),
            "symbol 'XYZ' has no complete set of files; available: AAAUSDT, BBBUSDT",
        ),
        # the span of the data
        (("--train", "2030-01-01:2030-02-01"), "AAAUSDT 2021-01-31 01:00 .. 2021-05-31 00:00"),
        (("--train", "2021-02-01:2021-05-01", "--test", "2021-04-15:2021-05-20"), "overlap"),
        (("--train", "2021-02-01"), "--train 2021-02-01: expected START:END"),
        (("--train", "2021-03-01:2021-02-01"), "the start lies after the end"),
        (("--params", "zscore.entry=30"), "agent zscore: entry = 30 is outside 0 .. 20"),
        (("--params", "entry=3"), "expected AGENT.NAME=VALUE"),
        (("--env", "episod=30D"), "unknown setting 'episod'; did you mean episode?"),
        (("--env", "decision_interval=90min"), "decision_interval = '90min' is not a multiple"),
        (("--cash-rate", "5"), "cash_rate = 5.0 is outside"),
        (("--venue", "binanse"), "unknown venue 'binanse'"),
        (("--seeds", "0"), "--seeds 0: give at least 1"),
        (
            ("--agents", "carry", "sac_ensemble"),
            "agent sac_ensemble joins the seeds of one learner such as sac, and 0 of --agents fit",
        ),
        (("--preset", "fast"), "no preset fast; choose one of long, quick, standard"),
    ],
)
def test_bad_input_is_one_line(
    data: Path, tmp_path: Path, words: tuple[str, ...], said: str, capsys: Capture
) -> None:
    where = ("--data", str(data), "--steps", "16", "--out", str(tmp_path / "run"))
    assert said in refused(capsys, benchmark, *where, *words)


def test_the_folder_lists_its_scripts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in ("benchmark", "evaluate", "train"))


def test_a_span_is_days_months_or_years_and_counts_whole() -> None:
    first, end = span_edges("2020-02:2024-06", "--train")
    assert (str(first), str(end)) == ("2020-02-01 00:00:00+00:00", "2024-07-01 00:00:00+00:00")
    assert span_edges("2024-06-30:2024-06-30", "--test")[1] - span_edges(
        "2024-06-30:2024-06-30", "--test"
    )[0] == pd.Timedelta(days=1)
    assert str(span_edges("2020:2021", "--train")[1]) == "2022-01-01 00:00:00+00:00"
