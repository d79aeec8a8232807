"""Selects a rule for one capital in portfolio margin by its growth, and judges it once on two spans
that the selection does not use.

Pieces are half-years of the training spans, for random subsets of the coins and for all of them on
one capital. Each is used twice: with funding at about its present level (rich), and at a third of
that (thin), where funding is lower than the interest on borrowed quote. The present level is a
factor for each span (--rich: funding of 2020 and 2021 was about three times that of 2024 and 2025),
or the same mean rate in every piece (--level; then each piece begins flat). Among the settings that
were never liquidated and lost nothing on average in the thin pieces, the one with the highest mean
growth in the rich pieces is chosen. The judgement uses the same measure. A mean rank
(margin_selection) would prefer a setting that is slightly better in many pieces to one that earns
more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import agents
from experiments.calibration import parameter_file
from experiments.calibration.search import dimensions
from experiments.core.cli import run
from experiments.core.market_args import pairs, span_edges
from experiments.core.run_folder import RunError
from experiments.studies.margin_markets import PORTFOLIO, Coins, load
from experiments.studies.margin_selection import (
    HALF_YEAR,
    Array,
    Values,
    draw,
    judge,
    pieces,
    subsets,
    swept,
)
from experiments.studies.margin_selection import Args as Selection
from fundenv.market import Market, between
from fundenv.market.layout import SETTLE_RATE

THIN = 1 / 3  # factor on the funding of the rich pieces


@dataclass(frozen=True, kw_only=True)
class Args(Selection):
    """Command line of the selection."""

    rich: tuple[float, ...] = (0.3, 1.0)
    """Factor on the funding of each training span, which makes its level about that of 2024."""
    level: float = 0.0
    """Mean funding of every rich piece, a fraction per year (0.075 is about that of BTC and ETH on
    Binance in 2024 and early 2025); 0: as --rich says.
    """
    fixed: tuple[str, ...] = ()
    """Parameters with a fixed value, NAME=VALUE; they are not drawn."""


def main(args: Args) -> None:
    """Draw settings, run them, choose one, judge it."""
    if len(args.rich) != len(args.spans):
        raise RunError(f"--rich has {len(args.rich)} factors for {len(args.spans)} --spans")
    fixed = pairs(args.fixed, "--fixed")
    space = [each for each in dimensions(args.rule, []) if each.name not in fixed]
    coins = load(args.data, args.symbols)
    values = draw(args.rule, space, args, fixed)
    count = len(next(iter(values.values())))
    rich, thin, liquidated = walk(args, coins, values)
    chosen = choose(rich, thin, liquidated)
    setting = {name: array[chosen].item() for name, array in values.items()}
    kept = ~liquidated & (thin.mean(axis=1) >= 0.0)
    print(
        f"{args.rule}: {count} settings x {rich.shape[1]} rich and as many thin pieces of"
        f" {', '.join(args.spans)}; {int(liquidated.sum())} were liquidated in one of them,"
        f" {int(kept.sum())} of the others lost nothing in the thin ones"
    )
    print(
        f"chosen: rich {rich[chosen].mean():.2f}, thin {thin[chosen].mean():.2f} % a year:"
        f" {', '.join(f'{name} {value:g}' for name, value in setting.items())}"
    )
    judge(args, coins, setting)
    if args.out is not None:
        made = agents.make(args.rule, **setting).params.to_dict()
        notes = [f"of {count} settings by mean growth over {rich.shape[1]} rich pieces"]
        parameter_file.write(args.out / "growth.toml", {args.rule: made}, {args.rule: notes})


def walk(args: Args, coins: Coins, values: Values) -> tuple[Array, Array, NDArray[np.bool_]]:
    """(growth of every setting in the rich pieces (K, N) and in the thin ones (K, N) [% a year
    above cash], whether it was ever liquidated (K,)).
    """
    jobs = [
        (piece, args.level / yearly_rate(piece) if args.level > 0.0 else factor)
        for span, factor in zip(args.spans, args.rich, strict=True)
        for within in (half_years(coins, span) if args.level > 0.0 else [coins.within(span)])
        for piece in subsets(args, within)
    ]
    found: dict[bool, list[Array]] = {False: [], True: []}
    liquidated = np.zeros(len(next(iter(values.values()))), bool)
    for market, factor in tqdm(jobs, desc="markets", mininterval=5.0):
        for is_thin in (False, True):
            scale = factor * THIN if is_thin else factor
            settings = PORTFOLIO | {"cash_rate": args.cash, "funding_scale": scale}
            for part in swept(args.rule, values, market, settings):
                found[is_thin].append(pieces(part))
                liquidated |= part.liquidations.sum(axis=1) > 0
    rich, thin = (np.concatenate(found[is_thin], axis=1) for is_thin in (False, True))
    return rich, thin, liquidated


def half_years(coins: Coins, span: str) -> list[Coins]:
    """The coins in each half-year of START:END, as `pieces` cuts them."""
    first, last = span_edges(span, "--spans")
    count = max(1, round((last - first).days / HALF_YEAR))
    edges = [first + (last - first) * k / count for k in range(count + 1)]
    return [
        Coins(*(between(market, begin, end) for market in (coins.single, coins.together)))
        for begin, end in zip(edges, edges[1:], strict=False)
    ]


def yearly_rate(market: Market) -> float:
    """Mean settled rate of the coins, a fraction per year."""
    years = len(market.bars) * market.bar_hours / 8760.0
    return float(market.bars[:, :, SETTLE_RATE].sum(axis=0).mean()) / years


def choose(rich: Array, thin: Array, liquidated: NDArray[np.bool_]) -> int:
    """The setting with the highest mean of `rich` among those never liquidated with a mean of
    `thin` of 0 or more; where there is none, the one that loses least in `thin`.
    """
    if liquidated.all():
        raise RunError("every setting was liquidated; draw more")
    kept = ~liquidated & (thin.mean(axis=1) >= 0.0)
    if not kept.any():
        return int(np.argmax(np.where(liquidated, -np.inf, thin.mean(axis=1))))
    return int(np.argmax(np.where(kept, rich.mean(axis=1), -np.inf)))


if __name__ == "__main__":
    run(Args, main, __doc__)
