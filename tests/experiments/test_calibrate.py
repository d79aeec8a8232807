"""The command `calibrate`: it writes its files, resumes, and names bad input in one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import tyro

import agents
from agents import AgentError
from agents.rules.capital import OneCapital
from experiments import evaluate
from experiments.calibrate import Args, main
from experiments.calibration.search import SPACES
from experiments.core.run_folder import RunError
from fundenv.market import synthetic_frames, write_frames

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_frames(
        synthetic_frames(years=1.5, seed=1, symbol="AAAUSDT", start="2021-01-01"),
        folder,
        venue="binance",
    )
    return folder


def command(data: Path, out: Path, *words: object) -> list[str]:
    spans = ("--train", "2021-02:2022-02", "--test", "2022-03:2022-05")
    return [
        sys.executable,
        "-m",
        "experiments.calibrate",
        "--data",
        str(data),
        *spans,
        "--out",
        str(out),
        "--folds",
        "2",
        *map(str, words),
    ]


def hear_ctrl_c() -> None:
    """A shell starts its background jobs deaf to SIGINT, and their children inherit it: a test run
    may be such a job.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_the_script_writes_what_it_says_and_an_interrupted_search_goes_on(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = (
        "--rules",
        "ewma",
        "--space",
        "ewma.span=3:90:log",
        "ewma.enter=0,0.5",
        "--trials",
        160,
        "--drawdown",
        0.5,
    )
    process = subprocess.Popen(
        command(data, out, *words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    deadline = time.monotonic() + 120
    while not (out / "ewma" / "chunks" / "0001.npz").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "go on with --resume" in said
    kept = {
        path.name: path.stat().st_mtime_ns for path in (out / "ewma" / "chunks").glob("[0-9]*.npz")
    }
    assert 2 <= len(kept) < 20
    main(tyro.cli(Args, args=command(data, out, *words, "--resume")[3:]))
    chunks = list((out / "ewma" / "chunks").glob("[0-9]*.npz"))
    assert len(chunks) == 20
    assert all(path.stat().st_mtime_ns == kept[path.name] for path in chunks if path.name in kept)
    settings = pd.read_parquet(out / "ewma" / "settings.parquet")
    assert len(settings) == 160
    assert settings["span"].nunique() > 150
    chosen = tomllib.loads((out / "calibrated.toml").read_text())["ewma"]
    best = settings.loc[settings["growth"].idxmax()]
    assert chosen == agents.make("ewma", span=best["span"], enter=best["enter"]).params.to_dict()
    assert "probability of backtest overfitting" in (out / "ewma" / "report.md").read_text()
    assert (out / "ewma" / "heatmap.png").stat().st_size > 10_000
    spans = {"train": "2021-02:2022-02", "test": "2022-03:2022-05"}
    evaluate.main(
        evaluate.Args(
            data=data,
            agents=("ewma",),
            calibrated=out / "calibrated.toml",
            out=tmp_path / "e",
            **spans,
        )
    )
    report = (out / "ewma" / "report.md").read_text()
    growth = json.loads((tmp_path / "e" / "results.json").read_text())["rows"][0]["net_log_growth"]
    assert f"on the test span: {100 * growth:+.2f}" in report


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rules", "ppo"), "--rules ppo: it learns; only rules are calibrated"),
        (("--rules", "flat"), "no search space of its own; give one: --space flat.NAME=V1,V2,.. ("),
        (
            ("--rules", "carry", "--drawdown", "0"),
            "expected at least 1 trial, and a drawdown in 0 .. 1",
        ),
        (
            ("--rules", "carry", "--space", "ewma.span=3"),
            "--space ewma.span=3: expected RULE.NAME=.. with a rule of this run (carry)",
        ),
        (
            ("--rules", "carry", "--params", "carry.leverage=2"),
            "--params carry.leverage is searched too",
        ),
        (
            ("--rules", "ewma", "--space", "ewma.enter=0:1", "ewma.exit=2:3"),
            "exit lies nowhere below enter",
        ),
        (
            ("--rules", "carry", "--drawdown", "1e-9"),
            "no setting of carry keeps --drawdown 1e-09; the smallest is 0.0",
        ),
    ],
)
def test_bad_input_is_one_line(
    data: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    args = tyro.cli(Args, args=command(data, tmp_path / "run", *words)[3:])
    with pytest.raises((AgentError, RunError)) as error:
        main(args)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_search_without_its_library_begins_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.calibrate.find_spec", lambda name: None)
    words = command(data, tmp_path / "out", "--rules", "carry", "dynamic_leverage")[3:]
    args = tyro.cli(Args, args=words)
    with pytest.raises(RunError, match=r"dynamic_leverage: Optuna.*pip install"):
        main(args)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three coins, one of which comes late and one of which goes early."""
    folder = tmp_path_factory.mktemp("listings")
    for seed, (symbol, start, years) in enumerate(
        (
            ("AAAUSDT", "2021-01-01", 0.72),
            ("BBBUSDT", "2021-02-20", 0.36),
            ("CCCUSDT", "2021-01-01", 0.3),
        )
    ):
        frames = synthetic_frames(years=years, seed=seed, symbol=symbol, start=start)
        write_frames(frames, folder, venue="binance")
    return folder


@pytest.mark.parametrize(
    "rule",
    # venue_pair needs each coin twice: tests/agents/test_venue_agents.py
    sorted(
        name
        for name in SPACES
        if issubclass(agents.agent_class(name), OneCapital) and name != "venue_pair"
    ),
)
def test_every_rule_of_one_capital_is_calibrated_on_coins_that_come_and_go(
    listings: Path, tmp_path: Path, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(listings), "--joint", "--rules", rule, "--trials", "3", "--folds", "1"]
    words += ["--train", "2021-02-01:2021-06-14", "--test", "2021-06-17:2021-08-31"]
    words += ["--env", "margin_mode=portfolio", "--out", str(tmp_path), "--drawdown", "1"]
    words += ["--embargo", "0"]
    main(tyro.cli(Args, args=words))
    said = capsys.readouterr().out
    assert f"{rule}: --trials 3 of the" in said
    table = tomllib.loads((tmp_path / "calibrated.toml").read_text())
    assert agents.make(rule, **table[rule])
    report = (tmp_path / rule / "report.md").read_text()
    assert "AAAUSDT+BBBUSDT+CCCUSDT" in report
    assert "3 settings" in report
