"""The console command and its sisters `python -m experiments...`: what they list, and what they
answer to names that do not exist.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fundenv import command, doctor
from fundenv.compiler.cache import cache_folder

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "download data train evaluate paper monitor benchmark sweep calibrate population solvable"
    " surface report info study federated forecast gpu doctor"
).split()


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A Python process that finds this checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_list_names_every_command_and_no_study() -> None:
    shown = python("-m", "fundenv", "--help").stdout
    assert max(map(len, shown.splitlines())) <= 100
    listed = {
        line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "
    }
    assert set(COMMANDS) <= listed
    assert not {"throughput", "contrib", "stress"} & listed
    assert "train" in python("-m", "experiments").stdout
    assert "throughput" in python("-m", "experiments.speed").stdout
    assert "contrib" in python("-m", "experiments.studies").stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from fundenv.command import main; main(['--help']);"
        " print([name for name in ('numba', 'pandas', 'torch', 'tyro') if name in sys.modules])"
    )
    assert python("-c", code).stdout.splitlines()[-1] == "[]"


def test_every_module_among_the_commands_is_a_command() -> None:
    files = {path.stem for path in (ROOT / "experiments").glob("[a-z]*.py")}
    assert files == set(command.scripts(ROOT / "experiments"))


@pytest.mark.parametrize("name", ["stress", "Train", "trian"])
def test_a_name_that_is_no_command_is_answered_in_one_line(name: str) -> None:
    done = python("-m", "fundenv", name)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no command '{name}'; did you mean ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_command_is_called_by_the_name_it_was_started_with(tmp_path: Path) -> None:
    assert "usage: fundenv report" in python("-m", "fundenv", "report", "--help").stdout
    shown = python("-m", "experiments.report", "--help").stdout
    assert "usage: python -m experiments.report" in shown


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        (("env",), "decision_interval"),
        (("env",), "per year"),  # a unit
        (("zscore",), "window"),
        (("venue", "binance"), "fees.perp_taker"),
        (("agents",), "buy_and_hold"),
        (("venues",), "hyperliquid"),
    ],
)
def test_info_lists_settings(
    topic: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments import info

    info.main(info.Args(topic=topic))
    assert said in capsys.readouterr().out


def test_info_refuses_what_it_does_not_know() -> None:
    from experiments import info

    with pytest.raises(info.RunError, match="info a b c: expected env, an agent"):
        info.main(info.Args(topic=("a", "b", "c")))
    with pytest.raises(info.RunError, match=r"info venue: name one of binance, .*your own TOML"):
        info.main(info.Args(topic=("venue",)))
    with pytest.raises(info.RunError, match="no topic and no agent; expected env, an agent"):
        info.main(info.Args(topic=("bogus",)))
    with pytest.raises(info.RunError, match="did you mean `info venue bybit`"):
        info.main(info.Args(topic=("bybt",)))


def test_info_names_the_file_of_a_venue(capsys: pytest.CaptureFixture[str]) -> None:
    from experiments import info

    info.main(info.Args(topic=("venue", "binance")))
    last = capsys.readouterr().out.splitlines()[-1]
    assert Path(last.removeprefix("Sources and earlier values: ")).is_file()


def test_the_doctor_finds_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {line.topic: line for line in doctor.checks(tmp_path / "nowhere", tmp_path)}
    assert lines["data"].status == "FAULT"
    assert lines["Python"].status == lines["core"].status == lines["cache"].status == "ok"
    (tmp_path / "binance_BTCUSDT_funding.parquet").touch()
    assert doctor.main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("all is well\n")
    assert doctor.main(["--data", str(tmp_path / "nowhere")]) == 1


@pytest.mark.slow
def test_the_doctor_compiles_every_form_ahead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(["--warm", "--out", str(tmp_path)]) == 0
    told = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("ok    compiled")
    ]
    assert [line.split()[2:4] for line in told] == [
        ["one", "asset:"],
        ["several", "assets:"],
        ["inverse", "contracts:"],
        ["both", "kinds"],
        ["money", "that"],
        ["vectors:", "ready"],
    ]
    kept = cache_folder()
    assert kept is not None
    forms = {path.name.rsplit("-", 1)[0] for path in Path(kept).glob("*.code")}
    steps = {"_step_one_asset", "_step_assets", "_step_inverse", "_step_placed", "_step_mixed"}
    resets = {"_reset_assets", "_reset_inverse", "_reset_placed", "_reset_mixed"}
    assert forms >= steps | resets | {"_step_lanes"}


def test_the_doctor_finds_a_cache_that_takes_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fundenv.compiler.cache.cache_folder", lambda: None)
    lines = {line.topic: line for line in doctor.checks(None, tmp_path)}
    assert lines["cache"].status == "FAULT"
    assert "NUMBA_CACHE_DIR" in lines["cache"].text


def test_a_command_without_its_dot_says_how_it_is_named() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "experiments", "info", "env"], capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert ran.stderr == "error: a command is named behind a dot: python -m experiments.info\n"
