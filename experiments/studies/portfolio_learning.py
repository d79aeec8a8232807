"""Trains learners of one capital on the years before some half-years, and compares them with rules
there, on random subsets of the coins and on each coin alone.

Each fold names a training span and the span of its evaluation. Every half-year of the latter begins
in cash, for every subset, every cash rate and every factor on costs. Rules have fixed parameters,
or parameters calibrated on what lies before the fold. Nothing is chosen on the printed results;
trials.csv in the parent folder holds the number of configurations that were tried. The differences
are paired: the bootstrap draws days in blocks, whole subsets and whole seeds
(`experiments.analysis.panel`). `--headroom` adds the share of the clairvoyant's growth that is
noise. The command does not repeat calibrations, trainings and walks that --out holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

import agents
from agents.params import read_pairs
from experiments.benchmarking.training import Progress, cost_of, done_steps, train
from experiments.benchmarking.trials import Training
from experiments.core.cli import run
from experiments.core.market_args import EMBARGO, pairs, span_edges
from experiments.core.run_folder import RunError, read_json, write_json
from experiments.studies import portfolio_calibration as calibration
from experiments.studies import portfolio_noise as noise
from experiments.studies import portfolio_tables as tables
from experiments.studies.margin_markets import COINS, load
from experiments.studies.portfolio_panel import Panel
from experiments.studies.portfolio_records import Entrant, Record, fingerprint, recorded
from experiments.studies.portfolio_walks import PORTFOLIO, half_years, subsets
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
    thin: tuple[str, ...] = ("2022-07", "2023-01")
    """Half-years of low funding, which have a column of their own."""
    learners: tuple[str, ...] = ("portfolio_ppo",)
    """Learners of one capital."""
    rules: tuple[str, ...] = (
        "rotation leverage=2 band=0.5",
        "rotation leverage=1 band=0.5",
        "margin_carry",
    )
    """Rules, each with its parameters; a rule of one coin gets an equal part for each coin."""
    slow: tuple[str, ...] = ()
    """Rules that solve a programme at every decision: at single costs, without the coins alone."""
    calibrated: tuple[str, ...] = ()
    """Rules to calibrate on the training span of each fold, by name."""
    draws: int = 60
    """Settings that a calibration tries."""
    params: tuple[str, ...] = ()
    """Parameters of the learners, LEARNER.NAME=VALUE."""
    seeds: int = 3
    """Number of trainings of each learner in each fold."""
    steps: int = 300_000
    """Number of environment steps of a training."""
    step_counts: tuple[str, ...] = ()
    """LEARNER=STEPS of learners that take other steps."""
    subsets: int = 6
    """Number of subsets of the coins, including the set of all coins."""
    singles: bool = False
    """Walk every coin alone too, and show it apart."""
    cash_rates: tuple[float, ...] = (0.0, 0.02, 0.045)
    """Cash rates over which growth is averaged."""
    costs: tuple[float, ...] = (1.0,)
    """Factors on fees, half-spread and impact, 1 first."""
    env: tuple[str, ...] = ()
    """Settings of the env of the evaluation, NAME=VALUE, as quote_supply=300000; the trainings keep
    their own settings.
    """
    headroom: bool = False
    """Show the clairvoyant of shuffled decisions, too."""
    out: Path = Path("runs/portfolio-learning")
    """Folder of the trainings, the walks and the tables."""


def main(args: Args) -> None:
    """Calibrate, train, walk, compare."""
    settings = pairs(args.env, "--env")
    EnvConfig.from_dict(settings)
    if 1.0 not in args.costs:
        raise RunError(
            f"--costs {args.costs}: expected 1 among them; differences are at single costs"
        )
    coins = load(args.data, args.symbols).together
    chosen = subsets(args.symbols, args.subsets, 0)
    alone = [(symbol,) for symbol in args.symbols if args.singles and (symbol,) not in chosen]
    tuned = _calibrated(args, coins)
    records: list[Record] = []
    for number, fold in enumerate(args.folds):
        learned, judged = _spans(fold)
        entrants = [_rule(text, text, {}) for text in args.rules]
        entrants += [
            _rule(f"{name}, calibrated", name, tuned[number][name]) for name in args.calibrated
        ]
        slow = [_rule(text, text, {}) for text in args.slow]
        entrants += _learners(args, _cut(coins, learned, judged), number)
        jobs = [
            (who, cost, [*chosen, *alone] if cost == 1.0 else chosen)
            for cost in args.costs
            for who in entrants
        ]
        jobs += [(who, 1.0, chosen) for who in slow]
        halves = half_years(coins, judged)
        for who, cost, walked in tqdm(jobs, desc=f"fold {number}, walks", mininterval=5.0):
            records.append(
                recorded(
                    who,
                    halves,
                    walked,
                    fold=number,
                    cost=cost,
                    cash_rates=args.cash_rates,
                    env=settings,
                    out=args.out,
                )
            )
    panel = Panel(
        records,
        subsets=chosen,
        singles=[(symbol,) for symbol in args.symbols] if args.singles else [],
        cash_rates=args.cash_rates,
        thin=args.thin,
    )
    tables.conclude(panel, args.out)
    if args.headroom:
        noise.conclude(panel, coins, [_spans(fold)[1] for fold in args.folds], args.out)


def _calibrated(args: Args, coins: Market) -> list[dict[str, dict[str, Any]]]:
    """By fold, the parameters of each rule that is calibrated; from the file where they are."""
    found: list[dict[str, dict[str, Any]]] = [{} for _ in args.folds]
    if not args.calibrated:
        return found
    first = min(span_edges(_spans(fold)[0], "--folds")[0] for fold in args.folds)
    starts = [span_edges(_spans(fold)[1], "--folds")[0] for fold in args.folds]
    before = between(coins, first, max(starts))
    told = {"market": before.hash, "draws": args.draws, "starts": [f"{each}" for each in starts]}
    walks = len(calibration.capitals(before)) * len(calibration.SCALES)
    with tqdm(total=walks * len(args.calibrated), desc="calibration", mininterval=5.0) as bar:
        for rule in args.calibrated:
            path = args.out / "calibration" / f"{rule}.json"
            kept = read_json(path) if path.is_file() else {}
            if kept.get("told") != told:
                values = calibration.drawn(rule, args.draws, 0)
                settings = _rule(rule, rule, {}).settings
                seen = calibration.pieces(rule, values, before, settings, lambda: bar.update(1))
                kept = {
                    "told": told,
                    "chosen": [calibration.chosen(values, seen, start) for start in starts],
                }
                write_json(path, kept)
            else:
                bar.update(walks)
            for number, chosen in enumerate(kept["chosen"]):
                found[number][rule] = chosen
    return found


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


def _rule(name: str, text: str, params: dict[str, Any]) -> Entrant:
    """A rule given as NAME PARAMETER=VALUE ..., with more parameters."""
    own, *pairs = text.split()
    agent = agents.make(own, **read_pairs(pairs) | params)
    kind = "bound" if getattr(agent, "sees_future", False) else "rule"
    return Entrant(name=name, agent=agent, kind=kind, told=agent.params.to_dict())


def _learners(args: Args, market: Market, fold: int) -> list[Entrant]:
    """The trained learners of a fold, from their folders where they are."""
    given: dict[str, dict[str, Any]] = {name: {} for name in args.learners}
    for name, value in read_pairs(args.params).items():
        learner, dot, field = name.partition(".")
        if not dot or learner not in given:
            raise RunError(f"--params {name}: expected LEARNER.NAME=VALUE, one of --learners")
        given[learner][field] = value
    counts = dict.fromkeys(args.learners, args.steps)
    counts |= {name: int(value) for name, value in read_pairs(args.step_counts).items()}
    made = []
    for name in args.learners:
        agent = agents.make(name, **given[name])
        for seed in range(args.seeds):
            folder = args.out / f"fold{fold}-{name}-{seed}"
            progress = Progress(cost_of(agent, counts[name], done_steps(folder)))
            try:
                trained = train(
                    name,
                    given[name],
                    market,
                    PORTFOLIO | {"cash_rate": 0.02},
                    steps=counts[name],
                    seed=seed,
                    folder=folder,
                    events=folder / "tensorboard",
                    progress=progress,
                    trial=Training.of(args.out, folder.name),
                )
            finally:
                progress.close()
            told = {"trained": fingerprint(folder)}
            made.append(Entrant(name=name, agent=trained, kind="learner", seed=seed, told=told))
    return made


if __name__ == "__main__":
    run(Args, main, __doc__)
