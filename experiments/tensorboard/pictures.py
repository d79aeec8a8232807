"""The pictures of TensorBoard: an account over time, and how an agent answers to what it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.base import Agent, observed
from experiments.rollout.rollout import Rollout
from fundenv import metrics
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.envs.panels import GROUPS
from fundenv.envs.plot import BLUE, GREEN, GREY, INK, PURPLE, VERMILION

Picture = NDArray[np.uint8]
RATES = np.linspace(-3.0, 6.0, 37)  # bp per 8 h
VOLATILITIES = np.linspace(0.1, 1.5, 29)  # per square-root year
LEVELS = (
    "funding_last",
    "funding_ewma_3",
    "funding_ewma_9",
    "funding_ewma_21",
    "funding_ewma_90",
    "funding_estimate",
    "funding_market",
)
HELD = 2.0  # a target carry that no action asks for: where it is left, the agent holds
PER_YEAR = 1e-4 * 3 * 365  # bp per 8 h to a fraction per year
WIDTH, HEIGHT, DPI = 9.0, 7.2, 90
# of panels below each other; to find them for every picture takes more than half of its time
MARGINS = {"left": 0.08, "right": 0.985, "bottom": 0.045, "top": 0.96, "hspace": 0.08}


def account(item: Rollout) -> Picture:
    """Growth and the parts that add up to it, what was held, funding, distance to liquidation."""
    return _picture(item, f"{item.agent} on {item.symbol}", slice(None), _PANELS)


class Window(NamedTuple):
    """The 90 days of a rollout in which its equity fell most."""

    rows: slice  # steps
    peak: int  # equities, counted from the start of the rollout
    trough: int
    fall: float  # from the peak to the trough, fraction


def worst_window(item: Rollout, days: float = 90.0) -> Window:
    """Of all windows of so many days (or the whole rollout, where it is shorter), the one that
    holds the deepest fall from a peak within it; it ends a fifth of its length after the trough,
    where there are steps.
    """
    logs = metrics.log_equity(item.equity)
    steps = len(item.time)
    width = min(steps, max(1, round(days * 24 / item.step_hours)))
    peaks = pd.Series(logs).rolling(width + 1, min_periods=1).max().to_numpy()
    falls = 1 - np.exp(logs - peaks)
    trough = int(np.argmax(falls))
    peak = max(0, trough - width) + int(np.argmax(logs[max(0, trough - width) : trough + 1]))
    last = min(steps, max(width, min(peak + width, trough + width // 5)))
    return Window(slice(max(0, last - width), last), peak, trough, float(falls[trough]))


def worst_days(item: Rollout) -> Picture:
    """The account over the 90 days in which it lost most."""
    window = worst_window(item)
    ends = item.times.insert(0, item.start)
    first, last = ends[window.peak], ends[window.trough]
    title = (
        f"{item.agent} on {item.symbol}, worst 90 days: fall of {100 * window.fall:.2f} % from"
        f" {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} (shaded)"
    )

    def shaded(axes: Any, item: Rollout, rows: slice) -> None:
        axes.axvspan(first, last, color=VERMILION, alpha=0.2, lw=0)
        _growth(axes, item, rows)

    return _picture(item, title, window.rows, (shaded, *_PANELS[1:]))


Paint = Callable[[Any, Rollout, slice], None]


def _growth(axes: Any, item: Rollout, rows: slice) -> None:
    shares = metrics.log_contributions(item.equity, item.parts)[rows]
    whole = 100 * np.cumsum(shares, axis=0)
    for name, colour, columns in GROUPS:
        axes.plot(
            item.times[rows], whole[:, list(columns)].sum(axis=1), color=colour, lw=1.2, label=name
        )
    axes.plot(item.times[rows], whole.sum(axis=1), color=INK, lw=2, label="total")
    axes.set_ylabel("log growth, %", fontsize=8)


def _position(axes: Any, item: Rollout, rows: slice) -> None:
    axes.plot(item.times[rows], item.state("carry")[rows], color=BLUE, lw=1.2, label="carry")
    for name, colour, style in (("hedge_ratio", GREEN, "--"), ("leverage", PURPLE, "-")):
        values = _invested(item, name)[rows]
        axes.plot(
            item.times[rows], values, color=colour, lw=1.2, ls=style, label=name.replace("_", " ")
        )
    axes.set_ylabel("held", fontsize=8)


def _funding(axes: Any, item: Rollout, rows: slice) -> None:
    rate, paid = item.state("funding_last")[rows], item.parts[rows, t.FUNDING]
    for name, colour, chosen in (
        ("received", BLUE, paid > 0),
        ("paid", VERMILION, paid < 0),
        ("no position", GREY, paid == 0),
    ):
        values = np.where(chosen, rate, 0.0)
        axes.fill_between(item.times[rows], values, step="pre", color=colour, lw=0, label=name)
    axes.set_ylabel("funding, bp / 8 h", fontsize=8)


def _margin(axes: Any, item: Rollout, rows: slice) -> None:
    values = np.maximum(_invested(item, "margin_distance"), 0.05)[rows]
    axes.axhspan(0.05, 1, color=VERMILION, alpha=0.2, lw=0)
    axes.plot(item.times[rows], values, color=PURPLE, lw=1.2, label="margin distance")
    axes.set(yscale="log", ylim=(0.05, 120))
    axes.set_ylabel("σ of a day", fontsize=8)


_PANELS: tuple[Paint, ...] = (_growth, _position, _funding, _margin)


def response(agent: Agent, market: Any, settings: dict[str, Any]) -> Picture:
    """What the agent asks for at every level of funding and volatility, from a flat and from an
    invested account; everything else at its median.

    All measures of funding move together to one level; every asset of the account sees the same.
    """
    rows = []
    for invested in (0.0, 1.0):
        batch = Batch(
            len(RATES) * len(VOLATILITIES),
            market=market,
            **settings | agent.env_settings() | {"start_invested": invested, "random_start": True},
        )
        agent.bind(batch)
        agent.reset()
        rows.append((invested, *_decisions(agent, batch)))
    agent.reset()
    figure, canvas = _canvas(WIDTH, 6.4)
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for line, (invested, carry, leverage) in zip(axes, rows, strict=True):
        start = "invested" if invested else "flat"
        for place, values, title, limits, colours in (
            (line[0], carry, f"carry asked for, {start}", (-1, 1), "PuOr_r"),
            (line[1], leverage, f"leverage asked for, {start}", (1, 5), "viridis"),
        ):
            shown = place.pcolormesh(
                RATES,
                VOLATILITIES,
                values,
                vmin=limits[0],
                vmax=limits[1],
                cmap=colours,
                shading="nearest",
            )
            place.set_title(title, fontsize=9)
            place.set_facecolor("#cfcfcf")
            figure.colorbar(shown, ax=place)
        line[0].set_ylabel("volatility / year")
    for place in axes[1]:
        place.set_xlabel("funding, bp per 8 h (grey: holds what it has)")
    return _pixels(canvas)


def _decisions(agent: Agent, batch: Batch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Carry and leverage asked for, (volatilities, rates); nan where the agent holds. The
    environment itself says what an action means.
    """
    obs = _grid(batch)
    legs = batch.store.legs
    legs[:, :, t.TARGET_CARRY] = HELD
    actions = np.asarray(agent.act(obs))
    batch.step(actions if batch.config.actions == "indexed" else actions.reshape(len(obs), -1))
    carry, leverage = (
        legs[:, 0, column].reshape(len(VOLATILITIES), len(RATES))
        for column in (t.TARGET_CARRY, t.TARGET_LEVERAGE)
    )
    hold = carry == HELD
    return np.where(hold, np.nan, carry), np.where(hold | (carry == 0), np.nan, leverage)


