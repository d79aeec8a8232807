"""The interactive charts: plotly figures as plain data, each trace marked with the agent and the
symbol that it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from experiments.html_report.figures import by_day, median_seed
from experiments.html_report.read_runs import Track
from fundenv import metrics
from fundenv.dynamics import types as t
from fundenv.envs.plot import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION
from fundenv.envs.render import GROUPS

ALL = "mean of all"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK, GREY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # a second sign beside the colour
POINTS = 1000  # at most, per line


def colour(labels: Sequence[str], label: str) -> tuple[str, str]:
    """Colour and dash of an agent, the same in every chart."""
    k = list(labels).index(label)
    return COLOURS[k % len(COLOURS)], DASHES[(k // len(COLOURS)) % len(DASHES)]


def growth(tracks: Sequence[Track], labels: Sequence[str]) -> go.Figure:
    """Growth above cash of every agent, per symbol and mean of all; the band spans the seeds."""
    figure = go.Figure()
    for symbol in [ALL, *dict.fromkeys(track.symbol for track in tracks)]:
        for label in labels:
            _add_line(
                figure,
                {seed: 100 * curve for seed, curve in _curves(tracks, label, symbol).items()},
                labels,
                label,
                symbol,
            )
    return _dress(figure, "growth above cash since the start, %", 420)


def falls(tracks: Sequence[Track], labels: Sequence[str]) -> go.Figure:
    """Drawdown of every agent, per symbol and of the mean of all."""
    figure = go.Figure()
    for symbol in [ALL, *dict.fromkeys(track.symbol for track in tracks)]:
        for label in labels:
            curves = _curves(tracks, label, symbol, net=False)
            deep = {
                seed: pd.Series(
                    -100 * metrics.drawdown(np.exp(np.append(0.0, curve)))[1:], curve.index
                )
                for seed, curve in curves.items()
            }
            _add_line(figure, deep, labels, label, symbol)
    return _dress(figure, "fall from the highest equity, %", 300)


def attribution(rows: pd.DataFrame, labels: Sequence[str]) -> go.Figure:
    """What each agent's yearly log growth is made of, mean over symbols and seeds."""
    figure = go.Figure()
    means = [rows[rows["label"] == label][list(t.PARTS)].mean() * 100 for label in labels]
    for name, shade, columns in GROUPS:
        values = [float(mean.iloc[list(columns)].sum()) for mean in means]
        figure.add_bar(
            x=list(labels),
            y=values,
            name=name,
            marker={"color": shade},
            hovertemplate="%{x}: " + name + " %{y:+.2f} %<extra></extra>",
        )
    totals = [float(mean.sum()) for mean in means]
    figure.add_scatter(
        x=list(labels),
        y=totals,
        name="total",
        mode="markers",
        marker={"color": INK, "symbol": "diamond", "size": 10},
    )
    _dress(figure, "% a year, cash interest included", 380)
    figure.update_layout(barmode="relative", hovermode="closest")
    figure.update_xaxes(type="category")
    return figure


def parts(tracks: Sequence[Track], labels: Sequence[str]) -> go.Figure:
    """Where one account's growth came from, cumulated."""
    figure = go.Figure()
    for track in details(tracks, labels):
        shares = 100 * np.cumsum(metrics.log_contributions(track.equity, track.parts), axis=0)
        mark = {"agent": track.label, "symbol": track.symbol}
        x, keep = _thin(track)
        for name, shade, columns in GROUPS:
            figure.add_scatter(
                x=x,
                y=_small(shares[:, list(columns)].sum(axis=1)[keep]),
                name=name,
                line={"color": shade},
                meta=mark,
            )
        figure.add_scatter(
            x=x,
            y=_small(shares.sum(axis=1)[keep]),
            name="total",
            line={"color": INK, "width": 3},
            meta=mark,
        )
    return _dress(figure, "log growth since the start, %", 380)


