"""Draws how much of the capital rules and learned margin carry use in one coin: the notional over
equity that they request from cash, against the coin's funding above cash and its volatility.

Observations that are not on an axis have their medians over the span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import agents
from agents.params import read_pairs
from experiments.core.cli import run
from experiments.core.market_args import span_edges
from experiments.core.run_folder import RunError
from experiments.evaluate import agent_of
from experiments.studies.margin_markets import load
from experiments.studies.portfolio_walks import PORTFOLIO
from fundenv.batch.cpu import Batch
from fundenv.market import Market, between, narrowed

Array = NDArray[np.float64]
POINTS = 33
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
    """The coins; each has a column."""
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
    asked = [_agent(text) for text in args.agents]
    market = between(load(args.data, args.symbols).together, *span_edges(args.span, "--span"))
    figure, axes = plt.subplots(
        len(asked),
        len(args.symbols),
        figsize=(4.2 * len(args.symbols) + 1, 3.2 * len(asked)),
        constrained_layout=True,
        squeeze=False,
    )
    net, volatility = np.linspace(-0.5, 4.0, POINTS), np.linspace(0.2, 1.6, POINTS)
    image: Any = None
    for row, name, agent in zip(axes, args.agents, asked, strict=True):
        for cell, symbol in zip(row, args.symbols, strict=True):
            size = notional(agent, narrowed(market, [symbol]), net, volatility, args.cash_rate)
            image = cell.pcolormesh(
                net, volatility, size, cmap="viridis", vmin=0, vmax=7, shading="nearest"
            )
            cell.set(title=f"{Path(name).name}, {symbol}", xlabel="funding above cash, bp per 8 h")
        row[0].set_ylabel("volatility, per year")
    figure.colorbar(image, ax=axes, shrink=0.6).set_label("requested notional, of equity")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=110)
    print(args.out)


def _agent(text: str) -> Any:
    if Path(text).is_dir():
        return agent_of(text)
    name, *pairs = text.split() or [""]
    return agents.make(name, **read_pairs(pairs))


def notional(
    agent: Any, market: Market, net: Array, volatility: Sequence[float] | Array, cash_rate: float
) -> Array:
    """Notional over equity, (volatilities, nets), that the agent requests from cash in the one coin
    of `market`. net: settled rates less the cash rate, bp per 8 h; volatility: per year.
    """
    count = len(net) * len(volatility)
    settings = PORTFOLIO | agent.env_settings() | {"cash_rate": cash_rate, "start_invested": 0.0}
    batch = Batch(count, market=market, episode="30D", **settings)
    obs = np.repeat(np.median(batch.reset(0), axis=0)[None], count, axis=0)
    table = batch.observation_table
    rates, risks = (each.ravel() for each in np.meshgrid(net, volatility))
    values = dict.fromkeys(_FUNDING, rates + cash_rate * 10000.0 / 1095)
    values |= {f"volatility_{days}d": risks for days in (1, 7, 30)}
    for at, column in enumerate(table):
        own = column.name.rpartition(":")[2]
        if own in values:
            obs[:, at] = values[own] / column.scale
    agent.bind(batch)
    agent.reset()
    hold, carry, _, leverage = agent.act(obs)[:, :4].T
    full = getattr(agent, "rule", agent).capital.notional(leverage[:, None])[:, 0]
    return np.asarray(np.where(hold > 0.5, 0.0, carry * full).reshape(len(volatility), len(net)))


if __name__ == "__main__":
    run(Args, main, __doc__)
