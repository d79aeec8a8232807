"""The panels of an episode's picture: what each draws, and its latest values as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.dynamics import types as t
from fundenv.envs import plot
from fundenv.envs.plot import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, Float64

# Lines of the equity panel: label, colour, the columns of `parts` that it adds up.
GROUPS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("funding", BLUE, (t.FUNDING,)),
    ("price", SKY, (t.SPOT_PNL, t.PERP_PNL)),
    ("costs", ORANGE, (t.FEES, t.SPREAD, t.IMPACT)),
    ("interest", GREEN, (t.CASH_INTEREST, t.BORROW_INTEREST)),
    ("liquidation", VERMILION, (t.LIQUIDATION_LOSS,)),
)
PER_ASSET = (
    "spot_price perp_price mark_price funding_rate carry hedge leverage margin_distance liquidated"
    " perp".split()
)
MARGIN_TICKS = (1, 2, 5, 10, 20, 50, 100)  # per cent, log scale
# per cent from, to, opacity: within an ordinary day's move, within an ordinary week's
DANGER = ((0.8, 5.0, 0.24), (5.0, 10.0, 0.10))
REASONS = 3  # so many of the agent's latest reasons are written
# an effective leverage above it is drawn at it; the distance to liquidation tells the rest
LEVERAGE_SHOWN = 30.0


class AssetColumn:
    """Price and basis, position, funding, distance to liquidation of one asset."""

    def __init__(self, panels: Sequence[Any], title: str) -> None:
        price, position, funding, margin = self.panels = tuple(panels)
        basis, leverage, exposure = (plot.twin(axes) for axes in (price, position, funding))
        for axes in panels:
            plot.plain(axes)
            axes.tick_params(labelbottom=False)  # the dates stand under the last panel of all
        if title:
            price.set_title(title, fontsize=9, fontweight="bold", color=INK, pad=3)
        self._price, self._basis_axes, self._leverage_axes, self._funding, self._exposure_axes = (
            price,
            basis,
            leverage,
            funding,
            exposure,
        )
        self._liquidations = [plot.marks(axes) for axes in panels]

        self._basis = plot.steps(basis, ORANGE, 0.55)
        self._spot, self._perp = (
            plot.line(price, INK, 1.8, marker=".", markersize=1.8),
            plot.line(price, SKY, 0.8),
        )

        self._carry = plot.steps(position, BLUE, 0.40)
        self._hedge = plot.line(
            position, GREEN, 1.6, drawstyle="steps-pre", linestyle=(0, (3, 1.5))
        )
        self._crosses = plot.line(position, VERMILION, 0, marker="X", markersize=7, clip_on=False)
        self._leverage = plot.line(leverage, PURPLE, 1.4, marker=".", markersize=1.4)
        position.set(ylim=(-1.15, 1.65), yticks=(-1, 0, 1))
        self.reasons = position.text(
            0.006,
            0.03,
            "",
            transform=position.transAxes,
            fontsize=7.5,
            color=INK,
            linespacing=1.15,
            va="bottom",
            zorder=5,
        )

        self._rates = [plot.steps(funding, colour, 0.85) for colour in (BLUE, VERMILION, GREY)]
        self._exposure = plot.line(exposure, INK, 1.2, drawstyle="steps-pre")
        for axes in (position, funding):
            axes.axhline(0, color=GREY, lw=0.7)

        for low, high, opacity in DANGER:
            margin.axhspan(low, high, color=VERMILION, alpha=opacity, lw=0)
        margin.set_yscale("log")
        margin.set_yticks(MARGIN_TICKS, [f"{tick} %" for tick in MARGIN_TICKS])
        margin.minorticks_off()
        margin.set_ylim(0.8, 150)
        self._margin = plot.line(margin, PURPLE, 1.6, marker=".", markersize=1.6)

    def explain(self, time: NDArray[Any], reasons: Sequence[str]) -> None:
        """Write the latest changes of the reason, each with the end of its step."""
        changes = [
            i for i, reason in enumerate(reasons) if reason and (i == 0 or reason != reasons[i - 1])
        ]
        self.reasons.set_text(
            "\n".join(
                f"{pd.Timestamp(time[i]):%m-%d %H:%M}  {reasons[i]}" for i in changes[-REASONS:]
            )
        )

    def update(
        self, edges: Float64, asset: Mapping[str, Float64], equity: Float64
    ) -> list[list[str]]:
        """Hand new data to the artists; the latest values as text, for each panel."""
        time = edges[1:]
        for axes in self.panels:
            plot.set_time(axes, edges, labels=False)
        liquidated = np.flatnonzero(asset["liquidated"] > 0)
        for marks in self._liquidations:
            plot.set_marks(marks, time[liquidated])
        self._crosses.set_data(time[liquidated], np.full(len(liquidated), 1.45))

        spot, perp = asset["spot_price"], asset["perp_price"]
        basis = 1e4 * (perp / spot - 1)
        self._spot.set_data(time, spot)
        self._perp.set_data(time, perp)
        self._basis.set_data(basis, edges)
        plot.fit(self._price, spot, perp)
        plot.fit_symmetric(self._basis_axes, basis, 10.0)

        leverage = np.where(
            asset["perp"] != 0, np.minimum(asset["leverage"], LEVERAGE_SHOWN), np.nan
        )
        hedge = np.where(asset["carry"] != 0, asset["hedge"], np.nan)  # no ratio without a carry
        self._carry.set_data(asset["carry"], edges)
        self._hedge.set_data(time, hedge)
        self._leverage.set_data(time, leverage)
        self._leverage_axes.set_ylim(0, max(4.0, 1.15 * plot.largest(leverage)))

        rate, exposure = asset["funding_rate"], asset["perp"] * asset["mark_price"] / equity
        # a settlement counts for the position held before the step's trade
        before = np.append(0.0, asset["perp"][:-1])[: len(rate)]
        for steps, chosen in zip(
            self._rates, (before * rate < 0, before * rate > 0, before * rate == 0), strict=True
        ):
            steps.set_data(np.where(chosen, rate, 0.0), edges)
        self._exposure.set_data(time, exposure)
        plot.fit_symmetric(self._funding, rate, 1.5)
        plot.fit_symmetric(self._exposure_axes, exposure, 1.0)

        distance = 100 * np.where(
            np.isfinite(asset["margin_distance"]), asset["margin_distance"], np.nan
        )
        self._margin.set_data(time, np.clip(distance, 0.8, 150))
        return [
            [plot.last(spot, ",.6g"), plot.last(perp, ",.6g"), plot.last(basis, "+.1f")],
            [
                plot.last(asset["carry"], "+.2f"),
                plot.last(hedge, ".2f"),
                plot.last(leverage, ".1f"),
            ],
            ["", "", "", plot.last(exposure, "+.2f")],
            [plot.last(distance, ".1f", " %")],
        ]


class EquityPanel:
    """Profit since the start and the parts that add up to it."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        plot.plain(axes)
        axes.axhline(0, color=GREY, lw=0.7)
        self._marks = plot.marks(axes)
        self._groups = [plot.line(axes, colour, 1.4) for _, colour, _ in GROUPS]
        self._total = plot.line(axes, INK, 2.2)

    def update(
        self, edges: Float64, equity: Float64, parts: Float64, liquidated: Float64
    ) -> list[str]:
        """Hand new data to the artists; the latest values as text."""
        start = equity[0] - parts[0].sum() if len(equity) else 1.0
        total = 100 * (np.append(start, equity) / start - 1)[: len(edges)]
        groups = [
            np.append(0.0, 100 * parts[:, list(columns)].sum(axis=1).cumsum() / start)[: len(edges)]
            for _, _, columns in GROUPS
        ]
        for line, values in zip([self._total, *self._groups], [total, *groups], strict=True):
            # what is nothing hides nothing
            line.set_data(edges, values if values.any() else np.full(len(edges), np.nan))
        plot.set_time(self.axes, edges, labels=True)
        plot.set_marks(self._marks, edges[1:][liquidated > 0])
        plot.fit(self.axes, total, *groups)
        return [plot.last(values, "+.2f") for values in [total, *groups]]
