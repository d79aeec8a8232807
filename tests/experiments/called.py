"""Commands called as a user calls them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from experiments.core import cli

TEST = ("--test", "2022-01:2022-03")
Capture = pytest.CaptureFixture[str]


def called(module: Any, *words: str) -> int:
    """Exit status of a command in this process."""
    before, sys.argv = sys.argv, [module.__name__, *words]
    try:
        cli.run(module.Args, module.main, module.__doc__)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


def refused(capsys: Capture, module: Any, *words: str) -> str:
    """The one line with which a command refuses."""
    capsys.readouterr()
    assert called(module, *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error