def position(tracks: Sequence[Track], labels: Sequence[str]) -> go.Figure:
    """Carry, hedge ratio, leverage and distance to liquidation of one account, liquidations
    marked.
    """
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for track in details(tracks, labels):
        x, keep = _thin(track)
        mark = {"agent": track.label, "symbol": track.symbol}
        held = np.abs(track.steps["carry"].to_numpy()) > metrics.IN_MARKET
        lines = (
            ("carry", "carry", BLUE, 1, np.ones_like(held)),
            ("hedge_ratio", "hedge ratio", GREEN, 1, held),
            ("leverage", "leverage", PURPLE, 2, held),
            ("margin_distance", "margin distance", VERMILION, 3, held),
        )
        for column, name, shade, row, shown in lines:
            values = np.where(shown, track.steps[column].to_numpy(np.float64), np.nan)[keep]
            figure.add_scatter(
                x=x,
                y=_small(values),
                name=name,
                line={"color": shade, "shape": "vh"},
                meta=mark,
                row=row,
                col=1,
            )
        struck = track.steps[track.steps["liquidations"] > 0]
        style = {"color": INK, "symbol": "x", "size": 10}
        figure.add_scatter(
            x=_ms(struck["time"]),
            y=struck["carry"],
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
    return _dress(figure, None, 560)


def funding(tracks: Sequence[Track], labels: Sequence[str]) -> go.Figure:
    """The settled rate, coloured by whether the account received or paid it, and below it the
    position held.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for track in details(tracks, labels):
        mark = {"agent": track.label, "symbol": track.symbol}
        x, keep = _thin(track)
        rate, weight, cash = (
            track.steps[name].to_numpy(np.float64)[keep]
            for name in ("funding_last", "perp_weight", "funding")
        )
        for name, shade, chosen in (
            ("received", BLUE, cash > 0),
            ("paid", VERMILION, cash < 0),
            ("no position", GREY, cash == 0),
        ):
            figure.add_bar(
                x=x,
                y=_small(np.where(chosen, rate, np.nan)),
                name=f"rate, {name}",
                marker={"color": shade},
                meta=mark,
                row=1,
                col=1,
            )
        style = {"color": INK, "shape": "vh"}
        figure.add_scatter(
            x=x, y=_small(weight), name="perpetual over equity", line=style, meta=mark, row=2, col=1
        )
    _dress(figure, None, 420)
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_yaxes(title={"text": "rate, bp / 8 h"}, row=1, col=1)
    figure.update_yaxes(title={"text": "perp / equity"}, row=2, col=1)
    return figure


def details(tracks: Sequence[Track], labels: Sequence[str]) -> list[Track]:
    """The tracks that the detailed charts show: of each agent its median seed."""
    seeds = {label: median_seed(list(tracks), label) for label in labels}
    return [track for track in tracks if track.seed == seeds[track.label]]


def as_data(figure: go.Figure) -> dict[str, Any]:
    """The figure as JSON values, numbers packed."""
    data: dict[str, Any] = json.loads(figure.to_json())
    data["layout"].pop("template", None)
    return data


def _curves(
    tracks: Sequence[Track], label: str, symbol: str, *, net: bool = True
) -> dict[int, pd.Series[float]]:
    """Per seed the log growth at the end of each day, net of the cash rate or not; of one symbol or
    the mean of all.
    """
    found: dict[int, list[pd.Series[float]]] = {}
    for track in tracks:
        if track.label == label and symbol in (ALL, track.symbol):
            curve = (
                track.net_log()
                if net
                else pd.Series(
                    metrics.log_equity(track.equity)[1:], pd.DatetimeIndex(track.steps["time"])
                )
            )
            found.setdefault(track.seed, []).append(by_day(curve))
    return {seed: pd.concat(curves, axis=1).ffill().mean(axis=1) for seed, curves in found.items()}


def _add_line(
    figure: go.Figure,
    curves: dict[int, pd.Series[float]],
    labels: Sequence[str],
    label: str,
    symbol: str,
) -> None:
    """Mean over seeds, and their range as a band."""
    if not curves:
        return
    whole = pd.concat(curves, axis=1).ffill()
    shade, dash = colour(labels, label)
    mark, x = {"symbol": symbol}, _ms(pd.Series(whole.index))
    if whole.shape[1] > 1:
        band = np.concatenate([whole.max(axis=1).to_numpy(), whole.min(axis=1).to_numpy()[::-1]])
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=_small(band),
            fill="toself",
            line={"width": 0, "color": shade},
            opacity=0.25,
            meta=mark,
            hoverinfo="skip",
            showlegend=False,
            legendgroup=label,
            name=f"{label}, seeds",
        )
    y = _small(whole.mean(axis=1).to_numpy())
    figure.add_scatter(
        x=x,
        y=y,
        name=label,
        line={"color": shade, "dash": dash, "width": 2.2},
        meta=mark,
        legendgroup=label,
    )


def _dress(figure: go.Figure, title: str | None, height: int) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 12, "t": 8, "b": 32},
        hovermode="x unified",
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "y": -0.1, "yanchor": "top"},
    )
    figure.update_xaxes(type="date", gridcolor="#e6e6e6", zerolinecolor=GREY)
    figure.update_yaxes(gridcolor="#e6e6e6", zerolinecolor=GREY, hoverformat=".3f")
    if title:
        figure.layout.yaxis.title = {"text": title}
    return figure


def _thin(track: Track) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Milliseconds since 1970 and numbers of at most `POINTS` steps, the last one among them."""
    steps = len(track.steps)
    keep = np.unique(np.append(np.arange(0, steps, -(-steps // POINTS)), steps - 1))
    return _ms(track.steps["time"].iloc[keep]), keep


def _ms(times: Any) -> NDArray[np.float64]:
    stamps: NDArray[np.float64] = pd.DatetimeIndex(times).as_unit("ms").asi8.astype(np.float64)
    return stamps


def _small(values: Any) -> NDArray[np.float32]:
    """Half the bytes; charts need no more digits."""
    return np.asarray(values, np.float32)
