"""Agents that were saved before the modules moved."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.agents.old_files import OLD


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(OLD) as packed:
        packed.extractall(tmp_path)
    return tmp_path
