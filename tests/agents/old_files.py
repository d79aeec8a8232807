"""Agents that were saved before the modules moved."""

from __future__ import annotations

import zipfile
from pathlib import Path

import agents

# Three small agents, saved by the tree before its modules moved (commit 493a3f6), each with its
# answers to eight random observations. One of them was in the middle of its training.
OLD = Path(__file__).with_name("saved_before_the_move.zip")


def saved(old: Path) -> Path:
    """A small agent, saved by the present tree."""
    agents.load(old / "ppo").save(old / "new")
    return old / "new"


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