def _grid(batch: Batch) -> NDArray[np.float32]:
    """Observations (volatilities x rates, D): the reset account, market features at their median,
    funding and volatility set.
    """
    table, market = batch.observation_table, batch.market
    base = batch.reset(0)[0].copy()
    for a in range(batch.n_assets):
        for column, feature in enumerate(market.table):
            base[observed(table, feature.name).at[a]] = np.median(market.features[:, a, column])
    rate, volatility = (grid.ravel() for grid in np.meshgrid(RATES, VOLATILITIES))
    obs = np.repeat(base[None], len(rate), axis=0)
    usual = (
        market.features[:, :, [feature.name for feature in market.table].index("funding_last")]
        * observed(table, "funding_last").scale
    )
    before = observed(table, "funding_ewma_9").of(base[None])[0]
    values = dict.fromkeys(LEVELS, rate[:, None])
    values |= {
        "funding_fr3": rate[:, None] * PER_YEAR,
        "funding_fr14": rate[:, None] * PER_YEAR,
        "funding_divergence": 0 * rate[:, None],
    }
    values |= {
        "funding_z": (rate[:, None] - usual.mean()) / usual.std(),
        **dict.fromkeys(("volatility_1d", "volatility_7d", "volatility_30d"), volatility[:, None]),
    }
    values["net_carry"] = (
        observed(table, "net_carry").of(base[None]) + (rate[:, None] - before) * PER_YEAR
    )
    for name, raw in values.items():
        at = observed(table, name)
        low, high = (
            np.array([getattr(table[i], limit) for i in at.at]) for limit in ("low", "high")
        )
        obs[:, at.at] = np.clip(raw / at.scale, low, high)
    return obs


def _invested(item: Rollout, name: str) -> NDArray[np.float64]:
    return np.where(item.invested, item.state(name), np.nan)


def _picture(item: Rollout, title: str, rows: slice, paints: Sequence[Paint]) -> Picture:
    """One panel for each paint over the time of some steps, liquidations as lines through all."""
    figure, canvas = _canvas(WIDTH, HEIGHT, layout=None)
    panels = np.atleast_1d(figure.subplots(len(paints), 1, sharex=True, gridspec_kw=MARGINS))
    liquidated = item.times[rows][item.liquidations[rows] > 0]
    for axes, paint in zip(panels, paints, strict=True):
        paint(axes, item, rows)
        for moment in liquidated:
            axes.axvline(moment, color=VERMILION, lw=1, ls=":")
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=8)
        axes.yaxis.set_label_coords(-0.06, 0.5)
        axes.legend(loc="upper left", fontsize=7, ncols=6, frameon=False)
    if len(liquidated):
        title += f"; {len(liquidated)} liquidation(s), dotted"
    panels[0].set_title(title, fontsize=9, loc="left")
    return _pixels(canvas)


def _canvas(width: float, height: float, layout: Any = "constrained") -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
    return figure, FigureCanvasAgg(figure)


def _pixels(canvas: Any) -> Picture:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
