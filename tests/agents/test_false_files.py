"""A changed, damaged or forged saved agent is refused in one line, and nothing in it runs."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import agents
from agents import AgentError
from agents.checkpoint import CHECKPOINT, fingerprint
from agents.sb3 import archive
from tests.agents.old_files import packed, saved


def refused(folder: Path) -> str:
    with pytest.raises(AgentError) as error:
        agents.load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_changed_file_is_refused(old: Path) -> None:
    folder = saved(old)
    assert agents.load(folder).name == "ppo"
    before = fingerprint(folder)
    data = bytearray((folder / "model.zip").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.zip").write_bytes(data)
    assert "model.zip is not what was saved (SHA-256 " in refused(folder)
    (folder / "model.zip").unlink()
    assert "lacks model.zip" in refused(folder)
    assert fingerprint(folder) == before  # that of the record, which holds the hashes


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"agent": "ppo"}', '{"agent": 3, "files": 5}']
)
def test_a_damaged_record_is_refused(text: str, old: Path) -> None:
    folder = saved(old)
    (folder / CHECKPOINT).write_text(text)
    assert CHECKPOINT in refused(folder)


@pytest.mark.parametrize(
    ("key", "value"), [("params", []), ("env", 3), ("observations", 4), ("steps_done", "a")]
)
def test_a_record_with_a_value_of_another_type_is_refused(key: str, value: Any, old: Path) -> None:
    folder = saved(old)
    record = json.loads((folder / CHECKPOINT).read_text())
    (folder / CHECKPOINT).write_text(json.dumps(record | {key: value}))
    assert f"{key} = '{value}': expected" in refused(folder)


def test_a_record_cannot_name_a_file_outside(old: Path) -> None:
    folder = saved(old)
    record = json.loads((folder / CHECKPOINT).read_text())
    record["files"] = {"../ppo/model.zip": "0"}
    (folder / CHECKPOINT).write_text(json.dumps(record))
    assert "which lies outside its folder" in refused(folder)


class Runs:
    """A pickle of it calls a function of the system when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return subprocess.check_call, (["touch", str(self.mark)],)


def forged(folder: Path, name: str) -> None:
    """Make the record agree with a file that was changed, as a forger would."""
    from hashlib import sha256

    record = json.loads((folder / CHECKPOINT).read_text())
    record["files"][name] = sha256((folder / name).read_bytes()).hexdigest()
    (folder / CHECKPOINT).write_text(json.dumps(record))


@pytest.mark.parametrize("name", ["model.zip", "snapshot.pt", "replay.pkl"])
def test_nothing_in_a_saved_agent_runs(name: str, old: Path) -> None:
    agents.load(old / "sac_under_way").save(old / "new")
    folder, mark = old / "new", old / "it-ran"
    path = folder / name
    if name == "model.zip":
        from stable_baselines3.common.save_util import data_to_json

        with zipfile.ZipFile(path) as archive_before:
            parts = {each: archive_before.read(each) for each in archive_before.namelist()}
        data = json.loads(parts["data"]) | json.loads(data_to_json({"lr_schedule": Runs(mark)}))
        with zipfile.ZipFile(path, "w") as archive_after:
            for each, value in (parts | {"data": json.dumps(data).encode()}).items():
                archive_after.writestr(each, value)
    elif name == "snapshot.pt":
        torch.save({"model": Runs(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Runs(mark)))
    forged(folder, name)
    said = refused(folder)
    # torch writes the name that Python 2 had: commands.check_call
    assert "check_call, which a saved learner does not need and which would run here" in said
    assert not mark.exists()


def test_a_damaged_archive_without_a_recorded_hash_is_refused_in_one_line(old: Path) -> None:
    for name, file in (
        ("ppo", "model.zip"),
        ("sac_under_way", "replay.pkl"),
        ("sac_under_way", "snapshot.pt"),
    ):
        path = old / name / file
        whole = path.read_bytes()
        for piece in (whole[: len(whole) // 2], b"", b"nonsense"):
            path.write_bytes(piece)
            assert f"{file} cannot be read" in refused(old / name)
        path.write_bytes(whole)


def test_a_users_class_is_allowed_and_a_function_is_not() -> None:
    reader = type("Reader", (archive.Unpickler,), {"own": "tests"})
    from io import BytesIO

    found = reader(BytesIO(pickle.dumps(Runs))).load()
    assert found is Runs
    with pytest.raises(AgentError, match=r"names tests.agents.old_files.saved"):
        reader(BytesIO(pickle.dumps(saved))).load()


def test_a_name_that_a_module_of_ours_has_only_imported_is_refused() -> None:
    from io import BytesIO

    for name in (b"agents.registry\nPath", b"agents.registry\nload", b"agents.checkpoint\nshutil"):
        with pytest.raises(AgentError, match="which a saved learner does not need"):
            archive.Unpickler(BytesIO(b"c" + name + b"\n.")).load()


@pytest.mark.parametrize(
    ("name", "inside"), [("model.zip", ""), ("model.zip", "policy.pth"), ("snapshot.pt", "")]
)
def test_an_archive_that_would_grow_is_refused_before_it_is_read(
    name: str, inside: str, old: Path
) -> None:
    agents.load(old / "sac_under_way").save(old / "new")
    folder = old / "new"
    packed(folder / name, inside)
    forged(folder, name)
    said = refused(folder)
    assert f"{name}: zeros would grow from" in said
    assert said.count(name) == 1


def test_members_that_lie_over_one_another_are_refused(old: Path) -> None:
    folder = saved(old)
    path = folder / "model.zip"
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack("<HII", data[end + 10 : end + 20])
    again = struct.pack("<HHII", 4 * count, 4 * count, 4 * size, start)
    directory = 4 * data[start : start + size]  # each entry four times, at the same bytes
    path.write_bytes(data[:start] + directory + data[end : end + 8] + again + data[end + 20 :])
    forged(folder, "model.zip")
    assert "model.zip: its members would grow from" in refused(folder)
