"""Draws what agents would do: the carry and leverage that they choose at each level of recent
funding, earlier funding, cash rate and distance to liquidation.

Every agent decides twice at each point, once flat and once with full carry. Where it neither enters
nor leaves, the picture shows that the position stays as it is. Observations that are not on an axis
have their medians over the span.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents import Agent
from agents.sb3.ensemble import Ensemble
from experiments.core.cli import run
from experiments.core.market_args import MarketArgs
from experiments.core.run_folder import RunError
from experiments.evaluate import agent_of
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t

OUT, STAYS, IN = 0.0, 0.5, 1.0  # leaves or stays flat; whatever it was; enters and stays
# settlements of a day or less, and what is forming now
_RECENT = ("funding_last", "funding_ewma_3", "funding_estimate", "funding_market")
_FUNDING = (
    "funding_last",
    "funding_ewma_3",
    "funding_ewma_9",
    "funding_ewma_21",
    "funding_ewma_90",
    "funding_estimate",
    "funding_market",
)
_PER_YEAR = 1e-4 * 3 * 365
POINTS = 41


class Axis(NamedTuple):
    """One axis of a surface: its title, and the raw observations that it sets, name ->
    (POINTS,).
    """

    title: str
    at: NDArray[np.float64]
    sets: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the surfaces."""

    agents: tuple[str, ...]
    """Folders of trained agents, several as one with FOLDER+FOLDER or 'FOLDER-*', and names of
    rules; one row of pictures for each.
    """
    out: Path = Path("surfaces.png")
    """File of the picture."""


def main(args: Args) -> None:
    """Ask, draw."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    if not args.agents:
        raise RunError("--agents is empty; give folders of trained agents or names of rules")
    # a wrong name is reported before anything is compiled
    asked = [agent_of(name) for name in args.agents]
    market, settings = args.markets()["train"], args.settings()
    figure, axes = plt.subplots(
        len(args.agents),
        3,
        figsize=(12, 3.1 * len(args.agents)),
        constrained_layout=True,
        squeeze=False,
    )
    for row, name, agent in zip(axes, args.agents, asked, strict=True):
        batch = Batch(
            2 * POINTS * POINTS,
            market=market,
            **settings | agent.env_settings() | {"episode": "90D", "start_invested": 0.5},
        )
        base = medians(batch)
        for cell, (x, y) in zip(row, planes(batch), strict=True):
            carry, leverage = surface(agent, batch, base, x, y)
            image = cell.pcolormesh(
                x.at, y.at, carry, cmap="RdYlGn", vmin=0, vmax=1, shading="nearest"
            )
            entered = np.where(carry > OUT, leverage, np.nan)
            if np.nanmin(entered, initial=np.inf) < np.nanmax(entered, initial=-np.inf):
                cell.contour(x.at, y.at, entered, colors="black", linewidths=0.8)
            cell.set(
                xlabel=x.title,
                ylabel=y.title,
                title=(
                    f"{agent.name} of {len(agent.members)}"
                    if isinstance(agent, Ensemble)
                    else Path(name).name
                ),
            )
    bar = figure.colorbar(image, ax=axes, ticks=[OUT, STAYS, IN], shrink=0.6)
    bar.ax.set_yticklabels(["flat", "as it is", "invested"])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=110)
    print(
        f"{args.out}: green = invested, yellow = stays as it is, red = flat; black lines: changes"
        " of the leverage chosen"
    )


def surface(
    agent: Agent, batch: Batch, base: NDArray[np.float32], x: Axis, y: Axis
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the agent does at every point of two axes: OUT, STAYS or IN, and the leverage that it
    would choose (POINTS, POINTS).
    """
    table = batch.observation_table
    names = [column.name for column in table]
    # flat and invested, y, x
    obs = np.repeat(base, POINTS * POINTS, axis=0).reshape(2, POINTS, POINTS, -1)
    for axis, values in ((x, "x"), (y, "y")):
        for name, raw in axis.sets.items():
            column = table[names.index(name)]
            scaled = np.clip(raw / column.scale, column.low, column.high)
            target = obs[1:] if name == "margin_distance" else obs  # a flat account has no distance
            target[..., names.index(name)] = (
                scaled[None, None, :] if values == "x" else scaled[None, :, None]
            )
    _follow(obs, table, names)
    agent.bind(batch)
    agent.reset()
    hold, carry, _, leverage = (
        _decoded(agent.act(obs.reshape(2 * POINTS * POINTS, -1)), batch)
        .reshape(2, POINTS, POINTS, 4)
        .transpose(3, 0, 1, 2)
    )
    held = np.array([0.0, 1.0])[:, None, None]
    wanted = np.where(hold > 0.5, held, (np.abs(carry) > 0.02).astype(float))
    both = np.where(wanted[0] == wanted[1], wanted[0], STAYS)
    return both, leverage[0]


def _decoded(actions: NDArray[Any], batch: Batch) -> NDArray[np.float64]:
    """(n, 4) hold, carry, hedge, leverage from actions of any kind but continuous ones."""
    config = batch.config
    if config.actions == "target":
        return np.asarray(actions, np.float64)[:, :4]
    if config.actions != "discrete" or config.dials != ("carry", "leverage"):
        raise RunError(
            "surfaces read target actions and discrete ones of carry and leverage, not"
            f" {config.actions} with {', '.join(config.dials)}"
        )
    gate, dial = np.asarray(actions[:, 0], int), np.asarray(actions[:, 1], int)
    carry = np.array([0.0, *config.carry_grid])[gate]
    return np.stack(
        [gate == 0, carry, np.full(len(gate), config.hedge), np.array(config.leverage_grid)[dial]],
        axis=1,
    ).astype(np.float64)


def medians(batch: Batch) -> NDArray[np.float32]:
    """(2, D) typical observations: of flat accounts and of invested ones."""
    obs = batch.reset(0)
    flat = batch.store.legs[:, 0, t.PERP] == 0
    return np.stack([np.median(obs[flat], axis=0), np.median(obs[~flat], axis=0)]).astype(
        np.float32
    )


def _follow(obs: NDArray[np.float32], table: Any, names: list[str]) -> None:
    """Bring `net_carry` in line with the funding and the cash rate of each point, at leverage 3."""
    funding, cash, net = (
        names.index(name) for name in ("funding_ewma_9", "cash_rate", "net_carry")
    )
    raw = (
        obs[..., funding] * table[funding].scale * _PER_YEAR
        - obs[..., cash] * table[cash].scale * 4 / 3
    )
    obs[..., net] = np.clip(raw / table[net].scale, table[net].low, table[net].high)


def planes(batch: Batch) -> list[tuple[Axis, Axis]]:
    """The three pairs of axes."""
    level = np.linspace(-1.0, 2.5, POINTS)
    cash, distance = np.linspace(-0.02, 0.07, POINTS), np.linspace(0.5, 12, POINTS)
    years = dict.fromkeys(("funding_fr3", "funding_fr14"), level * _PER_YEAR)
    funding = Axis("funding, bp per 8 h", level, dict.fromkeys(_FUNDING, level) | years)
    return [
        (funding, Axis("cash rate", cash, {"cash_rate": cash})),
        (
            Axis(
                "funding before, bp per 8 h",
                level,
                {name: at for name, at in funding.sets.items() if name not in _RECENT},
            ),
            Axis("funding of the last day, bp per 8 h", level, dict.fromkeys(_RECENT, level)),
        ),
        (funding, Axis("margin distance, daily sigmas", distance, {"margin_distance": distance})),
    ]


if __name__ == "__main__":
    run(Args, main, __doc__)
