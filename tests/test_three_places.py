"""A new setting, and a new observation, are each written in three places: shown by adding one to a
copy of the package and stepping it. The edits below are the how-to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fundenv

# file -> what is looked for, and what then stands there
SETTING = {
    # 1. the setting: type, range, unit and a line of text
    "config.py": (
        "    # training and stress\n",
        "    # training and stress\n"
        '    toll: Annotated[float, Range(0, 100, "quote per decision")] = 0.0\n'
        '    """Money that every decision takes from the account."""\n',
    ),
    # 2. the number that the kernel reads; it may then be drawn or set for each environment too
    "dynamics/types.py": (
        "    margin_level: float\n",
        "    margin_level: float\n    toll: float  # quote taken by every decision\n",
    ),
    # 3. the rule
    "dynamics/step.py": (
        "    p = params_of(store.params, i)\n",
        "    p = params_of(store.params, i)\n    store.account[i, 0] -= p.toll\n",
    ),
}
OBSERVATION = {
    # 1. the column: meaning, unit, limits, scale
    "dynamics/observation.py": (
        "ACCOUNT_COLUMNS = (\n",
        'ACCOUNT_COLUMNS = (\n    Column("half", "one half", "fraction", 0, 10, 0.1),\n',
        # 2. its value
        "    put(obs, i, at, ACCOUNT.free_cash",
        "    put(obs, i, at, ACCOUNT.half, 0.5)\n    put(obs, i, at, ACCOUNT.free_cash",
    ),
}
ASK = """
import numpy as np
from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError, EnvConfig
from fundenv.settings import describe

def equity(**settings):
    batch = Batch(2, decision_interval="1h", actions="target", **settings)
    batch.reset(0)
    batch.step(np.zeros(batch.actions.shape, np.float32))
    return batch.store.account[:, 1].copy(), batch
"""
ASK_SETTING = """
plain, tolled = equity()[0], equity(toll=10.0)[0]
assert np.allclose(plain - tolled, 10.0, atol=0.01), (plain, tolled)
drawn, batch = equity(randomize={"toll": (10.0, 20.0)})
assert ((plain - drawn > 9.9) & (plain - drawn < 20.1)).all(), (plain, drawn)
assert [row.unit for row in describe(EnvConfig) if row.name == "toll"] == ["quote per decision"]
try:
    EnvConfig(toll=101)
except ConfigError as error:
    assert str(error) == "toll = 101 is outside 0 .. 100; set it within"
else:
    raise AssertionError("toll = 101 was taken")
"""
ASK_OBSERVATION = """
batch = equity()[1]
names = [column.name for column in batch.observation_table]
assert batch.out.obs.shape[1] == len(names)
assert (batch.out.obs[:, names.index("half")] == np.float32(5.0)).all()
assert (batch.out.obs[:, names.index("cash_rate")] == np.float32(0.045 / 0.05)).all()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edits", "question"), [(SETTING, ASK_SETTING), (OBSERVATION, ASK_OBSERVATION)]
)
def test_a_new_one_is_written_in_three_places(
    edits: dict[str, tuple[str, ...]], question: str, tmp_path: Path
) -> None:
    package = tmp_path / "fundenv"
    shutil.copytree(
        Path(fundenv.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, pairs in edits.items():
        text = (package / name).read_text(encoding="utf-8")
        for before, after in zip(pairs[::2], pairs[1::2], strict=True):
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        (package / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ASK + question],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
