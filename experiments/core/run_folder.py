"""A run folder: every file written whole or not at all, and where the numbers came from."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

ROOM = 20_000_000  # bytes that a run needs at least


class RunError(ValueError):
    """A run that cannot go on; the message is one line and names the remedy."""


# what numpy raises on an archive that is not whole
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def write_text(path: Path, text: str) -> None:
    """Write a file by an atomic rename; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON by an atomic rename."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write Parquet by an atomic rename; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    frame.to_parquet(partial, compression="zstd")
    partial.replace(path)


def read_json(path: Path) -> Any:
    """Read JSON; `RunError` where the file is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise RunError(
            f"{path} is damaged ({error}); delete it to have its part done again"
        ) from None


def require_room(folder: Path, flag: str = "--out") -> None:
    """Make `folder` and try it, before anything is computed. Raises `RunError` where it takes no
    files or has no room for a run.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0" * 65_536)
            probe.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        for each in made:
            if each.is_dir():
                each.rmdir()
        raise RunError(
            f"{flag} {folder} takes no files ({error.strerror}); choose another folder, or make"
            " room there"
        ) from None
    if free < ROOM:
        raise RunError(
            f"{flag} {folder} has {free / 1e6:.1f} MB free, a run needs at least"
            f" {ROOM / 1e6:.0f} MB; make room, or choose another folder"
        )


def open_run(
    out: Path | None, script: str, args: dict[str, Any], fixed: tuple[str, ...], *, resume: bool
) -> Path:
    """The folder of this run, new or continued.

    Args:
        out: where; None makes `runs/<script>-<time>`, or with `resume` takes the newest of that
        name. An `out` without a run is begun, with
            `resume` too, so that one command serves both.
        args: JSON values, kept in `config.json`.
        fixed: names among `args` that a continued run may not change.
    """
    if out is None:
        earlier = sorted(
            Path("runs").glob(f"{script}-[0-9]*/config.json"), key=lambda path: path.stat().st_mtime
        )
        if resume and not earlier:
            raise RunError(
                f"--resume found no runs/{script}-* to continue; give its folder with --out"
            )
        out = (
            earlier[-1].parent
            if resume
            else Path("runs") / f"{script}-{dt.datetime.now():%Y%m%d-%H%M%S}"
        )
    config = out / "config.json"
    require_room(out)
    if config.exists():
        if not resume:
            raise RunError(
                f"{out} holds a run already; continue it with --resume, or choose another --out"
            )
        before = read_json(config)
        for name in fixed:
            if name not in before and not args[name]:
                continue  # an option younger than the run, and not used
            if before.get(name) != args[name]:
                flag = f"--{name.replace('_', '-')}"
                raise RunError(
                    f"{out} was made with {flag} {_shown(before.get(name))}, now"
                    f" {_shown(args[name])}; use the same, or choose another --out"
                )
    write_json(config, args)
    return out


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
