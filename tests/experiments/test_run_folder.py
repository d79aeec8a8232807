"""The folder of a run: what a continued run may change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.core.run_folder import RunError, open_run, read_json


def test_a_run_goes_on_where_an_option_came_later_and_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"seed": 1}))
    args = {"seed": 1, "joint": False, "accept": []}
    assert open_run(tmp_path, "train", args, ("seed", "joint", "accept"), resume=True) == tmp_path
    assert read_json(tmp_path / "config.json") == args


@pytest.mark.parametrize("changed", [{"seed": 2}, {"joint": True}, {"accept": ["factor"]}])
def test_a_changed_option_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"seed": 1}))
    args = {"seed": 1, "joint": False, "accept": []} | changed
    with pytest.raises(RunError, match="use the same, or choose another --out") as error:
        open_run(tmp_path, "train", args, ("seed", "joint", "accept"), resume=True)
    assert "\n" not in str(error.value)
