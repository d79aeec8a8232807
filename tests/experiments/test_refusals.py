"""A training that cannot begin here is refused in one line, before a run folder or a line in the
log of trainings is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from agents import AgentError
from experiments import benchmark, population, train
from fundenv.config import ConfigError

SPANS = {"train": "2020-01:2020-12", "test": "2022-01:2022-06"}
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def refusal(command: Callable[[Path], None], tmp_path: Path) -> str:
    """The one line with which a command refuses, beginning with "written:" where it left
    something.
    """
    with pytest.raises((AgentError, ConfigError)) as error:
        command(tmp_path / "runs" / "one")
    return ("written: " if (tmp_path / "runs").exists() else "") + str(error.value)


@no_gpu
@pytest.mark.parametrize("agent", ["device_ppo", "device_sac"])
def test_without_a_gpu_nothing_is_written(tmp_path: Path, agent: str) -> None:
    training = train.Args(agent=agent, steps=100, params=("device=cuda",), **SPANS)
    contest = benchmark.Args(
        agents=("flat", agent), steps=100, params=(f"{agent}.device=cuda",), **SPANS
    )
    for script, args in ((train, training), (benchmark, contest)):
        found = refusal(
            lambda out, script=script, args=args: script.main(
                type(args)(**vars(args) | {"out": out})
            ),
            tmp_path,
        )
        assert found.startswith("device = 'cuda'")
        assert "\n" not in found


@no_gpu
def test_a_preset_that_asks_for_a_gpu_is_refused_too(tmp_path: Path) -> None:
    preset = tmp_path / "preset.toml"
    preset.write_text('seeds = 1\nfolds = 0\n[device_ppo]\nsteps = 100\ndevice = "cuda"\n')
    found = refusal(
        lambda out: benchmark.main(
            benchmark.Args(agents=("flat", "device_ppo"), preset=str(preset), out=out, **SPANS)
        ),
        tmp_path,
    )
    assert found.startswith("device = 'cuda'")


def test_without_ray_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # an import of it fails
    for found in (
        refusal(
            lambda out: train.main(train.Args(agent="rllib_ppo", steps=100, out=out, **SPANS)),
            tmp_path,
        ),
        refusal(
            lambda out: population.main(population.Args(rounds=1, steps=100, out=out, **SPANS)),
            tmp_path,
        ),
    ):
        assert found.startswith("the agents rllib_ppo and rllib_sac need RLlib")
