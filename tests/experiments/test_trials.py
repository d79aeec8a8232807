"""Every training that starts is logged, and what left no figure counts in the judgement of luck."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.compare import judge_luck
from experiments.benchmarking import trials
from experiments.benchmarking.trials import Training
from experiments.core.run_folder import RunError


def begin(run: Path, key: str = "ppo-0", steps: int = 100, **params: float) -> Training:
    training = Training.of(run, key)
    training.start("ppo", params, steps=steps, seed=0, market="abc")
    return training


def test_a_training_has_a_line_from_its_start_and_a_figure_once_it_is_judged(
    tmp_path: Path,
) -> None:
    training = begin(tmp_path / "one", entropy=0.01)
    begin(tmp_path / "one", entropy=0.01)  # resumed
    before = trials.read(tmp_path / "trials.csv")
    assert before["training"].tolist() == ["one/ppo-0"]
    assert before["configuration"][0].startswith("100 steps entropy=0.01 #")
    assert np.isnan(before["daily_sharpe"][0])
    training.finish(0.125)
    after = trials.read(tmp_path / "trials.csv")
    assert after["daily_sharpe"].tolist() == [0.125]
    assert after.drop(columns="daily_sharpe").equals(before.drop(columns="daily_sharpe"))


def test_other_parameters_or_more_steps_are_another_trial_and_other_defaults_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path / "one")
    begin(tmp_path / "one", steps=200)
    begin(tmp_path / "one", entropy=0.02)
    before = trials.configuration("ppo", {}, 100)
    kind = trials.agents.agent_class("ppo").parameters
    monkeypatch.setattr(
        kind.__init__, "__kwdefaults__", kind.__init__.__kwdefaults__ | {"epochs": 9}
    )
    assert trials.configuration("ppo", {}, 100) != before
    begin(tmp_path / "one")
    found = trials.read(tmp_path / "trials.csv")
    assert len(found) == found["configuration"].nunique() == 4


def test_a_new_name_of_a_parameter_is_no_other_trial(tmp_path: Path) -> None:
    """The line was written when the parameter was called `rehearse`."""
    before = (
        ",".join(trials.COLUMNS)
        + "\none/ppo-0,2026-11-28 10:00:00,ppo,100 steps rehearse=4 #d79b63,0,abc,\n"
    )
    (tmp_path / "trials.csv").write_text(before)
    begin(tmp_path / "one", counterfactual_rounds=4)
    assert (tmp_path / "trials.csv").read_text() == before


def test_trials_beside_a_run_are_those_of_other_configurations_once_each(tmp_path: Path) -> None:
    begin(tmp_path / "mine").finish(0.3)
    begin(tmp_path / "before")  # the same configuration, thrown away
    begin(tmp_path / "before", key="ppo-1", entropy=0.01).finish(0.1)
    begin(tmp_path / "before", key="ppo-2", entropy=0.01).finish(0.2)
    begin(tmp_path / "single", key="", entropy=0.02)
    found = trials.others(tmp_path / "mine", recorded=True)
    recipe = pd.read_csv(trials.RECIPE)
    assert len(found) == len(recipe) + 2
    np.testing.assert_allclose(found["daily_sharpe"][len(recipe) :], [0.15, np.nan])
    assert f"{len(recipe)} configurations" in trials.counted(tmp_path / "mine", recorded=True)


def test_on_a_made_up_market_the_trials_of_the_recipe_do_not_count(tmp_path: Path) -> None:
    assert len(trials.others(tmp_path / "mine", recorded=False)) == 0
    begin(tmp_path / "before", entropy=0.01).finish(0.1)
    assert trials.others(tmp_path / "mine", recorded=False)["daily_sharpe"].tolist() == [0.1]
    assert "do not count" in trials.counted(tmp_path / "mine", recorded=False)


def test_the_luck_of_the_search_counts_trainings_without_a_figure(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-07-01", periods=300, tz="UTC")
    daily = pd.concat(
        [
            pd.DataFrame(
                {
                    "agent": name,
                    "seed": 0,
                    "time": days,
                    "net": 0.1 + rng.standard_normal(300),
                }
            )
            for name in ("ppo", "ppo_ensemble")
        ]
    )
    names = ["carry", "ppo", "ppo_ensemble"]
    none = pd.DataFrame({"agent": ["sac"], "configuration": ["x"], "daily_sharpe": [0.1]})
    given = pd.DataFrame(
        {
            "agent": ["ppo"] * 30,
            "configuration": list(range(30)),
            "daily_sharpe": [0.05] * 5 + [np.nan] * 25,
        }
    )
    few = judge_luck(names, daily, none)
    many = judge_luck(names, daily, pd.concat([none, given]))
    assert [each.agent for each in many] == ["ppo", "ppo_ensemble"]
    # one another
    assert [(each.configurations, each.without_figure) for each in few] == [(2, 0), (2, 0)]
    assert [(each.configurations, each.without_figure) for each in many] == [(32, 25), (32, 25)]
    for before, after in zip(few, many, strict=True):
        assert after.deflated_sharpe < before.deflated_sharpe


def test_lines_of_many_writers_stay_whole(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda k: begin(tmp_path / "one", key=f"ppo-{k}", entropy=k / 1000), range(1, 65)
            )
        )
    found = trials.read(tmp_path / "trials.csv")
    assert sorted(found["training"]) == sorted(f"one/ppo-{k}" for k in range(1, 65))
    assert (tmp_path / "trials.csv").read_text().count("\n") == 65
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match=r"trials.csv has columns a, b; expected training, started"):
        begin(tmp_path / "one")


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RunError,
        match=(
            r"trials.csv cannot be written \(.*\); every training is logged there, choose another"
            r" --out"
        ),
    ):
        begin(tmp_path / "file" / "one")
