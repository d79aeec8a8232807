"""Presets of the benchmark: how many seeds and folds, and of each learner the length of its
training and its parameters.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agents
from experiments.core.run_folder import RunError

FOLDER = Path(agents.__file__).parent / "presets"
_COUNTS = ("seeds", "folds", "fold_seeds")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One configuration of a learner: environment steps of a training, and parameters that differ
    from the learner's own.
    """

    agent: str
    steps: int
    params: dict[str, Any]

    @property
    def label(self) -> str:
        """How tables name it."""
        return " ".join(
            [f"{self.steps:,} steps", *(f"{key}={value}" for key, value in self.params.items())]
        )


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Seeds of the final training, walk-forward folds within the training span and seeds in each,
    and the candidates of every learner.

    Of several candidates of a learner (an array of tables in the file), the one that does best on
    the folds' validation pieces is trained in full.
    """

    seeds: int
    folds: int
    fold_seeds: int
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    # parameters of agents that do not learn
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is no TOML ({error})") from None
    counts = {key: _count(path, key, table.pop(key, 1 if key != "folds" else 0)) for key in _COUNTS}
    learners = [name for name in table if issubclass(agents.agent_class(name), agents.Learner)]
    rules = {name: values for name, values in table.items() if name not in learners}
    for name, values in rules.items():
        agents.make(name, **values)
    return Preset(
        **counts,
        candidates={name: _candidates(path, name, table[name]) for name in learners},
        rules=rules,
    )


def _count(path: Path, key: str, value: Any) -> int:
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < (0 if key == "folds" else 1)
    ):
        raise RunError(
            f"{path}: {key} = {value!r}; expected a whole number of at least"
            f" {0 if key == 'folds' else 1}"
        )
    return value


def _candidates(path: Path, agent: str, tables: Any) -> list[Candidate]:
    made = []
    for table in tables if isinstance(tables, list) else [tables]:
        if (
            not isinstance(table, dict)
            or not isinstance(table.get("steps"), int)
            or table["steps"] < 1
        ):
            raise RunError(f"{path}: [{agent}] needs steps, a whole number of at least 1")
        params = {key: value for key, value in table.items() if key != "steps"}
        agents.make(agent, **params)  # a wrong parameter is reported before anything runs
        made.append(Candidate(agent=agent, steps=table["steps"], params=params))
    return made
