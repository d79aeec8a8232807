"""The charts that compare agents: each trace is marked with its symbol or its shock, and an agent
looks alike in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from experiments.analysis.comparison import Standing
from experiments.analysis.pictures import Look
from experiments.html_report.draw import dress, ms, small
from experiments.html_report.figures import by_day
from experiments.rollout.rollout import Rollout
from fundenv import metrics
from fundenv.envs.plot import BLUE, GREY, INK, ORANGE, VERMILION

ALL = "mean of all"


def growth(rollouts: Sequence[Rollout], looks: dict[str, Look]) -> go.Figure:
    """Growth above cash of every agent, per symbol and mean of all; the band spans the seeds."""
    figure = go.Figure()
    days = _days(rollouts, lambda item: 100 * item.net_log())
    for symbol in _symbols(rollouts):
        for agent in looks:
            curves = _curves(days, agent, symbol)
            _add_line(figure, curves, looks, agent, symbol)
    return dress(figure, "growth above cash, %", 420)


def money(rollouts: Sequence[Rollout], looks: dict[str, Look]) -> go.Figure:
    """Equity of every agent in the quote currency, per symbol and mean of all."""
    figure = go.Figure()
    days = _days(rollouts, lambda item: pd.Series(item.equity[1:], item.times))
    for symbol in _symbols(rollouts):
        for agent in looks:
            curves = _curves(days, agent, symbol)
            _add_line(figure, curves, looks, agent, symbol, digits=np.float64)
    dress(figure, "equity, quote", 340)
    figure.update_yaxes(tickformat=",.6~g", hoverformat=",.2f")
    return figure


def falls(rollouts: Sequence[Rollout], looks: dict[str, Look]) -> go.Figure:
    """Drawdown of every agent, per symbol and of the mean of all."""
    figure = go.Figure()
    days = _days(rollouts, lambda item: pd.Series(metrics.log_equity(item.equity)[1:], item.times))
    for symbol in _symbols(rollouts):
        for agent in looks:
            curves = _curves(days, agent, symbol)
            deep = {
                seed: pd.Series(
                    -100 * metrics.drawdown(np.exp(np.append(0.0, curve)))[1:], curve.index
                )
                for seed, curve in curves.items()
            }
            _add_line(figure, deep, looks, agent, symbol)
    return dress(figure, "fall from the highest equity, %", 300)


def attribution(standings: Sequence[Standing]) -> go.Figure:
    """What each agent's yearly log growth is made of, as the comparison has it."""
    figure = go.Figure()
    names = [each.agent for each in standings]
    shades = (
        ("price", VERMILION),
        ("funding", BLUE),
        ("costs", ORANGE),
        ("cash", GREY),
    )
    for name, shade in shades:
        figure.add_bar(
            x=names,
            y=[100 * getattr(each, name) for each in standings],
            name="cash interest" if name == "cash" else name,
            marker={"color": shade},
            hovertemplate="%{x}: " + name + " %{y:+.2f} %<extra></extra>",
        )
    figure.add_scatter(
        x=names,
        y=[100 * (each.price + each.funding + each.costs + each.cash) for each in standings],
        name="total",
        mode="markers",
        marker={"color": INK, "symbol": "diamond", "size": 10},
    )
    dress(figure, "% a year, cash interest included", 380)
    figure.update_layout(barmode="relative", hovermode="closest")
    figure.update_xaxes(type="category")
    return figure


def stress(curves: pd.DataFrame, looks: dict[str, Look]) -> go.Figure:
    """Growth since each shock began, and the share of accounts invested, a line per agent."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for (shock, agent), own in curves.groupby(["shock", "agent"], sort=False):
        look = looks[str(agent)]
        for row, values in enumerate((100 * own["growth"], own["invested"]), start=1):
            figure.add_scatter(
                x=small(own["day"]),
                y=small(values),
                name=agent,
                line={"color": look.colour, "dash": look.dash, "width": 2.2},
                meta={"shock": shock},
                legendgroup=agent,
                showlegend=row == 1,
                row=row,
                col=1,
            )
    dress(figure, None, 520)
    figure.update_xaxes(type="linear")
    figure.update_xaxes(title={"text": "days since it began"}, row=2, col=1)
    figure.update_yaxes(title={"text": "growth since, %"}, row=1, col=1)
    figure.update_yaxes(title={"text": "share invested"}, range=(-0.04, 1.04), row=2, col=1)
    figure.update_layout(legend={"y": -0.16})
    return figure


def _symbols(rollouts: Sequence[Rollout]) -> list[str]:
    return [ALL, *dict.fromkeys(item.symbol for item in rollouts)]


Days = list[tuple[Rollout, "pd.Series[float]"]]


def _days(rollouts: Sequence[Rollout], curve: Callable[[Rollout], pd.Series[float]]) -> Days:
    """The value of `curve` of every rollout at the end of each day."""
    return [(item, by_day(curve(item))) for item in rollouts]


def _curves(days: Days, agent: str, symbol: str) -> dict[int, pd.Series[float]]:
    """The values of an agent per seed, of one symbol or the mean of all."""
    found: dict[int, list[pd.Series[float]]] = {}
    for item, values in days:
        if item.agent == agent and symbol in (ALL, item.symbol):
            found.setdefault(item.seed, []).append(values)
    return {seed: pd.concat(curves, axis=1).ffill().mean(axis=1) for seed, curves in found.items()}


def _add_line(
    figure: go.Figure,
    curves: dict[int, pd.Series[float]],
    looks: dict[str, Look],
    agent: str,
    symbol: str,
    digits: Any = np.float32,
) -> None:
    """Mean over seeds, and their range as a band."""
    if not curves:
        return
    whole = pd.concat(curves, axis=1).ffill()
    look = looks[agent]
    mark, x = {"symbol": symbol}, ms(pd.Series(whole.index))
    if whole.shape[1] > 1:
        band = np.concatenate([whole.max(axis=1).to_numpy(), whole.min(axis=1).to_numpy()[::-1]])
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.asarray(band, digits),
            fill="toself",
            line={"width": 0, "color": look.colour},
            opacity=0.25,
            meta=mark,
            hoverinfo="skip",
            showlegend=False,
            legendgroup=agent,
            name=f"{agent}, seeds",
        )
    figure.add_scatter(
        x=x,
        y=np.asarray(whole.mean(axis=1), digits),
        name=agent,
        line={"color": look.colour, "dash": look.dash, "width": 2.2},
        meta=mark,
        legendgroup=agent,
    )
