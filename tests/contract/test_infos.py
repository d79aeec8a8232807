"""Libraries in C that read an info as it stands."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.contract.world import EPISODE, MODULE_ID


def infos() -> list[dict[str, Any]]:
    env = gym.make(MODULE_ID, **EPISODE)
    return [env.reset(seed=0)[1], env.step(np.array([1, 0, 0], np.float32))[4]]


def test_json() -> None:
    for info in infos():
        assert json.loads(json.dumps(info)) == info


@pytest.mark.parametrize("name", ["orjson", "ormsgpack"])
def test_orjson_and_ormsgpack(name: str) -> None:
    library = pytest.importorskip(name, reason=f"no {name}: pip install {name}")
    read = library.loads if name == "orjson" else library.unpackb
    write = library.dumps if name == "orjson" else library.packb
    for info in infos():
        assert info
        assert read(write(info)) == info


def test_dm_tree() -> None:
    tree = pytest.importorskip("tree", reason="no dm_tree: pip install dm-tree")
    for info in infos():
        assert len(tree.flatten(info)) == len(info) > 0


def test_hdf5(tmp_path: Any) -> None:
    h5py = pytest.importorskip("h5py", reason="no h5py: pip install h5py")
    for info in infos():
        with h5py.File(tmp_path / "info.h5", "w") as file:
            for key, value in info.items():
                file.create_dataset(key, data=value)
        with h5py.File(tmp_path / "info.h5") as file:
            assert {key: file[key][()] for key in file} == info
