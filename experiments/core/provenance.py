"""Where the numbers of a run came from: versions, command line, markets, fingerprints of agents."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from agents.checkpoint import CHECKPOINT, fingerprint
from experiments.core.run_folder import RunError, read_json, write_json
from fundenv.bundled_path import bundled_folder
from fundenv.command import called

PROVENANCE = "provenance.json"
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


def begin_provenance(out: Path, markets: dict[str, Any]) -> None:
    """Write the provenance of a new run; raise `RunError` where a run would continue on other
    data.
    """
    path = out / PROVENANCE
    if not path.exists():
        write_json(path, provenance(markets))
        return
    before = read_json(path)["markets"]
    for name, market in markets.items():
        if before[name]["hash"] != market.hash:
            raise RunError(
                f"the {name} market has changed since {out} was begun ({before[name]['hash']}"
                f" -> {market.hash}); choose another --out"
            )


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
