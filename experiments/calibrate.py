"""Calibrates rules: evaluates thousands of settings of each rule on the training span and writes
the best one to calibrated.toml.

The objective is log growth per year net of the cash rate, mean over symbols, among settings whose
drawdown stays within a limit. The folder --out receives calibrated.toml (for --calibrated of the
benchmark and of evaluate) and, for each rule, every setting with its figures (settings.parquet),
heat maps (heatmap.png) and report.md: walk-forward folds, deflated Sharpe ratio, probability of
backtest overfitting. Only the chosen setting is evaluated on the test span, once. Ctrl-C keeps what
is done; --resume goes on.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import agents
from experiments.analysis.walk_forward import folds, scores
from experiments.calibration import parameter_file as calibrated
from experiments.calibration.report import write_report
from experiments.calibration.search import (
    Proposals,
    Values,
    check_order,
    dimensions,
    grid,
    in_order,
    is_grid,
)
from experiments.calibration.selection import Calibration, conclude
from experiments.core.cli import Stopped, deferred, run
from experiments.core.market_args import MARKET_FIXED, MarketArgs, pairs, shown
from experiments.core.run_folder import RunError, open_run, provenance, read_json, write_json
from experiments.rollout.make import say_overruled
from experiments.rollout.sweep import Sweep, sweep

FIXED = (*MARKET_FIXED, "rules", "space", "params", "trials", "drawdown", "seed")
SUMS = ("growth", "turnover", "liquidations")  # fields of a sweep with one row per setting
CHUNK = 500  # settings in one batch


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the calibration."""

    rules: tuple[str, ...] = ("carry", "ewma", "har", "dynamic_leverage", "zscore")
    """Rules to calibrate."""
    space: tuple[str, ...] = ()
    """What is searched, RULE.NAME=V1,V2,.. (grid) or RULE.NAME=LOW:HIGH[:log] (Optuna), e.g.
    zscore.entry=1.5,2,2.5 ewma.span=3:200:log; a rule that is not named has a space of its own
    (experiments/calibration/search.py).
    """
    params: tuple[str, ...] = ()
    """Parameters that stay fixed, RULE.NAME=VALUE."""
    trials: int = 2000
    """Settings that Optuna may try where a space has ranges, and the most that a grid may have."""
    drawdown: float = 0.1
    """Deepest drawdown that a setting may have had on the training span (worst symbol, daily
    closes; 0.1 = 10 %).
    """
    folds: int = 4
    """Walk-forward folds within the training span."""
    embargo: int = 14
    """Days dropped before the validation piece of each fold."""
    seed: int = 0
    """Seed of Optuna's proposals."""
    out: Path | None = None
    """Folder of the run; default: runs/calibrate-<time>."""
    resume: bool = False
    """Continue the run in --out (default: the newest); settings already evaluated are not
    evaluated again. A folder without a run is begun.
    """


def main(args: Args) -> None:
    """Search each rule, conclude, write."""
    space, fixed = _by_rule(args.space, args.rules, "--space"), _params(args)
    spaces = {
        rule: dimensions(rule, [f"{k}={v}" for k, v in space.get(rule, {}).items()])
        for rule in args.rules
    }
    if args.trials < 1 or not 0 < args.drawdown <= 1:
        raise RunError(
            f"--trials {args.trials} --drawdown {args.drawdown}: expected at least 1 trial, and a"
            " drawdown in 0 .. 1 (0 excluded)"
        )
    settings, markets = args.settings(), args.markets()
    out = open_run(
        args.out,
        "calibrate",
        json.loads(json.dumps(dataclasses.asdict(args), default=str)),
        FIXED,
        resume=args.resume,
    )
    _same_markets(out, markets)
    for name, market in markets.items():
        print(f"{name:<6}{shown(market)}")
    print(f"out   {out}", flush=True)
    say_overruled(settings, [agents.make(rule) for rule in args.rules])
    tables: dict[str, dict[str, Any]] = {}
    notes: dict[str, list[str]] = {}
    for rule in args.rules:
        search = Search(
            rule,
            _fitted(rule, markets["train"]) | fixed.get(rule, {}),
            spaces[rule],
            markets["train"],
            settings,
            args,
            out / rule,
        )
        values, found = search.run()
        parts = folds(len(found.days), args.folds, args.embargo)
        train, test = markets["train"], markets["test"]
        result = conclude(
            rule,
            search.fixed,
            values,
            found,
            parts,
            train,
            test,
            settings,
            cash_rate=args.cash_rate,
            limit=args.drawdown,
        )
        write_report(out / rule, result, train=shown(train), test=shown(test))
        tables[rule] = result.agent.params.to_dict()
        notes[rule] = _notes(result, markets, args)
        calibrated.write(out / "calibrated.toml", tables, notes)
        print(result.line(), flush=True)
    print(f"parameters: {out / 'calibrated.toml'}")


