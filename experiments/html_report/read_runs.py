"""Reads what a finished run folder holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.analysis.comparison import Comparison
from experiments.analysis.printers import RESULTS, read_results
from experiments.analysis.tables import Row
from experiments.core.run_folder import RunError, read_json
from experiments.rollout.rollout import STEPS, Rollout, read_rollouts

NEEDED = ("config.json", RESULTS, "provenance.json", STEPS)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run folder."""

    path: Path
    name: str
    suffix: str  # what tells its agents from those of other runs on the page
    comparison: Comparison
    rows: tuple[Row, ...]  # of all splits, at the cash rate of the run
    rollouts: tuple[Rollout, ...]  # of the span of the comparison; agents end with the suffix
    provenance: dict[str, Any]
    config: dict[str, Any]
    # of `experiments.benchmarking.stress.run_scenarios`, agents as above
    stress: pd.DataFrame | None = None

    @property
    def cash_rate(self) -> float:
        """Of the rows and the rollouts, per year."""
        return float(self.config["cash_rate"])

    @property
    def labels(self) -> list[str]:
        """Agents in the order of the comparison, with the suffix."""
        return [each.agent + self.suffix for each in self.comparison.standings]


def read_runs(folders: list[Path]) -> list[Run]:
    """All runs; with several, the label of an agent ends with the name of its run. Raises
    `RunError` where a folder holds no finished run.
    """
    if not folders:
        raise RunError("no run folder is given; name one or more, e.g. runs/demo")
    names = _names(folders)
    return [
        _read(folder, name, f" · {name}" if len(folders) > 1 else "")
        for folder, name in zip(folders, names, strict=True)
    ]


def _names(folders: list[Path]) -> list[str]:
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = ["/".join(folder.resolve().parts[-2:]) for folder in folders]
    if len(set(names)) < len(names):
        raise RunError(f"{', '.join(map(str, folders))}: a run is given twice; name each once")
    return names


def _read(folder: Path, name: str, suffix: str) -> Run:
    if not folder.is_dir():
        raise RunError(
            f"{folder} does not exist; give the folder of a finished benchmark or evaluation, as"
            " runs/demo"
        )
    for file in NEEDED:
        if not (folder / file).exists():
            raise RunError(
                f"{folder} has no {file}, so it holds no finished benchmark or evaluation; finish a"
                " benchmark with --resume, or evaluate a trained agent:"
                f" python -m experiments.evaluate --agents {folder} --out {folder}-evaluation"
            )
    comparison, rows = read_results(folder)
    # the folder may hold rollouts of an earlier evaluation with other agents
    compared = {(each.agent, int(s)) for each in comparison.standings for s in each.by_seed}
    rollouts = [
        item
        for item in read_rollouts(folder, comparison.span)
        if (item.agent, item.seed) in compared
    ]
    stressed = folder / "stress.parquet"
    return Run(
        path=folder,
        name=name,
        suffix=suffix,
        comparison=comparison,
        rows=tuple(rows),
        rollouts=tuple(replace(item, agent=item.agent + suffix) for item in rollouts),
        provenance=read_json(folder / "provenance.json"),
        config=read_json(folder / "config.json"),
        stress=(
            pd.read_parquet(stressed).assign(agent=lambda rows: rows["agent"] + suffix)
            if stressed.is_file()
            else None
        ),
    )
