"""The GPU check, tried on the CPU: its sections, its file, and that a difference is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import gpu
from experiments.core.run_folder import RunError
from experiments.speed import steps_per_second, verification
from fundenv.config import ConfigError

SMALL = {
    "parity_envs": 5,
    "parity_steps": 40,
    "batches": (8,),
    "learner_envs": (8,),
    "rounds": 64,
    "optimum_steps": 8192,
}


def test_every_section_leaves_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_per_second, "MIN_SECONDS", 0.0)
    file = tmp_path / "gpu.json"
    gpu.main(gpu.Args(device="cpu", out=file, **SMALL))
    report = json.loads(file.read_text())
    assert "a trial without a GPU" in report["machine"]
    rows = {name: each["rows"] for name, each in report["sections"].items()}
    assert list(rows) == ["parity", "stepping", "captured", "ppo", "sac"]
    assert [each["failed"] for each in report["sections"].values()] == [""] * 5
    assert len(rows["parity"]) == 12
    assert all(row["steps"] == 40 and row["gap"] == 0.0 for row in rows["parity"])
    assert [row["decision_bars"] for row in rows["stepping"]] == [1, 8]
    assert rows["captured"] == [
        {"case": "a captured training", "envs": 8, "gap": 0.0, "differs": ""}
    ]
    *timed, first, second = rows["ppo"]
    assert [(row["engine"], row["epochs"]) for row in timed] == [
        ("functions", 4),
        ("functions", 1),
        ("loop", 4),
    ]
    for row in (*timed, *rows["sac"]):
        assert 0 < row["end_to_end_per_s"] < row["steps_per_s"]
        assert row["with_inference_per_s"] > 0
    assert (first["engine"], second["engine"]) == ("functions", "loop")
    assert first["env_steps"] == second["env_steps"] == 8192


def test_a_difference_is_told_and_the_next_section_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps_per_second, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(verification, "DEVICE_TOLERANCE", -1.0)
    args = gpu.Args(device="cpu", out=tmp_path / "gpu.json", sections=("parity", "stepping"))
    with pytest.raises(RunError, match="parity: failed, or differs from the CPU"):
        gpu.main(gpu.Args(**vars(args) | SMALL))
    told = capsys.readouterr().out
    assert "parts differ by 0.0e+00 of the initial equity at step 0" in told
    assert "mode torch, batch 8" in told


def test_without_a_gpu_one_line_says_so() -> None:
    with pytest.raises(ConfigError, match="sees no CUDA device; use device='cpu'"):
        gpu.main(gpu.Args(out=None))
