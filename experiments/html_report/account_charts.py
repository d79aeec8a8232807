"""The charts of one account: each trace is marked with its agent and symbol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from experiments.html_report.draw import dress, ms, small
from experiments.html_report.figures import median_seed
from experiments.rollout.rollout import Rollout
from fundenv import metrics
from fundenv.dynamics import types as t
from fundenv.envs.panels import GROUPS
from fundenv.envs.plot import BLUE, GREEN, GREY, INK, PURPLE, VERMILION

POINTS = 1000  # at most, per line


def parts(rollouts: Sequence[Rollout]) -> go.Figure:
    """Where one account's growth came from, cumulated."""
    figure = go.Figure()
    for rollout in details(rollouts):
        shares = 100 * np.cumsum(metrics.log_contributions(rollout.equity, rollout.parts), axis=0)
        mark = {"agent": rollout.agent, "symbol": rollout.symbol}
        x, keep = _thin(rollout)
        for name, shade, columns in GROUPS:
            figure.add_scatter(
                x=x,
                y=small(shares[:, list(columns)].sum(axis=1)[keep]),
                name=name,
                line={"color": shade},
                meta=mark,
            )
        figure.add_scatter(
            x=x,
            y=small(shares.sum(axis=1)[keep]),
            name="total",
            line={"color": INK, "width": 3},
            meta=mark,
        )
    return dress(figure, "log growth since the start, %", 380)


def position(rollouts: Sequence[Rollout]) -> go.Figure:
    """Carry, hedge ratio, leverage and distance to liquidation of one account, liquidations
    marked.
    """
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for rollout in details(rollouts):
        x, keep = _thin(rollout)
        mark = {"agent": rollout.agent, "symbol": rollout.symbol}
        held = rollout.invested
        lines = (
            ("carry", "carry", BLUE, 1, np.ones_like(held)),
            ("hedge_ratio", "hedge ratio", GREEN, 1, held),
            ("leverage", "leverage", PURPLE, 2, held),
            ("margin_distance", "margin distance", VERMILION, 3, held),
        )
        for column, name, shade, row, shown in lines:
            values = np.where(shown, rollout.state(column), np.nan)[keep]
            figure.add_scatter(
                x=x,
                y=small(values),
                name=name,
                line={"color": shade, "shape": "vh"},
                meta=mark,
                row=row,
                col=1,
            )
        liquidated = rollout.liquidations > 0
        style = {"color": INK, "symbol": "x", "size": 10}
        figure.add_scatter(
            x=ms(rollout.times[liquidated]),
            y=rollout.state("carry")[liquidated],
            name="liquidation",
            mode="markers",
            marker=style,
            meta=mark,
            row=1,
            col=1,
        )
    for row, title in enumerate(("carry, hedge", "leverage", "margin, σ"), start=1):
        figure.update_yaxes(title={"text": title}, row=row, col=1)
    figure.update_yaxes(rangemode="tozero", row=2, col=1)
    figure.update_yaxes(
        type="log",
        row=3,
        col=1,
        range=(-0.7, 2.05),
        tickvals=(0.3, 1, 3, 10, 30, 100),
        ticktext=("0.3", "1", "3", "10", "30", "100"),
    )
    return dress(figure, None, 560)


def funding(rollouts: Sequence[Rollout]) -> go.Figure:
    """The settled rate, coloured by whether the account received or paid it, and below it the
    position held.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for rollout in details(rollouts):
        mark = {"agent": rollout.agent, "symbol": rollout.symbol}
        x, keep = _thin(rollout)
        rate, weight = rollout.state("funding_last")[keep], rollout.state("perp_weight")[keep]
        cash = rollout.parts[keep, t.FUNDING]
        for name, shade, chosen in (
            ("received", BLUE, cash > 0),
            ("paid", VERMILION, cash < 0),
            ("no position", GREY, cash == 0),
        ):
            figure.add_bar(
                x=x,
                y=small(np.where(chosen, rate, np.nan)),
                name=f"rate, {name}",
                marker={"color": shade},
                meta=mark,
                row=1,
                col=1,
            )
        style = {"color": INK, "shape": "vh"}
        figure.add_scatter(
            x=x, y=small(weight), name="perpetual over equity", line=style, meta=mark, row=2, col=1
        )
    dress(figure, None, 420)
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_yaxes(title={"text": "rate, bp / 8 h"}, row=1, col=1)
    figure.update_yaxes(title={"text": "perp / equity"}, row=2, col=1)
    return figure


def details(rollouts: Sequence[Rollout]) -> list[Rollout]:
    """The rollouts that the detailed charts show: of each agent its median seed."""
    agents = dict.fromkeys(item.agent for item in rollouts)
    seeds = {agent: median_seed(rollouts, agent) for agent in agents}
    return [rollout for rollout in rollouts if rollout.seed == seeds[rollout.agent]]


def _thin(rollout: Rollout) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Milliseconds since 1970 and numbers of at most `POINTS` steps, the last one among them."""
    steps = len(rollout.time)
    keep = np.unique(np.append(np.arange(0, steps, -(-steps // POINTS)), steps - 1))
    return ms(rollout.times[keep]), keep
