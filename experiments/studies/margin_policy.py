"""Draws how much of the capital rules and trained agents use in one coin: the notional over equity
after their decision, over what the coin pays above cash and its volatility, from cash and from
positions that are nearer and nearer to liquidation.

Observations that are not on an axis have their medians over the span. In portfolio margin a
position and the volatility give the distance to liquidation, which the right axis shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import agents
from agents.base import CHECKPOINT, observed
from agents.params import read_pairs
from agents.rules.capital import Capital
from experiments.core.cli import run
from experiments.core.market_args import span_edges
from experiments.core.picture_file import write_picture
from experiments.core.run_folder import RunError, read_json
from experiments.evaluate import agent_of
from experiments.studies.margin_markets import load
from experiments.studies.portfolio_walks import PORTFOLIO
from fundenv.batch.cpu import Batch
from fundenv.market import Market, between, narrowed

Array = NDArray[np.float64]
POINTS = 33
_DISTANCES = ("margin_distance", "liquidation_distance")
_FUNDING = ("funding_last", *(f"funding_ewma_{span}" for span in (3, 9, 21, 90)))


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the picture."""

    data: Path
    """Folder of the data files."""
    agents: tuple[str, ...]
    """Rules with their parameters, "margin_carry compare=1", and folders of trained agents; each
    has a row of pictures.
    """
    symbols: tuple[str, ...] = ("BTCUSDT", "ADAUSDT")
    """The coins, a column each."""
    held: tuple[float, ...] = (0.0,)
    """Notionals over equity held before the decision, a column each for every coin; 0: cash."""
    span: str = "2023-01:2024-06"
    """Span START:END of the medians."""
    cash_rate: float = 0.02
    """Cash rate of the account."""
    out: Path = Path("margin-policy.png")
    """File of the picture."""


def main(args: Args) -> None:
    """Compute the notionals and draw them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    if not args.agents:
        raise RunError("--agents is empty; give rules of one capital or folders of trained agents")
    asked = [agent_named(text) for text in args.agents]
    market = between(load(args.data, args.symbols).together, *span_edges(args.span, "--span"))
    columns = [(symbol, held) for symbol in args.symbols for held in args.held]
    figure, axes = plt.subplots(
        len(asked),
        len(columns),
        figsize=(3.3 * len(columns), 2.4 * len(asked) + 0.8),
        constrained_layout=True,
        squeeze=False,
        sharex=True,
    )
    net, volatility = np.linspace(-0.5, 4.0, POINTS), np.linspace(0.2, 2.0, POINTS)
    told = [
        [
            answer(agent, narrowed(market, [symbol]), net, volatility, args.cash_rate, held)
            for symbol, held in columns
        ]
        for agent in asked
    ]
    most = max(1.0, *(float(found.size.max()) for row in told for found in row))
    image: Any = None
    for row, name, own in zip(axes, args.agents, told, strict=True):
        for cell, (symbol, held), found in zip(row, columns, own, strict=True):
            image = cell.pcolormesh(
                net, volatility, found.size, cmap="viridis", vmin=0, vmax=most, shading="nearest"
            )
            state = f"holds {held:g} of equity" if held else "in cash"
            cell.set_title(f"{shown(name)}\n{symbol}, {state}", fontsize=10)
            if held:
                _show_distance(cell, volatility, found.distance)
        row[0].set_ylabel("volatility, per year")
    for cell in axes[-1]:
        cell.set_xlabel("funding above cash, bp per 8 h")
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.8, aspect=40)
    bar.set_label("notional after the decision, of equity")
    write_picture(args.out, figure, dpi=100, facecolor="white")
    print(args.out)


def shown(text: str) -> str:
    """How tables and pictures name an agent that is given like this: a trained one by its name."""
    folder = Path(text)
    if not folder.is_dir():
        return text
    return f"{read_json(folder / CHECKPOINT)['agent']}, trained"


def _show_distance(cell: Any, volatility: Array, distance: Array) -> None:
    """Distances to liquidation on the right, where the volatility has them."""
    right = cell.twinx()
    at = np.linspace(0, len(volatility) - 1, 4).round().astype(int)
    right.set_ylim(cell.get_ylim())
    right.set_yticks(volatility[at], [f"{distance[i]:.0f}" for i in at])
    right.set_ylabel("daily volatilities\nto liquidation")


def agent_named(text: str) -> Any:
    """A rule from its name and parameters, or a trained agent from its folder."""
    if Path(text).is_dir():
        return agent_of(text)
    name, *pairs = text.split() or [""]
    return agents.make(name, **read_pairs(pairs))


class Answer(NamedTuple):
    """What an agent does at every point of the map."""

    size: Array  # (volatility, net) notional over equity after the decision
    distance: Array  # (volatility,) to liquidation before it, daily volatilities


def answer(
    agent: Any,
    market: Market,
    net: Array,
    volatility: Sequence[float] | Array,
    cash_rate: float,
    held: float = 0.0,
) -> Answer:
    """What the agent asks for in the one coin of `market`, with a notional `held` before.

    net: settled rates less the cash rate, bp per 8 h; volatility: per year.
    """
    count = len(net) * len(volatility)
    settings = PORTFOLIO | agent.env_settings() | {"cash_rate": cash_rate, "start_invested": 0.0}
    batch = Batch(count, market=market, episode="30D", **settings)
    batch.reset(0)
    capital = Capital(batch)
    agent.bind(batch)
    agent.reset()
    if held:
        carry, leverage = capital.asked(np.full((count, 1), held))
        order = np.asarray(agent.act(batch.obs), float)
        order[:, :4] = np.column_stack([np.zeros(count), carry, np.ones(count), leverage])
        batch.step(order)
        agent.reset()
    obs = np.repeat(np.median(batch.obs, axis=0)[None], count, axis=0)
    table = batch.observation_table
    calm = observed(table, "volatility_7d").of(obs)[0, 0]
    rates, risks = (each.ravel() for each in np.meshgrid(net, volatility))
    values = dict.fromkeys(_FUNDING, rates + cash_rate * 10000.0 / 1095)
    values |= {f"volatility_{days}d": risks for days in (1, 7, 30)}
    distance = capital.distance(np.full((count, 1), held), risks[:, None])[:, 0]
    for at, column in enumerate(table):
        own = column.name.rpartition(":")[2]
        if own in values:
            obs[:, at] = values[own] / column.scale
        elif own in _DISTANCES and held:  # in daily volatilities: the move is as far as it was
            obs[:, at] *= calm / risks
    hold, carry, _, leverage = np.asarray(agent.act(obs))[:, :4].T
    full = capital.notional(leverage[:, None])[:, 0]
    size = np.where(hold > 0.5, held, carry * full).reshape(len(volatility), len(net))
    return Answer(np.asarray(size), distance.reshape(len(volatility), len(net))[:, 0])


if __name__ == "__main__":
    run(Args, main, __doc__)
