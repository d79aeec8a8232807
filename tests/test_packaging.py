"""What a stranger relies on: requirements, pins, data files of the package, make targets, and that
the README tells the truth.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import resources
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import fundenv
from tests.plain_python import run_code

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# rllib is never installed by `make`; torch pins the NVIDIA packages, each build other ones
PINNED_ELSEWHERE = ("rllib", "cuda", "ptx", "peers")


def pins() -> dict[str, Version]:
    """Name -> version of every line of constraints.txt."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            # no local version, no path, no address
            match = re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)", line)
            assert match, f"constraints.txt: {line!r} is not name==version"
            found[canonical(match[1])] = Version(match[2])
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(*extras: str) -> list[Requirement]:
    """The core dependencies and those of the extras named, references to the project itself left
    out.
    """
    lines = PROJECT["dependencies"] + [
        line for extra in extras for line in PROJECT["optional-dependencies"][extra]
    ]
    return [r for r in map(Requirement, lines) if r.name != "fundenv"]


def test_core_dependencies_are_what_the_environment_needs() -> None:
    assert {r.name for r in requirements()} == {"numpy", "pandas", "pyarrow", "numba", "gymnasium"}


def test_every_direct_requirement_has_a_pin_that_satisfies_it() -> None:
    extras = [extra for extra in PROJECT["optional-dependencies"] if extra not in PINNED_ELSEWHERE]
    pinned = pins()
    for requirement in requirements(*extras):
        assert canonical(requirement.name) in pinned, (
            f"{requirement.name} is not in constraints.txt"
        )
        version = pinned[canonical(requirement.name)]
        assert requirement.specifier.contains(version), (
            f"{requirement} does not admit {version} of constraints.txt"
        )


def test_pins_that_other_things_depend_on() -> None:
    assert pins()["torch"] == Version("2.13.0")
    # what ray 2.60 pins: one set of pins must serve the extra rllib too
    assert pins()["gymnasium"] == Version("1.2.2")
    assert "ray[rllib]==2.60.*" in PROJECT["optional-dependencies"]["rllib"]


def test_versions_agree() -> None:
    released = re.search(
        r"^## \[(\d+\.\d+\.\d+)\]",
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert released
    assert fundenv.__version__ == PROJECT["version"] == released[1]


def test_package_carries_its_data_files() -> None:
    package = resources.files("fundenv")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("venues", "binance.toml").is_file()


def test_top_level_folders_are_the_agreed_ones() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert folders <= {"fundenv", "agents", "experiments", "tests", "docs", "data", ".ci"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def strange_place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(bin folder of a venv with the wheel, a working folder), each beside packages of others: an
    `agents` in the venv, as openai-agents installs one, and an `experiments` in the working folder.
    """
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    packages = next(venv.glob("lib/python*/site-packages"))
    install = [sys.executable, "-m", "pip", "--python", venv, "install", "--no-deps", "--no-index"]
    subprocess.run([*install, wheel], check=True, capture_output=True)
    own = sysconfig.get_paths()["purelib"]  # the dependencies, not the checkout
    (packages / "dependencies.pth").write_text(own + "\n")
    work = tmp_path_factory.mktemp("work")
    for place in (packages / "agents", work / "experiments"):
        place.mkdir()
        (place / "__init__.py").write_text("whose = 'of another project'\n")
    (work / "mine.py").write_text(
        "from agents.rules.flat import Flat\n\n\nclass Mine(Flat):\n    name = 'mine'\n"
    )
    return venv / "bin", work


def called_in(place: tuple[Path, Path], *command: str) -> subprocess.CompletedProcess[str]:
    """A command of the venv, run in the working folder, without this checkout on its path."""
    environment = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
    program, *rest = command
    return subprocess.run(
        [str(place[0] / program), *rest],
        cwd=place[1], env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_wheel_owns_the_name_fundenv_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"fundenv", f"fundenv-{fundenv.__version__}.dist-info"}
    assert "fundenv/bundled/agents/presets/quick.toml" in names
    assert "fundenv/bundled/experiments/train.py" in names
    assert "fundenv/venues/binance.toml" in names


@pytest.mark.slow
def test_the_command_of_a_wheel_lives_beside_other_packages_of_the_same_names(
    strange_place: tuple[Path, Path],
) -> None:
    done = called_in(strange_place, "fundenv", "train", "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: fundenv train" in done.stdout
    done = called_in(strange_place, "fundenv", "report", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: nowhere does not exist" in done.stderr
    done = called_in(strange_place, "fundenv", "doctor")
    assert "another project's 'agents' lies in" in done.stdout


def test_code_of_the_users_own_chooses_whose_agents_it_imports(
    strange_place: tuple[Path, Path],
) -> None:
    theirs = "import fundenv, agents, experiments; print(agents.whose, experiments.whose)"
    assert (
        called_in(strange_place, "python", "-c", theirs).stdout
        == "of another project of another project\n"
    )
    ours = (
        "import subprocess, sys, fundenv; fundenv.add_bundled_to_path(); import agents;"
        " print(agents.make('zscore').name, flush=True); subprocess.run([sys.executable, '-c',"
        " 'import agents; print(agents.names()[0])'])"
    )
    done = called_in(strange_place, "python", "-c", ours)
    assert done.stdout == "zscore\nallocation\n", done.stderr  # child processes too
    late = "import agents, fundenv; fundenv.add_bundled_to_path()"
    done = called_in(strange_place, "python", "-c", late)
    assert "a package 'agents' of another project is imported already" in done.stderr


@pytest.mark.slow
def test_a_wheel_trains_and_compares_with_workers(strange_place: tuple[Path, Path]) -> None:
    spans = ("--train", "2020-01:2020-03", "--test", "2022-01:2022-01")
    done = called_in(
        strange_place, "fundenv", "benchmark", "--agents", "flat", "mine:Mine", "threshold",
        "--steps", "1", "--seeds", "2", "--folds", "0", "--workers", "2", "--cash-rates", "0.02",
        "--preset", "quick", "--out", "runs/one", *spans,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    saved = "runs/one/agents/threshold-1"
    assert (strange_place[1] / saved / "checkpoint.json").is_file()
    done = called_in(
        strange_place, "python", "-m", "fundenv", "evaluate", "--agents", saved, "flat", *spans
    )
    assert done.returncode == 0, done.stderr
    assert "threshold" in done.stdout


def test_make_targets_named_in_the_readme_exist() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert {"demo", "test", "review"} <= named <= targets


def test_modules_named_in_readme_and_makefile_exist() -> None:
    for module in set(re.findall(r"-m ((?:experiments|agents|fundenv)[.\w]*)", README + MAKEFILE)):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), (
            f"python -m {module}"
        )


def test_files_linked_in_the_readme_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(re.findall("```python\n", README))))
def test_readme_examples_run(number: int, tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    done = run_code(code, tmp_path)
    assert done.returncode == 0, done.stderr
    if "episode.png" in code:
        assert (tmp_path / "episode.png").stat().st_size > 10_000


def test_an_old_python_is_refused_in_one_line(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "fundenv needs Python >= 3.11" in line]
    assert len(said) == 1
    assert "Python 3.9.2" in said[0]
    assert not (tmp_path / "venv").exists()


def test_the_dockerfile_copies_what_the_wheel_is_made_of() -> None:
    text = (ROOT / "experiments" / "published" / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (.+)$", text, re.M) for word in line.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(built["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]) <= copied
    assert {"pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= copied


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make .*\btest\b", script.read_text(encoding="utf-8"), re.MULTILINE)
