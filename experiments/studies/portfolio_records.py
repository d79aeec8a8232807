"""What the walks of a comparison on one capital leave on disk: one file for each agent, fold and
factor on costs, made once.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.base import CHECKPOINT, Agent
from experiments.core.run_folder import UNREADABLE, RunError, read_json
from experiments.studies.portfolio_walks import Walk, walk
from fundenv.market import Market, narrowed

Array = NDArray[np.float64]
PARTS_OF_CAPITAL = {"capital": "parts"}  # for rules of one coin: each has an equal part


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One agent with one seed in one fold."""

    name: str  # as tables show it
    agent: Agent
    kind: str  # learner, rule or bound
    seed: int = 0
    told: Mapping[str, Any] = field(default_factory=dict)  # what its decisions depend on, as JSON

    @property
    def settings(self) -> dict[str, Any]:
        """What the env needs so that a rule of one coin acts on several."""
        return {} if "capital" in self.agent.env_settings() else dict(PARTS_OF_CAPITAL)


class Record(NamedTuple):
    """The walks of one entrant with every subset, `Walk` with subsets (S) in front."""

    entrant: Entrant
    fold: int
    cost: float
    halves: tuple[str, ...]
    subsets: tuple[tuple[str, ...], ...]
    walks: Walk


def recorded(
    entrant: Entrant,
    halves: tuple[Sequence[str], Market],
    subsets: Sequence[tuple[str, ...]],
    *,
    fold: int,
    cost: float,
    cash_rates: Sequence[float],
    env: Mapping[str, Any],
    out: Path,
) -> Record:
    """The record from its file in `out`, walked first where that was made under other conditions or
    is not there.
    """
    names, market = halves
    scaled = {name: cost * float(env.get(name, 1.0)) for name in ("fee_scale", "cost_scale")}
    settings = entrant.settings | dict(env) | scaled
    told = {
        "agent": entrant.agent.name,
        "told": dict(entrant.told),
        "settings": settings,
        "market": market.hash,
        "halves": list(names),
        "subsets": [list(own) for own in subsets],
        "cash_rates": list(cash_rates),
    }
    text = json.dumps(told, sort_keys=True, default=str)
    path = out / "walks" / f"fold{fold}-{_slug(entrant)}-cost{cost:g}.npz"
    found = _read(path, text)
    if found is None:
        each = [walk(entrant.agent, narrowed(market, own), cash_rates, settings) for own in subsets]
        found = Walk(*(np.stack(values) for values in zip(*each, strict=True)))
        write_arrays(path, text, found._asdict())
    return Record(entrant, fold, cost, tuple(names), tuple(subsets), found)


def fingerprint(folder: Path) -> str:
    """Of what a learner has learned: its checkpoint, and the tensors and arrays in its archives
    without the dates that these carry.
    """
    told = read_json(folder / CHECKPOINT)
    told.pop("files", None)
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for path in sorted([*folder.glob("*.zip"), *folder.glob("*.npz")]):
        with zipfile.ZipFile(path) as archive:
            for each in sorted(archive.infolist(), key=lambda item: item.filename):
                if each.filename.endswith((".pth", ".npy")):
                    found.update(f"{path.name}/{each.filename} {each.CRC}".encode())
    return found.hexdigest()[:16]


def _slug(entrant: Entrant) -> str:
    name = "".join(c if c.isalnum() else "-" for c in entrant.name)
    return f"{name}-{entrant.seed}"


def _read(path: Path, text: str) -> Walk | None:
    found = read_arrays(path, text)
    return None if found is None else Walk(*(found[name] for name in Walk._fields))


def read_arrays(path: Path, conditions: str) -> dict[str, NDArray[Any]] | None:
    """Arrays from a file of `write_arrays`; None where it is not there or was made under other
    conditions.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["conditions"]) != conditions:
                return None
            return {name: file[name] for name in file.files if name != "conditions"}
    except UNREADABLE as error:
        raise RunError(f"{path} is damaged ({error}); delete it to have it made again") from None


def write_arrays(path: Path, conditions: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays and the conditions of their making by an atomic rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.npz")
    whole: Any = {"conditions": np.array(conditions), **arrays}
    np.savez_compressed(partial, **whole)
    partial.replace(path)
