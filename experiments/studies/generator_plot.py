"""One picture of synthetic markets beside recorded ones: rates and their autocorrelation, returns
and their volatility clustering, and the basis.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.envs.plot import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from fundenv.market import Market, layout
from fundenv.market.synthetic.statistics import autocorrelation

Array = NDArray[np.float64]
_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
_LAGS = (1, 2, 3, 6, 9, 15, 21, 30, 45, 60, 90)  # settlements
_HOURS = (1, 2, 3, 6, 12, 18, 24, 36, 48, 72, 96, 120, 168)
_YEAR = 3 * 365  # settlements of 8 h
_TITLES = (
    "Settled rate, bp: quantiles",
    "Autocorrelation of the rate, by settlements",
    "Share of bars with a larger |return|",
    "Autocorrelation of |return|, by hours",
    "Basis, bp: share below",
    "Change of the basis in a settlement interval, bp: share below",
)


def draw(markets: Mapping[str, Market], file: Path) -> None:
    """Write a PNG with one colour for each market; all its paths are pooled, and one year of the
    first is shown.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 9), layout="constrained", dpi=90)
    rows: Any = figure.subfigures(2, 1, height_ratios=[1.0, 2.0])
    years = rows[0].subplots(1, len(markets), sharey=True, squeeze=False)[0]
    panels = rows[1].subplots(2, 3).ravel()
    for axes, (name, market), colour in zip(years, markets.items(), _COLOURS, strict=False):
        rate = _rates(market)[0][:_YEAR]
        axes.stairs(rate, np.arange(len(rate) + 1) / 3.0, fill=True, color=colour)
        axes.set_title(
            f"{name}: settled rate, bp, {len(rate) / 3:.0f} days", loc="left", fontsize=10
        )
        axes.axhline(0.0, color="#444444", lw=0.6)
    years[0].set_ylim(
        *np.quantile(
            np.concatenate([np.concatenate(_rates(m)) for m in markets.values()]), [0.0005, 0.9995]
        )
    )
    for (name, market), colour in zip(markets.items(), _COLOURS, strict=False):
        _lines(panels, market, colour, name)
    for axes, title in zip(panels, _TITLES, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(color="#e6e6e6", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[2].set(xscale="log", yscale="log", xlim=(1e-3, None), ylim=(1e-5, 1))
    panels[1].legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _lines(panels: Any, market: Market, colour: str, name: str) -> None:
    """The line of one market in each of the six panels."""
    style = {"color": colour, "lw": 1.4, "label": name}
    rates, moves, basis, changes = (
        _rates(market),
        _moves(market),
        _pooled(market, _basis),
        _pooled(market, _changes),
    )
    grid = np.r_[0.001, 0.0025, 0.005, np.linspace(0.01, 0.99, 197), 0.995, 0.9975, 0.999]
    panels[0].plot(grid, np.quantile(np.concatenate(rates), grid), **style)
    panels[1].plot(_LAGS, _mean_autocorrelation(rates, _LAGS), marker=".", **style)
    size = np.sort(np.abs(np.concatenate(moves)))[::-1]
    shown = np.unique(np.geomspace(1, len(size), 400).astype(int)) - 1
    panels[2].plot(size[shown], (shown + 1) / len(size), **style)
    steps = [max(1, round(hours / market.bar_hours)) for hours in _HOURS]
    panels[3].plot(
        _HOURS, _mean_autocorrelation([np.abs(move) for move in moves], steps), marker=".", **style
    )
    share = np.linspace(0.002, 0.998, 400)
    panels[4].plot(np.quantile(basis, share), share, **style)
    panels[5].plot(np.quantile(changes, share), share, **style)


def _mean_autocorrelation(series: list[Array], lags: Any) -> list[float]:
    return [float(np.mean([autocorrelation(x, lag) for x in series])) for lag in lags]


def _paths(market: Market) -> list[Array]:
    return [market.bars[first:last, 0] for first, last in market.paths]


def _rates(market: Market) -> list[Array]:
    """Settled rates of each path, bp."""
    return [
        bars[bars[:, layout.SETTLE_PRICE] > 0.0, layout.SETTLE_RATE] * 1e4
        for bars in _paths(market)
    ]


def _moves(market: Market) -> list[Array]:
    return [np.diff(np.log(bars[:, layout.SPOT_CLOSE])) for bars in _paths(market)]


def _basis(bars: Array) -> Array:
    return (bars[:, layout.PERP_CLOSE] / bars[:, layout.SPOT_CLOSE] - 1.0) * 1e4


def _changes(bars: Array) -> Array:
    settled = np.flatnonzero(bars[:, layout.SETTLE_PRICE] > 0.0)
    return np.diff(_basis(bars)[settled[settled > 0] - 1])


def _pooled(market: Market, of: Any) -> Array:
    return np.concatenate([of(bars[bars[:, layout.HALTED] == 0.0]) for bars in _paths(market)])
