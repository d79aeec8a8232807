"""Forecasters of users' own: by place, by entry point."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fundenv.forecast import ForecastError, make, names, registry

OWN = '''
import numpy as np

from fundenv.forecast import Forecaster


class Middle(Forecaster):
    """The mean of the training span, 1.5 .. 2 bp of it. And nothing else."""

    def learn(self, panel):
        self.mean = np.mean([history.rate.mean() for history in panel])

    def means(self, panel):
        return [np.full((len(history), 5), self.mean) for history in panel]
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that declares an entry point."""
    (tmp_path / "their_forecasters.py").write_text(OWN)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[fundenv.forecasters]\nmiddle = their_forecasters:Middle\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    registry.table.cache_clear()
    yield info
    registry.table.cache_clear()


def test_an_entry_point_is_a_name_like_any_other(package: Path) -> None:
    assert names()[-1] == "middle"
    made = make("middle")
    assert type(made).__name__ == "Middle"
    assert made.name == "middle"
    assert registry.described()["middle"] == "The mean of the training span, 1.5 .. 2 bp of it."
    assert type(make("their_forecasters:Middle")) is type(made)


def test_a_taken_name_is_refused(package: Path) -> None:
    (package / "entry_points.txt").write_text(
        "[fundenv.forecasters]\nridge = their_forecasters:Middle\n"
    )
    registry.table.cache_clear()
    with pytest.raises(ForecastError, match=r"two forecasters are called 'ridge', .* rename"):
        names()


def test_a_name_that_is_no_place_is_refused() -> None:
    with pytest.raises(ForecastError, match=r"write package\.module:Class"):
        make("no place:Class")


def test_every_forecaster_says_what_it_is_in_one_line() -> None:
    found = registry.described()
    assert list(found) == names()
    assert found["clipped_har"].startswith("HAR with rates clipped to -5 .. 6 bp in inputs")
    assert all(20 < len(line) < 200 and "\n" not in line for line in found.values())
