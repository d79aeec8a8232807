"""Scalars of a training go to MLflow or Weights & Biases on request, through their public calls."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments import train
from experiments.core.external_log import external_log
from experiments.core.run_folder import RunError

TINY = (
    "imitate=0",
    "counterfactual_rounds=0",
    "n_envs=4",
    "n_steps=8",
    "hidden=4",
    "shaping=false",
)


def trained(tmp_path: Path, service: Any) -> None:
    spans = {"train": "2020-01:2020-12", "test": "2022-01:2022-03"}
    train.main(train.Args(steps=64, params=TINY, log_to=service, out=tmp_path / "one", **spans))


def test_mlflow_receives_parameters_facts_and_scalars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {"metrics": []}
    fake = SimpleNamespace(
        set_experiment=lambda name: seen.update(experiment=name),
        start_run=lambda run_name: nullcontext(seen.update(run=run_name)),
        log_params=lambda params: seen.update(params=params),
        set_tags=lambda tags: seen.update(tags=tags),
        log_metrics=lambda values, step: seen["metrics"].append((step, values)),
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    trained(tmp_path, "mlflow")
    assert (seen["experiment"], seen["run"]) == ("fundenv", "one")
    assert seen["params"]["n_envs"] == 4
    assert {"agent", "seed", "steps", "market", "commit"} == set(seen["tags"])
    assert max(step for step, _ in seen["metrics"]) == 64
    assert any("Learner/steps_per_second" in values for _, values in seen["metrics"])


def test_wandb_receives_rows_and_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Any] = []
    run = SimpleNamespace(log=rows.append, finish=lambda: rows.append("finished"))
    fake = SimpleNamespace(init=lambda project, name, config: run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with external_log("wandb", "one", {}, {}) as log:
        log.write(5, {"a": 1.0})
    assert rows == [{"steps": 5, "a": 1.0}, "finished"]


@pytest.mark.parametrize("service", ["mlflow", "wandb"])
def test_a_missing_library_is_named_before_a_run_begins(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, service, None)
    with pytest.raises(RunError, match=rf"--log-to {service} needs .* pip install {service}"):
        trained(tmp_path, service)
    assert not (tmp_path / "one").exists()
