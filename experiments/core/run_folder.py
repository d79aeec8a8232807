"""A run folder: every file written whole or not at all, and where the numbers came from."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from agents.checkpoint import CHECKPOINT, fingerprint
from fundenv.bundled_path import bundled_folder
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


ROOM = 20_000_000  # bytes that a run needs at least


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
        "commit": commit(),
        "markets": {name: describe(market) for name, market in markets.items()},
    }


def commit() -> str:
    """The git commit of the running code, with `, changed` where files differ from it; of a wheel
    the commit that pip built it from, or that none is known.
    """
    root = bundled_folder()
    if (root / ".git").exists() and shutil.which("git"):
        asked = ["git", "-C", str(root)]
        found = _said([*asked, "rev-parse", "HEAD"])
        changed = _said([*asked, "status", "--porcelain", "--untracked-files=no"])
        if found:
            return found + (", changed" if changed else "")
    try:
        origin = metadata.distribution("fundenv").read_text("direct_url.json") or "{}"
    except metadata.PackageNotFoundError:
        origin = "{}"
    return str(json.loads(origin).get("vcs_info", {}).get("commit_id", "unknown"))


def _said(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


PROVENANCE = "provenance.json"


def provenance_of(agent: Path) -> dict[str, Any]:
    """The provenance of the run that wrote the folder of an agent; empty where there is none."""
    for folder in (agent, *agent.parents[:2]):  # of `train`, of agents/<name>-<seed>
        if (folder / PROVENANCE).is_file():
            return dict(read_json(folder / PROVENANCE))
    return {}


def record_agents(out: Path) -> None:
    """Note in the provenance of a run the fingerprint of every agent that it has saved."""
    saved = sorted(path.parent for path in out.rglob(CHECKPOINT))
    found = {folder.relative_to(out).as_posix(): fingerprint(folder) for folder in saved}
    write_json(out / PROVENANCE, read_json(out / PROVENANCE) | {"agents": found})


def forget_agents(out: Path) -> None:
    """Drop that note while a run trains on: its agents change."""
    before = read_json(out / PROVENANCE)
    if before.pop("agents", None) is not None:
        write_json(out / PROVENANCE, before)


def check_recorded(agent: Path) -> None:
    """Raise `RunError` where an agent is not the one that its run recorded."""
    for folder in (agent, *agent.parents[:2]):
        if not (folder / PROVENANCE).is_file():
            continue
        known = read_json(folder / PROVENANCE).get("agents", {})
        recorded = known.get(agent.relative_to(folder).as_posix())
        if recorded and (agent / CHECKPOINT).is_file() and recorded != fingerprint(agent):
            raise RunError(
                f"{agent} is not the agent that {folder / PROVENANCE} recorded ({recorded});"
                " it was changed or exchanged: take it from its source again, or train it anew"
            )
        return


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
