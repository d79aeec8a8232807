"""Evaluates trained agents and rules on the test span and prints the comparison.

An agent is the folder that training wrote (of `train`, or `agents/<name>-<seed>` in a run of
`benchmark`) or the name of a rule. Several folders that decide together are joined by + or matched
by a pattern in quotes: 'runs/x/agents/ppo-*'. With --out the command writes tables, equity curves
(Parquet) and TensorBoard events.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

import agents
from agents import Agent
from agents.base import CHECKPOINT
from agents.checkpoint import fingerprint
from agents.sb3.ensemble import Ensemble, joined
from experiments.analysis.compare import FINAL, compare
from experiments.analysis.comparison import cash_words
from experiments.analysis.tables import Row
from experiments.benchmarking.evaluation import daily_returns, keep, tidy_rows
from experiments.calibration import parameter_file as calibrated
from experiments.core.added_columns import recorded, said
from experiments.core.cli import run
from experiments.core.market_args import MarketArgs, shown
from experiments.core.provenance import check_recorded, label, provenance, provenance_of
from experiments.core.run_folder import RunError, read_json, require_room, write_json
from experiments.report import conclude
from experiments.rollout.make import roll_out, say_overruled
from fundenv.config import EnvConfig
from fundenv.market import Market

# what an evaluation writes into --out
WRITTEN = (
    "config.json provenance.json results.json results.md results.parquet results.png report.html"
    " trades.csv daily_returns.csv daily_returns.parquet walks rollouts trades tensorboard"
).split()


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the evaluation."""

    agents: tuple[str, ...] = ("flat", "carry", "zscore")
    """Folders of trained agents, several as one with FOLDER+FOLDER or 'FOLDER-*', and names of
    rules; with 'FOLDER|RULE' the rule supervises the agent: it may refuse entries and close
    positions, e.g. 'runs/x|zscore entry=2'.
    """
    split: Literal["test", "train"] = "test"
    """The span to evaluate on."""
    calibrated: Path | None = None
    """File of calibrated parameters of rules (calibrated.toml of experiments.calibrate)."""
    out: Path | None = None
    """Folder for tables, curves and events; default: write none."""


def main(args: Args) -> None:
    """Load, roll out, compare, show."""
    args = with_trained_columns(args)
    settings = args.settings()
    if args.out:
        _require_place(args.out)
    tables = calibrated.read(args.calibrated) if args.calibrated else {}
    chosen = [agent_of(name, tables.get(name, {})) for name in args.agents]
    for agent in chosen:
        note_differences(agent, settings)
    market = args.markets("test" if args.split == "test" else None)[args.split]
    say_overruled(settings, chosen)
    print(f"{args.split:<6}{shown(market)}", flush=True)
    for name in args.agents:
        _note_seen(name, market)
    with tempfile.TemporaryDirectory() as scratch:
        evaluation = _Evaluation(args, market, settings, Path(scratch))
        for agent, seed in _numbered(chosen):
            evaluation.add(agent, seed)
        evaluation.conclude()
    if evaluation.failure is not None:
        raise RunError(
            f"--out {args.out}: {evaluation.failure.strerror or evaluation.failure}; the tables"
            " above are not kept: make room, or choose another folder, and evaluate again"
        )


class _Evaluation:
    """Rollouts of the agents on one market, and what is written of them into --out; where its disk
    is full, into `scratch`, so that the table can be printed.
    """

    def __init__(self, args: Args, market: Market, settings: dict[str, Any], scratch: Path) -> None:
        self.args, self.market, self.settings, self.scratch = args, market, settings, scratch
        self.failure: OSError | None = None
        self._out = args.out or scratch
        self._rows: list[Row] = []
        self._tidy: list[dict[str, Any]] = []
        self._daily: list[pd.DataFrame] = []
        self._params: dict[str, Any] = {}
        self._counted: list[str] = []
        if args.out:
            _clear(args.out)
        _begin(self._out, args, market)

    @property
    def kept(self) -> bool:
        """Whether all is written into --out so far."""
        return self.args.out is not None and self.failure is None

    def add(self, agent: Agent, seed: int) -> None:
        """Roll the agent out and keep its rows."""
        split = self.args.split
        rollouts = roll_out(agent, self.market, self.settings, seed)
        where = rollouts, agent, self.market, self.settings
        try:
            self._rows += keep(*where, split=split, out=self._out, events=self.kept)
        except OSError as error:
            self.failure, self._out = error, self.scratch
            _begin(self._out, self.args, self.market)
            self._rows += keep(*where, split=split, out=self._out, events=False)
        head = {"agent": agent.name, "candidate": 0, "fold": FINAL, "span": split, "seed": seed}
        self._tidy += tidy_rows(rollouts, head)
        self._daily.append(daily_returns(rollouts, head))
        self._params[agent.name] = agent.params.to_dict()
        if agent.counts():
            self._counted.append(f"{agent.name}: {agent.counts()}")

    def conclude(self) -> None:
        """Compare, print, write."""
        args = self.args
        found = compare(
            pd.DataFrame(self._tidy),
            pd.concat(self._daily, ignore_index=True),
            [args.cash_rate],
            span=args.split,
        )
        facts = [
            f"{args.split}: {shown(self.market)} (market {self.market.hash})",
            f"venue {args.venue}; growth is net of {cash_words([args.cash_rate])}",
            f"agents: {', '.join(args.agents)}",
            *self._counted,
        ]
        conclude(
            self._out,
            found,
            self._rows,
            title="Evaluation",
            facts=facts,
            params=self._params,
            kept=self.kept,
        )


