"""What users type by mistake is one line and exit status 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import agents
from agents import Learner
from experiments import benchmark, calibrate, evaluate, report, train
from experiments.benchmarking import training
from experiments.benchmarking.training import cost_of
from experiments.benchmarking.trials import Training
from experiments.core import cli
from experiments.core.provenance import commit, provenance_of
from fundenv.market import synthetic_market
from tests.experiments.called import TEST, Capture, called, refused

SPANS = ("--train", "2020-01:2020-12", *TEST)


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        (train, ("--steps", "0"), "--steps 0: give at least 1"),
        (train, ("--steps", "-5"), "--steps -5: give at least 1"),
        (train, ("--seed", "-1"), "--seed -1: give a whole number from 0 to 4294967295"),
        (train, ("--seed", "4294967296"), "--seed 4294967296: give a whole number from 0 to"),
        (evaluate, ("--agents",), "--agents is empty; name at least one"),
        (benchmark, ("--agents",), "--agents is empty; name at least one"),
        (benchmark, ("--workers", "0"), "--workers 0: give at least 1"),
        (evaluate, ("--test", "01/02/2024:01/03/2024"), "--test 01/02/2024:01/03/2024: expected"),
        (train, ("--train", "2020-1:2020-12"), "--train 2020-1:2020-12: expected"),
        (train, ("--out", "/proc/nope"), "--out /proc/nope takes no files"),
        (evaluate, ("--out", "/proc/nope", *TEST), "--out /proc/nope takes no files"),
        (benchmark, ("--out", "/proc/nope", *SPANS), "--out /proc/nope takes no files"),
        (report, (), "no run is named"),
    ],
)
def test_a_slip_is_answered_in_one_line(
    module: Any, words: tuple[str, ...], said: str, capsys: Capture, tmp_path: Path
) -> None:
    if module is train and "--out" not in words:
        words = (*words, "--out", str(tmp_path / "runs" / "one"))
    assert said in refused(capsys, module, *words)
    assert not (tmp_path / "runs").exists()  # nothing was begun


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_smallest_and_the_largest_seed_work(seed: int, tmp_path: Path) -> None:
    out = str(tmp_path / "one")
    tiny = (
        "imitate=0",
        "counterfactual_rounds=0",
        "n_envs=4",
        "n_steps=8",
        "hidden=4",
        "shaping=false",
    )
    done = called(
        train, "--steps", "1", "--seed", str(seed), "--out", out, *SPANS, "--params", *tiny
    )
    assert done == 0
    assert provenance_of(tmp_path / "one")["commit"] == commit()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of the threshold rule, which is fitted at once."""
    out = tmp_path_factory.mktemp("runs") / "one"
    assert called(train, "--agent", "threshold", "--steps", "1", "--out", str(out), *SPANS) == 0
    return out


def test_a_training_is_no_evaluated_run(trained: Path, capsys: Capture) -> None:
    assert "was not evaluated yet; first: " in refused(capsys, report, str(trained))


def test_a_trained_agent_needs_no_span_to_learn_on(trained: Path, capsys: Capture) -> None:
    assert called(evaluate, "--agents", str(trained), "--test", "2020-06:2022-03") == 0
    said = capsys.readouterr().out
    assert "CAUTION" in said  # it learned from a part of that
    assert called(evaluate, "--agents", str(trained), *TEST) == 0
    assert "CAUTION" not in capsys.readouterr().out


def test_the_test_span_is_the_same_market_with_and_without_a_training_span() -> None:
    alone = evaluate.Args(test="2022-01:2022-03").markets("test")
    both = evaluate.Args(train="2020-01:2020-12", test="2022-01:2022-03").markets()
    assert alone["test"].hash == both["test"].hash


def test_an_agent_that_was_exchanged_is_refused(
    trained: Path, tmp_path: Path, capsys: Capture
) -> None:
    subprocess.run(["cp", "-r", trained, tmp_path / "copy"], check=True)
    agents.make("carry").save(tmp_path / "copy")
    said = refused(capsys, evaluate, "--agents", str(tmp_path / "copy"), *TEST)
    assert "is not the agent that" in said


