"""Made once: a folder in which the small entry point was compiled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.compiler.small_entry import end, start


@pytest.fixture(scope="session")
def first_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    end(start(folder))
    return folder


@pytest.fixture
def folder(first_folder: Path, tmp_path: Path) -> Path:
    """A copy, as the cache folder of the test: what is below has one folder of code."""
    shutil.copytree(first_folder, tmp_path / "numba")
    return tmp_path / "numba"
