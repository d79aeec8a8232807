"""The folder of a saved agent: written whole or not at all, and read only where its files are
unchanged.

`checkpoint.json` holds the record of the agent and, under `files`, the SHA-256 of every other file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.params import AgentError

CHECKPOINT = "checkpoint.json"
_SAVING = ".saving"  # files of a save under way; complete once it holds CHECKPOINT
_BEFORE = ("snapshot.pt", "replay.pkl")  # what a record without `files` may leave behind
_NEEDED = {"agent": str, "params": dict, "env": dict, "market": str, "observations": list}
_TYPES = _NEEDED | {"class": str, "files": dict, "steps_done": int, "steps_wanted": int}


def write_agent(folder: Path, write: Callable[[Path], None], record: dict[str, Any]) -> None:
    """Save an agent: `write` puts its files into the folder that it is given.

    What `folder` held before stays usable until everything new is on the disk. Raises `AgentError`
    where the files cannot be written.
    """
    partial = folder / _SAVING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _finish(folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write(partial)
        files = {name: _digest(partial / name) for name in _files(partial)}
        text = json.dumps(record | {"files": files}, indent=1)
        unnamed = partial / f"{CHECKPOINT}.partial"
        unnamed.write_text(text, encoding="utf-8")
        before = _old_files(folder)
        unnamed.replace(partial / CHECKPOINT)
        _finish(folder)
    except (OSError, RuntimeError) as error:  # torch says a full disk with the latter
        _drop(partial)
        raise AgentError(
            f"the agent could not be saved in {folder} ({error}); what was saved before is kept:"
            " make room, or choose another folder, and go on from there"
        ) from None
    for name in before - set(files):
        (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            (folder / name).parent.rmdir()


def read_record(folder: Path) -> dict[str, Any]:
    """The record of the agent saved in `folder`.

    Raises `AgentError` where there is none, where it is damaged, and where a file is missing or
    differs from what was saved.
    """
    with contextlib.suppress(OSError):  # a folder that takes no files is read as it is
        _finish(folder)
    path = folder / CHECKPOINT
    if not path.is_file():
        raise AgentError(
            f"no agent in {folder}: {CHECKPOINT} is missing; give the folder that training wrote"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in _NEEDED if key not in record]
        files = record.get("files", {})
        for key, kind in _TYPES.items():
            if key in record and not isinstance(record[key], kind):
                raise TypeError(f"{key} = {str(record[key])[:40]!r}: expected {kind.__name__}")
    except (TypeError, ValueError, AttributeError) as error:
        raise AgentError(
            f"{path} is damaged ({error}); take the agent from its source again, or train it anew"
        ) from None
    if missing:
        raise AgentError(f"{path} lacks {', '.join(missing)}; it is no record of a saved agent")
    for name, digest in files.items():
        _check(folder, name, digest)
    return dict(record)


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """16 hexadecimal digits that change with any file of the agent saved in `folder`."""
    return _digest(Path(folder) / CHECKPOINT)[:16]


def _check(folder: Path, name: str, digest: str) -> None:
    """Raise `AgentError` unless the file is the one that was saved."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise AgentError(f"{folder / CHECKPOINT} names {name!r}, which lies outside its folder")
    if not (folder / name).is_file():
        raise AgentError(f"{folder} lacks {name}, which was saved with the agent; copy it too")
    found = _digest(folder / name)
    if found != digest:
        raise AgentError(
            f"{folder / name} is not what was saved (SHA-256 {found[:12]}.., recorded"
            f" {str(digest)[:12]}..); take the agent from its source again"
        )


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _old_files(folder: Path) -> set[str]:
    """Names of the files of the agent that `folder` holds."""
    try:
        record = json.loads((folder / CHECKPOINT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    except ValueError:  # damaged: it is about to be replaced
        return set(_BEFORE)
    return {name for name in record.get("files", _BEFORE) if ".." not in Path(name).parts}


def _finish(folder: Path) -> None:
    """Move a complete save into place, CHECKPOINT last; one that is not complete is left."""
    partial = folder / _SAVING
    if not (partial / CHECKPOINT).is_file():
        return
    names = [name for name in _files(partial) if name != CHECKPOINT]
    for name in [*names, CHECKPOINT]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process moved it
            (partial / name).replace(folder / name)
    shutil.rmtree(partial, ignore_errors=True)


def _drop(partial: Path) -> None:
    """Remove a save that failed, unless all of it is there."""
    if not (partial / CHECKPOINT).is_file():
        shutil.rmtree(partial, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
