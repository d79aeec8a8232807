"""Trains learners of one capital on the years before some half-years, and compares them with rules
there, on random subsets of the coins.

Each fold names a training span and the span of its evaluation. Every half-year of the latter begins
in cash, for every subset and every cash rate. Nothing is chosen on the printed results; trials.csv
in the parent folder holds the number of configurations that were tried. The differences are paired:
the bootstrap draws days in blocks, whole subsets and whole seeds. `--headroom` adds the share of
the clairvoyant's growth that is noise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

import agents
from agents.params import read_pairs
from experiments.benchmarking.training import Progress, cost_of, done_steps, train
from experiments.benchmarking.trials import Training
from experiments.core.cli import run
from experiments.core.market_args import EMBARGO, pairs, span_edges
from experiments.core.run_folder import RunError, write_frame, write_json
from experiments.studies.margin_markets import COINS, load
from experiments.studies.portfolio_headroom import headroom
from experiments.studies.portfolio_walks import (
    PORTFOLIO,
    Walk,
    half_years,
    paired_over,
    subsets,
    walked,
)
from fundenv.config import EnvConfig
from fundenv.market import Market, between


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the comparison."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    folds: tuple[str, ...] = ("2020-02:2022-06/2022-07:2023-06", "2020-02:2023-06/2023-07:2024-06")
    """TRAINED/JUDGED, each START:END."""
    learners: tuple[str, ...] = ("portfolio_ppo",)
    """Learners of one capital."""
    rules: tuple[str, ...] = (
        "rotation leverage=2 band=0.5",
        "rotation leverage=1 band=0.5",
        "margin_carry",
    )
    """Rules of one capital, each with its parameters."""
    params: tuple[str, ...] = ()
    """Parameters of the learners, LEARNER.NAME=VALUE."""
    seeds: int = 3
    """Number of trainings of each learner in each fold."""
    steps: int = 150_000
    """Number of environment steps of a training."""
    subsets: int = 6
    """Number of subsets of the coins, including the set of all coins."""
    cash_rates: tuple[float, ...] = (0.0, 0.02, 0.045)
    """Cash rates over which growth is averaged."""
    env: tuple[str, ...] = ()
    """Settings of the env of the evaluation, NAME=VALUE, as quote_supply=300000; the trainings keep
    their own settings.
    """
    headroom: bool = False
    """Also show the clairvoyant."""
    out: Path = Path("runs/portfolio-learning")
    """Folder of the trainings and of results.parquet; finished trainings in it are not repeated.
    """


def main(args: Args) -> None:
    """Train, evaluate, compare."""
    settings = pairs(args.env, "--env")
    EnvConfig.from_dict(settings)
    coins = load(args.data, args.symbols).together
    chosen = subsets(args.symbols, args.subsets, 0)
    named = [f"{name} {seed}" for name in args.learners for seed in range(args.seeds)]
    names = [*args.rules, *named]
    rows, halves, walks = [], [], []
    for number, fold in enumerate(args.folds):
        learned, judged = _spans(fold)
        made = [_rule(text) for text in args.rules]
        made += _learners(args, _cut(coins, learned, judged), number)
        with tqdm(total=len(made) * len(chosen), desc=f"fold {number}", mininterval=5.0) as bar:
            own, found = walked(
                made, coins, judged, chosen, args.cash_rates, lambda: bar.update(1), settings
            )
        halves += own
        walks.append(found)
        for name, each in zip(names, found, strict=True):
            rows += _rows(name, own, chosen, each)
    frame = pd.DataFrame(rows)
    write_frame(args.out / "results.parquet", frame)
    show(frame, args, halves)
    compare(args, names, walks)
    if args.headroom:
        _show_headroom(args, coins)


def _spans(fold: str) -> tuple[str, str]:
    parts = fold.split("/")
    if len(parts) != 2:
        raise RunError(f"--folds {fold}: expected TRAINED/JUDGED, each START:END")
    return parts[0], parts[1]


def _cut(coins: Market, learned: str, judged: str) -> Market:
    """The training span, which ends an embargo before the judged one."""
    first, last = span_edges(learned, "--folds")
    end = min(last, span_edges(judged, "--folds")[0] - pd.Timedelta(EMBARGO))
    return between(coins, first, end)


def _rule(text: str) -> Any:
    name, *pairs = text.split()
    return agents.make(name, **read_pairs(pairs))


def _learners(args: Args, market: Market, fold: int) -> list[Any]:
    """The trained learners of a fold, from their folders where they are."""
    given: dict[str, dict[str, Any]] = {name: {} for name in args.learners}
    for name, value in read_pairs(args.params).items():
        learner, dot, field = name.partition(".")
        if not dot or learner not in given:
            raise RunError(f"--params {name}: expected LEARNER.NAME=VALUE, one of --learners")
        given[learner][field] = value
    made = []
    for name in args.learners:
        agent = agents.make(name, **given[name])
        for seed in range(args.seeds):
            folder = args.out / f"fold{fold}-{name}-{seed}"
            progress = Progress(cost_of(agent, args.steps, done_steps(folder)))
            try:
                trained = train(
                    name,
                    given[name],
                    market,
                    PORTFOLIO | {"cash_rate": 0.02},
                    steps=args.steps,
                    seed=seed,
                    folder=folder,
                    events=folder / "tensorboard",
                    progress=progress,
                    trial=Training.of(args.out, folder.name),
                )
            finally:
                progress.close()
            made.append(trained)
    return made


def _rows(
    name: str, halves: Sequence[str], chosen: Sequence[tuple[str, ...]], each: Sequence[Walk]
) -> list[dict[str, Any]]:
    return [
        {
            "agent": name,
            "half": half,
            "coins": " ".join(own),
            "growth": 100 * float(found.growth[i].mean()),
            "fall": 100 * float(found.fall[i].max()),
            "liquidations": float(found.liquidations[i]),
        }
        for own, found in zip(chosen, each, strict=True)
        for i, half in enumerate(halves)
    ]


def show(frame: pd.DataFrame, args: Args, halves: Sequence[str]) -> None:
    """Growth by half-year, mean over subsets and cash rates; deepest fall and liquidations."""
    frame = frame.assign(agent=[_plain(name, args) for name in frame["agent"]])
    table = frame.pivot_table(index="agent", columns="half", values="growth", sort=False)
    table["mean"] = table[list(dict.fromkeys(halves))].mean(axis=1)
    by = frame.groupby("agent", sort=False)
    table["fall"], table["liquidations"] = by["fall"].max(), by["liquidations"].sum()
    print(f"\ngrowth above cash, % a year, mean over {args.subsets} subsets and cash rates")
    print(table.round(2).to_string())


def _plain(name: str, args: Args) -> str:
    """The name without the seed."""
    return name.rpartition(" ")[0] if name.rpartition(" ")[0] in args.learners else name


def compare(args: Args, names: Sequence[str], walks: Sequence[Any]) -> None:
    """Print each learner less each rule, over all half-years, subsets and seeds."""
    days = {
        name: np.concatenate(
            [
                np.stack([each.days for each in found[i]], axis=-1).reshape(-1, len(found[i]))
                for found in walks
            ]
        )
        for i, name in enumerate(names)
    }  # (days, subsets)
    told = {}
    for learner in args.learners:
        mine = np.stack([days[f"{learner} {seed}"] for seed in range(args.seeds)], axis=-1)
        for rule in args.rules:
            found = paired_over(100 * 365 * (mine - days[rule][..., None]))
            told[f"{learner} less {rule}"] = found._asdict()
            print(
                f"{learner} less {rule}: {found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}] %"
                f" a year, p = {found.p_value:.3f}"
            )
    write_json(args.out / "paired.json", json.loads(json.dumps(told)))


def _show_headroom(args: Args, coins: Market) -> None:
    print("\nclairvoyant of one coin or cash, all coins, cash 2 %, growth % a year")
    print(f"{'half-year':<12}{'known':>8}{'funding 0':>11}{'shifted':>9}{'best shift':>12}")
    for fold in args.folds:
        names, halves = half_years(coins, _spans(fold)[1])
        for number, half in enumerate(names):
            first, last = (int(edge) for edge in halves.paths[number])
            part = between(
                halves,
                pd.Timestamp(int(halves.close_ns[first]), tz="UTC"),
                pd.Timestamp(int(halves.close_ns[last - 1]), tz="UTC"),
            )
            found = headroom(part, (0.5, 0.95, 1.5, 2.0), 0.02, number)
            cells = "".join(f"{100 * value:>10.2f}" for value in found)
            print(f"{half:<12}{cells}", flush=True)


if __name__ == "__main__":
    run(Args, main, __doc__)
