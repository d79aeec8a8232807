"""Where compiled code is kept: folders that cannot be read or written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fundenv.compiler import cache
from tests.compiler.small_entry import CALL, ROOT, compiled, end, start


def unwritable(folder: Path) -> None:
    """As another user's folder, or the layer of a container: root may write everywhere, so a
    process of root drops that right in `as_user`.
    """
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that begin now may not write where their user may not."""
    if os.getuid() != 0:
        return
    drop = shutil.which("setpriv")
    if drop is None:
        pytest.skip("root writes everywhere, and setpriv is not here")
    rights = "--bounding-set=-dac_override,-dac_read_search,-fowner"
    plain = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **how: plain([drop, rights, *command], **how)
    )


@compiled
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are told otherwise here")
def test_a_read_only_folder_gives_way_to_a_temporary_one(
    tmp_path: Path, first_folder: Path, as_user: None
) -> None:
    """It exists, so making it raises nothing; numba fell back to a `__pycache__` in the source."""
    read_only, temporary = tmp_path / "ro", tmp_path / "tmp"
    (name,) = (path.name for path in first_folder.iterdir())
    (read_only / name).mkdir(parents=True)
    temporary.mkdir()
    unwritable(read_only)
    folder, said = end(start(read_only, TMPDIR=str(temporary)))
    own = temporary / f"fundenv-{os.getuid()}"
    assert (Path(folder), said) == (own / name, "compiling\n")
    assert own.stat().st_mode & 0o777 == 0o700
    assert end(start(read_only, TMPDIR=str(temporary))) == (folder, "")
    assert not list(read_only.rglob("*.*"))


@compiled
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are told otherwise here")
def test_code_in_a_read_only_folder_is_used(tmp_path: Path, folder: Path, as_user: None) -> None:
    """As in the image of a container that was warmed up when it was built."""
    (tmp_path / "tmp").mkdir()
    unwritable(folder)
    _, said = end(start(folder, TMPDIR=str(tmp_path / "tmp")))
    assert said == ""


@compiled
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are told otherwise here")
def test_a_package_that_cannot_be_written_is_compiled_once(tmp_path: Path, as_user: None) -> None:
    """As in the system's site-packages, where no folder is named: the code lies in the home."""
    package, home = tmp_path / "site-packages", tmp_path / "home"
    for part in ("fundenv", "tests"):
        shutil.copytree(ROOT / part, package / part, ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir()
    unwritable(package)
    runs = [end(start(None, package, HOME=str(home))) for _ in range(2)]
    assert [said for _, said in runs] == ["compiling\n", ""]
    assert {Path(folder).parent for folder, _ in runs} == {home / ".cache"}
    assert not list(package.rglob("__pycache__"))


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`cache_folder` of a process that has not asked yet."""
    monkeypatch.setattr(cache, "wished_folder", cache.wished_folder.__wrapped__)
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return cache.cache_folder.__wrapped__


def test_a_user_without_a_home_keeps_code_in_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any
) -> None:
    """As in a container with a user of any number: `~` has no meaning there."""

    def nowhere(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nowhere)
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    assert Path(fresh()).parent.parent == tmp_path


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are told otherwise here")
@pytest.mark.parametrize("kind", ["open to all", "a link", "a file"])
def test_a_temporary_folder_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any, kind: str
) -> None:
    """What lies there is run: another user could have put it there."""
    own = tmp_path / f"fundenv-{os.getuid()}"
    if kind == "open to all":
        own.mkdir()
        own.chmod(0o777)
    elif kind == "a link":
        (tmp_path / "other").mkdir()
        own.symlink_to(tmp_path / "other")
    else:
        own.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/dev/null/nowhere")
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    assert fresh() is None


@compiled
def test_without_any_folder_every_process_compiles(tmp_path: Path) -> None:
    nowhere = {"NUMBA_CACHE_DIR": "/dev/null/nowhere", "TMPDIR": "/dev/null"}
    (tmp_path / "fundenv-0").touch()
    script = CALL.replace("made =", "cache.tempfile.gettempdir = lambda: '/dev/null'; made =")
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            cwd=ROOT,
            env=os.environ | nowhere | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("42 None\n", "compiling\n")


def test_a_full_disk_costs_the_next_run_a_compilation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.write_code(tmp_path / "gone" / "double.code", b"code")
    said = capsys.readouterr().err
    assert said.startswith("fundenv: the compiled code cannot be kept in ")
    assert said.count("\n") == 1
