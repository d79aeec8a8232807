"""A run folder: every file written whole or not at all, and where the numbers came from."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from fundenv.command import called

_PACKAGES = (
    "fundenv",
    "numpy",
    "pandas",
    "numba",
    "gymnasium",
    "torch",
    "stable-baselines3",
    "tensorboard",
)


class RunError(ValueError):
    """A run that cannot go on; the message is one line and names the remedy."""


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


def provenance(markets: dict[str, Any]) -> dict[str, Any]:
    """When, with what and on which markets: versions, machine, command line, hash, symbols and span
    of each market.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "command": " ".join([called(Path(sys.argv[0]).stem), *sys.argv[1:]]),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions,
        "markets": {name: describe(market) for name, market in markets.items()},
    }


def describe(market: Any) -> dict[str, Any]:
    """Hash, venue, and symbol -> first and last close of each path; what was noted, and what was
    accepted though it looks wrong.
    """
    paths = [
        [label(market, path), *(str(market.times(path)[i])[:16] for i in (0, -1))]
        for path in range(market.n_paths)
    ]
    return {
        "hash": market.hash,
        "venue": market.venue,
        "paths": paths,
        "notes": list(market.notes),
        "cautions": list(market.cautions),
    }


def label(market: Any, path: int) -> str:
    """Name of a path: its symbols joined by `+`."""
    return "+".join(market.symbols[path])


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
    if config.exists():
        if not resume:
            raise RunError(
                f"{out} holds a run already; continue it with --resume, or choose another --out"
            )
        before = read_json(config)
        for name in fixed:
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
