"""The log of all trainings that were started, so that the result of the best one can be corrected
for the number of trials.

`trials.csv` beside the run folders (runs/trials.csv by default) gets a line when a training starts,
and a second line with its figure after the evaluation. A training that was stopped, failed or was
discarded stays in it without a figure. The cells of a sweep log beside the folder of the sweep, and
what a cell varies is part of its configuration. `experiments/trials.csv` holds the configurations
that were tried while the default parameters were chosen.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import agents
from agents.params import FORMER
from experiments.core.run_folder import RunError
from fundenv.metrics import sharpe

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOG = "trials.csv"
SWEEP = "sweep.json"  # a file in the folder of a sweep, whose folders are run folders
RECIPE = Path(__file__).with_name(LOG)
_NONE = pd.DataFrame({"agent": [], "configuration": [], "daily_sharpe": np.array([], float)})
COLUMNS = ("training", "started", "agent", "configuration", "seed", "market", "daily_sharpe")


class Training(NamedTuple):
    """One training: where it is logged, and under which name."""

    log: Path
    name: str  # run folder / key of the training in it
    cell: str = ""  # of a sweep, empty elsewhere

    @classmethod
    def of(cls, run: Path, key: str = "") -> Training:
        """The training `key` of the run folder `run`; without a key the folder is one training."""
        log, name, cell = _place(run)
        return cls(log, f"{name}/{key}" if key else name, cell)

    def start(
        self, agent: str, params: dict[str, Any], *, steps: int, seed: int, market: str
    ) -> None:
        """Add the line of the training, unless an earlier part of the same training did. A resumed
        training counts once; one with other parameters or more steps counts again.
        """
        line = {
            "agent": agent,
            "configuration": configuration(agent, params, steps)
            + (f" in {self.cell}" if self.cell else ""),
            "seed": seed,
            "market": market,
        }
        known = read(self.log)
        if not (
            (known["training"] == self.name) & (known["configuration"] == line["configuration"])
        ).any():
            self._append(line | {"started": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"})

    def finish(self, daily_sharpe: float) -> None:
        """Add its figure: Sharpe ratio of daily returns on the test span, not annualised."""
        known = read(self.log)
        own = known[known["training"] == self.name].iloc[-1]
        self._append(
            {name: own[name] for name in COLUMNS} | {"daily_sharpe": f"{daily_sharpe:.5f}"}
        )

    def _append(self, line: dict[str, Any]) -> None:
        """Append the line with one write, so that lines of parallel processes stay whole."""
        try:
            _begin(self.log)
            descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise RunError(
                f"{self.log} cannot be written ({error.strerror}); every training is logged there,"
                " choose another --out"
            ) from None
        try:
            if fcntl is not None:  # where the file lies on storage of several machines
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
            os.write(
                descriptor,
                _csv([(line | {"training": self.name}).get(name, "") for name in COLUMNS]),
            )
        finally:
            os.close(descriptor)


def _place(run: Path) -> tuple[Path, str, str]:
    """The log of a run folder, its name in the log, and its cell where it belongs to a sweep."""
    run = run.resolve()
    whole = run.parent
    if (whole / SWEEP).is_file():
        return whole.parent / LOG, f"{whole.name}/{run.name}", run.name
    return whole / LOG, run.name, ""


def configuration(agent: str, params: dict[str, Any], steps: int) -> str:
    """Steps, the parameters that are not the default, and six digits that change with the value of
    any parameter (also of a default), but not if a parameter is renamed.
    """
    kind = agents.agent_class(agent).parameters
    whole, usual = kind.from_dict(params, owner=agent).to_dict(), kind().to_dict()
    first = {new: old for old, new in FORMER.items()}
    named = {first.get(name, name): value for name, value in whole.items()}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:6]
    return " ".join(
        [
            f"{steps:,} steps",
            *(f"{name}={value}" for name, value in whole.items() if value != usual[name]),
            f"#{digest}",
        ]
    )


def read(log: Path) -> pd.DataFrame:
    """One row per training and configuration, with its last figure; empty where there is no log."""
    if not log.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.read_csv(log, dtype={"training": str, "market": str, "configuration": str})
    if list(table.columns) != list(COLUMNS):
        raise RunError(
            f"{log} has columns {', '.join(table.columns)}; expected {', '.join(COLUMNS)}: move it"
            " away"
        )
    for old, new in FORMER.items():
        table["configuration"] = table["configuration"].str.replace(f" {old}=", f" {new}=")
    return table.groupby(["training", "agent", "configuration"], sort=False, as_index=False).last()[
        list(COLUMNS)
    ]


def others(run: Path, *, recorded: bool) -> pd.DataFrame:
    """agent, configuration, daily_sharpe (NaN where unknown) of every configuration that was tried,
    except those of the run folder `run`: those tried for the default parameters, and those logged
    beside `run`, each once with the mean over its seeds.

    recorded: whether the run is judged on recorded history. The default parameters were chosen
    there; on a synthetic market these trials do not count.
    """
    recipe = pd.read_csv(RECIPE)[["agent", "configuration", "daily_sharpe"]] if recorded else _NONE
    log, name, _ = _place(run)
    logged = read(log)
    own = logged["training"].str.startswith(f"{name}/")
    apart = logged[~logged["configuration"].isin(logged.loc[own, "configuration"])]
    means = (
        apart.groupby(["agent", "configuration"], sort=False)["daily_sharpe"].mean().reset_index()
    )
    frames = [frame for frame in (recipe, means) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else _NONE


def counted(run: Path, *, recorded: bool) -> str:
    """A sentence that says which configurations `others` counts."""
    logged = f"those logged in {LOG} beside the run folder"
    if _place(run)[2]:
        logged = f"those of the other cells of the sweep, and others logged in {LOG} beside it"
    if recorded:
        return (
            f"luck of the search: counts the {len(pd.read_csv(RECIPE))} configurations tried on"
            f" recorded history while the default parameters were chosen, and {logged}"
        )
    return (
        "luck of the search: a synthetic market, so the configurations tried on recorded history"
        f" while the default parameters were chosen do not count; {logged} do"
    )


def _begin(log: Path) -> None:
    """Create the log with its header by an atomic rename."""
    if log.exists():
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    partial = log.with_name(f".{uuid.uuid4().hex}.{LOG}")  # threads share a process
    partial.write_bytes(_csv(COLUMNS))
    try:
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(partial, log)
    finally:
        partial.unlink()


def _csv(cells: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def daily_sharpe(daily: pd.DataFrame) -> float:
    """Sharpe ratio of daily net returns (columns time and net; several symbols and cash rates, with
    capital spread evenly over them), not annualised; 0 where the returns do not vary.
    """
    returns = daily.groupby("time")["net"].mean().to_numpy()
    return sharpe(returns, days_per_return=365)
