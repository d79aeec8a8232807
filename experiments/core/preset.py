"""Presets of the benchmark: how many seeds and folds, and of each learner the length of its
training and its parameters.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import agents
from experiments.core.run_folder import RunError
from fundenv.settings import Range, Settings, nearest

FOLDER = Path(agents.__file__).parent / "presets"
_COUNTS = ("seeds", "folds", "fold_seeds")


@dataclass(frozen=True, kw_only=True)
class Candidate(Settings):
    """One configuration of a learner: environment steps of a training, and parameters that differ
    from the learner's own.
    """

    error: ClassVar[type[ValueError]] = RunError

    agent: str
    """Name of the learner."""
    steps: Annotated[int, Range(1, 1e15, "environment steps")]
    """Length of a training."""
    params: dict[str, Any]
    """Parameters in place of the learner's own."""

    @property
    def label(self) -> str:
        """How tables name it."""
        return " ".join(
            [f"{self.steps:,} steps", *(f"{key}={value}" for key, value in self.params.items())]
        )


@dataclass(frozen=True, kw_only=True)
class Preset(Settings):
    """Seeds of the final training, walk-forward folds within the training span and seeds in each,
    and the candidates of every learner.

    Of several candidates of a learner (an array of tables in the file), the one that does best on
    the folds' validation pieces is trained in full.
    """

    error: ClassVar[type[ValueError]] = RunError

    seeds: Annotated[int, Range(1, 100_000, "trainings")] = 1
    """Trainings of each learner on the whole training span."""
    folds: Annotated[int, Range(0, 1000, "folds")] = 0
    """Walk-forward folds within the training span."""
    fold_seeds: Annotated[int, Range(1, 100_000, "trainings")] = 1
    """Trainings of each learner in each fold."""
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    """Configurations of each learner."""
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Parameters of agents that do not learn."""


def read_preset(name: str) -> Preset:
    """A preset of the package by name, or a file; `RunError` or `AgentError` where something in it
    does not fit.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in FOLDER.glob("*.toml")))
        raise RunError(f"no preset {name}; choose one of {known}, or give a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"{path} is no TOML ({error})") from None
    counts = {key: table.pop(key) for key in _COUNTS if key in table}
    for key, value in table.items():
        if not isinstance(value, (dict, list)):
            raise RunError(f"{path}: unknown setting {key!r}; {nearest(key, _COUNTS)}")
    learners = [name for name in table if issubclass(agents.agent_class(name), agents.Learner)]
    rules = {name: values for name, values in table.items() if name not in learners}
    for name, values in rules.items():
        agents.make(name, **values)
    candidates = {name: _candidates(path, name, table[name]) for name in learners}
    try:
        return Preset(**counts, candidates=candidates, rules=rules)
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def _candidates(path: Path, agent: str, tables: Any) -> list[Candidate]:
    made = []
    for table in tables if isinstance(tables, list) else [tables]:
        if not isinstance(table, dict) or "steps" not in table:
            raise RunError(f"{path}: [{agent}] has no steps; add the length of a training")
        given = {key: value for key, value in table.items() if key != "steps"}
        params = agents.agent_class(agent).parameters.renamed(given)
        agents.make(agent, **params)  # a wrong parameter is reported before anything runs
        try:
            made.append(Candidate(agent=agent, steps=table["steps"], params=params))
        except RunError as error:
            raise RunError(f"{path}: [{agent}] {error}") from None
    return made
