"""A folder that takes no files is found before the work, and a full disk loses nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agents
from experiments import evaluate
from experiments.core.run_folder import require_room
from tests.experiments.called import TEST, Capture, called, refused


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=False)
    if done.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path, left: int, name: str = "filler") -> None:
    """Leave so many bytes."""
    stats = os.statvfs(disk)
    (disk / name).write_bytes(b"0" * (stats.f_bavail * stats.f_frsize - left))


def test_a_disk_without_room_is_found_before_the_work(small_disk: Path, capsys: Capture) -> None:
    fill(small_disk, 1_000_000)
    said = refused(capsys, evaluate, "--out", str(small_disk / "one"), *TEST)
    assert "MB free, a run needs at least 20 MB" in said
    fill(small_disk, 0, "more")
    assert "No space left" in refused(capsys, evaluate, "--out", str(small_disk / "two"), *TEST)


def test_a_disk_that_fills_up_loses_no_table(
    small_disk: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_out = evaluate.roll_out

    def and_fill(*args: Any) -> Any:
        found = roll_out(*args)
        if not (small_disk / "filler").exists():
            fill(small_disk, 20_000)
        return found

    monkeypatch.setattr(evaluate, "roll_out", and_fill)
    words = ("--agents", "flat", "carry", "--out", str(small_disk / "one"), *TEST)
    assert called(evaluate, *words) == 2
    found = capsys.readouterr()
    assert "carry" in found.out
    assert "the tables above are not kept" in found.err


def test_a_full_disk_keeps_the_last_good_checkpoint(small_disk: Path) -> None:
    agents.make("carry").save(small_disk / "one")
    before = (small_disk / "one" / "checkpoint.json").read_bytes()
    fill(small_disk, 0)
    with pytest.raises(agents.AgentError, match=r"could not be saved.*No space left.*is kept"):
        agents.make("zscore").save(small_disk / "one")
    assert (small_disk / "one" / "checkpoint.json").read_bytes() == before
    assert agents.load(small_disk / "one").name == "carry"


def test_require_room_makes_the_folder(tmp_path: Path) -> None:
    require_room(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
