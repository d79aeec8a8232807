"""Reads what a finished run folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.analysis.tables import splits
from experiments.core.run_folder import RunError, read_json
from fundenv import metrics
from fundenv.dynamics.types import PARTS

NEEDED = ("config.json", "results.json", "provenance.json", "walks")
Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Track:
    """One agent with one seed on one symbol: its curve and its trades."""

    label: str
    seed: int
    symbol: str
    steps: pd.DataFrame  # columns of `Walk.frame`
    trades: pd.DataFrame  # columns of `TradeLog`
    cash_rate: float

    @property
    def step_hours(self) -> float:
        """Length of a step."""
        times = self.steps["time"]
        return (
            float((times.iloc[-1] - times.iloc[0]) / pd.Timedelta("1h") / max(1, len(times) - 1))
            if len(times) > 1
            else 24.0
        )

    @property
    def parts(self) -> Float64:
        """(T, 9) quote."""
        return self.steps[list(PARTS)].to_numpy(np.float64)

    @property
    def equity(self) -> Float64:
        """(T + 1,) quote, the start included."""
        after = self.steps["equity"].to_numpy(np.float64)
        return np.append(after[0] - self.parts[0].sum(), after)

    def net_log(self) -> pd.Series[float]:
        """Log growth net of the cash rate since the start, at the end of every step."""
        years = np.arange(1, len(self.steps) + 1) * self.step_hours / metrics.HOURS_PER_YEAR
        return pd.Series(
            metrics.log_equity(self.equity)[1:] - self.cash_rate * years,
            index=pd.DatetimeIndex(self.steps["time"]),
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run folder, one split of it."""

    path: Path
    name: str
    split: str
    rows: pd.DataFrame  # results.json of all splits, with `label`
    tracks: tuple[Track, ...]
    provenance: dict[str, Any]
    config: dict[str, Any]
    tidy: pd.DataFrame | None = (
        None  # results.parquet of a benchmark: every fold, cash rate and cost
    )
    stress: pd.DataFrame | None = (
        None  # stress.parquet of a benchmark: `experiments.benchmarking.stress.endure`
    )

    @property
    def labels(self) -> list[str]:
        """Agents in the order of the results."""
        return list(dict.fromkeys(self.rows["label"]))

    @property
    def symbols(self) -> list[str]:
        """Symbols in the order of the results."""
        return list(dict.fromkeys(track.symbol for track in self.tracks))


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
                f"{folder} has no {file}, so it is not finished; finish it with --resume, or"
                f" evaluate with --out {folder}"
            )
    rows = read_json(folder / "results.json")
    if not rows:
        raise RunError(
            f"{folder}/results.json holds no rows; run the benchmark again into another --out"
        )
    split = splits(rows)[0]
    config = read_json(folder / "config.json")
    frames = _frames(folder / "walks" / split)
    trades = _frames(folder / "trades" / split) if (folder / "trades" / split).is_dir() else {}
    tracks = []
    for stem, frame in frames.items():
        book = trades.get(stem, pd.DataFrame({"symbol": []}))
        for symbol, steps in frame.groupby("symbol", sort=False):
            agent, seed = str(steps["agent"].iloc[0]), int(steps["seed"].iloc[0])
            own = book[book["symbol"] == symbol].reset_index(drop=True)
            tracks.append(
                Track(
                    label=agent + suffix,
                    seed=seed,
                    symbol=str(symbol),
                    steps=steps.reset_index(drop=True),
                    trades=own,
                    cash_rate=float(config["cash_rate"]),
                )
            )
    table = pd.DataFrame(rows)
    table["label"] = table["agent"] + suffix
    return Run(
        path=folder,
        name=name,
        split=split,
        rows=table,
        tracks=tuple(tracks),
        provenance=read_json(folder / "provenance.json"),
        config=config,
        tidy=_frame(folder / "results.parquet"),
        stress=_frame(folder / "stress.parquet"),
    )


def _frame(path: Path) -> pd.DataFrame | None:
    """A Parquet file that only benchmarks have."""
    return pd.read_parquet(path) if path.is_file() else None


def _frames(folder: Path) -> dict[str, pd.DataFrame]:
    """Parquet files of a folder by stem, sorted."""
    if not folder.is_dir():
        raise RunError(
            f"{folder} does not exist, so the run kept no curves; run it again into another --out"
        )
    return {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
