"""Calibration: the sweep agrees with walks of single rules, folds look at the past alone, the
script resumes and refuses in one line.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro

import agents
from agents import AgentError
from agents.rules.capital import OneCapital
from experiments import evaluate
from experiments.analysis.walk_forward import deepest, folds, scores, walk_forward, yearly
from experiments.calibrate import Args, main
from experiments.calibration import parameter_file as calibrated
from experiments.calibration.draws import drawn, size
from experiments.calibration.search import SPACES, Proposals, dimensions, grid, in_order
from experiments.core.run_folder import RunError
from experiments.rollout.make import roll_out
from experiments.rollout.sweep import sweep
from fundenv.market import Market, synthetic_frames, synthetic_market, write_frames

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.5, paths=2, seed=4)


def test_a_sweep_agrees_with_walks_of_single_rules(market: Market) -> None:
    values = {"span": np.array([3.0, 30.0]), "leverage": np.array([2.0, 5.0])}
    found = sweep("ewma", {"enter": 0.2}, values, market, {})
    assert found is not None
    assert found.growth.shape[:2] == (2, len(found.symbols))
    for k in range(2):
        for s, item in enumerate(
            roll_out(
                agents.make(
                    "ewma", enter=0.2, span=values["span"][k], leverage=values["leverage"][k]
                ),
                market,
                {},
            )
        ):
            years = len(item.time) * 8 / 8760
            assert item.symbol == found.symbols[s]
            assert found.growth[k, s].sum() / years == pytest.approx(
                item.metrics().net_log_growth, abs=1e-7
            )
            assert found.turnover[k, s] * found.years == pytest.approx(
                (item.turnover / item.equity[:-1]).sum()
            )
            # the walk starts at midnight, three steps a day
            daily = np.diff(np.log(item.equity[::3])) - 0.045 / 365
            assert found.growth[k, s, : len(daily)] == pytest.approx(daily, abs=1e-8)


def test_growth_and_drawdown_by_hand() -> None:
    day = 0.01
    # 2 settings, 2 symbols, 3 days
    growth = np.array(
        [[[day, -3 * day, day], [0.0, 0.0, 0.0]], [[-day, day, day], [0.0, 0.0, 0.0]]], np.float32
    )
    assert yearly(growth) == pytest.approx([-day / 6 * 365, day / 6 * 365])
    assert deepest(growth, 0.0) == pytest.approx([1 - np.exp(-0.03), 1 - np.exp(-0.01)], rel=1e-5)
    # equity earns the cash rate on top
    assert deepest(growth, 0.365)[0] == pytest.approx(1 - np.exp(-0.03 + 0.001), rel=1e-5)
    assert scores(growth, 0.0, 0.02).tolist() == [-np.inf, pytest.approx(day / 6 * 365)]


def test_folds_expand_and_purge() -> None:
    parts = folds(1000, 4, 14)
    assert [(f.fit, f.start, f.end) for f in parts] == [
        (186, 200, 400),
        (386, 400, 600),
        (586, 600, 800),
        (786, 800, 1000),
    ]
    with pytest.raises(RunError, match="--folds 10: the first of them leaves"):
        folds(700, 10, 14)


def test_a_fold_chooses_by_what_lies_before_its_embargo() -> None:
    rng = np.random.default_rng(0)
    growth = (rng.standard_normal((30, 2, 1000)) * 1e-4).astype(np.float32)
    growth[3, :, :186] += 1e-3
    growth[8, :, 186:400] += 1.0  # brilliant within the embargo and afterwards
    out = walk_forward(growth, folds(1000, 4, 14)[:1], 8, cash_rate=0.0, limit=1.0)
    assert out.chosen == [3]
    assert out.judged == pytest.approx(yearly(growth[:, :, 200:400])[3:4])
    assert out.final == pytest.approx(yearly(growth[:, :, 200:400])[8:9])


def test_spaces() -> None:
    space = dimensions("ewma", ["enter=0,0.5", "exit=-0.5,0.2,0.7", "leverage=3"])
    values = grid(space)
    assert len(values["enter"]) == 6
    assert in_order("ewma", {}, values).sum() == 3  # exit below enter
    assert in_order("ewma", {"enter": 1.0}, {"exit": np.array([0.9, 1.1])}).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spam=3", r"agent ewma has no parameter 'spam'; did you mean span\?"),
        ("span=0,3", r"agent ewma: span = 0 is outside 1 \.\. 2000; set it within"),
        ("span=3:9000", r"agent ewma: span = 9000.0 is outside 1 \.\. 2000"),
        ("span=9:3", r"--space span=9:3: expected LOW < HIGH"),
        ("span=1:3:lag", r"--space span=1:3:lag: expected LOW < HIGH"),
        ("span=a:b", r"--space span=a:b: expected NAME=LOW:HIGH"),
        ("span=x", r"--space span=x: 'x' is no list of numbers"),
        ("span", r"--space span: expected NAME=V1,V2"),
    ],
)
def test_wrong_spaces_are_named(text: str, said: str) -> None:
    with pytest.raises((AgentError, RunError), match=said):
        dimensions("ewma", [text])


def test_optuna_finds_a_peak() -> None:
    search = Proposals(dimensions("ewma", ["span=1:1000:log", "enter=-3:3"]), seed=0)
    best = -np.inf
    for _ in range(15):
        trials, values = search.ask(20)
        found = -((np.log10(values["span"]) - 2) ** 2) - (values["enter"] - 1) ** 2
        search.tell(trials, found.tolist())
        best = max(best, float(found.max()))
    assert best > -0.01


def test_calibrated_parameters_survive_the_file(tmp_path: Path) -> None:
    tables = {
        "zscore": agents.make("zscore", entry=2, two_sided=True).params.to_dict(),
        "carry": {"leverage": 2.5},
    }
    calibrated.write(tmp_path / "calibrated.toml", tables, {"zscore": ["best of 3"], "carry": []})
    assert calibrated.read(tmp_path / "calibrated.toml") == tables
    (tmp_path / "wrong.toml").write_text("[zscore]\nentry = 30\n")
    with pytest.raises(AgentError, match=r"agent zscore: entry = 30 is outside 0 \.\. 20"):
        calibrated.read(tmp_path / "wrong.toml")
    with pytest.raises(RunError, match=r"no file .*none.toml; write one with"):
        calibrated.read(tmp_path / "none.toml")


# --- the script -----------------------------------------------------------------------------------


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


def test_a_grid_is_tried_whole_or_drawn_without_repetition() -> None:
    space = dimensions("rotation", [])
    whole = drawn(space, "rotation", {}, 5000, 0)
    assert len(whole["span"]) == size(space) == 2304
    for rule, most in (("rotation", 50), ("margin_carry", 40)):
        space = dimensions(rule, [])
        some, again, other = (drawn(space, rule, {}, most, seed) for seed in (0, 0, 1))
        rows = np.column_stack(list(some.values()))
        assert len(np.unique(rows, axis=0)) == len(rows) == most
        assert in_order(rule, {}, some).all()
        assert np.array_equal(rows, np.column_stack(list(again.values())))
        assert not np.array_equal(rows, np.column_stack(list(other.values())))
    with pytest.raises(RunError, match="no combination of the values of ewma keeps the order"):
        drawn(dimensions("ewma", ["enter=0,1", "exit=2,3"]), "ewma", {}, 5, 0)


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
    sorted(name for name in SPACES if issubclass(agents.agent_class(name), OneCapital)),
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
