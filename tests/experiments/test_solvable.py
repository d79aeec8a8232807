"""The script of the solvable problems: rows, resuming, and the optimum that it judges by."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from experiments import solvable
from experiments.core.run_folder import RunError
from experiments.studies import solvable_tasks
from fundenv.envs.solvable import SolvableVectorEnv


def test_rows_are_written_and_finished_ones_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for known, name in ((solvable.TASKS, "C-ppo"), (solvable.SETTINGS, "device-256x32-2048x4")):
        monkeypatch.setitem(known, name, dataclasses.replace(known[name], steps=8_192))
    monkeypatch.setattr(solvable, "EVALUATION", solvable.EVALUATION | {"paths": 4, "decisions": 50})
    file = tmp_path / "rows.json"
    args = solvable.Args(tasks=("C-ppo", "device-256x32-2048x4"), seeds=2, json=file)
    solvable.main(dataclasses.replace(args, tasks=("C-ppo",), seeds=1))
    solvable.main(args)
    rows = json.loads(file.read_text())
    found = [(row["problem"], row["agent"], row["seed"]) for row in rows]
    assert found == [
        ("leverage", "ppo", 0),
        ("linear", "device_ppo", 0),
        ("leverage", "ppo", 1),
        ("linear", "device_ppo", 1),
    ]
    for row in rows:
        assert np.isfinite(row["percent_of_optimum"])
        assert row["env_steps"] >= 8_192
        assert row["seconds"] > 0
        assert 0 < row["env_share"] < 1
    assert all(1 <= row["leverage"] <= 10 for row in rows[::2])
    monkeypatch.setattr(solvable, "train", lambda *_, **__: pytest.fail("trained again"))
    solvable.main(args)
    assert json.loads(file.read_text()) == rows
    assert "leverage" in capsys.readouterr().out


@pytest.mark.parametrize("name", solvable.TASKS)
def test_every_task_of_the_default_command_trains(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solvable_tasks, "PATHS", {"paths": 8, "decisions": 50})
    monkeypatch.setattr(solvable, "EVALUATION", solvable.EVALUATION | {"paths": 4, "decisions": 50})
    row = solvable.train(dataclasses.replace(solvable.TASKS[name], steps=64), 0)
    assert np.isfinite(row["percent_of_optimum"])


def test_the_optimal_rule_keeps_its_promise_and_others_fall_short() -> None:
    env = SolvableVectorEnv(
        32, "linear", autoreset_mode="disabled", actions="target", paths=32, decisions=1500
    )
    best = float(solvable.play(env, solvable.optimal_rule(env))[100:].mean())
    assert best == pytest.approx(env.solvable.optimum, rel=0.08)
    always = float(
        solvable.play(env, lambda obs: np.tile([0.0, 1.0, 1.0, 1.0], (len(obs), 1))).mean()
    )
    assert always < 0.5 * best


def test_one_training_has_no_interval() -> None:
    assert solvable.with_interval(np.array([98.5])) == "98.50"
    # 12.706 x 0.7071 / 1.4142
    assert solvable.with_interval(np.array([98.0, 99.0])) == "98.50 ±  6.35"


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(RunError, match="expected some of A-ppo"):
        solvable.main(solvable.Args(tasks=("D-ppo",)))


def test_rows_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('[{"problem": "linear", "agent": "ppo", "seed": 0}]')
    with pytest.raises(RunError, match="name no task"):
        solvable.main(solvable.Args(tasks=("A-ppo",), json=file))
