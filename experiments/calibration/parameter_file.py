"""Calibrated parameters of rules as a TOML file: a table per agent."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import agents
from experiments.core.run_folder import RunError, write_text
from fundenv.command import called


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Parameters by agent; every value is checked as the agent checks it. Raises `RunError` where
    the file is missing or is not a parameter file.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"no file {path}; write one with {called('calibrate')}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(
            f"{path} is no TOML ({error}); write one with {called('calibrate')}"
        ) from None
    for name, values in tables.items():
        if not isinstance(values, dict):
            raise RunError(
                f"{path}: {name} = {values!r} stands outside a table; expected tables [agent] with"
                " its parameters"
            )
        agents.make(name, **values)
    return tables


def write(
    path: Path, tables: Mapping[str, Mapping[str, Any]], notes: Mapping[str, Sequence[str]]
) -> None:
    """Write all tables, each under its notes as comments."""
    blocks = []
    for name, values in tables.items():
        lines = [
            *(f"# {note}" for note in notes[name]),
            f"[{name}]",
            *(f"{key} = {json.dumps(value)}" for key, value in values.items()),
        ]
        blocks.append("\n".join(lines))
    write_text(path, "\n\n".join(blocks) + "\n")
