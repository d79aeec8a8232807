"""The files of a saved agent: old ones load, changed ones are refused, nothing in them runs, and a
save that fails leaves the one before.
"""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents import AgentError, Learner
from agents.checkpoint import CHECKPOINT, fingerprint
from agents.params import FORMER
from agents.sb3 import archive
from fundenv.batch.cpu import Batch
from fundenv.dynamics.types import Params
from fundenv.market import Market, synthetic_market

# Three small agents, saved by the tree before its modules moved (commit 493a3f6), each with its
# answers to eight random observations. One of them was in the middle of its training.
OLD = Path(__file__).with_name("saved_before_the_move.zip")


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(OLD) as packed:
        packed.extractall(tmp_path)
    return tmp_path


def values_of(agent: Any, obs: Any) -> Any:
    """Logits of PPO, values of SAC."""
    with torch.no_grad():
        if hasattr(agent, "heads"):
            return torch.cat(agent.heads(obs), dim=1).numpy()
        return agent.model.q_net(torch.as_tensor(obs)).numpy()


@pytest.mark.parametrize("name", ["ppo", "ppo_with_a_rule", "sac_under_way"])
def test_an_agent_saved_before_the_modules_moved_acts_as_it_did(
    name: str, old: Path, market: Market
) -> None:
    agent = agents.load(old / name)
    batch = Batch(8, market=market, **agent.env_settings())
    agent.bind(batch)
    shape = (8, len(batch.observation_table))
    obs = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    expected = json.loads((old / name / "expected.json").read_text())
    np.testing.assert_allclose(agent.act(obs), expected["actions"], atol=1e-6)
    agent.reset()
    np.testing.assert_allclose(values_of(agent, obs), expected["values"], atol=2e-5)


def test_a_training_begun_before_the_modules_moved_goes_on(
    old: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agents.load(old / "sac_under_way")
    assert isinstance(agent, Learner)
    assert agent.steps_done == 92
    given, restore = [], Batch.restore
    monkeypatch.setattr(Batch, "restore", lambda b, state: given.append(state) or restore(b, state))
    agent.learn(market, {"cash_rate": 0.02}, steps=200, seed=0)
    # in the env in which it began, which lent coins without limit
    assert (given[0]["params"][:, Params._fields.index("base_supply")] == 0.0).all()
    agent.save(old / "sac_under_way")
    left = {path.name for path in (old / "sac_under_way").iterdir()}
    assert left == {CHECKPOINT, "model.zip", "expected.json"}  # no stale snapshot, no stale replay
    assert agents.load(old / "sac_under_way").steps_done == 200  # type: ignore[attr-defined]


def test_former_names_of_parameters_are_read_and_written_under_the_present_ones(
    old: Path,
) -> None:
    before = json.loads((old / "ppo" / CHECKPOINT).read_text())["params"]
    agent = agents.load(old / "ppo")
    agent.save(old / "new")
    after = json.loads((old / "new" / CHECKPOINT).read_text())["params"]
    assert set(FORMER) <= set(before)
    assert after == {FORMER.get(name, name): value for name, value in before.items()}
    with pytest.raises(AgentError, match="rehearse and counterfactual_rounds are one parameter"):
        agents.make("ppo", rehearse=1, counterfactual_rounds=2)
    with pytest.raises(AgentError, match="agent sac has no parameter 'rehearse'"):
        agents.make("sac", rehearse=1)


def saved(old: Path) -> Path:
    """A small agent, saved by the present tree."""
    agents.load(old / "ppo").save(old / "new")
    return old / "new"


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
    with pytest.raises(AgentError, match=r"names tests.agents.test_saved_files.saved"):
        reader(BytesIO(pickle.dumps(saved))).load()


class Fails:
    """Stands in for a disk that is full: the file is begun, and then no more bytes fit."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def __call__(self, folder: Path) -> None:
        (folder / "model.zip").write_bytes(b"half")
        raise OSError(28, "No space left on device")


def test_a_save_that_fails_keeps_the_one_before(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(old)
    kept = fingerprint(folder)
    agent = agents.load(folder)
    monkeypatch.setattr(agent, "write", Fails(agent))
    with pytest.raises(AgentError, match=r"could not be saved in .*No space left.*before is kept"):
        agent.save(folder)
    assert fingerprint(folder) == kept
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, "model.zip"}
    assert agents.load(folder).name == "ppo"


KILLED = """
import os, sys
from pathlib import Path
import agents
moves = 0
replace = Path.replace
def dies(self, target):
    global moves
    moves += 1
    if moves > int(sys.argv[2]):
        os._exit(9)
    return replace(self, target)
Path.replace = dies
agent = agents.load(sys.argv[1])
agent.steps_done = 999
agent.save(sys.argv[1])
"""


@pytest.mark.parametrize("moves", [0, 1, 2, 3, 4])
def test_a_process_that_dies_while_it_saves_leaves_one_whole_agent(moves: int, old: Path) -> None:
    agents.load(old / "sac_under_way").save(old / "new")
    done = subprocess.run([sys.executable, "-c", KILLED, str(old / "new"), str(moves)], check=False)
    assert done.returncode == 9
    found: Any = agents.load(old / "new")
    assert found.steps_done == (92 if moves == 0 else 999)
    shutil.rmtree(old / "new")


def test_a_name_that_a_module_of_ours_has_only_imported_is_refused() -> None:
    from io import BytesIO

    for name in (b"agents.registry\nPath", b"agents.registry\nload", b"agents.checkpoint\nshutil"):
        with pytest.raises(AgentError, match="which a saved learner does not need"):
            archive.Unpickler(BytesIO(b"c" + name + b"\n.")).load()


def packed(path: Path, inside: str = "") -> None:
    """Write the archive anew with a member of zeros that takes a thousandth of its size; `inside`
    names the member that is an archive itself and gets it.
    """
    with zipfile.ZipFile(path) as before:
        parts = {each: before.read(each) for each in before.namelist()}
    if inside:
        part = path.with_name("part")
        part.write_bytes(parts[inside])
        packed(part)
        parts[inside] = part.read_bytes()
        part.unlink()
    with zipfile.ZipFile(path, "w") as after:
        for each, value in parts.items():
            after.writestr(each, value)
        if not inside:
            after.writestr("zeros", bytes(30_000_000), zipfile.ZIP_DEFLATED)


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
