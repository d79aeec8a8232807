"""What a user sees and gets when the simulation is compiled."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest

from fundenv.batch import entry
from fundenv.compiler import jit
from fundenv.dynamics.rng import mix


def test_a_cold_start_says_once_what_takes_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Compiled:
        address = 0

    monkeypatch.setattr(entry, "cache_folder", lambda: str(tmp_path))
    monkeypatch.setattr(entry.numba, "cfunc", lambda *args, **kwargs: lambda function: Compiled())
    entry._announce.cache_clear()
    for function in (entry._step_one_asset, entry._step_assets):
        entry._compiled.__wrapped__(function)
    assert capfd.readouterr().err.count("\n") == 1
    entry._announce.cache_clear()
    (tmp_path / "entry._step_one_asset-110.py311.nbi").touch()
    entry._compiled.__wrapped__(entry._step_one_asset)
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="rules are plain Python here")
def test_a_rule_says_how_to_call_it() -> None:
    with pytest.raises(TypeError, match=r"call mix\.py_func"):
        mix(1)


@pytest.mark.parametrize("file", ["dynamics/rng.py", "batch/loop.py", "market/layout.py"])
def test_an_edit_of_what_is_compiled_in_changes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    for name in ("dynamics/rng.py", "batch/loop.py", "market/layout.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("A = 1\n")
    monkeypatch.setattr(jit, "PACKAGE", tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    before = jit.cache_folder.__wrapped__()
    (tmp_path / file).write_text("A = 2\n")
    assert jit.cache_folder.__wrapped__() != before
