"""A training that cannot begin here is refused in one line, before a run folder or a line in the log of trainings is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from agents import AgentError
from experiments import benchmark, population, train
from fundenv.config import ConfigError

SPANS = {"train": "2020-01:2020-12", "test": "2022-01:2022-06"}
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def refused(tmp_path: Path, what: type[Exception], words: str, call: object) -> None:
    with pytest.raises(what, match=words) as error:
        call(tmp_path / "runs" / "one")  # type: ignore[operator]
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


@no_gpu
@pytest.mark.parametrize("agent", ["device_ppo", "device_sac"])
def test_without_a_gpu_nothing_is_written(tmp_path: Path, agent: str) -> None:
    refused(tmp_path, ConfigError, "sees no CUDA device", lambda out: train.main(
        train.Args(agent=agent, steps=100, params=("device=cuda",), out=out, **SPANS)
    ))  # fmt: skip
    refused(tmp_path, ConfigError, "sees no CUDA device", lambda out: benchmark.main(
        benchmark.Args(agents=("flat", agent), steps=100, params=(f"{agent}.device=cuda",), out=out, **SPANS)
    ))  # fmt: skip


@no_gpu
def test_a_preset_that_asks_for_a_gpu_is_refused_too(tmp_path: Path) -> None:
    preset = tmp_path / "preset.toml"
    preset.write_text('seeds = 1\nfolds = 0\n[device_ppo]\nsteps = 100\ndevice = "cuda"\n')
    refused(tmp_path, ConfigError, "sees no CUDA device", lambda out: benchmark.main(
        benchmark.Args(agents=("flat", "device_ppo"), preset=str(preset), out=out, **SPANS)
    ))  # fmt: skip


def test_without_ray_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # an import of it fails
    refused(tmp_path, AgentError, "fundenv\\[rllib\\]", lambda out: train.main(train.Args(agent="rllib_ppo", steps=100, out=out, **SPANS)))
    refused(tmp_path, AgentError, "fundenv\\[rllib\\]", lambda out: population.main(population.Args(rounds=1, steps=100, out=out, **SPANS)))
