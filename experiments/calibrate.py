"""Calibrates rules: evaluates thousands of settings of each rule on the training span and writes
the best one to calibrated.toml.

The objective is log growth per year net of the cash rate, mean over symbols, among settings whose
drawdown stays within a limit. The folder --out receives calibrated.toml (for --calibrated of the
benchmark and of evaluate) and, for each rule, every setting with its figures (settings.parquet),
heat maps (heatmap.png) and report.md: walk-forward folds, deflated Sharpe ratio, probability of
backtest overfitting. Only the chosen setting is evaluated on the test span, once. Ctrl-C keeps
finished settings; --resume continues.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import agents
from experiments.analysis.walk_forward import folds
from experiments.calibration import parameter_file as calibrated
from experiments.calibration.chunks import Limits, Search
from experiments.calibration.report import write_report
from experiments.calibration.search import dimensions, is_grid
from experiments.calibration.selection import Calibration, conclude
from experiments.core.cli import run
from experiments.core.market_args import MARKET_FIXED, MarketArgs, pairs, shown
from experiments.core.provenance import begin_provenance
from experiments.core.run_folder import RunError, open_run
from experiments.rollout.make import say_overruled

FIXED = (*MARKET_FIXED, "rules", "space", "params", "trials", "drawdown", "seed")


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the calibration."""

    rules: tuple[str, ...] = ("carry", "ewma", "har", "dynamic_leverage", "zscore")
    """Rules to calibrate."""
    space: tuple[str, ...] = ()
    """What is searched, RULE.NAME=V1,V2,.. (grid) or RULE.NAME=LOW:HIGH[:log] (Optuna), e.g.
    zscore.entry=1.5,2,2.5 ewma.span=3:200:log; other rules use their default space
    (experiments/calibration/search.py).
    """
    params: tuple[str, ...] = ()
    """Parameters that stay fixed, RULE.NAME=VALUE."""
    trials: int = 2000
    """Number of settings that Optuna tries where a space has ranges. From a larger grid this many
    settings are drawn at random (--seed).
    """
    drawdown: float = 0.1
    """Largest drawdown that a setting may have on the training span (worst symbol, daily closes;
    0.1 = 10 %).
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
    """Continue the run in --out (default: the newest) and skip settings already evaluated. In a
    folder without a run, start one.
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
    _need_optuna([rule for rule, space in spaces.items() if not is_grid(space)])
    settings, markets = args.settings(), args.markets()
    out = open_run(
        args.out,
        "calibrate",
        json.loads(json.dumps(dataclasses.asdict(args), default=str)),
        FIXED,
        resume=args.resume,
    )
    begin_provenance(out, markets)
    for name, market in markets.items():
        print(f"{name:<6}{shown(market)}")
    print(f"out   {out}", flush=True)
    say_overruled(settings, [agents.make(rule) for rule in args.rules])
    limits = Limits(args.trials, args.seed, args.cash_rate, args.drawdown)
    tables: dict[str, dict[str, Any]] = {}
    notes: dict[str, list[str]] = {}
    for rule in args.rules:
        search = Search(
            rule,
            _fitted(rule, markets["train"]) | fixed.get(rule, {}),
            spaces[rule],
            markets["train"],
            settings,
            limits,
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


def _need_optuna(rules: list[str]) -> None:
    """Raise `RunError` where rules have ranges to search and Optuna is not installed."""
    if rules and find_spec("optuna") is None:
        raise RunError(
            f"rules {', '.join(rules)}: Optuna, which searches ranges, is not installed; pip"
            " install 'fundenv[calibrate]', or give lists of values with --space"
        )


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
