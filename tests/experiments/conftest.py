"""Made once: a small finished run (three rules and two seeds of a hardly trained PPO on a synthetic
market of two symbols), and files of two symbols.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import benchmark
from tests.markets import write_coins

SMALL = (
    "ppo.n_envs=16",
    "ppo.n_steps=16",
    "ppo.batch_size=128",
    "ppo.hidden=8",
    "ppo.funding_share=0",
    "ppo.imitate=64",
    "ppo.counterfactual_rounds=1",
    "zscore.entry=1.0",
)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run; do not write into it."""
    out = tmp_path_factory.mktemp("runs") / "small"
    spans = {"train": "2020-01:2020-04", "test": "2022-01:2022-06"}
    names = ("flat", "carry", "zscore", "ppo")
    benchmark.main(
        benchmark.Args(
            agents=names,
            seeds=2,
            steps=512,
            folds=0,
            cash_rates=(0.02, 0.045),
            workers=1,
            params=SMALL,
            out=out,
            **spans,
        )
    )
    return out


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files of two symbols, 150 days each."""
    folder = tmp_path_factory.mktemp("data")
    write_coins(folder, years=150 / 365, start="2021-01-01")
    return folder