def test_a_second_evaluation_replaces_the_first(
    trained: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "one"
    for names in (("flat", "carry"), ("zscore",)):
        assert called(evaluate, "--agents", *names, "--out", str(out), *TEST) == 0
    rows = json.loads((out / "results.json").read_text())
    rows = rows["rows"] if isinstance(rows, dict) else rows
    assert {row["agent"] for row in rows} == {"zscore"}
    assert called(report, str(out)) == 0
    assert "carry" not in " ".join(str(path) for path in out.rglob("*"))
    assert "holds a run of another command" in refused(
        capsys, evaluate, "--out", str(trained), *TEST
    )


def test_results_name_no_absolute_path(tmp_path: Path) -> None:
    out = tmp_path / "one"
    words = (
        "--agents",
        "flat",
        "threshold",
        "--seeds",
        "1",
        "--folds",
        "0",
        "--cash-rates",
        "0.02",
    )
    assert called(benchmark, *words, "--preset", "quick", "--out", str(out), *SPANS) == 0
    assert str(tmp_path) not in (out / "results.md").read_text()
    assert provenance_of(out / "agents" / "threshold-0")["agents"].keys() == {"agents/threshold-0"}


def test_the_bar_counts_the_warm_start() -> None:
    ppo = agents.make("ppo", n_envs=256, counterfactual_rounds=16)
    rounds, each = ppo.warm_start()  # type: ignore[attr-defined]
    assert rounds == 16
    assert each == pytest.approx(0.4 * 256 * 4 * 270)  # 4 accounts an env, 90 days of 3 decisions
    assert cost_of(ppo, 300_000, 0) == pytest.approx(300_000 + rounds * each)
    assert cost_of(ppo, 300_000, 100_000) == 200_000
    assert cost_of(agents.make("sac"), 100, 0) == 200  # a step of SAC costs two


class Warm(Learner):
    """Ctrl-C meets it in its warm start."""

    def training_settings(self) -> dict[str, Any]:
        return {"episode": "90D", "reward": "log_growth"}

    def warm_start(self) -> tuple[int, float]:
        return 3, 1.0

    def act(self, obs: Any, *, deterministic: bool = True) -> Any:
        return obs

    def learn(self, *_: Any, **__: Any) -> None:
        pass


def test_ctrl_c_in_a_warm_start_does_not_promise_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(cli.Stopped, match=r"in the warm start of .*; --resume begins it anew"):
        training.train(
            f"{__name__}:Warm",
            {},
            synthetic_market(years=0.1),
            {},
            steps=10,
            seed=0,
            folder=tmp_path / "run",
            events=tmp_path / "events",
            progress=training.Progress(1.0),
            trial=Training.of(tmp_path / "run"),
        )


def test_settings_that_a_training_sets_itself_are_not_dropped_without_a_word(
    tmp_path: Path, capsys: Capture
) -> None:
    flags = ("--env.episode", "60D", "--env.reward", "log_growth", "--env.ruin-fraction", "0.1")
    assert called(train, "--agent", f"{__name__}:Warm", *flags, "--out", str(tmp_path / "r")) == 130
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]
    assert len(notes) == 1
    assert "--env.episode 60D: ignored, for " in notes[0]
    assert "trains with episode = 90D" in notes[0]


def test_settings_that_change_nothing_where_agents_are_judged_get_a_note(
    tmp_path: Path, capsys: Capture
) -> None:
    flags = ("--env.episode", "60D", "--env.reward", "expected", "--env.actions", "discrete")
    said = "note  --env.episode 60D: ignored, for a rollout walks each path once, with episode = N"
    agent = ("--agents", "flat")
    quick = ("--seeds", "1", "--folds", "0", "--cash-rates", "0.02", "--preset", "quick")
    for module, words in (
        (evaluate, (*agent, *TEST)),
        (benchmark, (*agent, *quick, "--out", str(tmp_path / "b"), *SPANS)),
        (calibrate, ("--rules", "carry", "--trials", "1", "--out", str(tmp_path / "c"), *SPANS)),
    ):
        capsys.readouterr()
        called(module, *words, *flags)
        notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]
        assert len(notes) == 3, (module, notes)
        assert notes[0].startswith(said)
        assert "reward = log_growth" in notes[1]
        assert "acts with actions = target" in notes[2]
    assert called(evaluate, *agent, *TEST, "--env.fee-scale", "2") == 0
    assert "note" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("param", "said"),
    [
        ("reward=nowhere.at_all:reward", "reward = 'nowhere.at_all:reward': no module 'nowhere'"),
        ("reward=json:nothing", "reward = 'json:nothing': module json has no 'nothing'"),
    ],
)
@pytest.mark.parametrize("module", [train, benchmark])
def test_what_a_training_cannot_use_is_found_before_anything_is_written(
    module: Any, param: str, said: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "runs" / "one"
    words = ("--steps", "1", "--out", str(out), *SPANS)
    if module is train:
        words = (*words, "--params", param)
    else:
        words = (*words, "--agents", "ppo", "--params", f"ppo.{param}")
    assert said in refused(capsys, module, *words)
    assert not (tmp_path / "runs").exists()


def test_help_that_nobody_reads_to_its_end_says_nothing() -> None:
    command = [sys.executable, "-m", "experiments.info", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == b""
