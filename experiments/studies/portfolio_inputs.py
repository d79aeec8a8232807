"""What forecasts as observations are worth to a learner of one capital, and which inputs move it.

Trains the learner with and without the columns of the forecasters, with the same seeds, on the span
before the judged one, and runs both on the judged half-years with random subsets of the coins: as
the selection leaves them, and at the strength that they learned. Markets with and without the
columns begin at the same bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import agents
from agents.params import read_pairs
from agents.sb3.portfolio.attribution import shares
from experiments.core.cli import run
from experiments.core.market_args import EMBARGO, span_edges
from experiments.core.run_folder import write_frame
from experiments.studies.margin_markets import COINS, load
from experiments.studies.portfolio_walks import PORTFOLIO, half_years, subsets, walk
from fundenv.batch.cpu import Batch
from fundenv.forecast.observed import with_forecast_columns
from fundenv.market import Market, between, narrowed


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the study."""

    data: Path
    """Folder of the data files."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    trained: str = "2020-02:2023-06"
    """START:END of the training; it ends an embargo before the judged span."""
    judged: str = "2023-07:2024-06"
    """START:END of the half-years."""
    learner: str = "portfolio_ppo"
    """Learner that steers margin carry."""
    params: tuple[str, ...] = ()
    """Its parameters, NAME=VALUE."""
    forecasters: tuple[str, ...] = ("none", "ridge")
    """Forecasters whose columns the learner observes; none: the market as it is."""
    seeds: int = 2
    """Number of trainings with each."""
    steps: int = 300_000
    """Number of environment steps of a training."""
    subsets: int = 4
    """Number of subsets of the coins."""
    cash_rates: tuple[float, ...] = (0.0, 0.02, 0.045)
    """Cash rates over which growth is averaged."""
    out: Path = Path("runs/portfolio-inputs")
    """Folder of results.parquet."""


def main(args: Args) -> None:
    """Train, run, print."""
    coins = load(args.data, args.symbols).together
    markets = {
        name: coins if name == "none" else with_forecast_columns(coins, name)
        for name in args.forecasters
    }
    begins = max(market.close_ns[0] for market in markets.values())
    first, last = span_edges(args.trained, "--trained")
    start = max(first, pd.Timestamp(int(begins), tz="UTC"))
    end = min(last, span_edges(args.judged, "--judged")[0] - pd.Timedelta(EMBARGO))
    rows: list[dict[str, Any]] = []
    moved: dict[str, list[dict[str, float]]] = {}
    for name, market in markets.items():
        rule = agents.make("margin_carry", compare=1, highest=4)
        if not rows:
            rows += judged("the rule", rule, market, args)
        for seed in range(args.seeds):
            agent: Any = agents.make(args.learner, **read_pairs(args.params))
            settings = PORTFOLIO | {"cash_rate": 0.02}
            agent.learn(between(market, start, end), settings, steps=args.steps, seed=seed)
            print(f"{name}, seed {seed}: {agent.verdict}", flush=True)
            rows += judged(f"{name}, selected", agent, market, args)
            if agent.learned:
                agent.full_strength()
            rows += judged(f"{name}, full strength", agent, market, args)
            moved.setdefault(name, []).append(inputs(agent, market, args))
    frame = pd.DataFrame(rows)
    write_frame(args.out / "results.parquet", frame)
    table = frame.pivot_table(index="agent", columns="half", values="growth", sort=False)
    table["mean"] = table.mean(axis=1)
    by = frame.groupby("agent", sort=False)
    table["deepest fall"], table["liquidations"] = by["fall"].max(), by["liquidations"].sum()
    print("\ngrowth above cash, % a year")
    print(table.round(2).to_string())
    print("\nshares of the inputs in what moves the dials, at full strength")
    mean = {name: pd.DataFrame(each).mean() for name, each in moved.items()}
    print(pd.DataFrame(mean).round(2).to_string())


def judged(name: str, agent: Any, market: Market, args: Args) -> list[dict[str, Any]]:
    """One row for each half-year and subset."""
    halves, stacked = half_years(market, args.judged)
    rows = []
    for own in subsets(args.symbols, args.subsets, 0):
        found = walk(agent, narrowed(stacked, own), args.cash_rates)
        for i, half in enumerate(halves):
            growth, fall = 100 * found.growth[i].mean(), 100 * found.fall[i].max()
            row = {"agent": name, "half": half, "coins": " ".join(own), "growth": float(growth)}
            rows.append(row | {"fall": float(fall), "liquidations": found.liquidations[i].sum()})
    return rows


def inputs(agent: Any, market: Market, args: Args) -> dict[str, float]:
    """Shares of the groups of inputs on the judged half-years, with all coins."""
    _, stacked = half_years(market, args.judged)
    batch = Batch(stacked.n_paths, market=stacked, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    agent.reset()
    batch.reset(0, paths=np.arange(stacked.n_paths), starts=np.zeros(stacked.n_paths, int))
    seen = []
    for number in range(360):
        if number % 9 == 0:
            seen.append(batch.obs.copy())
        batch.step(agent.act(batch.obs))
    names = [column.name for column in batch.observation_table]
    return shares(agent, np.concatenate(seen), names)


if __name__ == "__main__":
    run(Args, main, __doc__)