class Search:
    """The settings of one rule, evaluated in chunks; each chunk is a file, so that an interrupted
    search continues after the last one.
    """

    def __init__(
        self,
        rule: str,
        fixed: dict[str, Any],
        space: Any,
        market: Any,
        settings: dict[str, Any],
        args: Args,
        folder: Path,
    ) -> None:
        self.rule, self.fixed, self.space, self.market, self.settings, self.args = (
            rule,
            fixed,
            space,
            market,
            settings,
            args,
        )
        self.folder = folder / "chunks"
        twice = [d.name for d in space if d.name in fixed]
        if twice:
            raise RunError(f"--params {rule}.{twice[0]} is searched too; fix it or search it")
        check_order(rule, fixed, space)

    def run(self) -> tuple[Values, Sweep]:
        """All settings and what they earned."""
        jobs = self._grid() if is_grid(self.space) else None
        count = sum(len(next(iter(job.values()))) for job in jobs) if jobs else self.args.trials
        form = (
            "{desc} {percentage:3.0f}% |{bar:30}| {n:.0f}/{total:.0f} settings, {elapsed} <"
            " {remaining}"
        )
        begun = time.thread_time()
        rare = 0.2 if sys.stderr.isatty() else 20.0  # a log file needs no more
        with tqdm(total=float(count), desc=self.rule, bar_format=form, mininterval=rare) as bar:
            try:
                done = (
                    [self._walk(i, job, bar) for i, job in enumerate(jobs)]
                    if jobs
                    else self._propose(bar)
                )
            except KeyboardInterrupt:
                out = self.folder.parent.parent
                raise Stopped(
                    f"interrupted; settings evaluated so far are kept in {out}, go on with --resume"
                    f" --out {out}"
                ) from None
        values = {name: np.concatenate([job[name] for job, _ in done]) for name in done[0][0]}
        symbols, days = len(done[0][1].symbols), len(done[0][1].days)
        print(
            f"{self.rule}: {count} settings x {symbols} symbols x {days} days in"
            f" {time.thread_time() - begun:.1f} CPU s",
            flush=True,
        )
        whole: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for _, part in done]) for name in SUMS
        }
        return values, dataclasses.replace(done[0][1], **whole)

    def _grid(self) -> list[Values]:
        values = grid(self.space)
        good = in_order(self.rule, self.fixed, values)
        count = int(good.sum())
        if not count or count > self.args.trials:
            raise RunError(
                f"the grid of {self.rule} has {count} settings, --trials allows 1 .."
                f" {self.args.trials}; list other values or raise --trials"
            )
        return [
            {name: array[good][i : i + CHUNK] for name, array in values.items()}
            for i in range(0, count, CHUNK)
        ]

    def _propose(self, bar: Any) -> list[tuple[Values, Sweep]]:
        proposals, done = Proposals(self.space, self.args.seed), []
        per_round = max(8, min(CHUNK, self.args.trials // 20))
        left, number = self.args.trials, 0
        while left > 0:
            path = self.folder / f"{number:04d}.npz"
            if path.is_file():
                done.append(self._walk(number, _load(path)[0], bar))
                proposals.recall(done[-1][0], self._scores(done[-1][1]))
            else:
                trials, values, good = self._ask(proposals, min(per_round, left))
                done.append(
                    self._walk(number, {name: array[good] for name, array in values.items()}, bar)
                )
                found = iter(self._scores(done[-1][1]))
                proposals.tell(trials, [next(found) if fine else None for fine in good])
            left -= len(done[-1][1].growth)
            number += 1
        return done

    def _ask(self, proposals: Proposals, count: int) -> tuple[list[Any], Values, NDArray[np.bool_]]:
        """Proposals of Optuna; at least one keeps the order of the parameters."""
        while True:
            trials, values = proposals.ask(count)
            good = in_order(self.rule, self.fixed, values)
            if good.any():
                return trials, values, good
            proposals.tell(trials, [None] * count)

    def _scores(self, found: Sweep) -> list[float]:
        """The objective, with a finite penalty beyond the limit, from which Optuna can learn."""
        score = scores(found.growth, self.args.cash_rate, self.args.drawdown)
        return [float(value) if np.isfinite(value) else -1.0 for value in score]

    def _walk(self, number: int, job: Values, bar: Any) -> tuple[Values, Sweep]:
        """Evaluate one chunk, or read its file."""
        path, count = self.folder / f"{number:04d}.npz", len(next(iter(job.values())))
        begun = bar.n
        if not path.is_file():
            with deferred() as interrupt:

                def step(share: float) -> bool:
                    bar.update(begun + share * count - bar.n)
                    return not interrupt.requested

                found = sweep(self.rule, self.fixed, job, self.market, self.settings, step)
                if found is not None:
                    _save(path, job, found)
            if interrupt.requested:
                raise KeyboardInterrupt
        bar.update(begun + count - bar.n)
        return _load(path)


def _save(path: Path, job: Values, found: Sweep) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.npz")
    arrays: dict[str, Any] = {name: getattr(found, name) for name in ("days", *SUMS)} | {
        "symbols": np.array(found.symbols)
    }
    np.savez(partial, **arrays | {f"param_{name}": array for name, array in job.items()})
    partial.replace(path)


def _load(path: Path) -> tuple[Values, Sweep]:
    try:
        with np.load(path) as file:
            job = {
                name.removeprefix("param_"): file[name]
                for name in file.files
                if name.startswith("param_")
            }
            arrays = {name: file[name] for name in ("days", *SUMS)}
            return job, Sweep(symbols=tuple(file["symbols"].tolist()), **arrays)
    except (ValueError, KeyError, OSError) as error:
        raise RunError(
            f"{path} is damaged ({error}); delete it to have its settings evaluated again"
        ) from None


def _by_rule(
    items: tuple[str, ...], rules: tuple[str, ...], flag: str
) -> dict[str, dict[str, str]]:
    """RULE.NAME=TEXT items by rule."""
    found: dict[str, dict[str, str]] = {}
    for item in items:
        name, equals, text = item.partition("=")
        rule, dot, field = name.partition(".")
        if not dot or not equals or rule not in rules:
            raise RunError(
                f"{flag} {item}: expected RULE.NAME=.. with a rule of this run ({', '.join(rules)})"
            )
        found.setdefault(rule, {})[field] = text
    return found


def _params(args: Args) -> dict[str, dict[str, Any]]:
    """Fixed parameters by rule; every rule is made once, so that a wrong one is reported before
    anything runs.
    """
    found: dict[str, dict[str, Any]] = {}
    for rule, texts in _by_rule(args.params, args.rules, "--params").items():
        found[rule] = pairs(tuple(f"{name}={text}" for name, text in texts.items()), "--params")
    for rule in args.rules:
        if agents.agent_class(rule).learns:
            raise RunError(f"--rules {rule}: it learns; only rules are calibrated")
        agents.make(rule, **found.get(rule, {}))
    return found


def _fitted(rule: str, market: Any) -> dict[str, Any]:
    """Parameters that a rule with a forecast fits on the whole training span. The folds therefore
    know the weights of the forecast, though not the settings.
    """
    kind: Any = agents.agent_class(rule)
    return dict(kind.fit(market)) if hasattr(kind, "fit") else {}


def _same_markets(out: Path, markets: dict[str, Any]) -> None:
    """Write the provenance of a new run; refuse to continue one on other data."""
    path = out / "provenance.json"
    if not path.exists():
        write_json(path, provenance(markets))
        return
    before = read_json(path)["markets"]
    for name, market in markets.items():
        if before[name]["hash"] != market.hash:
            raise RunError(
                f"the {name} market has changed since {out} was begun ({before[name]['hash']} ->"
                f" {market.hash}); choose another --out"
            )


def _notes(result: Calibration, markets: dict[str, Any], args: Args) -> list[str]:
    growth = (
        f"growth {100 * result.train:+.2f} % a year net of a cash rate of"
        f" {100 * args.cash_rate:g} %"
    )
    return [
        (
            f"best of {len(result.growth)} settings on {shown(markets['train'])} (market"
            f" {markets['train'].hash})"
        ),
        f"{growth}, drawdown {100 * result.drawdown:.2f} % (limit {100 * args.drawdown:g} %)",
    ]


if __name__ == "__main__":
    run(Args, main, __doc__)