def with_trained_columns(args: Args) -> Args:
    """The arguments with the added columns that the trained agents among them know, where the
    command names none. Raises `RunError` where they know different ones.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in (each.partition("|")[0].strip() for each in args.agents):
        for folder in [Path(name)] if Path(name).is_dir() else _matching(name):
            if columns := recorded(folder):
                found[str(folder)] = columns
    if not found or args.extra or args.forecast is not None:
        return args
    first, *others = found.items()
    for other, known in others:
        if known != first[1]:
            raise RunError(
                f"{first[0]} and {other} were trained with different added columns"
                f" ({said(first[1])}; {said(known)}); evaluate them apart"
            )
    print(f"note  {first[0]} was trained with {said(first[1])}; it is given here too")
    return dataclasses.replace(args, **first[1])


def _matching(name: str) -> list[Path]:
    return _folders(name) if set(name) & set("+*?[") else []


def _begin(out: Path, args: Args, market: Market) -> None:
    """Write the provenance and the arguments before anything else."""
    trained = {
        name: fingerprint(name) for name in args.agents if (Path(name) / CHECKPOINT).is_file()
    }
    write_json(out / "config.json", json.loads(json.dumps(dataclasses.asdict(args), default=str)))
    write_json(out / "provenance.json", provenance({args.split: market}) | {"agents": trained})


def _require_place(out: Path) -> None:
    """Raise `RunError` unless the folder takes files and is empty or holds an evaluation, which is
    replaced.
    """
    require_room(out)
    config = out / "config.json"
    if config.is_file() and "split" not in read_json(config):
        raise RunError(f"{out} holds a run of another command; choose another --out")


def _clear(out: Path) -> None:
    """Remove an earlier evaluation, so that its curves do not mix with the new ones."""
    if not (out / "config.json").is_file():
        return
    for name in WRITTEN:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _note_seen(name: str, market: Market) -> None:
    """Print a note where the span of this evaluation overlaps the training span of a learner."""
    seen = provenance_of(Path(name)).get("markets", {}).get("train", {}).get("paths", [])
    first, last = (pd.Timestamp(int(f(market.close_ns)), tz="UTC") for f in (np.min, np.max))
    symbols = {label(market, path) for path in range(market.n_paths)}
    for symbol, start, end in seen:
        overlap = pd.Timestamp(start, tz="UTC") <= last and first <= pd.Timestamp(end, tz="UTC")
        if overlap and symbol in symbols:
            print(
                f"CAUTION  {name} learned from {symbol}, {start[:10]} .. {end[:10]}: its result"
                " there is no test"
            )


def _numbered(chosen: list[Agent]) -> list[tuple[Agent, int]]:
    """Each agent with its seed: two folders of one agent count as two seeds."""
    names = [agent.name for agent in chosen]
    return [(agent, names[:k].count(agent.name)) for k, agent in enumerate(chosen)]


def agent_of(name: str, params: dict[str, Any] | None = None) -> Agent:
    """The agent in a folder, or the rule of that name with `params`."""
    if Path(name).is_dir():
        check_recorded(Path(name))
        return agents.load(name)
    if "|" in name:
        base, _, rule = (part.strip() for part in name.partition("|"))
        return agents.make("overlay", base=base, rule=rule)
    if set(name) & set("+*?["):
        return joined(_folders(name))
    kind: Any = agents.agent_class(name) if "/" not in name else None
    if kind is None:
        raise RunError(f"no folder {name}; give one that holds {CHECKPOINT}, or the name of a rule")
    if kind.learns:
        raise RunError(f"agent {name} has to be trained first; give the folder of a trained one")
    return agents.make(name, **(params or {}))


def _folders(name: str) -> list[Path]:
    """The folders of FOLDER+FOLDER, each of which may be a pattern."""
    found: list[Path] = []
    for part in name.split("+"):
        matches = sorted(
            Path(path) for path in glob.glob(part) if (Path(path) / CHECKPOINT).is_file()
        )
        if not matches:
            raise RunError(
                f"--agents {name}: no folder '{part}' holds {CHECKPOINT}; give those that training"
                " wrote, joined by +"
            )
        found += matches
    return found


def note_differences(agent: Agent, settings: dict[str, Any]) -> None:
    """Print a note where the settings differ from those of a learner's training."""
    if not agent.learns:
        return
    learner: Any = agent.members[0] if isinstance(agent, Ensemble) else agent
    here = EnvConfig.from_dict(settings | agent.env_settings()).to_dict()
    skip = {*learner.training_settings(), *agent.env_settings()}
    for key, before in agent.provenance.env.items():
        if key not in skip and here.get(key) != before:
            print(
                f"note  {agent.name} was trained with {key} = {before}, here it is {here.get(key)}"
            )


if __name__ == "__main__":
    run(Args, main, __doc__)
