"""Selects a rule for portfolio margin on many short pieces of history, and judges it once on two
spans that the selection does not use.

A piece is a half-year of the training spans: for one account per coin, for a random subset of the
coins or for all of them on one capital, with recorded funding and with funding scaled down (that of
2021 was five times as high as in later years). Settings are drawn at random from the grid that
`experiments.calibrate` searches. Each piece ranks all settings by growth. The setting with the
highest mean rank among those that were never liquidated is chosen, so that a year of rich funding
has the same weight as any other. The script chooses three times: for accounts of one coin, for one
capital over several coins, and for both. It prints how many settings were tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import agents
from experiments.analysis.walk_forward import deepest
from experiments.calibration import parameter_file
from experiments.calibration.search import dimensions, grid, in_order, is_grid
from experiments.core.cli import run
from experiments.core.run_folder import RunError
from experiments.rollout.sweep import Sweep, sweep
from experiments.studies.margin_markets import COINS, PORTFOLIO, RICH, THIN, Coins, load, yearly
from fundenv.market import Market, joint

Array = NDArray[np.float64]
Values = dict[str, NDArray[Any]]
CHUNK = 500
HALF_YEAR = 182  # days


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the selection."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    rule: str = "margin_carry"
    """The rule."""
    draws: int = 1000
    """Number of settings drawn from its grid (experiments/calibration/search.py)."""
    seed: int = 0
    """Seed of the draws and of the subsets."""
    spans: tuple[str, ...] = ("2020-02:2021-11", "2023-07:2024-04")
    """Training spans."""
    judged: tuple[str, ...] = (RICH, THIN)
    """Spans that the chosen setting is judged on."""
    scales: tuple[float, ...] = (1.0, 0.3, 0.1)
    """Factors on the funding of the training spans."""
    subsets: int = 4
    """Number of random subsets of three coins."""
    cash: float = 0.02
    """Cash rate of the training."""
    cash_rates: tuple[float, ...] = (0.0, 0.02, 0.045)
    """Cash rates of the judgement."""
    out: Path | None = None
    """Folder for the parameter files, for --calibrated of the benchmark and of evaluate."""


def main(args: Args) -> None:
    """Draw settings, run them, choose, judge."""
    space = dimensions(args.rule, [])
    if not is_grid(space):
        raise RunError(f"--rule {args.rule}: its space has ranges; choose a rule with a grid")
    coins = load(args.data, args.symbols)
    values = draw(args.rule, space, args)
    count = len(next(iter(values.values())))
    growth, liquidated, shared = walk(args, coins, values)
    print(
        f"{args.rule}: {count} settings x {growth.shape[1]} pieces of {', '.join(args.spans)};"
        f" {int(liquidated.sum())} settings were liquidated in one of them"
    )
    if liquidated.all():
        raise RunError(f"every setting of {args.rule} was liquidated; draw more")
    for name, used in (("one a coin", ~shared), ("one for all", shared), ("both", shared | True)):
        rank = ranks(growth[:, used])
        best = int(np.argmax(np.where(liquidated, -np.inf, rank)))
        chosen = {name: array[best].item() for name, array in values.items()}
        said = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
        print(f"\nchosen for {name}, mean rank {100 * rank[best]:.1f} %: {said}")
        judge(args, coins, chosen)
        if args.out is not None:
            made = agents.make(args.rule, **chosen).params.to_dict()
            notes = [f"of {count} settings by mean rank over {int(used.sum())} pieces"]
            file = args.out / f"{name.replace(' ', '_')}.toml"
            parameter_file.write(file, {args.rule: made}, {args.rule: notes})


def _small(space: Any) -> bool:
    return bool(np.prod([float(len(d.values)) for d in space]) <= CHUNK)


def draw(rule: str, space: Any, args: Args, fixed: dict[str, Any] | None = None) -> Values:
    """Settings that keep the order of the parameters: the whole grid if it is small, otherwise
    random ones; each has the `fixed` parameters.
    """
    rng = np.random.default_rng(args.seed)
    many = 20 * args.draws
    small = _small(space)
    drawn = grid(space) if small else None
    drawn = drawn or {
        d.name: np.array(d.values)[rng.integers(len(d.values), size=many)] for d in space
    }
    count = len(next(iter(drawn.values())))
    drawn |= {name: np.full(count, value) for name, value in (fixed or {}).items()}
    good = np.flatnonzero(in_order(rule, {}, drawn))
    if not small:
        good = good[: args.draws]
    return {name: array[good] for name, array in drawn.items()}


def subsets(args: Args, within: Coins) -> list[Market]:
    """One capital over --subsets random subsets of three coins each, and over all coins."""
    rng = np.random.default_rng(args.seed + 1)
    size = min(3, len(args.symbols))
    picked = [
        sorted(rng.choice(len(args.symbols), size, replace=False)) for _ in range(args.subsets)
    ]
    made = [
        joint(within.single, [args.symbols[i] for i in chosen], common=True) for chosen in picked
    ]
    return [*made, within.together]


def walk(
    args: Args, coins: Coins, values: Values
) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """(growth of every setting in every piece (K, N) [% a year above cash], whether the setting was
    ever liquidated (K,), whether the piece is of one capital over several coins (N,)).
    """
    parts, shared, liquidated = [], [], np.zeros(len(next(iter(values.values()))), bool)
    jobs = []
    for span in args.spans:
        within = coins.within(span)
        jobs += [
            (market, scale)
            for scale in args.scales
            for market in (within.single, *subsets(args, within))
        ]
    for market, scale in tqdm(jobs, desc="pieces", mininterval=5.0):
        settings = PORTFOLIO | {"cash_rate": args.cash, "funding_scale": scale}
        for found in swept(args.rule, values, market, settings):
            parts.append(pieces(found))
            shared += [market.n_assets > 1] * parts[-1].shape[1]
            liquidated |= found.liquidations.sum(axis=1) > 0
    return np.concatenate(parts, axis=1), liquidated, np.array(shared)


def swept(rule: str, values: Values, market: Any, settings: dict[str, Any]) -> list[Sweep]:
    """A sweep over all settings, in chunks."""
    count = len(next(iter(values.values())))
    found = [
        sweep(rule, {}, {k: v[i : i + CHUNK] for k, v in values.items()}, market, settings)
        for i in range(0, count, CHUNK)
    ]
    whole: Any = {
        name: np.concatenate([getattr(part, name) for part in found])
        for name in ("growth", "turnover", "liquidations")
    }
    assert found[0] is not None  # it has no callback that could stop it
    return [Sweep(symbols=found[0].symbols, days=found[0].days, **whole)]


def pieces(found: Sweep) -> Array:
    """Growth of every half-year of every account, (K, N) [% a year above cash]."""
    days = found.growth.shape[2]
    edges = np.linspace(0, days, max(1, round(days / HALF_YEAR)) + 1).astype(int)
    return (
        100.0
        * 365.0
        * np.concatenate(
            [
                found.growth[:, :, first:last].mean(axis=2, dtype=np.float64)
                for first, last in zip(edges, edges[1:], strict=False)
            ],
            axis=1,
        )
    )


def ranks(growth: Array) -> Array:
    """Mean over the pieces of the share of settings that each setting beats, ties half, (K,)."""
    from scipy.stats import rankdata

    count = len(growth)
    return np.asarray((rankdata(growth, axis=0) - 1.0).mean(axis=1) / max(count - 1, 1))


def judge(args: Args, coins: Coins, chosen: dict[str, Any]) -> None:
    """Print growth, drawdown and liquidations of one setting on the spans of the judgement."""
    head = "".join(f"{f'cash {100 * rate:g} %':>12}" for rate in args.cash_rates)
    print(f"{'span':<18}{'capital':<14}{head}{'mean':>8}{'drawdown':>10}{'liquidated':>12}")
    values = {name: np.array([value]) for name, value in chosen.items()}
    for span in args.judged:
        within = coins.within(span)
        for name, market in (("one a coin", within.single), ("one for all", within.together)):
            growth, fall, closed = [], 0.0, 0.0
            for rate in args.cash_rates:
                found = sweep(args.rule, {}, values, market, PORTFOLIO | {"cash_rate": rate})
                assert found is not None  # it has no callback that could stop it
                growth.append(float(yearly(found).mean()))
                fall = max(fall, float(deepest(found.growth, rate)[0]))
                closed += float((found.liquidations > 0).sum())
            cells = "".join(f"{value:>12.3f}" for value in growth)
            print(
                f"{span:<18}{name:<14}{cells}{np.mean(growth):>8.3f}{100 * fall:>9.1f} %"
                f"{closed:>12.0f}",
                flush=True,
            )


if __name__ == "__main__":
    run(Args, main, __doc__)
