"""The pictures of TensorBoard: an account walked, and how an agent answers to what it sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.base import Agent, observed
from experiments.rollout.rollout import STATES, Walk
from fundenv import metrics
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.envs.plot import BLUE, GREEN, GREY, INK, PURPLE, VERMILION
from fundenv.envs.render import GROUPS

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
WIDTH, HEIGHT, DPI = 9.0, 4.0, 90


def equity(walk: Walk) -> Picture:
    """Growth since the start and the parts that add up to it."""
    shares = 100 * np.cumsum(metrics.log_contributions(walk.equity, walk.parts), axis=0)

    def paint(axes: Any) -> None:
        for name, colour, columns in GROUPS:
            axes.plot(
                _time(walk), shares[:, list(columns)].sum(axis=1), color=colour, lw=1.2, label=name
            )
        axes.plot(_time(walk), shares.sum(axis=1), color=INK, lw=2, label="total")
        axes.set_ylabel("log growth, %")

    return _picture(walk, [paint])


def position(walk: Walk) -> Picture:
    """Carry and hedge ratio, and leverage, with the liquidations marked."""

    def held(axes: Any) -> None:
        axes.plot(_time(walk), _state(walk, "carry"), color=BLUE, lw=1.2, label="carry")
        axes.plot(
            _time(walk),
            _invested(walk, "hedge_ratio"),
            color=GREEN,
            lw=1.2,
            ls="--",
            label="hedge ratio",
        )

    def lever(axes: Any) -> None:
        axes.plot(_time(walk), _invested(walk, "leverage"), color=PURPLE, lw=1.2, label="leverage")

    return _picture(walk, [held, lever])


def funding(walk: Walk) -> Picture:
    """The settled rate, coloured by who was paid, and the position below it."""
    rate, paid = _state(walk, "funding_last"), walk.parts[:, t.FUNDING]

    def rates(axes: Any) -> None:
        for name, colour, chosen in (
            ("received", BLUE, paid > 0),
            ("paid", VERMILION, paid < 0),
            ("no position", GREY, paid == 0),
        ):
            axes.fill_between(
                _time(walk), np.where(chosen, rate, 0.0), step="pre", color=colour, lw=0, label=name
            )
        axes.set_ylabel("bp per 8 h")

    def weight(axes: Any) -> None:
        axes.plot(
            _time(walk),
            _state(walk, "perp_weight"),
            color=INK,
            lw=1.2,
            label="perpetual over equity",
        )

    return _picture(walk, [rates, weight])


def margin(walk: Walk) -> Picture:
    """How far the margin was from liquidation, in daily volatilities."""

    def paint(axes: Any) -> None:
        axes.axhspan(0.05, 1, color=VERMILION, alpha=0.2, lw=0)
        axes.plot(
            _time(walk),
            np.maximum(_invested(walk, "margin_distance"), 0.05),
            color=PURPLE,
            lw=1.2,
            label="distance, sigma of a day",
        )
        axes.set(yscale="log", ylim=(0.05, 120))

    return _picture(walk, [paint])


ACCOUNT: dict[str, Callable[[Walk], Picture]] = {
    "Account/equity": equity,
    "Account/position": position,
    "Account/funding": funding,
    "Account/margin": margin,
}


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
    batch.step(np.asarray(agent.act(obs)).reshape(len(obs), -1))
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


def _state(walk: Walk, name: str) -> NDArray[np.float64]:
    return walk.states[:, STATES.index(name)]


def _invested(walk: Walk, name: str) -> NDArray[np.float64]:
    return np.where(np.abs(_state(walk, "carry")) > metrics.IN_MARKET, _state(walk, name), np.nan)


def _time(walk: Walk) -> Any:
    return pd.to_datetime(walk.time)


def _picture(walk: Walk, paints: list[Callable[[Any], None]]) -> Picture:
    """One panel for each paint over the walk's time, liquidations as lines through all of them."""
    figure, canvas = _canvas(WIDTH, HEIGHT)
    panels = np.atleast_1d(figure.subplots(len(paints), 1, sharex=True))
    struck = _time(walk)[walk.liquidations > 0]
    for axes, paint in zip(panels, paints, strict=True):
        paint(axes)
        for moment in struck:
            axes.axvline(moment, color=VERMILION, lw=1, ls=":")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize=8, ncols=6, frameon=False)
    panels[0].set_title(
        f"{walk.symbol}: {len(struck)} liquidation(s), dotted" if len(struck) else walk.symbol,
        fontsize=9,
        loc="left",
    )
    return _pixels(canvas)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _pixels(canvas: Any) -> Picture:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
